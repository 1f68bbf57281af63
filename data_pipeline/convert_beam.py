"""Converts as `data_pipeline.convert` does, but on the machines of Apache Beam.

    pip install apache-beam
    python -m data_pipeline.convert_beam --dataset pairs --images DIR --masks DIR \\
        --output DIR --beam="--runner=DirectRunner" --beam="--direct_num_workers=4"

All of Beam's workers must reach the images, the masks and the output by the same paths.
The records are those of `convert`, in the same order, but each shard holds the good
ones of --shard_size pairs. --beam passes an option to Beam, such as the runner.
"""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from absl import flags, logging

from data_pipeline import convert, shards
from data_pipeline.bad_files import Findings, check_decodable, filter_good
from data_pipeline.convert import DEFAULTS, Options, convert_dataset
from data_pipeline.manifest import Manifest, Shard
from data_pipeline.pairs import BadFile, Pair
from data_pipeline.sources import Source
from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.masks import MaskNote


def convert_on_beam(
    source: Source,
    output: str | os.PathLike,
    options: Options = DEFAULTS,
    beam_options: Sequence[str] = (),
    *,
    tell: Callable[[str], object] = logging.info,
) -> tuple[Manifest, list[BadFile]]:
    """Does what `convert.convert_dataset` does, as a Beam pipeline.

    Args:
        source, output, options, tell: see `convert_dataset`; `workers` has no effect.
        beam_options: Beam's own command-line options.

    Returns and raises as `convert_dataset`; also raises `PicanetError` if Beam is not
    installed.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise PicanetError(
            f"Apache Beam cannot be imported ({error}): pip install apache-beam"
        ) from error

    def write(
        pairs: list[Pair],
        folder: Path,
        source: Source,
        options: Options,
        found: Findings,
    ) -> list[Shard]:
        size = options.shard_size
        encode = source.encoder(options.max_pixels)
        work = functools.partial(_write_shard, kind=source.kind, encode=encode)
        parts = [
            (folder / f"{number:05d}.tfrecord", pairs[first : first + size])
            for number, first in enumerate(range(0, len(pairs), size))
        ]
        with beam.Pipeline(options=PipelineOptions(list(beam_options))) as pipeline:
            _ = (
                pipeline
                | "shards" >> beam.Create(parts)
                | "spread" >> beam.Reshuffle()
                | "write" >> beam.MapTuple(work)
            )
        return list(_collect_shards(folder, found))

    output = Path(output).absolute()
    return convert_dataset(source, output, options, write=write, tell=tell)


def _write_shard(path: Path, pairs: list[Pair], kind: str, encode: Callable) -> None:
    """Writes a shard and, beside it, a JSON note with its manifest entry and findings.

    Beam may do this twice, even at the same time, so each attempt writes to names of
    its own and renames the files once they are complete.
    """
    found = Findings()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    checked = check_decodable(pairs, map(encode, pairs))
    examples = filter_good(checked, found, skip_bad=True)
    shard = shards.write_shard(shards.serialize(examples, kind), temporary)
    note = {
        "shard": {**asdict(shard), "file": path.name},
        "bad": [asdict(file) for file in found.bad],
        "notes": found.notes,
    }
    temporary_note = temporary.with_name(temporary.name + ".json")
    temporary_note.write_text(json.dumps(note))
    os.replace(temporary, path)
    os.replace(temporary_note, path.with_suffix(".json"))


def _collect_shards(folder: Path, found: Findings) -> Iterator[Shard]:
    """Reads and removes the workers' notes; adds their findings to `found`."""
    # By number: from 100,000 on, names have more digits.
    for path in sorted(folder.glob("[0-9]*.json"), key=lambda path: int(path.stem)):
        note = json.loads(path.read_text())
        found.bad.extend(BadFile(**file) for file in note["bad"])
        found.notes.extend(MaskNote(*fields) for fields in note["notes"])
        shard = Shard(**note["shard"])
        if shard.count:
            yield shard
        else:
            (folder / shard.file).unlink()
        path.unlink()
    for leftover in folder.glob(".*"):  # of an attempt that another one overtook
        with contextlib.suppress(FileNotFoundError):
            leftover.unlink()


def main(_: list[str]) -> None:
    source, output, options = convert.read_flags()
    manifest, bad = convert_on_beam(
        source, output, options, flags.FLAGS.beam, tell=print
    )
    convert.report(output, manifest, bad, source.complete)


if __name__ == "__main__":
    convert.define_shared_flags()
    flags.adopt_module_key_flags(convert)  # for --help
    flags.DEFINE_multi_string("beam", [], "An option for Beam, such as --runner=...")
    cli.run(main)
