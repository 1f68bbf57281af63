"""Predicts the images of a folder as they arrive. Imports no TensorFlow itself."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

from absl import logging

from picanet_tf.core.cli import in_flags
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.inputs import Input, scan_folder
from picanet_tf.core.outputs import OutputClash
from picanet_tf.core.passed_over import describe
from picanet_tf.core.path_checks import check_writable
from picanet_tf.core.signals import StopRequest
from picanet_tf.inference.file_predictor import FilePredictor
from picanet_tf.inference.options import PredictionReport, PredictOptions
from picanet_tf.inference.results import (
    Endings,
    check_output,
    output_is_input,
    outputs_of,
    without_results,
)

_SHORTEST_SLEEP = 0.1  # seconds after which Ctrl-C is noticed


class _Version(NamedTuple):
    """Size, modification time and inode number of a file; differ once it changes."""

    size: int
    time: int
    number: int


def watch_folder(
    folder: str | os.PathLike, options: PredictOptions, *, seconds: float = 1.0
) -> PredictionReport:
    """Predicts the images of a folder, and each that is added or changed later.

    Ends on Ctrl-C, after the image in progress. An image is read once its size and time
    are the same in two looks at the folder, so that it is not read while being copied.
    An image that fails is tried again only when it changes, or when another image whose
    result would have the same name is removed.

    Args:
        folder: the folder, searched as by `predict`.
        options: options; `resume` applies to the first look only.
        seconds: time between two looks.

    Returns:
        The report of all images.

    Raises:
        PicanetError: if the folder or the output folder cannot be used, or the disk is
            full.
        SystemExit: after SIGTERM.
    """
    if not os.path.isdir(folder):
        what = "a file" if os.path.exists(folder) else "there is no such folder"
        raise PicanetError(f"`watch` must be a folder. Received: {folder} ({what})")
    if options.is_collected:
        raise PicanetError(f"`watch` cannot be combined with `format` {options.form}")
    if options.video_format:
        raise PicanetError(
            "`watch` cannot be combined with `video_format`: videos are passed over"
        )
    if options.output:
        check_output(options.output)
        if os.path.realpath(options.output) == os.path.realpath(folder):
            raise output_is_input(options.output)
    else:
        check_writable(folder)
    with StopRequest() as stop:
        watcher = _Watcher(Path(folder), options, stop)
        where = f"in {options.output}" if options.output else "beside the images"
        logging.info("Watching %s, results %s; press Ctrl-C to stop", folder, where)
        while not stop.received:
            watcher.look()
            _sleep(seconds, stop)
    report = watcher.report
    logging.info("%d written, %d failed", len(report.written), len(report.failed))
    if watcher.passed_over:
        logging.info("%s", describe(watcher.passed_over))
    if stop.received == signal.SIGTERM:
        stop.obey()
    return report


def _sleep(seconds: float, stop: StopRequest) -> None:
    # In short steps: a signal whose handler returns does not end `time.sleep`.
    end = time.monotonic() + seconds
    while not stop.received and time.monotonic() < end:
        time.sleep(min(seconds, _SHORTEST_SLEEP))


class _Watcher:
    """Remembers the version of each image.

    Attributes:
        report: report of all images so far.
        passed_over: files passed over in the last look.
    """

    def __init__(self, folder: Path, options: PredictOptions, stop: StopRequest):
        self.report = PredictionReport()
        self.passed_over: dict = {}
        self._skipped: set[Path] = set()
        self._folder = folder
        self._options = options
        self._stop = stop
        model = options.load()
        self._endings = Endings.of(options, model)
        self._predictor = FilePredictor(model, options, self.report)
        self._resume = options.resume
        self._seen: dict[Path, _Version] = {}
        self._done: dict[Path, _Version] = {}
        # Includes removed images, so that the names of results do not change.
        self._inputs: dict[Path, Input] = {}
        self._clashes: dict[Path, OutputClash] = {}
        # In the first look, mistakes in the options are raised.
        self._outputs(self._scan())

    def look(self) -> None:
        """Predicts the images that have not changed since the last look."""
        inputs = self._scan()
        versions = {item.path: _version(item.path) for item in inputs}
        ready = {
            path
            for path, version in versions.items()
            if version and version == self._seen.get(path) != self._done.get(path)
        }
        self._seen = {path: version for path, version in versions.items() if version}
        if not ready:
            return
        assigned, clashes = self._outputs(inputs)
        self._report_clashes(
            {path: clashes[path] for path in sorted(ready & clashes.keys())}
        )
        pairs = [pair for pair in assigned if pair[0].path in ready]
        if self._resume:
            self._resume = False
            pairs = self._without_existing(pairs, versions)
        for item, output, error in self._predictor.run(pairs, self._stops):
            self._done[item.path] = versions[item.path]
            if error is None:
                logging.info("%s -> %s", item.path, output)

    def _stops(self) -> bool:
        return self._stop.received is not None

    def _scan(self) -> list[Input]:
        if not self._folder.is_dir():
            raise PicanetError(f"`watch`: {self._folder} is gone")
        found = scan_folder(self._folder, self._options.output, known=self._skipped)
        found = without_results(found)
        self.passed_over = found.passed_over
        # A result such as a.map.png is recognized by a.jpg, which may be removed.
        results = set(self.report.written)
        return [item for item in found.inputs if item.path not in results]

    def _outputs(
        self, inputs: list[Input]
    ) -> tuple[list[tuple[Input, Path]], dict[Path, OutputClash]]:
        """Returns inputs with their outputs, and an error for each of the others."""
        present = {item.path for item in inputs}
        self._inputs.update((item.path, item) for item in inputs)
        left, clashes = dict(self._inputs), {}
        while True:
            try:
                pairs = outputs_of(
                    list(left.values()),
                    self._options.output,
                    endings=self._endings,
                    overwrite=True,
                )
                return pairs, clashes
            except OutputClash as error:
                removed = set(error.inputs) - present
                for path in removed:
                    del self._inputs[path]
                for path in removed or error.inputs:
                    del left[path]
                if not removed:
                    clashes.update(dict.fromkeys(error.inputs, error))

    def _report_clashes(self, clashes: dict[Path, OutputClash]) -> None:
        """Reports images without an output, unless the last look found the same."""
        before = {path: str(error) for path, error in self._clashes.items()}
        new = {p: error for p, error in clashes.items() if before.get(p) != str(error)}
        self._clashes = clashes
        self.report.failed.extend(new.values())
        for text in dict.fromkeys(map(str, new.values())):
            logging.error("%s", in_flags(text))

    def _without_existing(
        self, pairs: list[tuple[Input, Path]], versions: dict[Path, _Version | None]
    ) -> list[tuple[Input, Path]]:
        todo = [pair for pair in pairs if not os.path.exists(pair[1])]
        existing = {pair[0].path for pair in pairs} - {pair[0].path for pair in todo}
        self._done.update((path, versions[path]) for path in existing)
        logging.info("%d of %d results exist already", len(existing), len(pairs))
        return todo


def _version(path: Path) -> _Version | None:
    """Returns the version of a file; None if it has been removed."""
    try:
        status = os.stat(path)
    except OSError:
        try:
            status = os.lstat(path)  # A broken link, which reading reports.
        except OSError:
            return None
    return _Version(status.st_size, status.st_mtime_ns, status.st_ino)
