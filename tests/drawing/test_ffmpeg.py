"""Videos with transparency and sound, as ffmpeg itself reads them."""

import errno
import os
import subprocess

import numpy as np
import pytest

from picanet_tf.core.files import DiskFullError
from picanet_tf.drawing import ffmpeg
from picanet_tf.drawing.ffmpeg import (
    FFmpegError,
    add_sound,
    alpha_video_writer,
    find_ffmpeg,
    require_ffmpeg,
)
from picanet_tf.drawing.videos import VideoReader, video_writer

PROGRAM = find_ffmpeg()
DECODERS = {"webm": ["-c:v", "libvpx-vp9"], "mov": []}


@pytest.fixture
def program():
    if PROGRAM is None:
        pytest.skip("there is no ffmpeg; pip install imageio-ffmpeg")
    return PROGRAM


def frames(number=5, height=48, width=64):
    """Green, in the left half opaque, then half transparent, a walking square not."""
    for index in range(number):
        frame = np.zeros([height, width, 4], np.uint8)
        frame[...] = (40, 160, 80, 255)
        frame[:, width // 2 :, 3] = 128
        frame[8:24, 4 * index : 4 * index + 16, 3] = 0
        yield frame


def decode(program, path, video_format, height, width):
    line = [program, "-loglevel", "error", *DECODERS[video_format], "-i", str(path)]
    line += ["-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    done = subprocess.run(line, capture_output=True)
    assert done.returncode == 0, done.stderr
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 4)


def describe(program, path):
    line = [program, "-hide_banner", "-i", str(path)]
    return subprocess.run(line, capture_output=True, text=True).stderr


def with_sound(program, path, seconds=1, rotate=0):
    """A clip of 25 frames a second, in which a tone is heard."""
    line = [program, "-y", "-loglevel", "error"]
    line += ["-f", "lavfi", "-i", f"testsrc=size=64x48:rate=25:duration={seconds}"]
    line += ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"]
    line += ["-pix_fmt", "yuv420p", "-c:v", "mpeg4", "-q:v", "2", "-c:a", "aac"]
    subprocess.run([*line, str(path)], check=True)
    if rotate:
        plain = path.with_name("plain.mp4")
        path.rename(plain)
        line = [program, "-y", "-loglevel", "error", "-display_rotation", str(rotate)]
        line += ["-i", str(plain), "-c", "copy", str(path)]
        subprocess.run(line, check=True)
        plain.unlink()
    return path


@pytest.mark.parametrize("video_format", ["webm", "mov"])
@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_alpha_is_kept(video_format, size, program, tmp_path):
    path = tmp_path / f"a: b%03d.{video_format}"  # No pattern, and no protocol.
    with alpha_video_writer(path, 30000 / 1001, video_format) as add:
        for frame in frames(5, *size):
            add(frame)
    seen = decode(program, path, video_format, *size)
    expected = np.stack(list(frames(5, *size)))
    assert seen.shape == expected.shape
    difference = np.abs(seen.astype(int) - expected)
    assert difference[..., 3].mean() < 2
    for alpha in (0, 128, 255):
        median = np.median(seen[..., 3][expected[..., 3] == alpha])
        assert abs(median - alpha) <= 3
    opaque = expected[..., 3] == 255
    assert difference[..., :3][opaque].mean() < 4
    told = describe(program, path)
    assert "29.97 fps" in told and "bt709" in told and "Audio" not in told


def test_sound_is_kept(program, tmp_path):
    source = with_sound(program, tmp_path / "a.mp4")
    path = tmp_path / "cut.webm"
    with alpha_video_writer(path, 25, "webm", sound=source) as add:
        for frame in frames(25):
            add(frame)
    assert "Audio: opus" in describe(program, path)
    path = tmp_path / "map.mp4"
    with video_writer(path, 25) as add:
        for frame in VideoReader(source):
            add(frame)
    before = list(VideoReader(path))
    add_sound(path, source, path)
    told = describe(program, path)
    assert "Audio: aac" in told
    # The frames are the same.
    np.testing.assert_array_equal(list(VideoReader(path)), before)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.mp4",
        "cut.webm",
        "map.mp4",
    ]
    line = [program, "-loglevel", "error", "-i", str(path), "-f", "s16le", "-"]
    samples = np.frombuffer(subprocess.run(line, capture_output=True).stdout, np.int16)
    heard = np.abs(np.fft.rfft(samples[:44100])).argmax()
    assert abs(heard - 440) < 5


