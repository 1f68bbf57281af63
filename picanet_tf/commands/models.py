"""Lists the pretrained models, or prints a model card.

    picanet models
    picanet models picanet_vgg16_duts

Use a model by its name: picanet predict --model NAME, picanet train --init_from NAME,
or, in Python, load_model("NAME") and build_model(weights="NAME").
"""

from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from picanet_tf.presets import Preset, default_preset, find_preset, list_presets

POSITIONAL = "[NAME]"


def define_flags() -> None:
    """Defines no flags."""


def main(words: list[str]) -> int:
    if len(words) > 1:
        raise PicanetError(f"expected at most one NAME. Received: {' '.join(words)}")
    print(card(words[0]) if words else table())
    return 0


def card(name: str) -> str:
    """Returns the model card of a preset; raises `PicanetError` if there is none."""
    path = find_preset(name).card_path
    try:
        return path.read_text("utf-8").rstrip()
    except OSError as error:
        raise PicanetError(f"Cannot read {path}: {error.strerror}") from error


def table() -> str:
    """Returns a description of each preset."""
    default_preset()  # raises if the installation is broken
    return "\n\n".join(map(_describe, list_presets().values()))


def _describe(preset: Preset) -> str:
    size = sum(file.bytes for file in preset.files.values()) / 1e6
    where = "card and scores only"
    if preset.files:
        remote = any(file.url for file in preset.files.values())
        where = f"{size:.1f} MB, " + (
            "downloaded on first use" if remote else "bundled"
        )
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
        f"  picanet models {preset.name} prints its card: data terms, recipe, limits",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main, positional=POSITIONAL)
