"""The command shared by both clients: flags, server check and report.

Imports no TensorFlow.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

from deploy.client import INPUT, OUTPUT, SIGNATURE, Client, ModelInfo, NoAnswer, Refused
from deploy.pool import Pool, draw_pause
from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import DiskFullError, write_bytes
from picanet_tf.core.inputs import Input, scan_inputs
from picanet_tf.core.outputs import assign_outputs, find_overwritten, find_searched
from picanet_tf.core.path_checks import check_folder
from picanet_tf.core.signals import StopRequest

_STOPPING = "Waiting for requests in flight; press Ctrl-C again to quit immediately"


@dataclass(frozen=True)
class Options:
    """Options of `send_images`.

    Attributes:
        server, model, version, label, signature, timeout: see `Client`.
        in_flight: concurrent requests, of one image each.
        retries: retries per request while the server is unavailable.
        resume: skip images whose maps already exist.
    """

    server: str
    model: str = "picanet"
    version: int | None = None
    label: str | None = None
    signature: str = SIGNATURE
    timeout: float = 30
    in_flight: int = 8
    retries: int = 5
    resume: bool = False

    def __post_init__(self):
        if self.version is not None and self.label is not None:
            raise PicanetError("`version` and `label`: give only one of them")

    def connect(self, client: type[Client]) -> Client:
        return client(
            self.server,
            self.model,
            self.version,
            self.label,
            self.signature,
            self.timeout,
        )

    def describe_model(self) -> str:
        """Returns the model's name in messages, such as "picanet, label stable"."""
        if self.version is not None:
            return f"{self.model}, version {self.version}"
        return f"{self.model}, label {self.label}" if self.label else self.model


def define_flags(server: str, description: str) -> None:
    """Defines the flags of both clients.

    Args:
        server: default of `--server`.
        description: help of `--server`.
    """
    flags.disclaim_key_flags()  # attribute them to the calling script, for its --help
    flags.DEFINE_string("server", server, description)
    flags.DEFINE_string("model", "picanet", "Name of the model in models.config.")
    flags.DEFINE_integer(
        "version", None, "Version of the model; default: the highest one served."
    )
    flags.DEFINE_string(
        "label", None, "Version label in models.config, instead of --version."
    )
    flags.DEFINE_string(
        "signature", SIGNATURE, f"Name of a signature from {INPUT} to {OUTPUT}."
    )
    flags.DEFINE_multi_string(
        "input",
        [],
        "An image, a folder (searched recursively) or a pattern such as "
        "'in/**/*.jpg'. Repeatable; same as a positional argument.",
    )
    flags.DEFINE_string("output", None, "Folder for the maps; created if missing.")
    flags.DEFINE_integer(
        "in_flight", 8, "Concurrent requests, of one image each.", lower_bound=1
    )
    flags.DEFINE_float(
        "timeout", 30, "Seconds to wait for a response.", lower_bound=0.001
    )
    flags.DEFINE_integer(
        "retries",
        5,
        "Retries per request while the server is unavailable, after pauses of about "
        "0.25, 0.5, 1 ... seconds. Timeouts and rejected requests are not retried.",
        lower_bound=0,
    )
    flags.DEFINE_bool("resume", False, "Skip images whose maps already exist.")
    cli.path_flags("input", "output")


def run(client: type[Client], words: list[str]) -> int:
    """Runs the command with its flags.

    Args:
        client: the client class.
        words: positional arguments, further inputs.

    Returns:
        The exit code, see `send_images`.

    Raises:
        PicanetError: if nothing could be sent.
    """
    values = flags.FLAGS
    words = values.input + words
    if not words:
        raise PicanetError("--input is missing: give an image, a folder or a pattern")
    if not values.output:
        raise PicanetError("--output is missing: give a folder for the maps")
    options = Options(
        server=values.server,
        model=values.model,
        version=values.version,
        label=values.label,
        signature=values.signature,
        timeout=values.timeout,
        in_flight=values.in_flight,
        retries=values.retries,
        resume=values.resume,
    )
    return send_images(client, words, values.output, options)


