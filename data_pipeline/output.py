"""The folder of a converted data set: whole, or not there. Imports no TensorFlow."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from data_pipeline.errors import UserError
from data_pipeline.manifest import FILE_NAME
from data_pipeline.signals import sigterm_ignored, sigterm_unwinds


def check_output(output: Path, overwrite: bool) -> None:
    if not os.path.lexists(output):
        return
    if output.is_file():
        raise UserError(f"--output {output} is a file, a new folder is wanted")
    if not (output / FILE_NAME).is_file():
        raise UserError(
            f"--output {output} exists and holds no {FILE_NAME}: not a converted data "
            "set, so --overwrite does not touch it"
        )
    if not overwrite:
        raise UserError(f"--output {output} exists; --overwrite replaces it")


@contextlib.contextmanager
def renamed_at_the_end(output: Path) -> Iterator[Path]:
    """A new folder beside `output` that takes its place, or vanishes on any error.

    On Ctrl-C and SIGTERM, too.
    """
    tag = secrets.token_hex(4)
    temporary = output.parent / f".{output.name}.{tag}.partial"
    replaced = output.parent / f".{output.name}.{tag}.replaced"
    new_parents: list[Path] = []
    with sigterm_unwinds() as check_sigterm:
        try:
            new_parents += [path for path in output.parents if not path.exists()]
            try:
                output.parent.mkdir(parents=True, exist_ok=True)
                temporary.mkdir()
            except OSError as error:
                raise UserError(
                    f"--output {output} cannot be made: {error.strerror}"
                ) from error
            yield temporary
            check_sigterm()
            if os.path.lexists(output):
                output.rename(replaced)
            try:
                temporary.rename(output)
            except BaseException:
                if replaced.exists():
                    replaced.rename(output)
                raise
        finally:
            with sigterm_ignored():
                shutil.rmtree(temporary, ignore_errors=True)
                shutil.rmtree(replaced, ignore_errors=True)
                with contextlib.suppress(OSError):  # Not empty: what is there stays.
                    for parent in new_parents:
                        parent.rmdir()
