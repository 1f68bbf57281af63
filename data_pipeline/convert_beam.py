"""Converts as `data_pipeline.convert` does, on as many machines as Apache Beam has.

    pip install apache-beam
    python -m data_pipeline.convert_beam --images DIR --masks DIR --output DIR \\
        --beam="--runner=DirectRunner" --beam="--direct_num_workers=4"

Images, masks and the output lie where all of Beam's workers reach them by the same
path.  The records are those of `convert`, in the same order, but each shard holds what
is good of `--shard_size` pairs.  --beam hands options to Beam, a runner among them.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from data_pipeline import cli, convert
from data_pipeline.bad_files import list_bad, only_good, readable
from data_pipeline.convert import (
    SHARD_SIZE,
    check_output,
    renamed_at_the_end,
    write_shard,
)
from data_pipeline.errors import UserError
from data_pipeline.images import MAX_PIXELS
from data_pipeline.manifest import Manifest, Shard, load_manifest, save_manifest
from data_pipeline.pairs import BadFile, Pair, encode_pair, pair_by_name


def convert_saliency_on_beam(
    image_folder: str | os.PathLike,
    mask_folder: str | os.PathLike,
    output: str | os.PathLike,
    *,
    name: str,
    skip_bad: bool = False,
    overwrite: bool = False,
    shard_size: int = SHARD_SIZE,
    max_pixels: int = MAX_PIXELS,
    beam_options: list[str] | None = None,
) -> tuple[Manifest, list[BadFile]]:
    """`convert.convert_saliency` as a Beam pipeline; `beam_options` are its flags."""
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise UserError(
            f"Apache Beam cannot be imported ({error}): pip install apache-beam"
        ) from error
    if shard_size < 1:
        raise UserError(f"--shard_size must be at least 1. Received: {shard_size}")
    output = Path(output).absolute()
    check_output(output, overwrite)
    pairs, bad = pair_by_name(image_folder, mask_folder)
    with renamed_at_the_end(output) as temporary:
        tasks = [
            (temporary / f"{number:05d}.tfrecord", pairs[first : first + shard_size])
            for number, first in enumerate(range(0, len(pairs), shard_size))
        ]
        with beam.Pipeline(options=PipelineOptions(beam_options or [])) as pipeline:
            _ = (
                pipeline
                | "shards" >> beam.Create(tasks)
                | "spread" >> beam.Reshuffle()
                | "write" >> beam.Map(_write, max_pixels)
            )
        shards = list(_written(temporary, bad))
        if bad and not skip_bad:
            raise UserError(list_bad(bad, "nothing is written without --skip_bad"))
        count = sum(shard.count for shard in shards)
        if not count:
            raise UserError(f"no pair in {image_folder} and {mask_folder} is left")
        save_manifest(Manifest(temporary, name, "saliency", count, tuple(shards)))
    return load_manifest(output), bad


def _write(task: tuple[Path, list[Pair]], max_pixels: int) -> None:
    """Writes a shard and, beside it, what the manifest will say of it.

    Beam may do it twice, also at once: each under a name of its own until it is whole.
    """
    path, pairs = task
    bad: list[BadFile] = []
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    encoded = (encode_pair(pair, max_pixels=max_pixels) for pair in pairs)
    good = only_good(readable(pairs, encoded), bad, skip_bad=True)
    shard = write_shard(good, temporary)
    said = {
        "shard": {**vars(shard), "file": path.name},
        "bad": [list(vars(file).values()) for file in bad],
    }
    temporary_note = temporary.with_name(temporary.name + ".json")
    temporary_note.write_text(json.dumps(said))
    os.replace(temporary, path)
    os.replace(temporary_note, path.with_suffix(".json"))


def _written(folder: Path, bad: list[BadFile]) -> Iterator[Shard]:
    for note in sorted(folder.glob("[0-9]*.json")):
        said = json.loads(note.read_text())
        bad.extend(BadFile(*file) for file in said["bad"])
        if said["shard"]["count"]:
            yield Shard(**said["shard"])
        else:
            (folder / said["shard"]["file"]).unlink()
        note.unlink()
    for rest in folder.glob(".*"):  # of a worker that another one overtook
        with contextlib.suppress(FileNotFoundError):
            rest.unlink()


def main(_: list[str]) -> None:
    convert.run(convert_saliency_on_beam, beam_options=flags.FLAGS.beam)


if __name__ == "__main__":
    convert.define_shared_flags()
    flags.adopt_module_key_flags(convert)  # for --help
    flags.DEFINE_multi_string("beam", [], "An option of Beam's, such as --runner=...")
    cli.run(main)
