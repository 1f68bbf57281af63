"""The campaign in small: a few hundred cases a kind, the same ones each time.

The cases that ever broke are tried first; `regressions.txt` says how they did.
"""

from pathlib import Path

import pytest

from tests.faults import campaign, outcomes
from tests.faults.outcomes import BROKE, ERROR, READ, SKIP, attempt_number

COUNTS = {
    "payloads": 300, "records": 40, "images": 250, "bombs": 30, "masks": 200,
    "manifests": 100, "models": 40, "inputs": 200, "folders": 15, "names": 100,
    "keys": 30, "profiles": 150, "transparency": 150, "experiments": 300,
    "model paths": 40, "own masks": 80, "containers": 200,
}  # fmt: skip
REGRESSIONS = Path(__file__).with_name("regressions.txt")


def regressions() -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for line in REGRESSIONS.read_text().splitlines():
        if line and not line.startswith("#"):
            kind, number = line.split(":")[0].split("/")
            found.setdefault(kind, []).append(int(number))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", COUNTS)
def test_damaged_inputs_break_nothing(kind, tmp_path):
    attempt = campaign.KINDS[kind](tmp_path.resolve() / "cases")
    numbers = [*regressions().get(kind, []), *range(COUNTS[kind])]
    tried = [attempt_number(attempt, kind, number) for number in numbers]
    assert [each for each in tried if each.outcome == BROKE] == []
    # A campaign in which nothing is refused, or all is, tries nothing.
    found = {each.outcome for each in tried}
    assert found & {ERROR, SKIP} or kind == "names"
    assert READ in found or kind in ("bombs", "model paths")


def test_the_campaign_sees_what_breaks():
    def careless(rng):
        if rng.random() < 0.5:
            raise KeyError("a bare traceback")
        return READ

    tried = [attempt_number(careless, "careless", number) for number in range(20)]
    broke = [each for each in tried if each.outcome == BROKE]
    assert 0 < len(broke) < 20
    assert broke[0].why.startswith("KeyError at test_faults.py:")
    line = campaign.table({"careless": tried}).splitlines()[1]
    assert line.split() == [
        "careless",
        "20",
        "0",
        "0",
        f"{20 - len(broke)}",
        f"{len(broke)}",
    ]


def test_a_hang_counts_as_broken(monkeypatch):
    monkeypatch.setattr(outcomes, "SECONDS", 1)

    def endless(rng):
        while True:
            pass

    assert "still at work after 1 s" in attempt_number(endless, "endless", 0).why


def test_an_error_that_names_no_file_counts_as_broken():
    def careless(rng):
        def fail():
            raise outcomes.PicanetError("wrong")

        return outcomes.result_or_error(fail, "photo.jpg")

    assert "names none of ['photo.jpg']" in attempt_number(careless, "careless", 0).why
