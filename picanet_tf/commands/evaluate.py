"""Scores networks, or maps that any method left on disk, as the paper does.

    picanet evaluate --tfrecords data/ecssd --output out/ecssd
    picanet evaluate --model runs/a,runs/b --tfrecords data/ecssd,data/duts-te
    picanet evaluate --images photos/ --masks masks/ --model picanet_vgg16_duts
    picanet evaluate --predictions DSS=maps/dss --images DIR --masks DIR
    picanet evaluate --model runs/latest --baseline center --tfrecords data/ecssd
    picanet evaluate --predictions SSD=boxes.json --tfrecords data/voc2007_test

Every method is scored on every data set by the same code and compared with the first.
Without any: for saliency the default model, for other tasks runs/latest. --output gets
report.json, report.md, a qualitative grid, each image's scores; PR curves, worst
(saliency, boxes); confusion (classes).
"""

import functools
import os
import time
from pathlib import Path

from absl import flags, logging
from tqdm import tqdm

from data_pipeline import cli
from data_pipeline.class_maps import read_class_map
from data_pipeline.cli import UserError
from data_pipeline.files import check_folder
from data_pipeline.images import list_images, read_image, read_mask
from data_pipeline.manifest import load_manifest
from data_pipeline.pairs import pair_by_name
from picanet_tf.core.files import sha256_of, write_json, write_text
from picanet_tf.errors import PicanetError
from picanet_tf.inference import ENGINES, Located, load_model, locate
from picanet_tf.inference.loading import MOST_THREADS
from picanet_tf.inference.locate import DESCRIPTION, LATEST
from picanet_tf.places import check_writable
from picanet_tf.saliency import sources
from picanet_tf.saliency.evaluation import Sample
from picanet_tf.saliency.sources import DataSet, Method
from picanet_tf.scoring import BASELINES, CONVENTIONS, SCORINGS, draw
from picanet_tf.training.run_directory import WEIGHTS

__doc__ = f"{__doc__}\n{CONVENTIONS}"
READERS = {"saliency": read_mask, "segmentation": read_class_map}
FLAGS = flags.FLAGS
SCORES = {"all": None, "fast": ("max_f", "max_mean_f", "mean_f", "adaptive_f", "mae")}


def define_flags() -> None:
    many, one_of = flags.DEFINE_multi_string, flags.DEFINE_enum
    whole = flags.DEFINE_integer
    many("model", [], f"{DESCRIPTION} Several with commas.")
    one_of("weights", None, WEIGHTS, "Of runs: the last checkpoint (model), or best.")
    one_of("engine", None, ENGINES, "litert or keras, as of picanet predict.")
    whole("threads", None, "Of the engine; default: one a core.", 1, MOST_THREADS)
    many("predictions", [], "NAME=DIR: maps named as the masks, in DIR or its folder "
         "of the data set's name; boxes: COCO's JSON, VOC's texts.")  # fmt: skip
    one_of("baseline", None, BASELINES, "A method that knows no image, see above.")
    many("tfrecords", [], "Converted data set, or several with commas.")
    many("masks", [], "Folder of masks, in place of --tfrecords; again for others.")
    many("images", [], "Folder of the images; only networks cannot do without.")
    many("name", [], "Of the data set in --masks; by default, its folder's.")
    flags.DEFINE_string("output", None, "Folder for the report; made when missing.")
    flags.DEFINE_bool("normalize", True, "Stretch every map to 0..1.")
    one_of("metrics", "all", list(SCORES), "fast: F and MAE, 1 ms an image and not 25.")
    whole("batch_size", 4, "Images that go through a network at once.", 1)
    whole("workers", min(os.cpu_count() or 1, 8), "Scoring processes; 0: none.", 0)
    whole("grid_images", 6, "Images in the qualitative grid.", 0)


def main(_) -> None:
    try:
        score_all()
    except PicanetError as error:
        raise UserError(str(error)) from error


def score_all() -> None:
    scoring = SCORINGS[task := find_task()]
    data_sets, methods = find_data_sets(), find_methods(task)
    output = check_writable(check_folder(FLAGS.output)) if FLAGS.output else None
    for method in methods:
        for data in data_sets:
            method.check(data)
    results: list = []
    for data in data_sets:
        found = {m.name: score(scoring, m, data, results) for m in methods}
        print(scoring.reports.table(results[-len(methods) :]), flush=True)
        if output:
            draw(scoring, output, data.name, found)
    if len(results) > 1:
        print(scoring.reports.comparison(results))
    if output:
        write_json(output / "report.json", scoring.reports.to_json(results))
        write_text(output / "report.md", scoring.reports.markdown(results))
        logging.info("The report is in %s", output)


