import pytest

from tests.serving.networks import trained_like


@pytest.fixture(scope="session")
def network():
    """6GAP_5AC at 64 pixels."""
    return trained_like()
