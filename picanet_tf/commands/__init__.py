"""The `picanet COMMAND` entry point.

Each command is a module with `define_flags`, `main(words) -> exit code` and
`POSITIONAL`, the name of its positional arguments in the help ("" if it takes none).
The module's docstring is its help text. Command modules are imported lazily, and
TensorFlow only inside `main`, so that `--help` and usage errors are fast. The scripts
at the repository root call `run` as well.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

# name: (module, summary in `picanet --help`)
COMMANDS = {
    "predict": ("picanet_tf.commands.predict", "cut objects out of photos and videos"),
    "serve": ("picanet_tf.commands.serve", "run a local HTTP service"),
    "web": ("picanet_tf.commands.web", "write a page that runs in the browser"),
    "models": ("picanet_tf.commands.models", "list the pretrained models"),
    "convert": ("data_pipeline.convert", "convert photos and masks to a data set"),
    "verify": ("data_pipeline.verify", "check a data set"),
    "train": ("picanet_tf.commands.train", "train a network"),
    "evaluate": ("picanet_tf.commands.evaluate", "score networks or saved predictions"),
    "visualize": ("picanet_tf.commands.visualize", "show a network's attention maps"),
    "export": ("picanet_tf.commands.export", "export to SavedModel, TFLite or ONNX"),
}
_HELP = ("--help", "-help", "-h", "help")


def main() -> NoReturn:
    """Runs the program `picanet`."""
    words = sys.argv[1:]
    if words and words[0] in COMMANDS:
        run(words[0], program=f"picanet {words[0]}", words=words[1:])
    if words and words[0] in ("--version", "-V", "version"):
        from picanet_tf import __version__

        _print_and_exit(f"picanet {__version__}", 0)
    if not words or words[0] in _HELP:
        _print_and_exit(_usage(), 0 if words else 1)
    print(
        f"picanet: error: unknown command {words[0]!r}. Available commands: "
        f"{', '.join(COMMANDS)}. See picanet --help",
        file=sys.stderr,
    )
    sys.exit(1)


def run(name: str, *, program: str, words: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and exits the process.

    Args:
        name: a key of `COMMANDS`.
        program: program name used in messages.
        words: command-line arguments; defaults to `sys.argv[1:]`.
    """
    from picanet_tf.core import cli

    module = importlib.import_module(COMMANDS[name][0])
    module.define_flags()
    cli.run(
        module.main,
        positional=module.POSITIONAL,
        argv=[program, *(sys.argv[1:] if words is None else words)],
        module=module.__name__,
    )


def _print_and_exit(text: str, code: int) -> NoReturn:
    from picanet_tf.core import cli

    def main(_: list[str]) -> int:
        print(text)
        return code

    cli.run(main, argv=["picanet"])


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: picanet COMMAND [flags] [arguments]",
            "",
            "PiCANet: pixel-wise contextual attention for salient object detection.",
            "",
            *lines,
            "",
            "picanet predict photo.jpg writes photo.cutout.png next to the photo.",
            "See picanet COMMAND --help for details of a command.",
        ]
    )
