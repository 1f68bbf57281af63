"""The same network once more, whatever its task."""

import keras
import numpy as np
import pytest

from picanet_tf.errors import PicanetError
from picanet_tf.networks import identify, rebuilt
from picanet_tf.tasks import TASKS

NETWORKS = [
    ("saliency", "6GAP_5432AC", 32),
    ("segmentation", "UNet", 32),
    ("segmentation", "DeepLab_AC", 33),
    ("detection", "478AC_910GAP", 64),
]


@pytest.mark.parametrize("task, variant, side", NETWORKS)
def test_of_a_width_whose_channels_are_rounded(task, variant, side):
    """0.06: fc7 has 61 channels, conv5 31, and half of 61 would be 30."""
    network = TASKS[task].build_model(variant, side, width=0.06)
    again = rebuilt(network)
    assert identify(again).variant == variant
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (1, side, side, 3)).astype("float32")
    wanted = network(images, training=False)
    for name, output in again(images, training=False).items():
        np.testing.assert_allclose(output, wanted[name], atol=1e-5, err_msg=name)


def test_a_network_that_is_not_what_its_name_says():
    network = TASKS["saliency"].build_model("6GAP", 32, width=1 / 32)
    other = TASKS["saliency"].build_model("6GAP_5AC", 32, width=1 / 32)
    posing = keras.Model(network.input, network.output, name=other.name)
    with pytest.raises(PicanetError, match="picanet_6GAP_5AC is not what its name sa"):
        rebuilt(posing)
