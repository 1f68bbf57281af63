"""Checks that a data set may be written to a folder. Imports no TensorFlow."""

import os
from pathlib import Path

from data_pipeline.manifest import FILE_NAME, load_manifest
from picanet_tf.core.errors import DatasetError, PicanetError
from picanet_tf.core.path_checks import check_not_current, name_others


def check_output(output: Path, overwrite: bool) -> None:
    """Checks the output folder of a conversion, before any work is done.

    Args:
        output: the folder.
        overwrite: whether an existing data set is replaced.

    Raises:
        PicanetError: if it is the current folder, or exists; with `overwrite`, an
            existing folder is an error only if it holds anything but a converted data
            set, since all of it would be deleted.
    """
    check_not_current(output, example="data/mine")
    if not os.path.lexists(output):
        return
    if output.is_file():
        raise PicanetError(f"`output` {output} is a file: give a new folder")
    if not (output / FILE_NAME).is_file():
        raise PicanetError(
            f"`output` {output} exists and holds no {FILE_NAME}: not a converted data "
            "set, so `overwrite` does not touch it"
        )
    try:
        manifest = load_manifest(output)
    except DatasetError as error:
        raise PicanetError(
            f"`output` {output} exists, and `overwrite` does not touch it: {error}. "
            "Give another folder, or delete this one first"
        ) from error
    written = (FILE_NAME, *(shard.file for shard in manifest.shards))
    if others := name_others(output, written):
        raise PicanetError(
            f"`output` {output} holds files that are not of its data set, so "
            f"`overwrite` does not touch it: {others}. "
            "Move them away, or give another folder"
        )
    if not overwrite:
        raise PicanetError(f"`output` {output} exists; `overwrite` replaces it")
