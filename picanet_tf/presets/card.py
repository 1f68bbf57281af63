"""The Markdown model card of a preset. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping

from picanet_tf.core.errors import PicanetError

# In the order of the card, with the terms of the data first.
SECTIONS = {
    "terms": "Licence and terms of the data",
    "data": "Trained on",
    "recipe": "Recipe",
    "provenance": "Provenance",
    "limits": "Limits",
}
# Fields of each score.
_SCORE = {
    "set": str,
    "images": int,
    "max_f": (int, float),
    "mae": (int, float),
    "scored_by": str,
}


def check_facts(facts: Mapping, origin: str) -> None:
    """Raises `PicanetError` unless `facts` are complete and valid.

    Args:
        facts: texts for `summary` and each of `SECTIONS`; `scores`, a list of {"set",
            "images", "max_f", "mae", "scored_by"}.
        origin: name of the facts used in error messages.
    """
    wanted = ("summary", *SECTIONS)
    texts = {name: facts.get(name) for name in wanted}
    missing = [
        n for n, text in texts.items() if not isinstance(text, str) or not text.strip()
    ]
    if missing:
        raise PicanetError(
            f"{origin} must give {', '.join(wanted)}, each as text. Missing: "
            f"{', '.join(missing)}"
        )
    unknown = set(facts) - {*wanted, "scores", "quantization"}
    if unknown:
        raise PicanetError(
            f"{origin} has unknown entries: {', '.join(sorted(unknown))}"
        )
    if not isinstance(facts.get("quantization", ""), str):
        raise PicanetError(
            f"{origin}: quantization must be text. Received: {facts['quantization']!r}"
        )
    scores = facts.get("scores", [])
    if not isinstance(scores, list):
        raise PicanetError(f"{origin}: scores must be a list. Received: {scores!r}")
    for row in scores:
        if not isinstance(row, dict) or set(row) != set(_SCORE):
            raise PicanetError(
                f"{origin}: each of the scores must have {', '.join(_SCORE)}. "
                f"Received: {row}"
            )
        for name, kind in _SCORE.items():
            value = row[name]
            good = isinstance(value, kind) and not isinstance(value, bool)
            if isinstance(value, float):
                good = good and 0 <= value <= 1
            if not good:
                raise PicanetError(
                    f"{origin}: {name} of a score is of the wrong type or out of "
                    f"range. Received: {row}"
                )


def markdown(entry: Mapping) -> str:
    """Returns the model card of a registry entry."""
    card = entry["card"]
    lines = [f"# {entry['name']}", "", card["summary"], ""]
    for key, title in SECTIONS.items():
        if key == "recipe":
            lines += _network(entry)
        if key == "limits":
            lines += _scores(card)
        lines += [f"## {title}", "", card[key], ""]
    lines += _files(entry)
    return "\n".join(lines)


def _network(entry):
    return [
        "## Network",
        "",
        f"`{entry['variant']}` for {entry['task']}, input {entry['image_size']} x "
        f"{entry['image_size']} pixels, width {entry['width']:g}.",
        "",
        "```python",
        "from picanet_tf import build_model, load_model",
        "",
        f'saliency = load_model("{entry["name"]}").predict("photo.jpg")',
        f'network = build_model(weights="{entry["name"]}")  # Keras, to train on',
        "```",
        "",
    ]


def _scores(card):
    lines = ["## Scores", ""]
    if not card.get("scores"):
        return [*lines, "None were measured.", ""]
    lines += [
        "Maps stretched to 0..1 and at the photos' size; max F of the mean "
        "precision-recall curve.",
        "",
        "| set | images | max F | MAE | scored by |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['set']} | {row['images']:,} | {row['max_f']:.3f} | {row['mae']:.3f} | "
        f"{row['scored_by']} |"
        for row in card["scores"]
    ]
    return [*lines, "", *([card["quantization"], ""] if "quantization" in card else [])]


def _files(entry):
    if not entry["files"]:
        return ["No weights are published.", ""]
    lines = ["## Files", "", "| file | bytes | SHA-256 |", "| --- | --- | --- |"]
    lines += [
        f"| {f['name']} | {f['bytes']:,} | `{f['sha256']}` |"
        for f in entry["files"].values()
    ]
    return [*lines, ""]
