"""What both clients share: flags, the check of the server, the report.

Imports no TensorFlow. A client is an object with

    name                what it talks to, for messages
    describe()          what the server says of the model, `Served`
    predict(image)      from an image's bytes to a PNG's

whose methods raise `Refused` or `NoAnswer`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import flags
from tqdm import tqdm

from data_pipeline.cli import UserError
from data_pipeline.files import Input, assign_outputs, check_folder, find_inputs
from deploy.pool import NoAnswer, Pool, Refused, pause
from picanet_tf.core.files import replacing

FLAGS = flags.FLAGS
# Of the signature `image_bytes`, see picanet_tf/serving/saved_model.py.
INPUT, OUTPUT = "image_bytes", "saliency_png_bytes"
INTERRUPTED = 130
_MOST_LETTERS = 300


class Served(NamedTuple):
    """What a server says of a model.

    Attributes:
        version: the one that answers.
        signatures: {name: (names of its inputs, names of its outputs)}.
    """

    version: str
    signatures: Mapping[str, tuple[set[str], set[str]]]


def define_flags(server: str, described: str) -> None:
    """The flags of both clients.

    Args:
        server: default of `--server`.
        described: what `--server` is.
    """
    flags.disclaim_key_flags()  # They are the calling script's, for its --help.
    flags.DEFINE_string("server", server, described)
    flags.DEFINE_string("model", "picanet", "The model's name in models.config.")
    flags.DEFINE_integer(
        "version", None, "The model's version; by default the highest one served."
    )
    flags.DEFINE_string(
        "label", None, "Instead of --version: a label of models.config, as stable."
    )
    flags.DEFINE_string(
        "signature", "image_bytes", f"The signature, from {INPUT} to {OUTPUT}."
    )
    flags.DEFINE_multi_string(
        "input",
        [],
        "An image, a folder (with its sub-folders) or a pattern such as 'in/**/*.jpg'. "
        "May be given again; plain words are inputs too.",
    )
    flags.DEFINE_string("output", None, "The folder for the maps; made when missing.")
    flags.DEFINE_integer(
        "in_flight", 8, "Requests, of one image each, at a time.", lower_bound=1
    )
    flags.DEFINE_float(
        "timeout", 30, "Seconds to wait for an answer.", lower_bound=0.001
    )
    flags.DEFINE_integer(
        "retries",
        5,
        "How often a request is sent again when the server is unavailable, after "
        "pauses of about 0.25, 0.5, 1 ... seconds. Time-outs and refusals are final.",
        lower_bound=0,
    )
    flags.DEFINE_bool("resume", False, "Pass over what has its map already.")


def run(client: Callable, words: list[str]) -> int:
    """Sends all images, writes their maps, reports.

    Args:
        client: the class, made of the flags.
        words: of the command line, more inputs.

    Returns:
        The exit code: 1 if a map is missing, 130 after Ctrl-C.

    Raises:
        UserError: nothing could be sent.
    """
    words = FLAGS.input + words
    if not words:
        raise UserError("--input is missing: an image, a folder or a pattern")
    if not FLAGS.output:
        raise UserError("--output is missing: the folder for the maps")
    if FLAGS.version is not None and FLAGS.label is not None:
        raise UserError("--version and --label: give one of them")
    pairs = assign_outputs(find_inputs(words), check_folder(FLAGS.output))
    for item, _ in pairs:
        if item.is_video:
            raise UserError(f"--input: {item.path} is a video, images are wanted")
    todo = [pair for pair in pairs if not (FLAGS.resume and pair[1].exists())]
    if len(todo) < len(pairs):
        print(f"{len(pairs) - len(todo)} of {len(pairs)} exist already")
    if not todo:
        return 0
    place = FLAGS.server, FLAGS.model, FLAGS.version, FLAGS.label
    return send_all(client(*place, FLAGS.signature, FLAGS.timeout), todo)


def check_server(client) -> Served:
    """Asks the server for the model, as patiently as for a map.

    Raises:
        UserError: no server, or it has no such model, or not with that signature.
    """
    wanted = FLAGS.model
    if FLAGS.version is not None:
        wanted += f", version {FLAGS.version}"
    elif FLAGS.label:
        wanted += f", label {FLAGS.label}"
    try:
        served = _patiently(client.describe)
    except NoAnswer as error:
        raise UserError(f"--server: {client.name}: {error}") from error
    except Refused as error:
        raise UserError(f"{client.name} does not serve {wanted}: {error}") from error
    model = f"{wanted} at {client.name}"
    if FLAGS.signature not in served.signatures:
        raise UserError(
            f"--signature must be one of {', '.join(sorted(served.signatures))}, "
            f"those of {model}. Received: {FLAGS.signature}"
        )
    inputs, outputs = served.signatures[FLAGS.signature]
    if inputs != {INPUT} or OUTPUT not in outputs:
        raise UserError(
            f"--signature: {FLAGS.signature} of {model} must go from {INPUT} to "
            f"{OUTPUT}. It goes from {', '.join(sorted(inputs))} to "
            f"{', '.join(sorted(outputs))}"
        )
    return served


def _patiently(ask: Callable[[], Served]) -> Served:
    for tried in itertools.count():
        try:
            return ask()
        except NoAnswer as error:
            if not error.again or tried == FLAGS.retries:
                raise
            time.sleep(pause(tried))


def send_all(client, pairs: list[tuple[Input, Path]]) -> int:
    served = check_server(client)
    pool = Pool(client.predict, pairs, FLAGS.in_flight, FLAGS.retries)
    seconds, failed, again = [], 0, 0
    start = time.perf_counter()
    with (
        _stopping(pool) as interrupted,
        tqdm(total=len(pairs), unit="image", disable=len(pairs) == 1) as bar,
    ):
        for outcome in pool.outcomes():
            again += outcome.again
            if outcome.png is None:
                failed += 1
                tqdm.write(
                    f"failed: {outcome.item.path}: {outcome.error}", file=sys.stderr
                )
            else:
                outcome.output.parent.mkdir(parents=True, exist_ok=True)
                with replacing(outcome.output) as temporary:
                    temporary.write_bytes(outcome.png)
                seconds.append(outcome.seconds)
            bar.update()
    elapsed = time.perf_counter() - start
    print(
        f"{len(seconds)} of {len(pairs)} maps in {FLAGS.output}, of {FLAGS.model} "
        f"version {served.version} at {client.name}"
    )
    if seconds:
        print(latency_report(seconds, elapsed, FLAGS.in_flight, again))
    missing = len(pairs) - len(seconds)
    if not missing:
        return 0
    unsent = missing - failed
    reason = f"; {client.name} is gone: {pool.gone}" if pool.gone else ""
    print(
        f"{Path(sys.argv[0]).name}: error: {missing} of {len(pairs)} without a map: "
        f"{failed} failed, {unsent} not sent{reason}",
        file=sys.stderr,
    )
    return INTERRUPTED if interrupted() else 1


def latency_report(
    seconds: list[float], elapsed: float, in_flight: int, again: int = 0
) -> str:
    """One line.

    Args:
        seconds: of each answered image.
        elapsed: of all together.
        in_flight: requests at a time.
        again: requests that were sent again.
    """
    p50, p90, p99 = (f"{1000 * s:.0f}" for s in np.percentile(seconds, [50, 90, 99]))
    line = (
        f"latency p50 {p50} ms, p90 {p90} ms, p99 {p99} ms; "
        f"{len(seconds) / elapsed:.1f} images/s, {in_flight} in flight"
    )
    return line + (f"; {again} requests sent again" if again else "")


def first_line(message: str) -> str:
    """An error of TensorFlow's as a user may read it.

    Without the nodes of the graph, and without the image's number in its batch, which
    the server may have put together of several callers' images.
    """
    line = message.strip().splitlines()[0] if message.strip() else "no reason given"
    line = re.sub(r"\{\{function_node [^}]*\}\}\s*", "", line)
    line = line.split(" [[{{node")[0].strip()
    if line.startswith("assertion failed: "):
        line = line.removeprefix("assertion failed: ")
        line = re.sub(r"\s*\[in image number\] \[\d+\]", "", line)
        line = re.sub(r"\[([^][]*)\]", r"\1", line)
    return line if len(line) <= _MOST_LETTERS else line[:_MOST_LETTERS] + " ..."


@contextlib.contextmanager
def _stopping(pool: Pool) -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C stops the pool, the second one the program.

    Yields:
        A function that says whether there was one.
    """
    previous = signal.getsignal(signal.SIGINT)
    came = []

    def stop(*_):
        came.append(True)
        pool.stop()
        signal.signal(signal.SIGINT, previous)
        # Not through Python's file, which the loop may be writing to just now.
        os.write(2, b"\nWaiting for what is in flight; Ctrl-C again ends at once\n")

    if previous in (signal.SIG_IGN, None):
        yield lambda: False
        return
    signal.signal(signal.SIGINT, stop)
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGINT, previous)
