"""`make demo-train`: trains on the sample photos with the README's commands.

Trains the full network from a pretrained encoder on four of the five photos and holds
out the fifth. Writes everything to build/demo-train/. That is far too little data to
generalize; it shows that all parts work, in a few minutes on two cores.
"""

import csv
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
BUILD = ROOT / "build" / "demo-train"
HELD_OUT = "chelsea"
STEPS, BATCH_SIZE = 50, 2


def command(*words: str) -> None:
    """Prints and runs a command."""
    print(f"\n$ python {' '.join(words)}", flush=True)
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)


def training_folder() -> Path:
    """Copies the samples, except the held-out one, to a training folder."""
    folder = BUILD / "training"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        for file in sorted((SAMPLES / kind).iterdir()):
            if file.stem != HELD_OUT:
                shutil.copy(file, folder / kind)
    return folder


def draw(run: Path, maps: Path) -> Path:
    from picanet_tf.core.images import list_images, read_image, read_mask
    from picanet_tf.drawing.panels import Row, save_panel

    rows = []
    for path in list_images(SAMPLES / "images"):
        held_out = path.stem == HELD_OUT
        mask = read_mask(SAMPLES / "masks" / f"{path.stem}.png")
        prediction = read_mask(maps / f"{path.stem}.png")
        label = f"{path.stem}\n{'held out' if held_out else 'trained on'}"
        rows.append((held_out, Row(label, [read_image(path), mask, prediction])))
    rows.sort(key=lambda row: row[0])
    picture = BUILD / "demo.png"
    save_panel(
        picture,
        ["image", "mask", "prediction"],
        [row for _, row in rows],
        title=f"6GAP_5432AC after {STEPS} steps of {BATCH_SIZE} on four photos",
    )
    return picture


def losses(run: Path) -> list[float]:
    with (run / "metrics.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def main() -> int:
    started = time.monotonic()
    shutil.rmtree(BUILD, ignore_errors=True)
    source = training_folder()
    data, run, maps, export = (
        BUILD / name for name in ("tfrecords", "run", "maps", "export")
    )
    relative = {
        path: os.path.relpath(path, ROOT) for path in (source, data, run, maps, export)
    }
    command(
        *("-m", "data_pipeline.convert", "--dataset", "pairs"),
        *("--images", f"{relative[source]}/images"),
        *("--masks", f"{relative[source]}/masks", "--output", relative[data]),
    )
    command(
        *("train.py", "--tfrecords", relative[data], "--run", relative[run]),
        *("--backbone_weights", "hed", "--steps", str(STEPS)),
        *("--batch_size", str(BATCH_SIZE), "--log_interval", "5"),
    )
    command(
        *("predict.py", "--model", relative[run]),
        *("--input", "samples/images", "--output", relative[maps]),
    )
    command(
        *("export.py", "--model", relative[run], "--output", relative[export]),
        *("--formats", "saved_model,tflite", "--quantize", "none,dynamic"),
    )
    picture = draw(run, maps)
    curve = losses(run)
    minutes = (time.monotonic() - started) / 60
    print(f"\nLoss: {curve[0]:.2f} -> {curve[-1]:.2f} in {minutes:.1f} minutes.")
    print(f"Open {os.path.relpath(picture)}")
    if not curve[-1] < 0.7 * curve[0]:
        print("The loss did not fall as it should.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
