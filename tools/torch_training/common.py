"""Code shared by both trainings: arguments, messages, signals, states on disk."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import torch

from . import weights
from .files import replacing
from .network import PiCANet, parse_variant


def positive(kind: Callable) -> Callable:
    """Returns an argument type: a number above 0 of a kind, `int` or `float`."""

    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not value > 0:
            raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
        return value

    return parse


def not_negative(text: str) -> float:
    """Parses an argument: a finite number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of at least 0, not {text}")
    return value


def image_size(text: str) -> int:
    """Parses an argument: the side of the input, in pixels."""
    if not text.isdecimal() or int(text) < 80 or int(text) % 8:
        raise argparse.ArgumentTypeError(
            f"must be a multiple of 8 and at least 80, not {text}"
        )
    return int(text)


def variant(text: str) -> str:
    """Checks an argument: the name of a variant."""
    try:
        parse_variant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def make_parser(kind: str, description: str) -> argparse.ArgumentParser:
    """Creates a command's parser, with the arguments that both trainings have.

    Args:
        kind: the command's name, which its states record.
        description: the command's docstring.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(kind=kind)
    add = parser.add_argument
    add("packs", help="folder of *.pack")
    add("output")
    add("--encoder", default="", help="an .npz that keras_models encoder wrote")
    add("--variant", type=variant, default="6GAP_5432LAP")
    add("--width", type=positive(float), default=1.0)
    add("--save_interval", type=positive(float), default=300.0, help="seconds")
    add(
        "--bfloat16",
        action=argparse.BooleanOptionalAction,
        default=torch.cuda.is_available() or _computes_bfloat16(),
        help="default: where GPU or processor computes it faster",
    )
    return parser


def _computes_bfloat16() -> bool:
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    return "avx512_bf16" in text or "amx_bf16" in text


def run(command: Callable[[argparse.Namespace], None], options) -> None:
    """Runs a command; errors that its user can correct are reported in one line."""
    try:
        command(options)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def check_output(output: Path, own: Collection[str] = ()) -> None:
    """Checks that a training may begin in a folder.

    Args:
        output: the folder, which need not exist.
        own: names of files that a training writes there before its first state.

    Raises:
        ValueError: if it is a file, or holds other files.
    """
    if output.exists() and not output.is_dir():
        raise ValueError(f"OUT {output} is a file: give a folder")
    names = {path.name for path in output.iterdir()} if output.is_dir() else set()
    if others := sorted(names.difference(own)):
        more = ", ..." * (len(others) > 3)
        raise ValueError(
            f"OUT {output} has no state.pt to go on from, and holds other files: "
            f"{', '.join(others[:3])}{more}. Give another folder"
        )


def build(options: argparse.Namespace, dropout: float) -> PiCANet:
    """Builds the network of --variant and --width, with the weights of --encoder."""
    network = PiCANet(options.variant, options.width, dropout)
    if options.encoder:
        weights.load(network, options.encoder, encoder=True)
    return network


def save_state(state: dict, path: Path) -> None:
    """Writes a state, which replaces the old one once it is complete.

    Raises:
        OSError: if it cannot be written; the old one is kept.
    """
    with replacing(path) as part:
        torch.save(state, part)


def load_state(path: Path, kind: str, device="cpu") -> dict:
    """Loads a training's state.

    Args:
        path: the file.
        kind: name of the command that must have written it.
        device: device of its tensors.

    Raises:
        ValueError: if it is missing, damaged, or of another command.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        found = state["settings"]["kind"]
    except Exception as error:  # from zipfile, pickle or PyTorch
        raise ValueError(f"{path} is missing or damaged: {error}") from error
    if found != kind:
        raise ValueError(
            f"{path} was written by the command {found}: give another folder"
        )
    return state


class Stopping:
    """Turns Ctrl-C and SIGTERM into a request, so that the step ends and is saved.

    Attributes:
        asked: whether a signal was received.
    """

    def __init__(self):
        self.asked = False

    def __enter__(self):
        signals = (signal.SIGINT, signal.SIGTERM)
        self._before = {each: signal.signal(each, self._ask) for each in signals}
        return self

    def __exit__(self, *_):
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _ask(self, number, frame):
        self.asked = True
        print("stopping after this step", flush=True)
