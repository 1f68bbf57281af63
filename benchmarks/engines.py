"""Benchmarks each engine, from a cold start to a folder of photos.

    python -m benchmarks.engines [--rounds N] [--threads N] [--photos N] [OUTPUT_FOLDER]

Runs the default preset with LiteRT, Keras, a TensorFlow SavedModel, onnxruntime and
OpenVINO, and, for comparison, rembg's U-2-Net and U-2-Netp with random weights in
onnxruntime. Every measurement runs in a fresh process, sequentially, for `--rounds`
rounds; the figures are medians over the rounds. OUTPUT_FOLDER caches the exports:
delete it after changing the exporter.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.common import ROOT, environment, in_own_process, report
from benchmarks.engine_runs import IMPORT, PHOTO

RUNS = "benchmarks.engine_runs"
REPEATS = 10  # of the map in each process
OF_PICANET = ("LiteRT", "Keras", "SavedModel", "onnxruntime", "OpenVINO")
PACKAGES = {
    IMPORT: "tensorflow",
    "LiteRT": "ai-edge-litert",
    "Keras": "keras",
    "SavedModel": "tensorflow",
    "OpenVINO": "openvino",
}
SHOWN = {"u2net": "U-2-Net", "u2netp": "U-2-Netp"}
COLD = {
    IMPORT: None,
    "picanet predict": "litert",
    "picanet predict --engine keras": "keras",
}
# Targets for `picanet predict`.
MOST_OF_IMPORT, MOST_SECONDS_WITH_AMX, MOST_MEGABYTES = 0.35, 1.0, 500
LEAST_RATE = 3


class Run(NamedTuple):
    """Measurements of one command.

    Attributes:
        seconds: wall time.
        megabytes: peak resident memory.
    """

    seconds: float
    megabytes: float


def main(rounds: int, threads: int, photos: int, output: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        kept = Path(output or folder).resolve()
        kept.mkdir(parents=True, exist_ok=True)
        amx = print_machine(threads)
        print("Preparing ...", file=sys.stderr)
        files = in_own_process(
            "benchmarks.engine_files", kept, scratch / "photos", photos
        )
        for name, (_, _, remark) in files.items():
            if remark:
                print(f"{SHOWN.get(name, name)}: {remark}")
        # Reads all files for the first time; the rounds find them in the page cache.
        differences = compare_maps(files, threads, scratch)
        engines = {name: [] for name in (IMPORT, *files)}
        cold = {name: [] for name in COLD}
        folders = {name: [] for name in ("keras", "litert")}
        for number in range(rounds):
            print(f"Round {number + 1} of {rounds} ...", file=sys.stderr)
            for name, runs in engines.items():
                file = files[name][0] if name in files else ""
                runs.append(in_own_process(RUNS, name, file, threads, REPEATS))
            for name, runs in cold.items():
                runs.append(run_cold(COLD[name], threads, scratch))
            for name, runs in folders.items():
                runs.append(run_folder(name, threads, scratch))
        print()
        report("engines", engine_rows(engines, files, differences))
        print()
        report("engines_cold", cold_rows(cold, amx))
        print()
        report("engines_folder", folder_rows(folders, photos))
        print(f"\nThe folders' maps: {compare_folders(scratch)}")
        times = [run.seconds for run in cold[IMPORT]]
        print(
            f"The slowest import of TensorFlow took {max(times) / min(times):.2f} times"
            " the quickest: near 1 on a quiet machine"
        )


def print_machine(threads: int) -> bool:
    """Prints the hardware and versions; returns whether the processor has AMX."""
    flags = Path("/proc/cpuinfo").read_text().split()
    amx = "amx_tile" in flags
    packages = ["tensorflow", "keras", "ai-edge-litert", "onnxruntime", "openvino"]
    versions = (f"{name} {version(name)}" for name in [*packages, "numpy", "pillow"])
    print(
        f"{environment()['cpu']}, {os.cpu_count()} cores, {threads} threads, "
        f"{'AMX' if amx else 'no AMX'}, "
        f"{'' if 'avx512_bf16' in flags else 'no '}AVX-512 bfloat16"
    )
    print(", ".join(versions))
    return amx


def compare_maps(files, threads, scratch) -> dict[str, tuple[float, float]]:
    """Returns {engine: (largest, mean) difference of the sample maps from Keras'}."""
    maps = {}
    for name in OF_PICANET:
        path = scratch / f"{name}.npz"
        in_own_process(RUNS, name, files[name][0], threads, "--maps", path)
        with np.load(path) as arrays:
            maps[name] = np.concatenate([arrays[key].ravel() for key in arrays])
    off = {name: np.abs(found - maps["Keras"]) for name, found in maps.items()}
    return {name: (float(d.max()), float(d.mean())) for name, d in off.items()}


def run_cold(engine: str | None, threads: int, scratch: Path) -> Run:
    """Measures a whole command for one photo; None: the import alone."""
    if engine is None:
        return run([sys.executable, "-c", IMPORT], scratch)
    return run(predict_words(engine, threads, PHOTO, scratch / "cold"), scratch)


def run_folder(engine: str, threads: int, scratch: Path) -> tuple[Run, Run]:
    """Measures whole commands for one photo of the folder, and for the whole folder."""
    photos = sorted((scratch / "photos").iterdir())
    one = predict_words(engine, threads, photos[0], scratch / f"one_{engine}")
    output = scratch / f"all_{engine}"
    many = predict_words(engine, threads, scratch / "photos", output)
    runs = run(one, scratch), run(many, scratch)
    if len(list(output.iterdir())) != len(photos):
        raise RuntimeError(f"{' '.join(map(str, many))} did not write all maps")
    return runs


def predict_words(engine: str, threads: int, source: Path, output: Path) -> list:
    installed = Path(sys.executable).with_name("picanet")
    if installed.exists():
        picanet = [installed]
    else:
        picanet = [sys.executable, "-m", "picanet_tf.commands"]
    words = ["--output", output, "--engine", engine, "--threads", threads]
    return [*picanet, "predict", source, *words]


def run(words: list, folder: Path) -> Run:
    """Runs a command in a folder without runs, so that it uses the default preset."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "TF_CPP_MIN_LOG_LEVEL": "3",
            },
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            message = errors.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(map(str, words))}:\n{message}")
    return Run(seconds, usage.ru_maxrss * 1024 / 1e6)


def engine_rows(engines, files, differences) -> list[dict]:
    def median(name, key):
        return statistics.median(run[key] for run in engines[name])

    rows = []
    for name, runs in engines.items():
        network = name in files
        largest, mean = differences.get(name, ("", ""))
        each = median(name, "each") if network else ""
        rows.append(
            {
                "engine": SHOWN.get(name, name),
                "version": version(PACKAGES.get(name, "onnxruntime")),
                "precision": runs[0].get("precision", ""),
                "cold s": median(name, "cold"),
                "/ import": median(name, "cold") / median(IMPORT, "cold"),
                "each s": each,
                "each / Keras": each / median("Keras", "each") if network else "",
                "peak MB": round(median(name, "peak") / 1e6),
                "peak / Keras": median(name, "peak") / median("Keras", "peak"),
                "file MB": files[name][1] if network else "",
                "largest difference": largest,
                "mean difference": mean,
            }
        )
    return rows


def cold_rows(cold, amx: bool) -> list[dict]:
    seconds, peak = _medians(cold)
    rows = []
    for name, engine in COLD.items():
        ratio = seconds[name] / seconds[IMPORT]
        met = ratio <= MOST_OF_IMPORT and peak[name] <= MOST_MEGABYTES
        target = f"{MOST_OF_IMPORT} of the import, {MOST_MEGABYTES} MB"
        if amx:
            met = met and seconds[name] <= MOST_SECONDS_WITH_AMX
            target += f", {MOST_SECONDS_WITH_AMX} s"
        rows.append(
            {
                "command": name,
                "s": seconds[name],
                "/ import": ratio,
                "peak MB": round(peak[name]),
                "target": target if engine == "litert" else "",
                "met": _yes(met) if engine == "litert" else "",
            }
        )
    return rows


def folder_rows(folders, photos: int) -> list[dict]:
    one, _ = _medians({name: [one for one, _ in folders[name]] for name in folders})
    whole, peak = _medians({name: [all_ for _, all_ in folders[name]] for name in one})
    rates = {name: photos / whole[name] for name in one}
    # What each further photo takes: starting, loading and the first map are in `one`.
    running = {name: (photos - 1) / (whole[name] - one[name]) for name in one}
    rows = []
    for name in one:
        ratio = rates[name] / rates["keras"]
        rows.append(
            {
                "picanet predict FOLDER": f"--engine {name}",
                "photos": photos,
                "one s": one[name],
                "all s": whole[name],
                "photos/s": rates[name],
                "/ keras": ratio,
                "target": LEAST_RATE if name == "litert" else "",
                "met": _yes(ratio >= LEAST_RATE) if name == "litert" else "",
                "photos/s without start": running[name],
                "/ keras without start": running[name] / running["keras"],
                "peak MB": round(peak[name]),
            }
        )
    return rows


def _yes(met: bool) -> str:
    return "yes" if met else "no"


def compare_folders(scratch: Path) -> str:
    off = []
    for path in sorted((scratch / "all_keras").iterdir()):
        with Image.open(path) as a, Image.open(scratch / "all_litert" / path.name) as b:
            off.append(np.abs(np.float32(a) - np.float32(b)).mean() / 255)
    return (
        f"LiteRT's differ from Keras' by {np.mean(off):.4f} in the mean, in the worst "
        f"photo by {max(off):.4f}"
    )


def _medians(runs: dict[str, list[Run]]) -> tuple[dict, dict]:
    """Returns {name: seconds}, {name: megabytes}."""
    return (
        {name: statistics.median(run.seconds for run in runs[name]) for name in runs},
        {name: statistics.median(run.megabytes for run in runs[name]) for name in runs},
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument("--photos", type=int, default=50, metavar="N")
    parser.add_argument("output", nargs="?", metavar="OUTPUT_FOLDER")
    given = parser.parse_args()
    if min(given.rounds, given.threads) < 1 or given.photos < 2:
        parser.error("--rounds and --threads must be at least 1, --photos 2")
    main(given.rounds, given.threads, given.photos, given.output)
