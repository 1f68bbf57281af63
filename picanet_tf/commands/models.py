"""Lists the trained models that ship, or shows the card of one.

    picanet models
    picanet models picanet_vgg16_duts

Each can be given by name: picanet predict --model NAME, picanet train --init_from NAME,
load_model("NAME") and build_model(weights="NAME") in Python.
"""

from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from picanet_tf.presets import Preset, default_preset, find_preset, list_presets

POSITIONAL = "[NAME]"


def define_flags() -> None:
    """There are none."""


def main(words: list[str]) -> int:
    if len(words) > 1:
        raise PicanetError(f"one NAME at most. Received: {' '.join(words)}")
    print(card(words[0]) if words else table())
    return 0


def card(name: str) -> str:
    path = find_preset(name).card_path
    try:
        return path.read_text().rstrip()
    except OSError as error:
        raise PicanetError(f"Cannot read {path}: {error.strerror}") from error


def table() -> str:
    default_preset()  # or an error that says what is wrong with the installation
    return "\n\n".join(map(_described, list_presets().values()))


def _described(preset: Preset) -> str:
    size = sum(file.bytes for file in preset.files.values()) / 1e6
    where = "card and scores only"
    if preset.files:
        remote = any(file.url for file in preset.files.values())
        where = f"{size:.1f} MB, " + ("downloaded when wanted" if remote else "here")
    scores = "; ".join(
        f"{row['set']} ({row['images']:,}): max F {row['max_f']:.3f}, "
        f"MAE {row['mae']:.3f}"
        for row in preset.card.get("scores", [])
    )
    lines = [
        f"{preset.name}{' (the default)' if preset.default else ''}",
        f"  {preset.summary}",
        f"  {preset.task}, {preset.variant}, {preset.image_size} pixels; {where}",
        *([f"  {scores}"] if scores else []),
        f"  picanet models {preset.name} shows its card: terms of the data, recipe, "
        "limits",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main, positional=POSITIONAL)
