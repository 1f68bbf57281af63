"""Converts a folder of images and masks to TFRecord shards with a manifest.

    python -m data_pipeline.convert --dataset duts --source DIR --output data/duts
    python -m data_pipeline.convert --dataset pairs --images DIR --masks DIR \\
        --output data/mine
    python -m data_pipeline.convert --dataset voc2012 --source DIR --output data/voc2012
    python -m data_pipeline.convert --dataset voc2007 --split test --source DIR \\
        --output data/voc2007_test

DIR is the data set as distributed, or the folder that holds it.  An image and its
mask are paired by name.  Files that are unpaired, unreadable or of different sizes
are listed; unless --skip_bad is given, nothing is then written.
"""

import contextlib
import functools
import itertools
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children, get_context
from pathlib import Path

from absl import flags, logging
from tqdm import tqdm

from data_pipeline import catalog, cli, labelled
from data_pipeline.bad_files import list_bad, only_good, readable
from data_pipeline.errors import UserError
from data_pipeline.images import MAX_PIXELS
from data_pipeline.labelled import check_given
from data_pipeline.manifest import (
    Manifest,
    Shard,
    load_manifest,
    save_manifest,
)
from data_pipeline.output import check_output, renamed_at_the_end
from data_pipeline.pairs import (
    BadFile,
    EncodedPair,
    Pair,
    encode_pair,
    pair_by_name,
)
from data_pipeline.signals import Terminated
from picanet_tf.core.files import sha256_of

SHARD_SIZE = 256
# Below this, starting worker processes costs more than they save.
_WORTH_WORKERS = 64


