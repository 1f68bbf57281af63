"""Pairs of images and masks in a few small files, `part0.pack`, `part1.pack`, ...

A pack consists of the length of its header (8 bytes, little-endian), the header as
JSON, and for each pair the image as WebP and the mask with one bit per pixel,
compressed. `keras_models packs` writes packs from a converted data set.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from .files import replacing


def write(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    output: str | Path,
    parts: int = 2,
    side: int = 256,
) -> list[Path]:
    """Packs pairs, resized to side x side pixels.

    Args:
        pairs: (image, RGB uint8 [H, W, 3]; mask, uint8 [H, W], salient above 127).
        output: a folder without packs.
        parts: number of files.
        side: side of the packed images, in pixels.

    Returns:
        The paths of the files.

    Raises:
        ValueError: if the folder has packs, or there are fewer pairs than parts.
        OSError: if a file cannot be written; none is then left.
    """
    output = Path(output)
    if any(output.glob("*.pack")):
        raise ValueError(f"{output} has packs already: give another folder")
    encoded = [_encode(image, mask, side) for image, mask in pairs]
    if len(encoded) < parts:
        raise ValueError(f"{len(encoded)} pairs are too few for {parts} parts")
    output.mkdir(parents=True, exist_ok=True)
    paths = []
    try:
        for part in range(parts):
            mine = encoded[part::parts]
            body = b"".join(image + mask for image, mask in mine)
            header = {
                "part": part,
                "parts": parts,
                "side": side,
                "sizes": [(len(image), len(mask)) for image, mask in mine],
                "sha256": hashlib.sha256(body).hexdigest(),
            }
            head = json.dumps(header).encode()
            paths.append(output / f"part{part}.pack")
            with replacing(paths[-1]) as unfinished:
                unfinished.write_bytes(len(head).to_bytes(8, "little") + head + body)
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    return paths


def _encode(image: np.ndarray, mask: np.ndarray, side: int) -> tuple[bytes, bytes]:
    content = io.BytesIO()
    resized = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
    resized.save(content, "WEBP", quality=78, method=4)
    resized = Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST)
    bits = np.packbits(np.asarray(resized) > 127)
    return content.getvalue(), zlib.compress(bits.tobytes(), 9)


def fingerprint(folder: str | Path) -> str:
    """Returns a hash of the packs of a folder, in hex."""
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in _find(folder)]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def read(folder: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads all packs of a folder.

    Returns:
        (images, RGB uint8 [N, side, side, 3]; masks, uint8 [N, side, side] of 0 and 1).

    Raises:
        ValueError: if there are none, one is missing or damaged, or their sides differ.
    """
    sides, jobs, parts = set(), [], defaultdict(set)
    for path in _find(folder):
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        try:
            header = json.loads(content[8:start])
            side = int(header["side"])
            sizes = [(int(image), int(mask)) for image, mask in header["sizes"]]
            digest = header.get("sha256")  # Early packs have neither this nor parts.
            if "parts" in header:
                parts[int(header["parts"])].add(int(header["part"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{path} is damaged or not a pack") from None
        if (
            not sizes
            or len(content) != start + sum(map(sum, sizes))
            or (digest and hashlib.sha256(content[start:]).hexdigest() != digest)
        ):
            raise ValueError(f"{path} is damaged: copy it again")
        sides.add(side)
        for image, mask in sizes:
            middle, end = start + image, start + image + mask
            jobs.append((content[start:middle], content[middle:end]))
            start = end
    for count, found in parts.items():
        if missing := sorted(set(range(count)) - found):
            raise ValueError(
                f"{folder} has {len(found)} of {count} packs: part {missing[0]} is "
                "missing. Copy all of them"
            )
    if len(sides) > 1:
        raise ValueError(f"the packs of {folder} have images of {sides} pixels")
    with ProcessPoolExecutor() as pool:
        decode = partial(_decode, side=sides.pop())
        decoded = list(pool.map(decode, jobs, chunksize=128))
    images, masks = zip(*decoded, strict=True)
    return np.stack(images), np.stack(masks)


def _find(folder: str | Path) -> list[Path]:
    paths = sorted(Path(folder).glob("*.pack"))
    if not paths:
        raise ValueError(
            f"no *.pack in {folder}: python -m tools.torch_training.keras_models packs "
            "writes them"
        )
    return paths


def _decode(job: tuple[bytes, bytes], side: int) -> tuple[np.ndarray, np.ndarray]:
    image = np.asarray(Image.open(io.BytesIO(job[0])).convert("RGB"))
    bits = np.unpackbits(np.frombuffer(zlib.decompress(job[1]), np.uint8))
    return image, bits[: side * side].reshape(side, side)
