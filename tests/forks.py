"""Python processes that begin with their imports done, as forks of one that did them.

    server = ForkServer("tensorflow", "keras")
    process = server.start(["train.py", "--help"], cwd, environment)
    stdout, stderr = process.communicate(timeout=60)

`import tensorflow` takes seconds, a fork some milliseconds. TensorFlow is imported and
never used before a fork, so that each process starts its threads itself. A process has
the environment, folder, `sys.argv`, signals and end of a `python WORDS` of its own.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent


def skip_graph_optimizations() -> None:
    """Has TensorFlow run graphs as they are; to optimize tiny ones takes longer.

    Commands in a fresh Python optimize theirs.
    """
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


class Forked:
    """What `subprocess.Popen` is of a process whose output goes to a file."""

    def __init__(self, status: IO[bytes], outputs: Sequence[IO]):
        self._status, self._outputs = status, outputs
        self.pid = int(status.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._end(0)

    def wait(self, timeout: float | None = None) -> int:
        if self._end(timeout) is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple:
        """Waits for the end; what the process has written to stdout and stderr."""
        self.wait(timeout)
        for file in self._outputs:
            file.seek(0)
        return tuple(file.read() for file in self._outputs)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _end(self, timeout: float | None) -> int | None:
        if (
            self.returncode is None
            and select.select([self._status], [], [], timeout)[0]
        ):
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode


class ForkServer:
    """A process that has imported some modules, and forks for each that is started."""

    def __init__(self, *modules: str, environment: dict[str, str]):
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forks", str(theirs.fileno()), *modules],
                cwd=ROOT,
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def start(
        self,
        words: Sequence[str],
        cwd: Path,
        environment: dict[str, str],
        *,
        text: bool = False,
        input: bytes = b"",
        new_session: bool = False,
    ) -> Forked:
        """Starts `python WORDS`: a script, `-m` and a module, or `-c` and code.

        It reads `input`; its output is text, as `subprocess` makes it of bytes, or
        bytes.
        """
        mode = "w+" if text else "w+b"
        outputs = [tempfile.TemporaryFile(mode) for _ in ("stdout", "stderr")]
        stdin, feed = os.pipe()
        status, tell = os.pipe()
        job = {"words": [*words], "cwd": str(cwd), "environment": environment}
        job["new_session"] = new_session
        streams = [stdin, *(file.fileno() for file in outputs)]
        socket.send_fds(self._socket, [json.dumps(job).encode()], [*streams, tell])
        os.close(stdin)
        os.close(tell)
        threading.Thread(target=_feed, args=(feed, input), daemon=True).start()
        return Forked(open(status, "rb", buffering=0), outputs)

    def close(self) -> None:
        """Ends the server, after the processes that it has started."""
        self._socket.close()
        self._process.wait()


def _feed(descriptor: int, content: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), open(descriptor, "wb") as file:
        file.write(content)


def _serve(server: socket.socket) -> dict:
    """Forks for each job; returns it in the process that is to do it."""
    watchers = []
    while True:
        content, descriptors, *_ = socket.recv_fds(server, 2**20, 4)
        if not content:  # The other end is closed.
            break
        watchers.append(os.fork())
        if not watchers[-1]:
            *streams, status = descriptors
            return _watched(json.loads(content), streams, status, server)
        for descriptor in descriptors:
            os.close(descriptor)
    for watcher in watchers:
        os.waitpid(watcher, 0)
    os._exit(0)


def _watched(job: dict, streams: list[int], status: int, server: socket.socket) -> dict:
    """Forks once more; this process reports the other one's identifier and end."""
    server.close()
    process = os.fork()
    if process:
        os.write(status, b"%d\n" % process)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        os.write(status, b"%d\n" % code)
        os._exit(0)
    os.close(status)
    for place, descriptor in enumerate(streams):
        os.dup2(descriptor, place)
        os.close(descriptor)
    return job


def _become(
    words: list[str], cwd: str, environment: dict[str, str], new_session: bool
) -> None:
    """Does in this process what `python WORDS` does."""
    if new_session:
        os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    kind, *rest = words
    if kind == "-c":
        sys.argv, sys.path[0] = ["-c", *rest[1:]], ""
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif kind == "-m":
        sys.argv, sys.path[0] = rest, cwd
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = words, str(Path(kind).parent)
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in sys.argv[2:]:
        importlib.import_module(name)
    if "tensorflow" in sys.modules:
        skip_graph_optimizations()
    gc.freeze()
    _become(**_serve(socket.socket(fileno=int(sys.argv[1]))))
