"""Entries of presets in a folder of a test's own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

CARD = {
    "summary": "Finds nothing yet.",
    "terms": "None.",
    "data": "Noise.",
    "recipe": "None.",
    "provenance": "A test.",
    "limits": "All.",
}


def entry(name: str = "tiny", files: dict | None = None, **changes) -> dict:
    values = {
        "name": name,
        "task": "saliency",
        "variant": "UNet",
        "image_size": 32,
        "width": 1 / 32,
        "default": False,
        "files": files or {},
        "card": CARD,
    }
    return {**values, **changes}


def file(name: str, content: bytes, url: str = "") -> dict:
    digest = hashlib.sha256(content).hexdigest()
    return {"name": name, "bytes": len(content), "sha256": digest, "url": url}


def write(folder: Path, values, stem: str = "") -> Path:
    path = folder / f"{stem or values['name']}.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    return path
