"""The tiny network, converted once for all tests of the engines."""

import numpy as np
import pytest
from PIL import Image

from tests.inference import networks


@pytest.fixture(scope="session")
def network():
    return networks.network()


@pytest.fixture(scope="session")
def photo():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 9, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize((45, 30)))
