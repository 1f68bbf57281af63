"""A tiny network learns eight images by heart: every part of training fits together."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.detection import build_model
from picanet_tf.detection.losses import losses
from picanet_tf.detection.targets import encode_targets
from picanet_tf.detection.validation import DetectionValidation
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.initialization import make_optimizer

SIZE = 128
VOC = pathlib.Path(__file__).parents[2] / "../shared/data/VOCdevkit/VOC2007"


def synthetic():
    """Eight images of one to three bright rectangles; their colour is the class."""
    rng = np.random.default_rng(0)
    images = rng.uniform(40, 80, (8, SIZE, SIZE, 3))
    objects = np.zeros((8, 128, 6), np.float32)
    for n in range(8):
        for i in range(n % 3 + 1):
            top = rng.integers(4, 80)
            left = 4 + 42 * i
            bottom, right = top + rng.integers(20, 44), left + rng.integers(20, 38)
            channel = rng.integers(3)
            images[n, top:bottom, left:right, channel] = 230
            box = np.array([top, left, bottom, right]) / SIZE
            objects[n, i, :5] = [*box, channel + 1]
    return np.float32(images), objects


def mean_ap_after(images, objects, variant, steps, width, optimizer_of=None):
    """Scores before and after the steps, and the losses; by default with Adam."""
    keras.utils.set_random_seed(0)
    model = build_model(variant, SIZE, width=width)
    targets = encode_targets(objects, model.output, SIZE)
    each = losses(model.output)
    variables = model.trainable_variables
    optimizer = optimizer_of(model) if optimizer_of else keras.optimizers.Adam(0.002)
    optimizer.build(variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            loss = sum(each[name](targets[name], outputs[name]) for name in each)
        raw = [variable.value for variable in variables]
        optimizer.apply(tape.gradient(loss, raw), variables)
        return loss

    def score():
        outputs = {k: v.numpy() for k, v in model(images, training=False).items()}
        validation = DetectionValidation(SIZE)
        validation.update(outputs, objects)
        return validation.result()["mean_ap"]

    before = score()
    curve = [float(step()) for _ in range(steps)]
    return before, score(), curve


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["SSD300", "478LAP_910GAP"])
def test_network_overfits_eight_synthetic_images(variant):
    images, objects = synthetic()
    before, after, curve = mean_ap_after(images, objects, variant, 120, 1 / 16)
    assert before < 0.3
    assert np.isfinite(curve).all()
    assert after > 0.9


@pytest.mark.slow
def test_ssd_learns_by_its_own_recipe():
    """SGD at 0.001 with momentum and decay, every layer at the same rate."""
    recipe = Experiment.of("detection", variant="SSD300", image_size=SIZE, steps=150)
    assert recipe.optimizer == "sgd" and recipe.learning_rate == 0.001
    before, after, curve = mean_ap_after(
        *synthetic(), "SSD300", 150, 1 / 8, lambda net: make_optimizer(net, recipe, ())
    )
    assert before < 0.3
    assert np.mean(curve[-10:]) < 0.5 * curve[0]
    assert after > 0.3


@pytest.mark.slow
@pytest.mark.skipif(not VOC.is_dir(), reason=f"needs PASCAL VOC 2007 in {VOC}")
def test_network_overfits_eight_photographs_of_voc():
    import xml.etree.ElementTree as ElementTree

    from PIL import Image

    from picanet_tf.core.voc import OBJECT_CLASSES

    images, objects = [], np.zeros((8, 128, 6), np.float32)
    for n, path in enumerate(sorted((VOC / "Annotations").glob("*.xml"))[:8]):
        image = Image.open(VOC / "JPEGImages" / f"{path.stem}.jpg").convert("RGB")
        width, height = image.size
        images.append(np.asarray(image.resize((SIZE, SIZE)), np.float32))
        for i, found in enumerate(ElementTree.parse(path).getroot().iter("object")):
            top, left, bottom, right = (
                float(found.find(f"bndbox/{name}").text)
                for name in ("ymin", "xmin", "ymax", "xmax")
            )
            objects[n, i] = [
                (top - 1) / height,
                (left - 1) / width,
                bottom / height,
                right / width,
                OBJECT_CLASSES.index(found.find("name").text) + 1,
                int(found.find("difficult").text),
            ]
    _, after, _ = mean_ap_after(np.stack(images), objects, "SSD300", 150, 1 / 8)
    assert after > 0.9
