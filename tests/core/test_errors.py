"""What an error says besides its own message."""

import pytest

from picanet_tf.core.errors import PicanetError, naming_argument
from picanet_tf.core.images import ImageError


@pytest.mark.parametrize(
    "error", [PicanetError("a.png: unreadable"), ImageError("a.png", "unreadable")]
)
def test_the_argument_is_named_once(error):
    with pytest.raises(type(error)) as raised, naming_argument("background"):
        with naming_argument("background"):
            raise error
    assert str(raised.value) == "`background`: a.png: unreadable"
