"""Runs command lines as a user types them, each in a process of its own.

    done = commands.call("evaluate.py", "--tfrecords", "x", cwd=folder)

takes a fresh Python. A `CommandServer` runs many after one import of TensorFlow. The
fixture `run_command` of tests/conftest.py is one `CommandServer` for all tests of a
test process:

    done = run_command("evaluate.py", "--tfrecords", "x", cwd=folder)
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
# Nothing of the tester's own.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}


def start(*words, cwd: Path = ROOT, **environment: str) -> subprocess.Popen:
    """Starts `python WORDS`; a first word with `.py` is a script of the project."""
    return subprocess.Popen(
        _line(words),
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def written(folder: Path) -> list[str]:
    """Returns all files below a folder, hidden ones too, relative to it."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    )


def call(
    *words, cwd: Path = ROOT, text: bool = True, input=None, **environment: str
) -> subprocess.CompletedProcess:
    """What becomes of `python WORDS`, as of `start`."""
    return subprocess.run(
        _line(words),
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        input=input,
        capture_output=True,
        text=text,
        timeout=300,
    )


def picanet(*words, **options) -> subprocess.CompletedProcess:
    """`call` of `picanet`, with the bytes that it writes."""
    return call("-m", "picanet_tf.commands", *words, text=False, **options)


def _line(words: Sequence) -> list[str]:
    script, *rest = map(str, words)
    if script.endswith(".py"):
        script = str(ROOT / script)
    return [sys.executable, script, *rest]


class Outcome(NamedTuple):
    """Of one command: exit code, what it said, and the files that it left."""

    code: int
    stdout: str
    stderr: str
    written: list[str]

    @property
    def error(self) -> str:
        """The line with which the command failed, as a user's mistake is told."""
        assert self.code == 1, self.stderr
        assert "Traceback" not in self.stderr
        return self.stderr.strip().splitlines()[-1]


class CommandServer:
    """A process that has imported TensorFlow and forks for each command."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.commands"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            text=True,
        )

    def run(self, *words, cwd: Path, **environment: str) -> Outcome:
        """Runs a command. A first word with `.py` is a script, any other a module."""
        job = {"words": [*map(str, words)], "cwd": str(cwd), "environment": environment}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return Outcome(*json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def run(command_lines: Sequence[Sequence[str]], cwd: Path) -> list[Outcome]:
    """The outcomes, in order, of commands that a server of their own runs."""
    server = CommandServer()
    try:
        return [server.run(*words, cwd=cwd) for words in command_lines]
    finally:
        server.close()


def _run_here(words: list[str], cwd: str, environment: dict[str, str]) -> Outcome:
    before = _files(cwd)
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = os.fork()
        if not process:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(stdout.fileno(), 1)
            os.dup2(stderr.fileno(), 2)
            os.environ.update(environment, PYTHONPATH=str(ROOT))
            os.chdir(cwd)
            os._exit(_code(words))
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        said = []
        for stream in (stdout, stderr):
            stream.seek(0)
            said.append(stream.read().decode())
    return Outcome(code, *said, sorted(_files(cwd) - before))


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


def _files(folder: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*")}


if __name__ == "__main__":
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(_run_here(**json.loads(line))), flush=True)