def find_task() -> str:
    tasks = {load_manifest(f).task for f in sources.split_commas(FLAGS.tfrecords)}
    tasks |= {"saliency"} if FLAGS.masks or not tasks else set()
    if len(tasks) > 1:
        raise UserError(f"the data sets are for {' and '.join(sorted(tasks))}")
    return tasks.pop()


def find_data_sets() -> list[DataSet]:
    masks = FLAGS.masks
    images = FLAGS.images or [None] * len(masks)
    names = FLAGS.name or [Path(mask).resolve().parent.name for mask in masks]
    if not len(images) == len(names) == len(masks):
        raise UserError("--images and --name must come as often as --masks")
    found = [converted(folder) for folder in sources.split_commas(FLAGS.tfrecords)]
    found += map(in_folders, names, images, masks)
    if not found:
        raise UserError("no data set: give --tfrecords, or --masks and --images")
    sources.only_once([data.name for data in found], "data sets")
    return found


def converted(folder: str) -> DataSet:
    manifest = load_manifest(folder)

    def keys():
        from data_pipeline import readers

        with readers.errors_named(folder):
            yield from readers.read_keys(folder)

    def samples():
        from data_pipeline import readers

        with readers.errors_named(folder):
            records = readers.read_originals(folder, manifest.task)
            for record in records.as_numpy_iterator():
                truth = SCORINGS[manifest.task].truth(record)
                yield Sample(os.fsdecode(record["key"]), truth, record["image"])

    facts = {"tfrecords": folder, "fingerprint": manifest.fingerprint}
    return DataSet(manifest.name, manifest.count, keys, samples, facts)


def in_folders(name: str, images: str | None, masks: str) -> DataSet:
    if images is None:
        masks_by_name = sources.by_name(list_images(masks)).items()
        files = {key: (None, path) for key, path in masks_by_name}
    else:
        pairs, bad = pair_by_name(images, masks)
        if bad:
            raise UserError(f"{len(bad)} files cannot be paired, the first: {bad[0]}")
        files = {pair.key: (pair.image, pair.mask) for pair in pairs}
    if not files:
        raise UserError(f"--masks: no images in {masks}")
    read = functools.partial(sources.read_files, files, read_image, read_mask)
    return DataSet(name, len(files), files.keys, read, {"masks": masks})


def find_methods(task: str) -> list[Method]:
    found = [network(model, task) for model in sources.split_commas(FLAGS.model)]
    for flag in FLAGS.predictions:
        found.append(SCORINGS[task].on_disk(flag, list_images, READERS.get(task)))
    if FLAGS.baseline:
        found.append(SCORINGS[task].baseline(FLAGS.baseline))
    default = None if task == "saliency" else str(LATEST)
    return sources.tell_apart(found or [network(default, task)])


def network(model: str | None, task: str) -> Method:
    found = locate(model, FLAGS.weights)
    name, variant, facts = found.name, None, {"model": found.name}
    if found.run:
        weights, step = FLAGS.weights or "model", found.run.last_step or "unknown"
        facts |= {"weights": weights, "last_step": step}
        variant = SCORINGS[task].reports.paper_variant(found.run.load_experiment())
        name = variant or found.keras.stem
    elif not found.preset:
        name = Path(found.name).stem
    facts["sha256"] = sha256_of(found.file(FLAGS.engine))

    def load():
        model = loaded(found)
        if model.task_name != task:
            raise PicanetError(
                f"--model {found.name}: a {model.task_name} network, the data are for "
                f"{task}"
            )
        return lambda images: model.predict_arrays(images, FLAGS.batch_size)

    return sources.network(name, load, facts, variant)


@functools.lru_cache(maxsize=1)  # A model alone is checked and scored by one loading.
def loaded(found: Located):
    return load_model(found, engine=FLAGS.engine, threads=FLAGS.threads)


def score(scoring, method: Method, data: DataSet, results: list):
    started, name = time.monotonic(), f"{method.name}, {data.name}"
    with tqdm(method.predict(data), name, data.count, unit="image") as predicted:
        found = scoring.evaluate(
            predicted,
            normalize=FLAGS.normalize,
            which=SCORES[FLAGS.metrics],
            workers=FLAGS.workers if data.count > 50 else 0,
            pick=sources.evenly(data.count, FLAGS.grid_images),
        )
    seconds = time.monotonic() - started
    results.append(scoring.reports.summarize(found, method, data, seconds))
    return found


if __name__ == "__main__":
    define_flags()
    cli.run(main)
