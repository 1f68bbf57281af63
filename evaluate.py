"""Scores networks, or maps that any method left on disk, as the paper does.

    python evaluate.py --run runs/latest --tfrecords data/ecssd --output out/ecssd
    python evaluate.py --runs runs/a,runs/b --tfrecords data/ecssd,data/duts-te
    python evaluate.py --predictions DSS=maps/dss --images DIR --masks DIR
    python evaluate.py --run runs/latest --baseline center --tfrecords data/ecssd

Every method is scored on every data set by the same code; from the second method on,
its difference to the first is told. --output gets report.json and report.md; for each
data set PR and F curves and a qualitative grid; for each method on it a CSV of the
images' scores and panels of the worst and the best.
"""

import functools
import os
import re
import time
from importlib.metadata import version
from pathlib import Path

from absl import flags, logging
from tqdm import tqdm

from data_pipeline import catalog, cli
from data_pipeline.cli import UserError
from data_pipeline.images import list_images, read_image, read_mask
from data_pipeline.manifest import load_manifest, sha256_of
from data_pipeline.pairs import pair_by_name
from picanet_tf.errors import PicanetError
from picanet_tf.saliency import curves, reports, sources
from picanet_tf.saliency.evaluation import Evaluation, Sample, evaluate
from picanet_tf.saliency.sources import DataSet, Method
from picanet_tf.training.run_directory import (
    WEIGHTS,
    RunDirectory,
    replacing,
    write_json,
    write_text,
)

__doc__ += f"\n{reports.CONVENTIONS}"
FLAGS = flags.FLAGS
SCORES = {"all": None, "fast": ("max_f", "max_mean_f", "mean_f", "adaptive_f", "mae")}
PACKAGES = ("tensorflow", "keras", "numpy", "pysodmetrics")


def define_flags() -> None:
    many, one_of, whole = (
        flags.DEFINE_multi_string,
        flags.DEFINE_enum,
        functools.partial(flags.DEFINE_integer, lower_bound=0),
    )
    many("run", [], "Run directory or .keras file, or several with commas; runs/latest "
         "when no method is given.")  # fmt: skip
    flags.DEFINE_alias("runs", "run")
    one_of("weights", "model", WEIGHTS, "Of the last checkpoint, or the best ones.")
    many("predictions", [], "NAME=DIR: maps on disk, named as the masks, in DIR or in "
         "its folder of the data set's name. Again for other methods.")  # fmt: skip
    one_of("baseline", None, ["center"], "center: one Gaussian for all images.")
    many("tfrecords", [], "Converted data set, or several with commas.")
    many("masks", [], "Folder of masks, in place of --tfrecords; again for others.")
    many("images", [], "Folder of the images; only networks cannot do without.")
    many("name", [], "Of the data set in --masks; by default, its folder's.")
    flags.DEFINE_string("output", None, "Folder for the report; made when missing.")
    flags.DEFINE_bool("normalize", True, "Stretch every map to 0..1.")
    one_of("metrics", "all", list(SCORES), "fast: F and MAE, 1 ms an image and not 25.")
    whole("batch_size", 4, "Images that go through a network at once.", lower_bound=1)
    whole("workers", min(os.cpu_count() or 1, 8), "Processes that score beside the "
          "network; 0: none.")  # fmt: skip
    whole("grid_images", 6, "Images in the qualitative grid.")


def main(_) -> None:
    try:
        run()
    except PicanetError as error:
        raise UserError(str(error)) from error


def run() -> None:
    data_sets, methods = find_data_sets(), find_methods()
    if FLAGS.output and Path(FLAGS.output).is_file():
        raise UserError(f"--output: {FLAGS.output} is a file, a folder is wanted")
    for data in data_sets:
        for method in methods:
            method.check(data)
    results: list[reports.Result] = []
    for data in data_sets:
        found = {method.name: score(method, data, results) for method in methods}
        print(reports.table(results[-len(methods) :]), flush=True)
        if FLAGS.output:
            draw(Path(FLAGS.output) / file_name(data.name), data.name, found)
    if len(results) > 1:
        print(reports.comparison(results))
    if FLAGS.output:
        versions = {package: version(package) for package in PACKAGES}
        report = reports.to_json(results, versions=versions)
        write_json(Path(FLAGS.output) / "report.json", report)
        write_text(Path(FLAGS.output) / "report.md", reports.markdown(results))
        logging.info("The report is in %s", FLAGS.output)


def listed(values: list[str]) -> list[str]:
    return [part for value in values for part in value.split(",") if part]