def send_images(
    client: type[Client], words: list[str], output: str, options: Options
) -> int:
    """Sends images, writes their maps and reports.

    Args:
        client: the client class.
        words: images, folders or patterns.
        output: folder for the maps.
        options: further options.

    Returns:
        The exit code: 0; 1 if a map is missing; 130 after Ctrl-C, 143 after SIGTERM.

    Raises:
        PicanetError: if nothing could be sent, `output` is a folder that inputs are
            searched in, or a map would overwrite a file next to its photo.
    """
    folder = check_folder(output)
    inputs = scan_inputs(words, folder).inputs
    for item in inputs:
        if item.is_video:
            raise PicanetError(f"`input` must be images. Received: video {item.path}")
    if searched := find_searched(inputs, folder):
        raise PicanetError(
            f"`output` must not be the folder of the inputs, {searched}: the next run "
            "would take the maps for photos. Give another folder"
        )
    pairs = assign_outputs(inputs, folder)
    if overwritten := find_overwritten(pairs):
        raise PicanetError(
            f"`output`: the map of {overwritten[0].path} would overwrite "
            f"{overwritten[1]} next to it, which may be another photo. Give another "
            "folder"
        )
    todo = [pair for pair in pairs if not (options.resume and pair[1].exists())]
    if len(todo) < len(pairs):
        print(f"{len(pairs) - len(todo)} of {len(pairs)} maps exist already")
    if not todo:
        return 0
    return _send(options.connect(client), todo, output, options)


def check_server(client: Client, options: Options) -> ModelInfo:
    """Checks that the server has the model and signature, with the usual retries.

    Raises:
        PicanetError: if the server does not respond, does not serve the model, or the
            model does not have the signature.
    """
    model = options.describe_model()
    try:
        info = _retry(client.describe, options.retries)
    except NoAnswer as error:
        raise PicanetError(f"`server`: {client.server}: {error}") from error
    except Refused as error:
        raise PicanetError(
            f"{client.server} does not serve {model}: {error}"
        ) from error
    model = f"{model} at {client.server}"
    if options.signature not in info.signatures:
        raise PicanetError(
            f"`signature` must be one of {', '.join(sorted(info.signatures))}, "
            f"those of {model}. Received: {options.signature}"
        )
    inputs, outputs = info.signatures[options.signature]
    if inputs != {INPUT} or OUTPUT not in outputs:
        raise PicanetError(
            f"`signature` must map {INPUT} to {OUTPUT}. Received: {options.signature} "
            f"of {model}, which maps {', '.join(sorted(inputs))} to "
            f"{', '.join(sorted(outputs))}"
        )
    return info


def _retry(ask: Callable[[], ModelInfo], retries: int) -> ModelInfo:
    for attempt in itertools.count():
        try:
            return ask()
        except NoAnswer as error:
            if not error.retry or attempt == retries:
                raise
            time.sleep(draw_pause(attempt))


def _send(
    client: Client, pairs: list[tuple[Input, Path]], output: str, options: Options
) -> int:
    info = check_server(client, options)
    pool = Pool(client.predict, pairs, options.in_flight, options.retries)
    seconds, failed, resent = [], 0, 0
    start = time.perf_counter()
    with (
        StopRequest(_STOPPING, pool.stop) as request,
        tqdm(total=len(pairs), unit="image", disable=len(pairs) == 1) as bar,
    ):
        for outcome in pool.outcomes():
            resent += outcome.resent
            try:
                if outcome.png is None:
                    raise PicanetError(outcome.error)
                write_bytes(outcome.output, outcome.png)
                seconds.append(outcome.seconds)
            except PicanetError as error:
                failed += 1
                tqdm.write(f"failed: {outcome.item.path}: {error}", file=sys.stderr)
                if isinstance(error, DiskFullError):
                    pool.stop()
            bar.update()
    elapsed = time.perf_counter() - start
    print(
        f"{len(seconds)} of {len(pairs)} maps in {output}, of {options.model} "
        f"version {info.version} at {client.server}"
    )
    if seconds:
        print(report_latency(seconds, elapsed, options.in_flight, resent))
    missing = len(pairs) - len(seconds)
    if missing:
        reason = f"; {client.server} is gone: {pool.gone}" if pool.gone else ""
        print(
            f"{Path(sys.argv[0]).name}: error: {missing} of {len(pairs)} images have "
            f"no map: {failed} failed, {missing - failed} not sent{reason}",
            file=sys.stderr,
        )
    if request.received:
        return 128 + request.received
    return 1 if missing else 0


def report_latency(
    seconds: list[float], elapsed: float, in_flight: int, resent: int = 0
) -> str:
    """Formats latency percentiles and throughput as one line.

    Args:
        seconds: latency of each image.
        elapsed: total seconds.
        in_flight: concurrent requests.
        resent: number of retries.
    """
    p50, p90, p99 = (f"{1000 * s:.0f}" for s in np.percentile(seconds, [50, 90, 99]))
    line = (
        f"latency p50 {p50} ms, p90 {p90} ms, p99 {p99} ms; "
        f"{len(seconds) / elapsed:.1f} images/s, {in_flight} in flight"
    )
    return line + (f"; {resent} requests sent again" if resent else "")
