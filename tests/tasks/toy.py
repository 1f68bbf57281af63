"""A fourth task, as somebody else would add it: its half without TensorFlow.

    register("toy", "tests.tasks.toy:ToySpec")

Each pixel is salient or not by its colour: a network of two layers, no VGG16, no
context module.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.resizing import resize
from picanet_tf.evaluation.class_reports import ClassReport, Scores
from picanet_tf.evaluation.samples import Example, shrink_picture
from picanet_tf.evaluation.scoring import Scoring
from picanet_tf.tasks.spec import TaskSpec


class ToySpec(TaskSpec):
    """A result is float32 [H, W] in [0, 1]."""

    name = "toy"
    task_class = "tests.tasks.toy_task:ToyTask"
    scoring_class = "tests.tasks.toy:ToyScoring"
    record_kind = "mask"
    variants = ("Pixels", "PixelsWithoutBiases")
    default_variant = "Pixels"
    dropout = 0.0
    recipe_source = "nobody"
    formats = ("map",)

    def parse_variant(self, name):
        if name not in self.variants:
            raise PicanetError(f"Cannot read variant {name!r}")
        return {}

    def check_image_size(self, variant, image_size):
        if image_size < 1:
            raise PicanetError(
                f"`image_size` must be at least 1. Received: image_size={image_size}"
            )

    def default_image_size(self, variant):
        return 32

    def training_defaults(self, variant=None):
        return {**super().training_defaults(variant), "learning_rate": 0.5}

    def memory(self, variant):
        return 1e3, 1e6

    def postprocess(self, values, size, side):
        return resize(np.asarray(values)[..., 0], size)

    def render(self, form, image, result, threshold, cutout=None):
        if form not in self.formats:
            raise ValueError(f"`form` must be 'map'. Received: form={form!r}")
        return Image.fromarray(np.uint8(np.round(result * 255)))


class Evaluation:
    """Means over the images of the share of pixels that are right."""

    def __init__(self):
        self.accuracies: list[float] = []
        self.picked: list[Example] = []

    @property
    def accuracy(self) -> float:
        return float(np.mean(self.accuracies))


class ToyReport(ClassReport):
    title = "Toy scores"
    conventions = "accuracy  share of the pixels that are on the right side of 0.5\n"
    mean = mean_in_words = "accuracy"
    paper = {}
    paper_set = ""
    paper_images = 0
    paper_digits = 0

    def scores_of(self, evaluation):
        accuracy = evaluation.accuracy
        images = len(evaluation.accuracies)
        return Scores(
            {"accuracy": accuracy}, {"all": accuracy}, {}, f"{images} images", {}
        )


class ToyScoring(Scoring):
    report = ToyReport()
    baselines = {"black": "no pixel is salient"}

    def truth_of(self, record):
        return record["mask"][..., 0]

    def evaluate(self, predicted, *, pick=(), **_):
        found = Evaluation()
        for number, (sample, saliency) in enumerate(predicted):
            right = (saliency > 0.5) == (sample.truth > 128)
            found.accuracies.append(float(right.mean()))
            if number in pick:
                drawn = shrink_picture(np.uint8(saliency * 255))
                truth = shrink_picture(sample.truth)
                found.picked.append(Example(sample.name, None, truth, drawn))
        return found

    def texts(self, evaluation):
        yield "accuracies.csv", "\n".join(map(str, evaluation.accuracies))

    def predict_baseline(self, name, truth):
        return np.zeros(truth.shape, np.float32)
