"""Loads the HTTP service with good and broken requests, and checks every answer.

    python -m tests.serving.load --requests 500 --concurrency 16 --model NAME_OR_FILE

Starts `picanet serve` on a free port of this machine. A tenth of the requests are
broken, in one of `broken`'s ways. Every good one must be answered by the PNG that the
model itself draws, every broken one by its 4xx, and the service's memory must not grow.
The exit code is 1 if one of this does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import itertools
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from picanet_tf.core.images import read_image
from picanet_tf.inference import load_model

ROOT = Path(__file__).resolve().parents[2]
MAX_BYTES, MAX_PIXELS = 4_000_000, 6_000_000


class Call(NamedTuple):
    """One request, and what has to come of it.

    Attributes:
        name: for reports.
        path: with the query.
        body: the bytes to send.
        headers: to send.
        method: of HTTP.
        status: wanted.
        pixels: of the wanted PNG; None of a broken request.
    """

    name: str
    path: str
    body: bytes
    headers: dict[str, str] = {}
    method: str = "POST"
    status: int = 200
    pixels: np.ndarray | None = None


@dataclass
class Report:
    """What came of it.

    Attributes:
        seconds: of each good request.
        elapsed: seconds of all together.
        statuses: {(name of the call, status): how often}.
        wrong: a line for each answer that was not the wanted one.
        memory: MiB of the service after each request.
    """

    seconds: list[float] = field(default_factory=list)
    elapsed: float = 0.0
    statuses: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    @property
    def fifths(self) -> list[list[float]]:
        """The MiB after the requests of each fifth."""
        ends = np.linspace(0, len(self.memory), 6).astype(int)
        return [self.memory[a:b] for a, b in itertools.pairwise(ends)]

    @property
    def growth(self) -> float:
        """MiB of the medians, from the second fifth to the last.

        The first warms up; the peaks depend on which photos are in progress together.
        """
        _, second, *_, last = map(np.median, self.fifths)
        return last - second

    def __str__(self) -> str:
        p50, p95 = np.percentile(self.seconds, (50, 95))
        count = sum(self.statuses.values())
        medians, peaks = (
            ", ".join(f"{of(fifth):.0f}" for fifth in self.fifths)
            for of in (np.median, max)
        )
        return "\n".join(
            [
                f"{count} requests in {self.elapsed:.1f} s, {len(self.seconds)} good: "
                f"{count / self.elapsed:.1f} a second",
                f"good ones: p50 {p50:.2f} s, p95 {p95:.2f} s",
                f"memory: {medians} MiB in each fifth (median), up to {peaks}",
                *(
                    f"  {n:4} x {k[0]}: {k[1]}"
                    for k, n in sorted(self.statuses.items())
                ),
                *self.wrong,
            ]
        )


def form(content: bytes, name: str = "image", file: str = "photo.jpg") -> dict:
    """The body and headers of a form with one file."""
    head = f'Content-Disposition: form-data; name="{name}"; filename="{file}"'
    body = b"--x\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n--x--\r\n"
    return {
        "body": body,
        "headers": {"Content-Type": "multipart/form-data; boundary=x"},
    }


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def good(model, longest: int | None = None) -> list[Call]:
    """Calls over all formats, ways to send and kinds of files.

    Args:
        model: that says what is right.
        longest: the longer side of the photos; by default as they are, and beside them
            a large one.
    """
    photos = []
    for path in sorted((ROOT / "samples" / "images").iterdir()):
        content = path.read_bytes()
        if longest:
            picture = Image.open(path).convert("RGB")
            picture.thumbnail((longest, longest))
            content = encoded(picture, "PNG" if path.suffix == ".png" else "JPEG")
        photos.append((path.name, content))
    picture = Image.open(io.BytesIO(dict(photos)["flower.jpg"]))
    exif = Image.Exif()
    exif[274] = 6  # turned by a quarter
    photos += [
        ("turned.jpg", encoded(picture, "JPEG", exif=exif)),
        ("palette.png", encoded(picture.convert("P"), "PNG")),
        ("grey.tif", encoded(picture.convert("L"), "TIFF")),
        ("photo.webp", encoded(picture, "WEBP")),
    ]
    if not longest:
        photos.append(("large.jpg", encoded(picture.resize((2400, 1600)), "JPEG")))
    calls = []
    for number, (name, content) in enumerate(photos):
        image = read_image(content)
        result = model.predict(image)
        forms = (*model.spec.formats, "mask") if name != "large.jpg" else ("cutout",)
        for place, shape in enumerate(forms):
            threshold = 0.3 if place == 5 else 0.5
            query = f"?format={shape}" + ("&threshold=0.3" if place == 5 else "")
            if shape == "cutout" and number % 2:
                query = ""
            pixels = np.asarray(model.render(shape, image, result, threshold))
            sent = form(content) if (number + place) % 2 else {"body": content}
            path = "/predict" if place == 1 else "/"
            calls.append(Call(f"{name} {shape}", path + query, pixels=pixels, **sent))
    return calls


def broken() -> list[Call]:
    """One call of each way to be wrong."""
    photo = (ROOT / "samples" / "images" / "flower.jpg").read_bytes()
    cut = photo[: len(photo) // 2]
    vast = encoded(Image.new("L", (4000, 3000)), "PNG")
    page = {"Origin": "https://example.com"}
    typed = {"Content-Type": "multipart/form-data; boundary=y"}
    return [
        Call("truncated", "/", cut, status=400),
        Call("text", "/", b"no photo", status=400),
        Call("empty", "/", b"", status=400),
        Call("text in a form", "/", **form(b"no photo"), status=400),
        Call("other field", "/", **form(photo, "photo"), status=400),
        Call("broken form", "/", photo, typed, status=400),
        Call("unknown parameter", "/?fromat=map", photo, status=400),
        Call("unknown format", "/?format=jpg", photo, status=400),
        Call("too many bytes", "/", bytes(MAX_BYTES + 1), status=413),
        Call("too many pixels", "/", vast, status=413),
        Call("other host", "/", photo, {"Host": "example.com"}, status=421),
        Call("other origin", "/", photo, page, status=403),
        Call("other method", "/", photo, method="PUT", status=405),
        Call("other path", "/api/remove", photo, status=404),
    ]


def mixed(good: Sequence[Call], broken: Sequence[Call], count: int) -> list[Call]:
    """`count` calls, every tenth a broken one, each in another way than the last."""
    return [
        broken[number // 10 * 9 % len(broken)]
        if number % 10 == 7
        else good[number * 7 % len(good)]
        for number in range(count)
    ]


@contextlib.contextmanager
def service(*words: str) -> Iterator[tuple[subprocess.Popen, int]]:
    """`picanet serve` as a process of its own: the process and its port.

    Its standard error is in the attribute `log` of the process, a path.
    """
    command = [sys.executable, "-m", "picanet_tf.commands.serve", "--port=0", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with open(log, "w") as file:
            process = subprocess.Popen(command, stderr=file, env=environment)
        process.log = log
        try:
            yield process, _port(process)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port(process: subprocess.Popen) -> int:
    ending = time.monotonic() + 60
    while time.monotonic() < ending:
        if found := re.search(r"http://\S+:(\d+) ", process.log.read_text()):
            return int(found[1])
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"the service did not start: {process.log.read_text()}")


def send(connection: http.client.HTTPConnection, call: Call) -> tuple[int, bytes]:
    """The answer's status and body."""
    connection.request(call.method, call.path, call.body, call.headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def problem(call: Call, status: int, content: bytes) -> str | None:
    """What is wrong with an answer; None for nothing."""
    if status != call.status:
        return f"{call.name}: {status} in place of {call.status}: {content[:200]!r}"
    if call.pixels is not None:
        found = np.asarray(Image.open(io.BytesIO(content)))
        if not np.array_equal(found, call.pixels):
            return f"{call.name}: another picture, {found.shape} {found.dtype}"
    elif list(json.loads(content)) != ["error"]:
        return f"{call.name}: {content[:200]!r} is not an error as documented"
    return None


def load(port: int, calls: Sequence[Call], concurrency: int, pid: int) -> Report:
    """Sends all calls, `concurrency` at a time.

    Args:
        port: of the service, on this machine.
        calls: to send.
        concurrency: threads, each with a connection that it keeps while it may.
        pid: of the service.
    """
    report, lock = Report(), threading.Lock()
    todo: queue.SimpleQueue[Call] = queue.SimpleQueue()
    for call in calls:
        todo.put(call)

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            try:
                call = todo.get_nowait()
            except queue.Empty:
                connection.close()
                return
            start = time.monotonic()
            try:
                status, content = send(connection, call)
                seconds = time.monotonic() - start
                wrong = problem(call, status, content)
            except Exception as error:
                connection.close()
                status, seconds = type(error).__name__, time.monotonic() - start
                wrong = f"{call.name}: {error!r}"
            with lock:
                kind = "good" if call.pixels is not None else call.name
                report.statuses[kind, status] += 1
                if call.pixels is not None:
                    report.seconds.append(seconds)
                if wrong:
                    report.wrong.append(wrong)
                report.memory.append(mebibytes(pid))

    start = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report.elapsed = time.monotonic() - start
    return report


def mebibytes(pid: int) -> float:
    """Resident memory of a process, by Linux."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--model", help="by default the one that picanet serve takes")
    parser.add_argument("--growth", type=float, default=20, help="MiB, at most")
    options = parser.parse_args(words)
    model = load_model(options.model, engine="litert")
    calls = mixed(good(model), broken(), options.requests)
    which = [f"--model={options.model}"] if options.model else []
    limits = f"--max_bytes={MAX_BYTES}", f"--max_pixels={MAX_PIXELS}"
    with service(*which, *limits) as (process, port):
        report = load(port, calls, options.concurrency, process.pid)
    print(report)
    flat = report.growth <= options.growth
    if not flat:
        print(f"the memory grew by more than {options.growth:.0f} MiB")
    if process.returncode:
        print(f"the service ended with {process.returncode}")
    return 1 if report.wrong or not flat or process.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
