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

from __future__ import annotations

import functools

from absl import flags

from picanet_tf.core import cli
from picanet_tf.evaluation.run import (
    METRICS,
    EvaluateOptions,
    baselines,
    conventions,
    evaluate,
)
from picanet_tf.inference import ENGINES
from picanet_tf.inference.loading import MOST_THREADS
from picanet_tf.inference.locate import DESCRIPTION
from picanet_tf.training.run_directory import WEIGHTS

__doc__ = f"{__doc__}\n{conventions()}"

POSITIONAL = ""


def define_flags() -> None:
    many, one_of = flags.DEFINE_multi_string, flags.DEFINE_enum
    whole, default = flags.DEFINE_integer, EvaluateOptions()
    many("model", [], f"{DESCRIPTION} Several with commas.")
    one_of("weights", None, WEIGHTS, "Of runs: the last checkpoint (model), or best.")
    one_of("engine", None, ENGINES, "litert or keras, as of picanet predict.")
    whole("threads", None, "Of the engine; default: one a core.", 1, MOST_THREADS)
    many(
        "predictions",
        [],
        "NAME=DIR: maps named as the masks, in DIR or its folder of the data set's "
        "name; boxes: COCO's JSON, VOC's texts.",
    )
    one_of("baseline", None, list(baselines()), "A method that knows no image, above.")
    many("tfrecords", [], "Converted data set, or several with commas.")
    many("masks", [], "Folder of masks, in place of --tfrecords; again for others.")
    many("images", [], "Folder of the images; only networks cannot do without.")
    many("name", [], "Of the data set in --masks; by default, its folder's.")
    flags.DEFINE_string("output", None, "Folder for the report; made when missing.")
    flags.DEFINE_bool("normalize", default.normalize, "Stretch every map to 0..1.")
    one_of(
        "metrics",
        default.metrics,
        list(METRICS),
        "fast: F and MAE, 1 ms an image and not 25.",
    )
    whole("batch_size", default.batch_size, "Images that go through a network at once.",
          1)  # fmt: skip
    whole("workers", default.workers, "Scoring processes; 0: none.", 0)
    whole("grid_images", default.grid_images, "Images in the qualitative grid.", 0)


def main(_) -> int:
    values = flags.FLAGS
    evaluate(
        show=functools.partial(print, flush=True),
        tfrecords=values.tfrecords,
        masks=values.masks,
        images=values.images,
        names=values.name,
        models=values.model,
        predictions=values.predictions,
        baseline=values.baseline,
        output=values.output,
        weights=values.weights,
        engine=values.engine,
        threads=values.threads,
        normalize=values.normalize,
        metrics=values.metrics,
        batch_size=values.batch_size,
        workers=values.workers,
        grid_images=values.grid_images,
    )
    return 0


if __name__ == "__main__":
    define_flags()
    cli.run(main)
