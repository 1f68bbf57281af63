"""Tries thousands of damaged inputs and prints the outcomes of each kind.

    python -m tests.faults.campaign --count 1000
    python -m tests.faults.campaign --seconds 600 --kinds records,images
    python -m tests.faults.campaign --case images/417

Each case is drawn from its number; what broke is listed with it, and the exit code is
then 1.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.faults import (
    colours,
    containers,
    documents,
    masks,
    models,
    pictures,
    places,
    records,
)
from tests.faults.outcomes import BROKE, OUTCOMES, Tried, attempt_number

KINDS = {
    **records.KINDS,
    **pictures.KINDS,
    **colours.KINDS,
    **containers.KINDS,
    **masks.KINDS,
    **documents.KINDS,
    **models.KINDS,
    **places.KINDS,
}
# Of --count, for kinds with fewer ways to be wrong or that take long each.
SHARES = {
    "payloads": 9, "records": 1.5, "images": 2, "models": 0.4, "folders": 0.2,
    "model paths": 0.1, "bombs": 0.2, "keys": 0.1, "names": 0.3, "own masks": 0.4,
}  # fmt: skip


def campaign(
    kinds, count: int, seconds: float = float("inf"), first: int = 0
) -> dict[str, list[Tried]]:
    """Cases of each kind: `count` times its share, or until its share of time is up."""
    found: dict[str, list[Tried]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            attempt = KINDS[kind](Path(folder).resolve() / kind.replace(" ", "-"))
            most = max(1, round(count * SHARES.get(kind, 1)))
            ending = time.monotonic() + seconds / len(kinds)
            found[kind] = []
            for number in range(first, first + most):
                found[kind].append(attempt_number(attempt, kind, number))
                if time.monotonic() > ending:
                    break
    return found


def table(found: dict[str, list[Tried]]) -> str:
    lines = [["kind", "tried", *OUTCOMES]]
    for kind, tried in [*found.items(), ("all", sum(found.values(), []))]:
        counts = Counter(each.outcome for each in tried)
        lines.append([kind, len(tried), *(counts[name] for name in OUTCOMES)])
    return "\n".join(
        f"{line[0]:<12}" + "".join(f"{cell:>13}" for cell in line[1:]) for line in lines
    )


def report(found: dict[str, list[Tried]]) -> int:
    broke = [
        each for tried in found.values() for each in tried if each.outcome == BROKE
    ]
    shown = Counter()
    for each in broke:
        place = each.seed.split("/")[0] + each.why[:60]
        shown[place] += 1
        if shown[place] <= 3:
            print(
                f"{each.seed}: {each.why.encode('ascii', 'backslashreplace').decode()}"
            )
    print(table(found))
    return 1 if broke else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, help="a kind, times its share")
    parser.add_argument("--seconds", type=float, help="in all")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--case", help="one alone, as it is listed: kind/number")
    chosen = parser.parse_args()
    if chosen.case:
        kind, number = chosen.case.split("/")
        with tempfile.TemporaryDirectory() as folder:
            attempt = KINDS[kind](Path(folder).resolve() / "case")
            print(attempt(random.Random(f"{kind}/{number}")))
        return 0
    count = chosen.count or (10**9 if chosen.seconds else 1000)
    seconds = chosen.seconds or float("inf")
    started = time.monotonic()
    found = campaign(chosen.kinds.split(","), count, seconds, chosen.first)
    code = report(found)
    print(f"{time.monotonic() - started:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