def test_without_sound_the_video_stays_as_it_is(program, tmp_path):
    path = tmp_path / "a.mp4"
    with video_writer(path, 25) as add:
        add(np.zeros([48, 64, 3], np.uint8))
    content = path.read_bytes()
    add_sound(path, path, path)
    assert path.read_bytes() == content


def test_a_turned_video_is_read_upright(program, tmp_path):
    path = with_sound(program, tmp_path / "a.mp4", rotate=90)
    upright = list(VideoReader(with_sound(program, tmp_path / "b.mp4")))
    turned = list(VideoReader(path))
    assert turned[0].shape == (64, 48, 3)
    difference = turned[0].astype(int) - np.rot90(upright[0])
    assert np.abs(difference).mean() < 3


@pytest.fixture
def fake_ffmpeg(tmp_path, monkeypatch):
    """Puts a program first on the PATH that says something and fails."""

    def fake(says, closes_early=True):
        path = tmp_path / "bin" / "ffmpeg"
        path.parent.mkdir()
        read = "" if closes_early else "cat > /dev/null; "
        path.write_text(f'#!/bin/sh\n{read}echo "{says}" >&2\nexit 1\n')
        path.chmod(0o700)
        monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
        assert find_ffmpeg() == str(path)  # That of the PATH comes first.

    return fake


@pytest.mark.parametrize("closes_early", [True, False])
def test_errors_of_ffmpeg_are_reported(closes_early, fake_ffmpeg, tmp_path):
    fake_ffmpeg("\nUnknown encoder 'libvpx-vp9'\nError opening output", closes_early)
    path = tmp_path / "a.webm"
    with pytest.raises(FFmpegError) as raised:
        with alpha_video_writer(path, 25, "webm") as add:
            for frame in frames(50, 480, 640):
                add(frame)
    message = f"Cannot write {path}: ffmpeg: Unknown encoder 'libvpx-vp9'"
    assert str(raised.value) == message
    assert [inner.name for inner in tmp_path.iterdir()] == ["bin"]


def test_frames_of_different_sizes_are_an_error(program, tmp_path):
    with pytest.raises(FFmpegError, match="a frame of another size, 24 x 64"):
        with alpha_video_writer(tmp_path / "a.webm", 25, "webm") as add:
            add(np.zeros([48, 64, 4], np.uint8))
            add(np.zeros([24, 64, 4], np.uint8))


def test_an_interrupted_ffmpeg_is_ended(program, tmp_path, monkeypatch):
    started = []

    def popen(*args, real=subprocess.Popen, **kwargs):
        started.append(real(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(ffmpeg.subprocess, "Popen", popen)
    with pytest.raises(KeyboardInterrupt):
        with alpha_video_writer(tmp_path / "a.webm", 25, "webm") as add:
            add(next(frames()))
            raise KeyboardInterrupt
    assert [process.returncode is None for process in started] == [False]


@pytest.mark.parametrize("closes_early", [True, False])
def test_full_disk_raises_an_error_of_its_own(closes_early, fake_ffmpeg, tmp_path):
    fake_ffmpeg(f"[out] x: {os.strerror(errno.ENOSPC)}", closes_early)
    with pytest.raises(DiskFullError, match="Cannot write .*a.webm: the disk is full"):
        with alpha_video_writer(tmp_path / "a.webm", 25, "webm") as add:
            for frame in frames(50, 480, 640):
                add(frame)


def test_missing_ffmpeg_is_reported_with_the_install_command(monkeypatch, tmp_path):
    monkeypatch.setattr(ffmpeg, "find_ffmpeg", lambda: None)
    message = (
        "webm and mov require ffmpeg. .* `pip install imageio-ffmpeg`, or use frames"
    )
    with pytest.raises(FFmpegError, match=message):
        require_ffmpeg()
    with pytest.raises(FFmpegError, match="pip install imageio-ffmpeg"):
        add_sound(tmp_path / "a.mp4", tmp_path / "b.mp4", "a.mp4")


def test_find_ffmpeg_is_none_without_ffmpeg(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    assert find_ffmpeg() is None
