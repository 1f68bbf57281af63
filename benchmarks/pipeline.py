"""Benchmarks reading, its memory, training's waiting time for data, and conversion.

    python -m benchmarks.pipeline [--tfrecords DIR]

Without --tfrecords, uses synthetic photos of typical size. The bare loop decodes the
same JPEGs and PNG masks with `tf.io` and resizes them, in `tf.data` on the same cores,
with and without the masks. Each benchmark runs in its own process.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.common import in_own_process, report, resident_memory

IMAGES, ROUNDS, BATCH = 600, 9, 8
EPOCHS, PAUSE = 8, 1.0
STEPS, STEP_BATCH, STEP_VARIANT = 6, 4, "UNet"


def main(tfrecords: str | None) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if tfrecords is None:
            tfrecords = made_up(folder)
        tfrecords = str(Path(tfrecords).resolve())

        def own(question: str, *words) -> dict:
            return in_own_process("benchmarks.pipeline", question, tfrecords, *words)

        rates, waits, memory = own("rates"), own("waiting"), own("memory")
        report("pipeline", [{**rates, **waits, **memory_summary(memory["epochs"])}])
        print()
        report("pipeline_memory", memory["epochs"])
        print()
        report("pipeline_conversion", [own("conversion", folder / "conversion")])


def made_up(folder: Path) -> str:
    """Creates a data set of smooth noise at 400x300."""
    import numpy as np
    from PIL import Image

    from data_pipeline.convert import convert_folders

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
    convert_folders(folder / "images", folder / "masks", output, name="noise")
    return str(output)


def rates(tfrecords: str) -> dict:
    """Measures the readers' images per second relative to the bare loops."""
    import tensorflow as tf

    from data_pipeline.manifest import load_manifest
    from data_pipeline.readers import read_masks

    manifest = load_manifest(tfrecords)
    count = min(manifest.count, IMAGES)
    loops = {
        "training": read_masks(tfrecords, batch_size=BATCH, training=True),
        "evaluation": read_masks(
            tfrecords, batch_size=BATCH, training=False, drop_remainder=True
        ).repeat(),
        "bare": bare(tf, manifest.paths, with_mask=True),
        "bare, image only": bare(tf, manifest.paths, with_mask=False),
    }
    iterators = {name: iter(dataset) for name, dataset in loops.items()}
    rates: dict[str, list[float]] = {name: [] for name in loops}
    steps = count // BATCH
    for _ in range(ROUNDS):
        for name, iterator in iterators.items():
            for _ in range(6):
                next(iterator)  # Batches that were read ahead while others ran.
            start = time.perf_counter()
            for _ in range(steps):
                next(iterator)
            rates[name].append(steps * BATCH / (time.perf_counter() - start))

    def ratio(ours: str, theirs: str) -> float:
        rounds = zip(rates[ours], rates[theirs], strict=True)
        return statistics.median(one / other for one, other in rounds)

    return {
        "data": manifest.name,
        "training / bare": ratio("training", "bare"),
        "evaluation / bare": ratio("evaluation", "bare"),
        "training / bare, image only": ratio("training", "bare, image only"),
        "training, images/s": statistics.median(rates["training"]),
    }


def bare(tf, files: list[str], *, with_mask: bool):
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

    options = tf.data.Options()
    options.autotune.enabled = False  # As in the readers.
    dataset = tf.data.TFRecordDataset(files).repeat()
    dataset = dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(BATCH).prefetch(2).with_options(options)


