"""`make demo`: cuts out the five sample photos with the default preset.

Writes maps, cut-outs and demo.png, which compares them with hand-drawn masks, to
build/demo/.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
BUILD = ROOT / "build" / "demo"


def predict(form: str) -> Path:
    """Runs the predict command on all samples; returns the folder of its results."""
    from picanet_tf.presets import default_preset

    folder = BUILD / form
    output = os.path.relpath(folder, ROOT)
    words = ["predict.py", "samples/images", "--format", form, "--output", output]
    words += ["--model", default_preset().name]  # Not a run that was trained here.
    print(f"\n$ python {' '.join(words)}", flush=True)
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)
    return folder


def draw(maps: Path, cutouts: Path) -> Path:
    from PIL import Image

    from picanet_tf.core.images import list_images, read_image, read_mask
    from picanet_tf.drawing.panels import Row, save_panel
    from picanet_tf.presets import default_preset

    rows = []
    for path in list_images(SAMPLES / "images"):
        name = f"{path.stem}.png"
        with Image.open(cutouts / name) as cutout:
            pictures = [
                read_image(path),
                read_mask(SAMPLES / "masks" / name),
                read_mask(maps / name),
                on_green(cutout),
            ]
        rows.append(Row(path.stem, pictures))
    picture = BUILD / "demo.png"
    columns = ["photo", "mask drawn by hand", "saliency map", "cut-out, on green"]
    save_panel(picture, columns, rows, title=default_preset().name)
    return picture


def on_green(cutout):
    """Composites a cut-out over green, which no photo contains, to show its edges."""
    import numpy as np
    from PIL import Image

    green = Image.new("RGBA", cutout.size, (90, 200, 110))
    return np.asarray(Image.alpha_composite(green, cutout.convert("RGBA")))[..., :3]


def main() -> int:
    started = time.monotonic()
    shutil.rmtree(BUILD, ignore_errors=True)
    picture = draw(predict("map"), predict("cutout"))
    print(f"\n{time.monotonic() - started:.1f} s. Open {os.path.relpath(picture)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
