"""Which outcomes of a damaged input are allowed, and which are not."""

from __future__ import annotations

import contextlib
import random
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from picanet_tf.core.errors import PicanetError

ERROR, SKIP, READ, BROKE = "clear error", "named skip", "read fine", "broke"
OUTCOMES = (ERROR, SKIP, READ, BROKE)
SECONDS = 30  # What takes longer hangs.

Attempt = Callable[[random.Random], str]


class Broken(AssertionError):
    """A rule of the campaign that the project broke."""


class Hung(BaseException):
    """Not an `Exception`, so that nothing on the way takes it for its own error."""


class Tried(NamedTuple):
    """One input.

    Attributes:
        seed: "kind/number".
        outcome: one of `OUTCOMES`.
        why: of one that broke, how.
    """

    seed: str
    outcome: str
    why: str = ""


def attempt_number(attempt: Attempt, kind: str, number: int) -> Tried:
    """Spoils and tries input `number` of a kind."""
    seed = f"{kind}/{number}"
    try:
        with _time_limit(SECONDS):
            return Tried(seed, attempt(random.Random(seed)))
    except (Exception, Hung) as error:
        lines = traceback.extract_tb(error.__traceback__)
        place = f"{Path(lines[-1].filename).name}:{lines[-1].lineno}"
        told = " ".join(str(error).split())[:300]
        return Tried(seed, BROKE, f"{type(error).__name__} at {place}: {told}")


def result_or_error(action: Callable, *names: object):
    """What `action` returns, and None; or None and the text of its clear error.

    Clear is an error of the project's that names the file in one line. Whatever else
    is raised goes on, to be counted as broken.
    """
    try:
        return action(), None
    except PicanetError as error:
        text = str(error)
    except OSError as error:  # `cli.run` reports those of named files in one line, too.
        if error.filename is None:
            raise
        return None, f"{error.filename}: {error.strerror}"
    if not any(str(name) in text for name in names):
        raise Broken(f"the error names none of {list(map(str, names))}: {text}")
    lines = text.replace("a\nb", "")  # A name of the campaign.
    for name in names:
        lines = lines.replace(str(name), "")
    if ("\n" in lines and "bad file" not in lines) or "Traceback" in text:
        raise Broken(f"an error of several lines: {text!r}")
    return None, text


def rule(holds: bool, *told: object) -> None:
    if not holds:
        raise Broken(" ".join(map(str, told)))


@contextlib.contextmanager
def memory_rule(most: int, *told: object) -> Iterator[None]:
    """Checks that a block raises the peak of memory by less than `most` kB."""
    with contextlib.suppress(OSError):  # Not on all kernels: laxer there.
        Path("/proc/self/clear_refs").write_text("5")  # Resets the peak to the present.
    before = _peak()
    yield
    grown = _peak() - before
    rule(grown < most, *told, "took", grown, "kB")


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


@contextlib.contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    def stop(*_):
        raise Hung(f"still at work after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
