"""Pairs of images and masks in a few small files.

    python -m tools.torch_training.pairs IMAGES MASKS OUT [--parts 2] [--side 256]

Masks have the names of their images. Images are resized to side x side pixels
(bilinear) and kept as WebP, masks (nearest, above 127) as one bit a pixel: 10,553 pairs
of DUTS-TR are 92 MiB. OUT gets part0.pack, part1.pack, ...
"""

from __future__ import annotations

import argparse
import io
import json
import zlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image


def write(images: Path, masks: Path, output: Path, parts: int, side: int) -> None:
    """Packs all images of a folder that have a mask; names those that have none."""
    by_stem = {path.stem: path for path in sorted(masks.iterdir())}
    photos = sorted(path for path in images.iterdir() if path.is_file())
    pairs = [(path, by_stem[path.stem]) for path in photos if path.stem in by_stem]
    alone = [path.name for path in photos if path.stem not in by_stem]
    if alone:
        print(
            f"{len(alone)} images without a mask are left out: {', '.join(alone[:5])}"
        )
    if not pairs:
        raise SystemExit(f"no image in {images} has a mask of its name in {masks}")
    output.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        encoded = list(pool.map(partial(_encode, side=side), pairs, chunksize=64))
    for part in range(parts):
        mine = encoded[part::parts]
        sizes = [(len(image), len(mask)) for image, mask in mine]
        header = json.dumps({"side": side, "sizes": sizes}).encode()
        body = b"".join(image + mask for image, mask in mine)
        path = output / f"part{part}.pack"
        path.write_bytes(len(header).to_bytes(8, "little") + header + body)
        print(f"{path}: {len(mine)} pairs, {path.stat().st_size / 2**20:.1f} MiB")


def _encode(pair: tuple[Path, Path], side: int) -> tuple[bytes, bytes]:
    image, mask = (Image.open(path) for path in pair)
    content = io.BytesIO()
    resized = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    resized.save(content, "WEBP", quality=78, method=4)
    mask = mask.convert("L").resize((side, side), Image.Resampling.NEAREST)
    bits = np.packbits(np.asarray(mask) > 127)
    return content.getvalue(), zlib.compress(bits.tobytes(), 9)


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads all packs of a folder.

    Returns:
        (images, RGB uint8 [N, side, side, 3]; masks, uint8 [N, side, side] of 0 and 1).
    """
    side, jobs = 0, []
    for path in sorted(Path(folder).glob("*.pack")):
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        if side not in (0, header["side"]):
            raise SystemExit(f"{path} has another side than the packs beside it")
        side = header["side"]
        for image, mask in header["sizes"]:
            middle, end = start + image, start + image + mask
            jobs.append((content[start:middle], content[middle:end]))
            start = end
    if not jobs:
        raise SystemExit(f"no *.pack in {folder}: see tools/torch_training/README.md")
    with ProcessPoolExecutor() as pool:
        decoded = list(pool.map(partial(_decode, side=side), jobs, chunksize=128))
    images, masks = zip(*decoded, strict=True)
    return np.stack(images), np.stack(masks)


def _decode(job: tuple[bytes, bytes], side: int) -> tuple[np.ndarray, np.ndarray]:
    image = np.asarray(Image.open(io.BytesIO(job[0])).convert("RGB"))
    bits = np.unpackbits(np.frombuffer(zlib.decompress(job[1]), np.uint8))
    return image, bits[: side * side].reshape(side, side)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--parts", type=int, default=2)
    parser.add_argument("--side", type=int, default=256)
    options = parser.parse_args()
    write(options.images, options.masks, options.output, options.parts, options.side)


if __name__ == "__main__":
    main()
