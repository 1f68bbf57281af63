"""Scores networks, or predictions saved by any method, with the paper's metrics.

    picanet evaluate --tfrecords data/ecssd --output out/ecssd
    picanet evaluate --model runs/a,runs/b --tfrecords data/ecssd,data/duts-te
    picanet evaluate --images photos/ --masks masks/ --model picanet_vgg16_duts
    picanet evaluate --predictions DSS=maps/dss --images DIR --masks DIR
    picanet evaluate --model runs/latest --baseline center --tfrecords data/ecssd
    picanet evaluate --predictions SSD=boxes.json --tfrecords data/voc2007_test

Every method is scored on every data set by the same code and compared with the first
method. If no method is given, the default model is scored for saliency, and runs/latest
for other tasks. --output receives report.json, report.md, a qualitative grid and the
scores of each image; for saliency and boxes also PR curves and the worst images; for
class maps the confusion matrix.

--masks are paired with --images by name and read as those of `convert --dataset pairs`:
grey is soft, or indices if no value is above 20; all but black is foreground in colour.
Maps of --predictions are grey, of any range.
"""

from __future__ import annotations

import functools

from absl import flags

from picanet_tf.commands.engine_flags import define_engine_flags, read_engine_options
from picanet_tf.core import cli
from picanet_tf.evaluation.options import METRICS, EvaluateOptions
from picanet_tf.evaluation.run import baselines, conventions, evaluate
from picanet_tf.evaluation.sources import split_commas
from picanet_tf.inference.locate import DESCRIPTION

__doc__ = f"{__doc__}\n{conventions()}"

POSITIONAL = ""


def define_flags() -> None:
    many, one_of = flags.DEFINE_multi_string, flags.DEFINE_enum
    whole, default = flags.DEFINE_integer, EvaluateOptions()
    many("model", [], f"{DESCRIPTION} Separate several with commas.")
    define_engine_flags()
    many(
        "predictions",
        [],
        "NAME=PATH of saved predictions. Maps: a folder of files named like images or "
        "masks, or with one subfolder per data set. Boxes: COCO JSON, VOC text files.",
    )
    one_of(
        "baseline", None, list(baselines()), "Image-independent baseline, see above."
    )
    many("tfrecords", [], "Converted data set; separate several with commas.")
    many("masks", [], "Folder of masks, instead of --tfrecords; repeatable.")
    many("images", [], "Folder of the images for --masks; required to run networks.")
    flags.DEFINE_string(
        "mask_suffix", "", "Suffix of the masks' names; _mask: cat_mask belongs to cat."
    )
    flags.DEFINE_bool("invert_masks", False, "The object is black in --masks.")
    many(
        "name",
        [],
        "Name of the --masks data set; default: that of the folder that holds it, "
        "ECSSD for ECSSD/masks.",
    )
    flags.DEFINE_string("output", None, "Folder for the report; created if missing.")
    flags.DEFINE_bool("normalize", default.normalize, "Rescale each map to 0..1.")
    one_of(
        "metrics",
        default.metrics,
        list(METRICS),
        "fast: F-measure and MAE only, 1 ms per image instead of 25 ms.",
    )
    whole("batch_size", default.batch_size, "Images per network call.", 1)
    whole("workers", default.workers, "Scoring processes; 0: score in this one.", 0)
    whole("grid_images", default.grid_images, "Images in the qualitative grid.", 0)
    cli.path_flags("masks", "images", "output")
    cli.path_flags("model", "tfrecords", separator=",")
    cli.path_flags("predictions", separator="=")


def main(_) -> int:
    values = flags.FLAGS
    evaluate(
        show=functools.partial(print, flush=True),
        tfrecords=split_commas(values.tfrecords),
        masks=values.masks,
        images=values.images,
        names=values.name,
        mask_suffix=values.mask_suffix,
        invert_masks=values.invert_masks,
        models=split_commas(values.model),
        predictions=values.predictions,
        baseline=values.baseline,
        output=values.output,
        normalize=values.normalize,
        metrics=values.metrics,
        batch_size=values.batch_size,
        workers=values.workers,
        grid_images=values.grid_images,
        **read_engine_options(),
    )
    return 0


if __name__ == "__main__":
    define_flags()
    cli.run(main)
