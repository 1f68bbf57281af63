"""Runs many command lines after one import of TensorFlow, each in a process of its own.

    outcomes = commands.run([["evaluate.py", "--tfrecords", "x"], ...], cwd=folder)

TensorFlow is imported and never used before the forks, so that a command finds a fresh
one; it is told by `sys.argv` and answers by its exit code, as if typed.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Outcome(NamedTuple):
    """Of one command: exit code, what it said, and the files that it left."""

    code: int
    stdout: str
    stderr: str
    written: list[str]


def run(command_lines: Sequence[Sequence[str]], cwd: Path) -> list[Outcome]:
    """The outcomes, in order. A word with `.py` is a script, any other one a module."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.commands"],
        input=json.dumps(command_lines),
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [Outcome(*each) for each in json.loads(done.stdout)]


def _run_here(words: list[str]) -> Outcome:
    before = _files()
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = os.fork()
        if not process:
            os.dup2(stdout.fileno(), 1)
            os.dup2(stderr.fileno(), 2)
            os._exit(_code(words))
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        said = []
        for stream in (stdout, stderr):
            stream.seek(0)
            said.append(stream.read().decode())
    return Outcome(code, *said, sorted(_files() - before))


def _code(words: list[str]) -> int:
    sys.argv = words
    try:
        if words[0].endswith(".py"):
            runpy.run_path(str(ROOT / words[0]), run_name="__main__")
        else:
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        return 0
    except SystemExit as stop:
        return int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
        return 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _files() -> set[str]:
    return {path.as_posix() for path in Path().rglob("*")}


if __name__ == "__main__":
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    outcomes = [_run_here(words) for words in json.load(sys.stdin)]
    print(json.dumps(outcomes))
