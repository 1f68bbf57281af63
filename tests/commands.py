"""Runs command lines as a user types them, each in a process of its own.

    done = commands.call("evaluate.py", "--tfrecords", "x", cwd=folder)

The process is the fork of one that has imported TensorFlow (`tests.forks`), or with
`fresh=True` one of a Python that has imported nothing: for what is said of imports, or
depends on the environment in which TensorFlow or Keras is imported.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.forks import ROOT, Forked, ForkServer

# Nothing of the tester's own.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
# What `picanet predict` imports of other packages, and what other commands do.
LIGHT = ("absl.logging", "ai_edge_litert.interpreter", "numpy", "PIL.Image", "tqdm")
HEAVY = (*LIGHT, "keras", "tensorflow")
# A line of TensorFlow's own log, such as that there is no GPU.
NATIVE_LOG = r"^[IWE]\d{4} \S+ +\d+ \S+\.cc:\d+\] .*\n"


_servers: dict[Sequence[str], ForkServer] = {}


def _server(modules: Sequence[str]) -> ForkServer:
    """Returns the server that has imported the modules, one for all of this process."""
    if modules not in _servers:
        environment = {**ENVIRONMENT, "TF_CPP_MIN_LOG_LEVEL": "2"}  # As `core.cli`.
        _servers[modules] = ForkServer(*modules, environment=environment)
    return _servers[modules]


def close() -> None:
    """Ends the servers."""
    while _servers:
        _servers.popitem()[1].close()


def start(
    *words,
    cwd: Path = ROOT,
    fresh: bool = False,
    modules: Sequence[str] = HEAVY,
    text: bool = True,
    input: bytes = b"",
    new_session: bool = False,
    **environment: str,
) -> Forked | subprocess.Popen:
    """Starts `python WORDS`; a first word with `.py` is a script of the project."""
    first, *rest = map(str, words)
    words = [str(ROOT / first) if first.endswith(".py") else first, *rest]
    environment = {**ENVIRONMENT, **environment}
    if not fresh:
        server = _server(modules)
        options = {"text": text, "input": input, "new_session": new_session}
        return server.start(words, cwd, environment, **options)
    assert not input
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=new_session,
        text=text,
    )


def written(folder: Path) -> list[str]:
    """Returns all files below a folder, hidden ones too, relative to it."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    )


def call(*words, timeout: float = 300, **options) -> subprocess.CompletedProcess:
    """Runs `python WORDS` to its end; the arguments are those of `start`."""
    process = start(*words, **options)
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)


def picanet(*words, **options) -> subprocess.CompletedProcess:
    """`call` of `picanet`, with the bytes that it writes."""
    options = {"text": False, "modules": LIGHT, **options}
    return call("-m", "picanet_tf.commands", *words, **options)


class Outcome(NamedTuple):
    """Result of one command: exit code, output, and the files that it left.

    Without the lines of TensorFlow's own log.
    """

    code: int
    stdout: str
    stderr: str
    written: list[str]

    @property
    def error(self) -> str:
        """The line that reports why the command failed, without a traceback."""
        assert self.code == 1, self.stderr
        assert "Traceback" not in self.stderr
        return self.stderr.strip().splitlines()[-1]


def run(*words, cwd: Path, **environment: str) -> Outcome:
    """The outcome of a command; a first word without `.py` is a module."""
    before = _files(cwd)
    kind = () if words[0].endswith(".py") else ("-m",)
    done = call(*kind, *words, cwd=cwd, **environment)
    new = sorted(_files(cwd) - before)
    said = re.sub(NATIVE_LOG, "", done.stderr, flags=re.MULTILINE)
    return Outcome(done.returncode, done.stdout, said, new)


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
