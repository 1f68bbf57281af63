"""Breaks down the time before the first map of `python predict.py`.

    python -m benchmarks.startup RUN

RUN is a run directory of a full network, such as build/demo-train/run of
`make demo-train`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.common import ROOT, in_own_process, median_seconds, report

# In order; the last is not part of `predict.py` with one photo.
PARTS = (
    "import TensorFlow",
    "import the rest",
    "load",
    "tracing",
    "first prediction",
    "second prediction",
)
PHOTO = ROOT / "samples" / "images" / "chelsea.png"


def main(run: str) -> None:
    parts = [in_own_process("benchmarks.startup", "--parts", run) for _ in range(3)]
    median = {name: statistics.median(part[name] for part in parts) for name in PARTS}
    with tempfile.TemporaryDirectory() as output:
        words = ("predict.py", "--model", run, "--input", PHOTO, "--output", output)
        whole = median_seconds(lambda: python(*words), 3, warm_up=0)
        help_ = median_seconds(lambda: python("predict.py", "--help"), 3, warm_up=0)
    row = {"predict.py s": whole, "--help s": help_}
    for name in PARTS[:-1]:
        row[f"{name}, share"] = median[name] / whole
    row["Python, flags, image, writing, share"] = (
        1 - sum(median[name] for name in PARTS[:-1]) / whole
    )
    row["second prediction / first"] = median["second prediction"] / (
        median["tracing"] + median["first prediction"]
    )
    report("startup", [row])


def python(*words) -> None:
    subprocess.run(
        [sys.executable, *map(str, words)], cwd=ROOT, check=True, capture_output=True
    )


def parts(run: str) -> dict[str, float]:
    """Measures the seconds of each of PARTS in a fresh process."""
    seconds, last = {}, time.perf_counter()

    def lap(name):
        nonlocal last
        now = time.perf_counter()
        seconds[name], last = now - last, now

    import tensorflow  # noqa: F401

    lap("import TensorFlow")
    from picanet_tf.core.pictures import save_picture  # noqa: F401
    from picanet_tf.inference import load_model

    lap("import the rest")
    model = load_model(run)
    lap("load")
    model._infer.get_concrete_function()
    lap("tracing")
    model.predict(PHOTO)
    lap("first prediction")
    model.predict(PHOTO)
    lap("second prediction")
    return seconds


if __name__ == "__main__":
    if sys.argv[1:2] == ["--parts"]:
        print(json.dumps(parts(sys.argv[2])))
    elif len(sys.argv) == 2:
        main(sys.argv[1])
    else:
        sys.exit(__doc__)
