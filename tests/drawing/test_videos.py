"""Videos as streams of frames."""

import builtins
import os

import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.drawing import ffmpeg
from picanet_tf.drawing.videos import VideoError, VideoReader, video_writer

cv2 = pytest.importorskip("cv2")


def frames(number=5, height=48, width=64):
    """A bright square that walks to the right over dark red."""
    for index in range(number):
        frame = np.zeros([height, width, 3], np.uint8)
        frame[..., 0] = 120
        frame[16:32, 8 * index : 8 * index + 16] = (0, 255, 0)
        yield frame


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    try:
        with video_writer(path, 12) as add:
            for frame in frames():
                add(frame)
    except VideoError as error:
        pytest.skip(str(error))
    return path


def test_written_video_is_read_back(clip):
    reader = VideoReader(clip)
    assert reader.count == 5 and reader.frames_per_second == pytest.approx(12)
    seen = list(reader)
    assert len(seen) == 5
    for frame, expected in zip(seen, frames(), strict=True):
        assert frame.shape == (48, 64, 3) and frame.dtype == np.uint8
        # Lossy, but the colours are in their places: red, not blue, and green.
        assert np.abs(frame.astype(int) - expected).mean() < 12


def test_non_utf8_names_are_supported(clip, tmp_path):
    """OpenCV would crash."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("the file system has UTF-8 names only")
    path = folder / os.fsdecode(b"\xe9.mp4")
    with video_writer(path, 12) as add:
        for frame in frames():
            add(frame)
    assert os.listdir(folder) == [path.name]
    expected = list(VideoReader(clip))
    np.testing.assert_array_equal(list(VideoReader(path)), expected)
    with pytest.raises(VideoError, match="gone.mp4: no such file"):
        VideoReader(folder / "gone.mp4")


def test_names_with_a_colon_are_supported(clip, tmp_path, monkeypatch):
    """FFmpeg would take it for a protocol."""
    monkeypatch.chdir(tmp_path)
    with video_writer("part: 1.mp4", 12) as add:
        for frame in frames():
            add(frame)
    seen, expected = list(VideoReader("part: 1.mp4")), list(VideoReader(clip))
    np.testing.assert_array_equal(seen, expected)


def test_odd_sizes_and_grey_frames(tmp_path):
    path = tmp_path / "grey.mp4"
    with video_writer(path, 10) as add:
        for value in (10, 200):
            add(np.full([33, 47], value, np.uint8))
    seen = list(VideoReader(path))
    assert [frame.shape for frame in seen] == [(32, 46, 3)] * 2
    assert abs(int(seen[1].mean()) - 200) < 10


def test_errors_name_the_file(clip, tmp_path):
    with pytest.raises(VideoError, match="nowhere.mp4: no such file"):
        VideoReader(tmp_path / "nowhere.mp4")
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(VideoError, match="text.mp4: not a video"):
        VideoReader(text)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clip.read_bytes()[:200])
    with pytest.raises(VideoError, match="broken.mp4"):
        list(VideoReader(broken))
    with (
        pytest.raises(VideoError, match="another size, 24 x 64"),
        video_writer(tmp_path / "sizes.mp4", 10) as add,
    ):
        add(np.zeros([48, 64, 3], np.uint8))
        add(np.zeros([24, 64, 3], np.uint8))


def test_missing_frames_of_a_damaged_end_are_counted(clip, tmp_path):
    whole = VideoReader(clip)
    assert len(list(whole)) == 5 and whole.missing == 0
    # The frames' data lie ahead of the index, which stays whole.
    spoilt = tmp_path / "spoilt.mp4"
    content = bytearray(clip.read_bytes())
    begin = content.index(b"mdat") + 4
    begin += (content.index(b"moov") - begin) // 2
    content[begin : content.index(b"moov") - 4] = bytes(
        content.index(b"moov") - 4 - begin
    )
    spoilt.write_bytes(content)
    reader = VideoReader(spoilt)
    seen = len(list(reader))
    assert 0 < seen < 5
    assert (reader.count, reader.missing) == (5, 5 - seen)


def test_a_few_missing_frames_are_warned_about(clip, tmp_path, caplog):
    """Of an estimated count, or a corrupt end."""
    path = tmp_path / "long.mp4"
    with video_writer(path, 12) as add:
        for frame in frames(12):
            add(frame)
    for count in (12, 13):
        reader = VideoReader(path)
        reader.count = count
        assert len(list(reader)) == 12 and reader.missing == 0
    assert caplog.messages == [
        f"{path}: 12 of 13 frames were read; its end is corrupt, or its frame count is "
        "an estimate"
    ]


def test_a_missing_opencv_says_what_to_install(monkeypatch, tmp_path):
    def missing(name, *args, real=builtins.__import__, **kwargs):
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(VideoError, match="libGL.*pip install 'opencv-python-headl"):
        VideoReader(tmp_path / "clip.mp4")


def test_frames_that_opencv_did_not_write_are_reported(tmp_path, monkeypatch):
    """OpenCV itself does not, on a full disk for one."""

    class Full:
        def __init__(self, path, *_):
            open(path, "wb").close()

        def isOpened(self):
            return True

        def write(self, frame):
            pass

        def release(self):
            pass

    monkeypatch.setattr(cv2, "VideoWriter", Full)
    with (
        pytest.raises(PicanetError, match="a.mp4: OpenCV did not write all frames"),
        video_writer(tmp_path / "a.mp4", 10) as add,
    ):
        add(np.zeros([48, 64, 3], np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_without_ffmpeg_there_is_no_sound(clip, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(ffmpeg, "find_ffmpeg", lambda: None)
    path = tmp_path / "a.mp4"
    with video_writer(path, 12, sound=clip) as add:
        for frame in frames():
            add(frame)
    assert len(list(VideoReader(path))) == 5
    assert caplog.messages == [
        f"{path} has no sound: keeping it requires ffmpeg; `pip install imageio-ffmpeg`"
    ]
