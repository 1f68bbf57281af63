"""Compares bfloat16 with float32: time, maps of a preset, and scores after training.

    python -m benchmarks.precision speed [--size 160] [--batch 2] [--rounds 7]
    python -m benchmarks.precision maps IMAGES MASKS [--model NAME]
    python -m benchmarks.precision training DATA TEST OUT [--steps 200] [--seeds 0,1]

speed     a training step and one image: Keras' policy mixed_bfloat16, TensorFlow's
          graph rewrite, as ratios to float32 and to the same of the UNet
maps      differences of the maps at the photos' size, 0..1; max F and MAE of both
training  fine-tunes a preset to another variant in both precisions with each seed,
          scores the networks on TEST, and compares them by paired intervals over its
          images, as `picanet evaluate` does. DATA and TEST are converted data sets.
          Finished runs in OUT are kept, others resumed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.common import report, training_step
from benchmarks.trainings import compared, evaluate, score, train

VARIANTS = ("UNet", "6GAP_5432LAP", "6GAP_5432AC")
PRECISIONS = ("float32", "bfloat16")
_BINS = 100_000  # of the histogram of differences, from which percentiles are read


def speed(size: int, batch: int, rounds: int) -> None:
    rows, unet = [], None
    for variant in VARIANTS:
        seconds = measure_speed(variant, size, batch, rounds)
        unet = unet or seconds  # UNet is the first of VARIANTS.
        rows += [
            {
                "variant": variant,
                "pixels": size,
                "batch": batch,
                "way": way,
                "step / float32": step / seconds["float32"][0],
                "image / float32": image / seconds["float32"][1],
                "step / UNet's": step / unet[way][0],
                "image / UNet's": image / unet[way][1],
            }
            for way, (step, image) in seconds.items()
        ]
    report("precision_speed", rows)


def measure_speed(
    variant: str, size: int, batch: int, rounds: int
) -> dict[str, tuple[float, float]]:
    """Times all ways in turn, in this process.

    Returns:
        {way: (median seconds of a training step, of one image)}.
    """
    import tensorflow as tf

    from picanet_tf.tasks.registry import get_task

    photo = tf.random.uniform([1, size, size, 3], maxval=255, seed=0).numpy()
    runs = {}
    for name, policy, rewrites in (
        ("float32", "float32", False),
        ("mixed_bfloat16", "mixed_bfloat16", False),
        ("graph rewrite", "float32", True),
    ):
        network = get_task("saliency").build_model(variant, size, dtype=policy, seed=0)
        step, image = training_step(network, batch), _image(network, photo)
        runs[name] = [_with_rewrite(rewrites, run) for run in (step, image)]
        for run in runs[name]:
            run()
    times = {name: ([], []) for name in runs}
    for _ in range(rounds):
        for name, both in runs.items():
            for run, seconds in zip(both, times[name], strict=True):
                start = time.perf_counter()
                run()
                seconds.append(time.perf_counter() - start)
    return {
        way: (statistics.median(steps), statistics.median(images))
        for way, (steps, images) in times.items()
    }


def _image(network, photo):
    from picanet_tf.inference import KerasModel

    # With a source, as from `load_model`, so that it has copies of the kernels.
    model = KerasModel(network, source=network.name)
    return lambda: np.asarray(model.infer(photo))


def _with_rewrite(on: bool, run):
    import tensorflow as tf

    def rewritten():
        tf.config.optimizer.set_experimental_options(
            {"auto_mixed_precision_onednn_bfloat16": on}
        )
        run()

    return rewritten


def maps(images: str, masks: str, name: str | None) -> None:
    from data_pipeline.pairs import pair_by_name
    from picanet_tf.core.images import read_image, read_mask
    from picanet_tf.evaluation.samples import Sample
    from picanet_tf.inference import load_model

    models = {
        precision: load_model(name, engine="keras", precision=precision)
        for precision in PRECISIONS
    }
    pairs, bad = pair_by_name(images, masks)
    if bad or not pairs:
        raise SystemExit(f"{images} and {masks}: {len(pairs)} pairs, bad: {bad[:3]}")
    predicted = {precision: [] for precision in models}
    counts, largest = np.zeros(_BINS + 1, np.int64), []
    for number, pair in enumerate(pairs, 1):
        image = read_image(pair.image)
        sample = Sample(pair.key, read_mask(pair.truth), None)
        both = [model.predict(image) for model in models.values()]
        for found, values in zip(predicted.values(), both, strict=True):
            found.append((sample, values))
        off = np.abs(both[1] - both[0])
        largest.append((float(off.max()), pair.key))
        counts += np.bincount(np.int64(off.ravel() * _BINS), minlength=_BINS + 1)
        print(f"{number} of {len(pairs)}: {pair.key} {off.max():.4f}", flush=True)
    share = counts.cumsum() / counts.sum()
    mean = float((counts * (np.arange(_BINS + 1) + 0.5)).sum() / counts.sum() / _BINS)
    evaluations = [evaluate(found) for found in predicted.values()]
    report(
        "precision_maps",
        [
            {
                **compared("bfloat16", [evaluations]),
                "images": len(pairs),
                "largest": max(largest)[0],
                "of image": max(largest)[1],
                "99.9th percentile": float(np.searchsorted(share, 0.999) / _BINS),
                "mean": mean,
            }
        ],
    )


def training(data: str, test: str, output: str, options: argparse.Namespace) -> None:
    pairs = []  # of (float32, bfloat16), one for each seed
    for seed in map(int, options.seeds.split(",")):
        pair = []
        for precision in PRECISIONS:
            run = Path(output, f"{precision}-{seed}")
            train(
                run,
                tfrecords=data,
                variant=options.variant,
                init_from=options.init_from,
                steps=options.steps,
                batch_size=options.batch,
                image_size=options.size,
                learning_rate=options.learning_rate,
                checkpoint_interval=50,
                seed=seed,
                precision={"bfloat16": "mixed_bfloat16"}.get(precision, precision),
            )
            pair.append(score(run, test, precision))
        pairs.append(pair)
        report("precision_training", [compared(f"bfloat16, seed {seed}", [pair])])
    rows = [compared(f"bfloat16, mean of {len(pairs)} seeds", pairs)]
    firsts = [float32 for float32, _ in pairs]
    if len(firsts) > 1:  # The difference between two seeds, for comparison.
        rows.append(compared("float32, second seed against first", [firsts[:2]]))
    report("precision_training", rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("speed")
    add.add_argument("--size", type=int, default=160)
    add.add_argument("--batch", type=int, default=2)
    add.add_argument("--rounds", type=int, default=7)
    add = commands.add_parser("maps")
    add.add_argument("images")
    add.add_argument("masks")
    add.add_argument("--model")
    add = commands.add_parser("training")
    for name in ("data", "test", "output"):
        add.add_argument(name)
    add.add_argument("--variant", default="6GAP_5432AC")
    add.add_argument("--init_from", default="picanet_vgg16_duts")
    add.add_argument("--steps", type=int, default=200)
    add.add_argument("--size", type=int, default=96)
    add.add_argument("--batch", type=int, default=4)
    add.add_argument("--learning_rate", type=float, default=0.01)
    add.add_argument("--seeds", default="0,1")
    options = parser.parse_args()
    if options.command == "speed":
        speed(options.size, options.batch, options.rounds)
    elif options.command == "maps":
        maps(options.images, options.masks, options.model)
    else:
        training(options.data, options.test, options.output, options)


if __name__ == "__main__":
    main()
