"""A video as a folder of pictures."""

import numpy as np
import pytest
from PIL import Image

from picanet_tf.core.errors import PicanetError
from picanet_tf.drawing.frames import frames_folder, is_frame, move_frames


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def frame(value):
    return np.full([5, 7, 4], value, np.uint8)


def test_frames_are_numbered(tmp_path):
    path = tmp_path / "clip.cutout"
    with frames_folder(path) as add:
        for value in range(12):
            add(frame(value))
        assert not path.exists()
    assert names(path) == [f"{number:06}.png" for number in range(1, 13)]
    assert all(map(is_frame, names(path))) and not is_frame("photo.png")
    np.testing.assert_array_equal(np.asarray(Image.open(path / "000010.png")), frame(9))
    with frames_folder(path) as add:  # Again, and shorter.
        add(frame(3))
    assert names(path) == ["000001.png"] and names(tmp_path) == ["clip.cutout"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_earlier_folder_is_kept_after_an_error(error, tmp_path):
    path = tmp_path / "clip.cutout"
    with frames_folder(path) as add:
        add(frame(1))
    with pytest.raises(error), frames_folder(path) as add:
        add(frame(2))
        raise error
    assert names(tmp_path) == ["clip.cutout"]
    np.testing.assert_array_equal(np.asarray(Image.open(path / "000001.png")), frame(1))


def test_what_came_while_frames_were_written_is_kept(tmp_path):
    path = tmp_path / "clip.cutout"
    with frames_folder(path) as add:
        add(frame(1))
    with pytest.raises(PicanetError, match="it exists and is not a folder of frames"):
        with frames_folder(path) as add:
            add(frame(2))
            (path / "notes.txt").touch()
    assert names(path) == ["000001.png", "notes.txt"]
    assert names(tmp_path) == ["clip.cutout"]


def test_foreign_folders_are_not_replaced(tmp_path):
    path = tmp_path / "clip.cutout"
    path.mkdir()
    (path / "notes.txt").touch()
    with pytest.raises(PicanetError, match="it exists and is not a folder of frames"):
        with frames_folder(path) as add:
            add(frame(1))
    assert names(path) == ["notes.txt"]
    with frames_folder(tmp_path / "other") as add:
        add(frame(1))
    with pytest.raises(PicanetError, match="it exists and is not a folder of frames"):
        move_frames(tmp_path / "other", path)
    assert names(path) == ["notes.txt"] and names(tmp_path / "other") == ["000001.png"]