def find_data_sets() -> list[DataSet]:
    masks = FLAGS.masks
    images = FLAGS.images or [None] * len(masks)
    names = FLAGS.name or [Path(folder).resolve().parent.name for folder in masks]
    if not len(images) == len(names) == len(masks):
        raise UserError("--images and --name must come as often as --masks")
    found = [converted(folder) for folder in listed(FLAGS.tfrecords)]
    found += map(in_folders, names, images, masks)
    if not found:
        raise UserError("no data set: give --tfrecords, or --masks and --images")
    sources.only_once([data.name for data in found], "data sets")
    return found


def converted(folder: str) -> DataSet:
    manifest = load_manifest(folder)

    def read(only_keys: bool):
        import tensorflow as tf

        from data_pipeline import readers

        try:
            for record in readers.read_saliency_originals(folder).as_numpy_iterator():
                key, mask = os.fsdecode(record["key"]), record["mask"][..., 0]
                yield key if only_keys else Sample(key, mask, record["image"])
        except tf.errors.OpError as error:
            raise UserError(
                f"{folder}: {error.message}; `python -m data_pipeline.verify` says more"
            ) from error

    facts = {"tfrecords": folder, "fingerprint": manifest.fingerprint}
    keys, samples = (functools.partial(read, only_keys) for only_keys in (True, False))
    return DataSet(manifest.name, manifest.count, keys, samples, facts)


def in_folders(name: str, images: str | None, masks: str) -> DataSet:
    if images is None:
        files = {path.stem: (None, path) for path in list_images(masks)}
    else:
        pairs, bad = pair_by_name(images, masks)
        if bad:
            raise UserError(f"{len(bad)} files cannot be paired, the first: {bad[0]}")
        files = {pair.key: (pair.image, pair.mask) for pair in pairs}
    if not files:
        raise UserError(f"--masks: no images in {masks}")
    read = functools.partial(sources.read_files, files, read_image, read_mask)
    return DataSet(name, len(files), files.keys, read, {"masks": masks})


def find_methods() -> list[Method]:
    found = [network(run) for run in listed(FLAGS.run)]
    found += [
        sources.maps_on_disk(flag, list_images, read_mask) for flag in FLAGS.predictions
    ]
    found += [sources.center()] if FLAGS.baseline else []
    return sources.tell_apart(found or [network("runs/latest")])


def network(path: str) -> Method:
    variant, facts = None, {"run": path}
    if path.endswith(".keras"):
        file = Path(path)
    else:
        run = RunDirectory.open(path)
        file, experiment = run.weights(FLAGS.weights), run.load_experiment()
        steps = [int(p.stem[5:]) for p in run.checkpoints.glob("step-*.index")]
        facts |= {"weights": FLAGS.weights, "last_checkpoint": max(steps, default=None)}
        variant = reports.paper_variant(
            experiment.variant, experiment.attention_loss_weight
        )
    if not file.is_file():
        raise UserError(f"--run: there is no model file {file}")

    def load():
        from picanet_tf import load_model

        predict_arrays = load_model(file).predict_arrays
        return functools.partial(predict_arrays, batch_size=FLAGS.batch_size)

    facts["sha256"] = sha256_of(file)
    return sources.network(variant or file.stem, load, facts, variant)


def score(method: Method, data: DataSet, results: list) -> Evaluation:
    started = time.monotonic()
    found = evaluate(
        tqdm(method.predict(data), f"{method.name}, {data.name}", data.count),
        normalize=FLAGS.normalize,
        which=SCORES[FLAGS.metrics],
        workers=FLAGS.workers if data.count > 50 else 0,
        pick=sources.evenly(data.count, FLAGS.grid_images),
    )
    seconds = time.monotonic() - started
    results.append(reports.summarize(found, method, data, seconds))
    return found


def draw(folder: Path, title: str, found: dict[str, Evaluation]) -> None:
    from picanet_tf.visualization import Row, save_panel

    def panel(path, columns, examples):
        rows = [Row(label, pictures) for label, *pictures in examples]
        if rows:
            save_panel(path, ["image", "mask", *columns], rows, title)

    for name, evaluation in found.items():
        own = folder / file_name(name)
        own.mkdir(parents=True, exist_ok=True)
        write_text(own / "images.csv", reports.images_csv(evaluation))
        panel(own / "worst.png", [name], map(reports.panel_row, evaluation.worst))
        panel(own / "best.png", [name], map(reports.panel_row, evaluation.best))
    panel(folder / "examples.png", list(found), reports.grid_rows(found.values()))
    for figure, draw_figure in curves.FIGURES.items():
        with replacing(folder / f"{figure}.png") as temporary:
            draw_figure(found, title).savefig(temporary)


def file_name(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", name)


if __name__ == "__main__":
    define_flags()
    cli.run(main)
