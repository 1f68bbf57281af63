"""`picanet COMMAND`: every command of the project, from wherever it is installed.

Each command is a module with `define_flags`, `main(words) -> exit code` and
`POSITIONAL`, what it calls the words that are no flags ("" where it takes none); its
docstring is its help. It is imported when it is called, and whatever needs TensorFlow
inside `main`, so that `--help` and a mistyped flag are answered at once. The scripts at
the root call `run`, too.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

# name: (module, what `picanet --help` says of it)
COMMANDS = {
    "predict": ("picanet_tf.commands.predict", "cut objects out of photos and videos"),
    "serve": ("picanet_tf.commands.serve", "the same over HTTP, on this machine"),
    "models": ("picanet_tf.commands.models", "list the trained models that ship"),
    "convert": ("data_pipeline.convert", "make a data set of photos and masks"),
    "verify": ("data_pipeline.verify", "check a data set"),
    "train": ("picanet_tf.commands.train", "train a network"),
    "evaluate": ("picanet_tf.commands.evaluate", "score networks, or others' maps"),
    "visualize": ("picanet_tf.commands.visualize", "show where a network looks"),
    "export": ("picanet_tf.commands.export", "SavedModel, TFLite and ONNX"),
}
_HELP = ("--help", "-help", "-h", "help")


def main() -> NoReturn:
    """The program `picanet`."""
    words = sys.argv[1:]
    if words and words[0] in COMMANDS:
        run(words[0], program=f"picanet {words[0]}", words=words[1:])
    if words and words[0] in ("--version", "-V", "version"):
        from picanet_tf import __version__

        _say(f"picanet {__version__}", 0)
    if not words or words[0] in _HELP:
        _say(_usage(), 0 if words else 1)
    print(
        f"picanet: error: there is no command {words[0]!r}. There are "
        f"{', '.join(COMMANDS)}; picanet --help tells what they do",
        file=sys.stderr,
    )
    sys.exit(1)


def run(name: str, *, program: str, words: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and exits the process.

    Args:
        name: one of `COMMANDS`.
        program: what its messages begin with.
        words: its command line; by default the process' own.
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


def _say(text: str, code: int) -> NoReturn:
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
            "usage: picanet COMMAND [flags] [words]",
            "",
            "PiCANet, pixel-wise contextual attention for salient object detection.",
            "",
            *lines,
            "",
            "picanet predict photo.jpg writes photo.cutout.png beside the photo.",
            "picanet COMMAND --help tells all about a command; picanet --version.",
        ]
    )
