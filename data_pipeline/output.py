"""The folder of a converted data set: whole, or not there. Imports no TensorFlow."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from data_pipeline.errors import UserError
from data_pipeline.manifest import FILE_NAME


def check_output(output: Path, overwrite: bool) -> None:
    if not os.path.lexists(output):
        return
    if not overwrite:
        raise UserError(f"--output {output} exists; --overwrite replaces it")
    if not (output / FILE_NAME).is_file():
        raise UserError(
            f"--output {output} exists and holds no {FILE_NAME}: not a converted data "
            "set, so --overwrite does not touch it"
        )


@contextlib.contextmanager
def renamed_at_the_end(output: Path) -> Iterator[Path]:
    """A new folder beside `output` that takes its place, or vanishes on any error."""
    new_parents = [path for path in output.parents if not path.exists()]
    output.parent.mkdir(parents=True, exist_ok=True)
    tag = secrets.token_hex(4)
    temporary = output.parent / f".{output.name}.{tag}.partial"
    replaced = output.parent / f".{output.name}.{tag}.replaced"
    temporary.mkdir()
    try:
        yield temporary
        if os.path.lexists(output):
            output.rename(replaced)
        try:
            temporary.rename(output)
        except BaseException:
            if replaced.exists():
                replaced.rename(output)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
        with contextlib.suppress(OSError):  # Not empty: what is there stays.
            for parent in new_parents:
                parent.rmdir()
