"""The tiny network, converted once for all tests of the engines."""

import pytest

from tests.inference import networks


@pytest.fixture(scope="session")
def network():
    return networks.network()


@pytest.fixture(scope="session")
def litert_file(network, tmp_path_factory):
    """Its LiteRT file in float32; `model.keras` lies beside it."""
    return networks.write(network, tmp_path_factory.mktemp("network"))