def memory(tfrecords: str) -> dict:
    """Measures resident memory at the end of each epoch of an infinite reader.

    After each epoch the consumer pauses, as training does for validation, then reads as
    fast as possible, which drains all buffers.
    """
    from data_pipeline.manifest import load_manifest
    from data_pipeline.readers import read_masks

    count = load_manifest(tfrecords).count
    iterator = iter(read_masks(tfrecords, batch_size=BATCH, training=True))
    rows, steps, first = [], count // BATCH, None
    for epoch in range(EPOCHS):
        highest = 0.0
        for step in range(steps):
            next(iterator)
            if step % max(1, steps // 8) == 0:
                highest = max(highest, resident_memory() / 1e6)
        time.sleep(PAUSE)
        resident = resident_memory() / 1e6
        first = first or resident
        rows.append(
            {
                "epoch": epoch + 1,
                "images": steps * BATCH,
                "resident MB": resident,
                "highest MB": max(highest, resident),
                "grown since epoch 1, MB": resident - first,
            }
        )
    return {"epochs": rows}


def memory_summary(epochs: list[dict]) -> dict:
    resident = [row["resident MB"] for row in epochs]
    half = len(resident) // 2
    return {
        "resident MB": resident[-1],
        f"growth, epochs 2-{half + 1}, MB": resident[half] - resident[0],
        f"growth, epochs {half + 2}-{len(resident)}, MB": resident[-1] - resident[half],
    }


def waiting(tfrecords: str) -> dict:
    """Measures the share of training time spent in `next(batches)`.

    UNet has the shortest step, so it would wait most.
    """
    import tensorflow as tf

    from data_pipeline.readers import read_masks
    from picanet_tf.saliency import build_model, losses
    from picanet_tf.saliency.targets import encode_targets
    from picanet_tf.training.optimizer import CaffeSGD

    model = build_model(STEP_VARIANT)
    loss, weight = losses.losses(model.output), losses.loss_weights(model.output)
    optimizer = CaffeSGD(0.001, 0.9, l2=0.0005)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(images, targets):
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            total = tf.add_n(
                [weight[k] * loss[k](targets[k], outputs[k]) for k in loss]
            )
        variables = model.trainable_variables
        gradients = tape.gradient(total, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return total

    dataset = read_masks(tfrecords, batch_size=STEP_BATCH, training=True).map(
        lambda images, masks: (images, encode_targets(masks, model.output)),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    batches = iter(dataset)
    step(*next(batches))  # Traces.
    waited, begun = 0.0, time.perf_counter()
    for _ in range(STEPS):
        start = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - start
        float(step(*batch))
    seconds = time.perf_counter() - begun
    return {
        "waiting, share of a UNet step": waited / seconds,
        "step s": seconds / STEPS,
    }


def conversion(tfrecords: str, folder: str) -> dict:
    """Measures pairs per second of the converter and of its possible bottlenecks.

    The files are unpacked from the data set and in the page cache, as after a download,
    so that disk speed is not measured.
    """
    from data_pipeline.convert import convert_folders
    from data_pipeline.pairs import pair_by_name
    from picanet_tf.core import hardware

    cores = hardware.cores()
    root = Path(folder)
    count = unpack(tfrecords, root)
    found, _ = pair_by_name(root / "images", root / "masks")

    def converted(workers: int) -> None:
        options = {"name": "x", "workers": workers, "overwrite": True}
        convert_folders(root / "images", root / "masks", root / "out", **options)

    def mapped(function) -> None:
        with ProcessPoolExecutor(
            cores, mp_context=multiprocessing.get_context("spawn")
        ) as executor:
            for _ in executor.map(function, found, chunksize=4):
                pass

    def copied() -> None:
        with open(root / "copy", "wb") as file:
            for path in itertools.chain.from_iterable(
                (p.image, p.truth) for p in found
            ):
                file.write(path.read_bytes())
            file.flush()
            os.fsync(file.fileno())

    import tensorflow  # noqa: F401  before timing, since all conversions share it

    rates = {}
    for name, run in {
        "all cores": lambda: converted(cores),
        "one core": lambda: converted(1),
        "decoding alone": lambda: mapped(decode_pair),
        "copying": copied,
    }.items():
        times = []
        for _ in range(3):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        rates[name] = count / statistics.median(times)
    limits = {"cores": rates["decoding alone"], "disk": rates["copying"]}
    return {
        "pairs": count,
        "cores": cores,
        "bound by": min(limits, key=limits.get),
        "convert / decoding alone": rates["all cores"] / rates["decoding alone"],
        "convert / copying with fsync": rates["all cores"] / rates["copying"],
        "all cores / one": rates["all cores"] / rates["one core"],
        "convert, pairs/s": rates["all cores"],
    }


def unpack(tfrecords: str, root: Path) -> int:
    """Writes a data set's images and masks to files; returns their number."""
    import tensorflow as tf

    from data_pipeline.manifest import load_manifest

    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    count = 0
    for record in tf.data.TFRecordDataset(load_manifest(tfrecords).paths):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        for kind, field in (("image", "image/encoded"), ("mask", "mask/encoded")):
            data = features[field].bytes_list.value[0]
            suffix = ".png" if data.startswith(b"\x89PNG") else ".jpg"
            (root / f"{kind}s" / f"{count}{suffix}").write_bytes(data)
        count += 1
    return count


def decode_pair(pair) -> int:
    """Reads and decodes both files, the minimum work of conversion."""
    from picanet_tf.core.images import load

    return sum(load(path.read_bytes()).width for path in (pair.image, pair.truth))


if __name__ == "__main__":
    questions = {f.__name__: f for f in (rates, memory, waiting, conversion)}
    if sys.argv[1:2] and sys.argv[1] in questions:
        print(json.dumps(questions[sys.argv[1]](*sys.argv[2:])))
    else:
        main(sys.argv[2] if sys.argv[1:2] == ["--tfrecords"] else None)
