"""Converts a folder of images and masks to TFRecord shards with a manifest.

    python -m data_pipeline.convert --dataset duts --source DIR --output data/duts
    python -m data_pipeline.convert --dataset pairs --images DIR --masks DIR \\
        --output data/mine
    python -m data_pipeline.convert --dataset voc2012 --source DIR --output data/voc2012
    python -m data_pipeline.convert --dataset voc2007 --split test --source DIR \\
        --output data/voc2007_test

Where the package is installed, picanet convert does the same.

--source is the folder of the data set as distributed, or its parent.

The mask of a/cat.jpg is a/cat.png or a/cat.jpg.png. Masks of pairs are soft grey;
indices, if no value is above 20 (all but 0 is foreground); colours (all but black is
foreground); or an alpha channel. Files that are unpaired, unreadable, photos instead of
masks, or of different sizes are listed; without --skip_bad, nothing is then written.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from absl import flags, logging
from tqdm import tqdm

from data_pipeline import catalog, shards, voc
from data_pipeline.bad_files import Findings, check_decodable, filter_good
from data_pipeline.kinds import MASK
from data_pipeline.manifest import Manifest, Shard, load_manifest, save_manifest
from data_pipeline.outputs import check_output
from data_pipeline.pairs import BadFile, Pair, list_bad
from data_pipeline.sources import Source, find_source, folder_source
from picanet_tf.core import cli
from picanet_tf.core.directories import publishing
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import errors_of_writing
from picanet_tf.core.hardware import cores
from picanet_tf.core.images import MAX_PIXELS
from picanet_tf.core.masks import report_masks
from picanet_tf.core.processes import map_ahead, worker_pool

POSITIONAL = ""
SHARD_SIZE = 256
# With fewer pairs, starting worker processes costs more than they save.
_WORTH_WORKERS = 64


@dataclass(frozen=True)
class Options:
    """Options of a conversion.

    Attributes:
        name: name of the data set, for the manifest; by default the source's, or else
            that of the output folder.
        skip_bad: whether to leave bad files out instead of failing.
        overwrite: whether to replace the output if it is a converted data set and
            nothing else.
        shard_size: maximum number of records in a shard.
        max_pixels: largest width x height of a file; larger ones are bad.
        workers: number of processes that decode and encode; by default one per core.

    Raises:
        PicanetError: if a number is below 1.
    """

    name: str = ""
    skip_bad: bool = False
    overwrite: bool = False
    shard_size: int = SHARD_SIZE
    max_pixels: int = MAX_PIXELS
    workers: int | None = None

    def __post_init__(self):
        for name in ("shard_size", "max_pixels", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise PicanetError(
                    f"`{name}` must be at least 1. Received: {name}={value}"
                )


DEFAULTS = Options()
# (pairs of a source, output folder, source, options, findings to add to) -> shards
ShardWriter = Callable[[list[Pair], Path, Source, Options, Findings], list[Shard]]


def convert_folders(
    images: str | os.PathLike,
    masks: str | os.PathLike,
    output: str | os.PathLike,
    *,
    kind: str = MASK,
    mask_suffix: str = "",
    invert_masks: bool = False,
    **options,
) -> tuple[Manifest, list[BadFile]]:
    """Writes a folder of images and a folder of masks as a data set.

    Args:
        images, masks, kind, mask_suffix, invert_masks: see `folder_source`.
        output: the folder to create.
        **options: fields of `Options`.

    Returns and raises as `convert_dataset`.
    """
    source = folder_source(
        images, masks, kind=kind, mask_suffix=mask_suffix, invert_masks=invert_masks
    )
    return convert_dataset(source, output, Options(**options))


def write_shards(
    pairs: list[Pair], folder: Path, source: Source, options: Options, found: Findings
) -> list[Shard]:
    """Encodes pairs in several processes and writes them; the default `ShardWriter`."""
    workers = options.workers or cores()
    if len(pairs) < _WORTH_WORKERS:
        workers = 1
    with _map(source.encoder(options.max_pixels), pairs, workers) as results:
        progress = tqdm(results, total=len(pairs), unit="pair", disable=None)
        checked = check_decodable(pairs, progress)
        examples = filter_good(checked, found, options.skip_bad)
        payloads = shards.serialize(examples, source.kind)
        return shards.write_shards(payloads, folder, options.shard_size)


def convert_dataset(
    source: Source,
    output: str | os.PathLike,
    options: Options = DEFAULTS,
    *,
    write: ShardWriter = write_shards,
    tell: Callable[[str], object] = logging.info,
) -> tuple[Manifest, list[BadFile]]:
    """Writes pairs of images and ground truth as a data set.

    All files are written to a temporary folder beside `output`, which is renamed at the
    end, so that `output` is complete or absent, even after an error, Ctrl-C or SIGTERM.
    The same files always give the same bytes.

    Args:
        source: the data set to convert.
        output: the folder to create.
        options: options of the conversion. With several workers, the calling script
            needs `if __name__ == "__main__"`.
        write: encodes the pairs and writes the shards.
        tell: called with a line for each kind of mask, which states how it was read.

    Returns:
        The manifest, and the files left out.

    Raises:
        PicanetError: if a folder is missing, `output` exists or cannot be written, no
            good pair is left, no mask has foreground, or, without `skip_bad`, a file is
            bad; the message lists all bad files.
    """
    output = Path(output)
    check_output(output, options.overwrite)
    pairs, bad = source.find_pairs()
    found = Findings(bad)
    with (
        errors_of_writing(output),
        publishing(output, overwrite=options.overwrite) as staged,
    ):
        written = write(pairs, staged.folder, source, options, found)
        if bad and not options.skip_bad:
            raise PicanetError(list_bad(bad, "nothing is written without `skip_bad`"))
        count = sum(shard.count for shard in written)
        if not count:
            why = list_bad(bad, "none is left") if bad else "no images"
            raise PicanetError(f"no pair in {source.origin}: {why}")
        report_masks(found.notes, source.origin, tell)
        name = options.name or source.name or output.resolve().name
        save_manifest(Manifest(staged.folder, name, source.kind, count, tuple(written)))
        check_output(output, options.overwrite)  # Files may have been added since.
    return load_manifest(output), bad


@contextlib.contextmanager
def _map(function: Callable, pairs: list[Pair], workers: int) -> Iterator[Iterable]:
    """Maps over processes, in order; pairs that are not begun are dropped on exit.

    Few are begun ahead: their results wait in memory for the process that writes.
    """
    if workers == 1:
        yield map(function, pairs)
        return
    with worker_pool(workers) as pool:
        yield map_ahead(pool, function, pairs, chunk=16, ahead=2 * workers)


def define_flags() -> None:
    define_shared_flags()
    flags.DEFINE_integer("workers", None, "Processes; default: one per core.")


def define_shared_flags() -> None:
    """Defines the flags that `convert_beam` has, too."""
    flags.DEFINE_string(
        "dataset",
        None,
        f"One of {', '.join(catalog.SALIENCY)}, or pairs. For segmentation voc2012, or "
        "class-maps: pairs whose masks are PNGs of class numbers, 255 for none. For "
        f"detection {', '.join(voc.BOX_TITLES)}.",
    )
    flags.DEFINE_string("source", None, "The data set's folder, or its parent.")
    flags.DEFINE_string("split", None, "train or test; for voc2012 train, val "
                        "or trainval; for detection trainval, train, val or test. "
                        "Default: the first one available.")  # fmt: skip
    flags.DEFINE_string("images", None, "Folder of images, for pairs or class-maps.")
    flags.DEFINE_string("masks", None, "Folder of masks, for pairs or class-maps.")
    flags.DEFINE_string("mask_suffix", None, "Suffix of the masks' names: with _mask, "
                        "cat_mask.png is the mask of cat.jpg.")  # fmt: skip
    flags.DEFINE_bool("invert_masks", False, "The object is black in the masks.")
    flags.DEFINE_string(
        "sbd", None, "For voc2012: folder of SBD, whose class maps are added."
    )
    flags.DEFINE_string("output", None, "The folder to create.")
    flags.DEFINE_string("name", None, "Name in the manifest; default: the data set's.")
    flags.DEFINE_bool("overwrite", False, "Replace the data set at --output.")
    flags.DEFINE_bool("skip_bad", False, "List bad files and leave them out.")
    flags.DEFINE_integer("shard_size", SHARD_SIZE, "Maximum records in a shard.")
    flags.DEFINE_integer(
        "max_pixels", MAX_PIXELS, "Largest width x height accepted.", 1, MAX_PIXELS
    )
    cli.path_flags("source", "images", "masks", "sbd", "output")


def read_flags(workers: int | None = None) -> tuple[Source, Path, Options]:
    """Returns the source, the output folder and the options given by the flags.

    Raises:
        PicanetError: if a flag is missing or invalid.
    """
    values = flags.FLAGS
    for flag in ("dataset", "output"):
        if not values[flag].value:
            raise PicanetError(f"--{flag} is missing; --help shows an example")
    chosen = (
        "source",
        "split",
        "images",
        "masks",
        "sbd",
        "mask_suffix",
        "invert_masks",
    )
    source = find_source(
        values.dataset, **{name: values[name].value for name in chosen}
    )
    options = Options(
        name=values.name or "",
        skip_bad=values.skip_bad,
        overwrite=values.overwrite,
        shard_size=values.shard_size,
        max_pixels=values.max_pixels,
        workers=workers,
    )
    return source, Path(values.output), options


def report(
    output: Path, manifest: Manifest, bad: list[BadFile], complete: int | None
) -> None:
    """Prints the converted data set and the files that were left out.

    Args:
        output: the folder that was written.
        manifest: its manifest.
        bad: the files that were left out.
        complete: number of pairs in the complete data set, if known.
    """
    if bad:
        print(list_bad(bad, "left out"))
    if complete and manifest.count != complete:
        logging.warning(
            "%s has %d pairs when complete, but %d were converted",
            manifest.name,
            complete,
            manifest.count,
        )
    print(f"{output}: {manifest.summary()}")


def main(_: list[str]) -> None:
    source, output, options = read_flags(flags.FLAGS.workers)
    manifest, bad = convert_dataset(source, output, options, tell=print)
    report(output, manifest, bad, source.complete)


if __name__ == "__main__":
    define_flags()
    cli.run(main)
