"""Is the reader as fast as decoding itself, and does its memory stay flat?

    python -m benchmarks.pipeline [--tfrecords DIR]

Without a data set, photos of a usual size are made up. The bare loop decodes the same
JPEGs and masks with `tf.io` and resizes them, in `tf.data` on the same cores.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import report, resident_memory

IMAGES, ROUNDS, BATCH = 600, 5, 8


def main(tfrecords: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        seconds = None
        if tfrecords is None:
            tfrecords, seconds = made_up(Path(folder))
        rows = [compare(tfrecords)]
        rows[0]["convert, pairs/s"] = IMAGES / seconds if seconds else None
        report("pipeline", rows)


def made_up(folder: Path) -> tuple[str, float]:
    """A data set of smooth noise at 400x300; also how long its conversion took."""
    import numpy as np
    from PIL import Image

    from data_pipeline.convert import convert_saliency

    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for number in range(IMAGES):
        small = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        photo = Image.fromarray(small).resize((400, 300), Image.Resampling.BICUBIC)
        photo.save(folder / "images" / f"{number}.jpg", quality=90)
        mask = photo.convert("L").point(lambda value: 255 * (value > 128))
        mask.save(folder / "masks" / f"{number}.png")
    output = folder / "records"
    start = time.perf_counter()
    convert_saliency(
        folder / "images", folder / "masks", output, name="noise",
        skip_bad=False, overwrite=False,
    )  # fmt: skip
    return str(output), time.perf_counter() - start


def compare(tfrecords: str) -> dict:
    """Images a second of the reader and of the bare loops, in turns; memory growth."""
    import tensorflow as tf

    from data_pipeline.readers import load_manifest, read_saliency

    manifest = load_manifest(tfrecords)
    count = min(manifest.count, IMAGES)
    files = [str(path) for path in manifest.paths]

    def training():
        return read_saliency(tfrecords, batch_size=BATCH, training=True)

    readers = {
        "training": training(),
        "evaluation": read_saliency(tfrecords, batch_size=BATCH, training=False),
        "bare": bare(tf, files, with_mask=True),
        "bare, image only": bare(tf, files, with_mask=False),
    }
    iterators = {name: iter(d.repeat()) for name, d in readers.items()}
    rates: dict[str, list[float]] = {name: [] for name in readers}
    steps = count // BATCH
    memory = []
    for _ in range(ROUNDS):
        for name, iterator in iterators.items():
            for _ in range(4):
                next(iterator)  # fills what was prefetched in others' time
            start = time.perf_counter()
            for _ in range(steps):
                next(iterator)
            rates[name].append(steps * BATCH / (time.perf_counter() - start))
        memory.append(resident_memory())
    median = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "data": manifest.name,
        "training / bare": median["training"] / median["bare"],
        "evaluation / bare": median["evaluation"] / median["bare"],
        "training / bare, image only": median["training"] / median["bare, image only"],
        "training, images/s": median["training"],
        "memory growth over the last epochs, MB": (memory[-1] - memory[1]) / 1e6,
    }


def bare(tf, files, *, with_mask: bool):
    features = {
        "image/encoded": tf.io.FixedLenFeature([], tf.string),
        "mask/encoded": tf.io.FixedLenFeature([], tf.string),
    }

    def decode(record):
        fields = tf.io.parse_single_example(record, features)
        image = tf.io.decode_jpeg(fields["image/encoded"], channels=3)
        image = tf.image.resize(image, [256, 256])
        if not with_mask:
            return image
        mask = tf.io.decode_png(fields["mask/encoded"], channels=1)
        return image, tf.image.resize(mask, [256, 256], method="nearest")

    dataset = tf.data.TFRecordDataset(files)
    dataset = dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(BATCH, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


if __name__ == "__main__":
    main(sys.argv[2] if sys.argv[1:2] == ["--tfrecords"] else None)