def convert_saliency(
    image_folder: str | os.PathLike,
    mask_folder: str | os.PathLike,
    output: str | os.PathLike,
    *,
    name: str,
    skip_bad: bool = False,
    overwrite: bool = False,
    shard_size: int = SHARD_SIZE,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> tuple[Manifest, list[BadFile]]:
    """Writes image and mask pairs as a data set at `output`.

    Everything is written beside `output` under a temporary name and renamed at the
    end, so `output` is whole or absent, also after an error, Ctrl-C or SIGTERM.
    The same files always make the same bytes.

    Args:
        image_folder, mask_folder: paired by file name without extension; the same
            folder twice: JPEGs are the images, PNGs the masks.
        output: the folder to make.
        name: of the data set, for the manifest.
        skip_bad: leave bad files out instead of failing.
        overwrite: replace `output` if it is a converted data set.
        shard_size: records in a shard, at most.
        workers: processes that decode and encode; all cores by default.  With
            several, the calling script needs `if __name__ == "__main__"`.
        max_pixels: the largest width x height of a file; larger ones are bad.

    Returns:
        The manifest, and the files left out.

    Raises:
        UserError: a folder is missing, `output` is in the way, no good pair is left,
            or, without `skip_bad`, any file is bad: the message lists them all.
    """
    return convert_pairs(
        "saliency",
        encode_pair,
        lambda: pair_by_name(image_folder, mask_folder),
        output,
        origin=f"{image_folder} and {mask_folder}",
        name=name,
        skip_bad=skip_bad,
        overwrite=overwrite,
        shard_size=shard_size,
        workers=workers,
        max_pixels=max_pixels,
    )


def convert_pairs(
    task: str,
    encode: Callable[..., EncodedPair | list[BadFile]],
    find_pairs: Callable[[], tuple[list[Pair], list[BadFile]]],
    output: str | os.PathLike,
    *,
    origin: str,
    name: str,
    skip_bad: bool = False,
    overwrite: bool = False,
    shard_size: int = SHARD_SIZE,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> tuple[Manifest, list[BadFile]]:
    """As `convert_saliency`, for pairs however they were found.

    Args:
        task: key of `schema.ENCODERS`: what the masks are.
        encode: reads a pair, with `max_pixels`; a function of a module, as it goes to
            other processes.
        find_pairs: gives the pairs, and the files that have no partner.
        origin: where from, for errors.
        output, name, skip_bad, overwrite, shard_size, workers, max_pixels: as there.
    """
    for flag, value in (("shard_size", shard_size), ("workers", workers)):
        if value is not None and value < 1:
            raise UserError(f"--{flag} must be at least 1. Received: {value}")
    output = Path(output)
    check_output(output, overwrite)
    pairs, bad = find_pairs()
    workers = workers or _cores()
    if len(pairs) < _WORTH_WORKERS:
        workers = 1
    with renamed_at_the_end(output) as temporary:
        encode = functools.partial(encode, max_pixels=max_pixels)
        with _mapped(encode, pairs, workers) as results:
            progress = tqdm(results, total=len(pairs), unit="pair", disable=None)
            good = only_good(readable(pairs, progress), bad, skip_bad)
            shards = _write_shards(good, temporary, shard_size, task)
        if bad and not skip_bad:
            raise UserError(list_bad(bad, "nothing is written without --skip_bad"))
        count = sum(shard.count for shard in shards)
        if not count:
            found = list_bad(bad, "none is left") if bad else "no images"
            raise UserError(f"no pair in {origin}: {found}")
        manifest = Manifest(temporary, name, task, count, tuple(shards))
        save_manifest(manifest)
    return load_manifest(output), bad


def _write_shards(
    pairs: Iterator[EncodedPair], folder: Path, shard_size: int, task: str
) -> list[Shard]:
    shards = []
    for first in pairs:
        rest = itertools.islice(pairs, shard_size - 1)
        path = folder / f"{len(shards):05d}.tfrecord"
        shards.append(write_shard(itertools.chain([first], rest), path, task))
    return shards


def write_shard(
    pairs: Iterable[EncodedPair], path: Path, task: str = "saliency"
) -> Shard:
    """Writes one TFRecord file."""
    import tensorflow as tf  # Seconds to import; by now the workers are at work.

    from data_pipeline import schema

    count = 0
    with tf.io.TFRecordWriter(os.fsencode(path)) as writer:
        for pair in pairs:
            writer.write(schema.ENCODERS[task](**pair.fields()))
            count += 1
    return Shard(path.name, count, path.stat().st_size, sha256_of(path))


@contextlib.contextmanager
def _mapped(function, pairs: list[Pair], workers: int) -> Iterator[Iterable]:
    """`map`, in order, over processes; what has not begun is dropped on the way out.

    Processes are spawned, not forked: a fork of a process with TensorFlow's threads
    may hang.
    """
    if workers == 1:
        yield map(function, pairs)
        return
    others, patient = active_children(), True
    executor = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_leave_ctrl_c_to_parent
    )
    try:
        with _ctrl_c_waits():
            results = executor.map(function, pairs, chunksize=16)
        yield results
    except Terminated:
        # The executor waits for ever, at times, for workers that the signal has ended.
        patient = False
        for process in set(active_children()).difference(others):
            process.kill()
        raise
    finally:
        executor.shutdown(wait=patient, cancel_futures=True)


def _leave_ctrl_c_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Holds Ctrl-C back; processes started inside never see it.

    For the moment between a worker's start and its initializer, in which the signal
    would make it print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def define_flags() -> None:
    define_shared_flags()
    flags.DEFINE_string(
        "sbd", None, "Of voc2012: folder of SBD, whose class maps are added."
    )
    flags.DEFINE_integer("workers", None, "Processes; default: one a core.")


def define_shared_flags() -> None:
    """Those that `convert_beam` takes, too."""
    flags.DEFINE_string(
        "dataset",
        None,
        f"One of {', '.join(catalog.SALIENCY)}, or pairs. For segmentation voc2012, or "
        "class-maps: pairs whose masks are PNGs of class numbers, 255 for none. For "
        f"detection {', '.join(labelled.OBJECTS)}.",
    )
    flags.DEFINE_string("source", None, "The data set's folder, or its parent.")
    flags.DEFINE_string("split", None, "train or test; of voc2012 train, val "
                        "or trainval; for detection trainval, train, val or test. "
                        "Default: the first there is.")  # fmt: skip
    flags.DEFINE_string("images", None, "Folder of images, with pairs or "
                        "class-maps.")  # fmt: skip
    flags.DEFINE_string("masks", None, "Folder of masks, as above.")
    flags.DEFINE_string("output", None, "The folder to make.")
    flags.DEFINE_string("name", None, "Name in the manifest; default: the data set's.")
    flags.DEFINE_bool("overwrite", False, "Replace the data set at --output.")
    flags.DEFINE_bool("skip_bad", False, "Leave bad files out, listing them.")
    flags.DEFINE_integer("shard_size", SHARD_SIZE, "Records in a shard, at most.")
    flags.DEFINE_integer(
        "max_pixels", MAX_PIXELS, "The largest width x height.", 1, MAX_PIXELS
    )


def main(_: list[str]) -> None:
    values = flags.FLAGS
    if values.dataset in labelled.SOURCES:
        run_labelled(values)
    else:
        run(convert_saliency, others=labelled.SOURCES, workers=values.workers)


def run_labelled(values: flags.FlagValues) -> None:
    """What the flags say, for the data sets of `labelled`."""
    found = labelled.SOURCES[values.dataset](values)
    check_given(values, wanted=("output",), unwanted=())
    manifest, bad = convert_pairs(
        found.task,
        found.encode,
        found.find,
        values.output,
        origin=found.origin,
        name=values.name or found.name,
        skip_bad=values.skip_bad,
        overwrite=values.overwrite,
        shard_size=values.shard_size,
        workers=values.workers,
        max_pixels=values.max_pixels,
    )
    _report(values, manifest, bad, found.complete)


def run(convert: Callable, others: Iterable[str] = (), **options) -> None:
    """What the flags say, by `convert`, which takes what `convert_saliency` does.

    Args:
        others: data sets that `--dataset` takes besides, for errors.
    """
    values = flags.FLAGS
    for flag in ("dataset", "output"):
        if not values[flag].value:
            raise UserError(f"--{flag} is missing; --help shows an example")
    image_folder, mask_folder, name, complete = _resolve_source(values, others)
    manifest, bad = convert(
        image_folder,
        mask_folder,
        values.output,
        name=name,
        skip_bad=values.skip_bad,
        overwrite=values.overwrite,
        shard_size=values.shard_size,
        max_pixels=values.max_pixels,
        **options,
    )
    _report(values, manifest, bad, complete)


def _report(
    values: flags.FlagValues, manifest: Manifest, bad: list, complete: int | None
) -> None:
    if bad:
        print(list_bad(bad, "left out"))
    if complete and manifest.count != complete:
        logging.warning(
            "%s has %d pairs when complete, here are %d",
            manifest.name,
            complete,
            manifest.count,
        )
    print(f"{values.output}: {manifest.summary()}")


def _resolve_source(values, others) -> tuple[Path, Path, str, int | None]:
    """Flags -> images, masks, name of the data set, its pairs when complete."""
    if values.dataset == "pairs":
        check_given(values, wanted=("images", "masks"), unwanted=("source", "split"))
        name = values.name or Path(values.output).resolve().name
        return Path(values.images), Path(values.masks), name, None
    source = catalog.lookup(values.dataset, values.split, others)
    check_given(values, wanted=("source",), unwanted=("images", "masks"))
    folders = catalog.find_folders(source, values.source)
    return *folders, values.name or source.title, source.count


if __name__ == "__main__":
    define_flags()
    cli.run(main)
