"""`picanet predict` on folders, file formats and videos."""

import io
import os
import signal
import subprocess
import threading
import time

import numpy as np
import pytest
from PIL import Image

from picanet_tf.drawing.cutouts import CutoutOptions, cut_out
from picanet_tf.drawing.ffmpeg import find_ffmpeg
from picanet_tf.inference import file_predictor
from picanet_tf.inference.files import predict_files
from picanet_tf.inference.options import PredictOptions
from tests import commands
from tests.commands import picanet, written
from tests.inference.networks import photo, save

# Folders


def test_skipped_files_of_a_folder_are_summarized(predict, tmp_path):
    for name in ("a.png", "sub/b.png", "a.cutout.png", "a.cutout.webp"):
        save(tmp_path / "in" / name)
    for name in ("a.xcf", "b.txt", "clip.mp4", "clip.saliency.mp4", "clip.cutout.mov"):
        (tmp_path / "in" / name).touch()
    save(tmp_path / "in" / "clip.cutout" / "000001.png")
    save(tmp_path / "elsewhere" / "c.png")
    (tmp_path / "in" / "link").symlink_to("../elsewhere")
    (tmp_path / "in" / "sub" / "loop").symlink_to("..")
    said = predict("in", "--output", "out")
    assert (
        "Passed over 8 files: 5 results of earlier runs, 1 video (name it to predict "
        "it), 2 of unknown formats (.txt, .xcf)\n" in said
    )
    assert written(tmp_path / "out") == ["a.png", "link/c.png", "sub/b.png"]


def test_output_folder_inside_the_input_is_skipped(predict, tmp_path):
    save(tmp_path / "in" / "a.png")
    for number in range(2):
        said = predict("in", "--output", "in/out")
        assert written(tmp_path / "in") == ["a.png", "out/a.png"]
        line = "Passed over 1 file: 1 in the output folder"
        assert (line in said) == (number == 1)


@pytest.mark.parametrize("output", ["in", "in/../in", "link"])
@pytest.mark.parametrize("words", [["in"], ["in/*.bmp"], ["in", "--format", "cutout"]])
def test_output_must_not_be_the_input_folder(output, words, predict, tmp_path):
    save(tmp_path / "in" / "a.bmp")
    (tmp_path / "link").symlink_to("in")
    said = predict(*words, "--output", output, code=1)
    assert "--output must not be the folder of the inputs" in said
    assert "NAME.cutout.png" in said and len(said.splitlines()) == 1
    assert written(tmp_path / "in") == ["a.bmp"]


def test_photos_named_like_incomplete_results(predict, tmp_path):
    for name in ("incomplete.cat.png", "incomplete.cat.map.png"):
        save(tmp_path / name)
    for words in (["."], ["incomplete.cat.png", "incomplete.cat.map.png"]):
        said = predict(*words, "--output", "out")
        assert "Passed over 1 file: 1 result of an earlier run" in said
        assert written(tmp_path / "out") == ["incomplete.cat.png"]


@pytest.mark.parametrize("stem", ["n" * 246, "é" * 123, "日" * 82])
def test_names_too_long_for_their_result_are_reported(stem, predict, tmp_path):
    save(tmp_path / "in" / f"{stem}.png")
    save(tmp_path / "in" / "a.png")
    said = predict("in", code=1)
    assert "has at most 255 bytes, and that of the result, with .cutout.png," in said
    assert "Give --output for shorter names" in said
    assert "1 of 2 failed" in said
    assert written(tmp_path / "in") == ["a.cutout.png", "a.png", f"{stem}.png"]
    predict("in", "--output", "out", "--resume")
    assert written(tmp_path / "out") == ["a.png", f"{stem}.png"]


def test_photos_of_too_many_pixels_are_refused(predict, tmp_path):
    for name, size in (("small", (45, 30)), ("large", (46, 30))):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.new("RGB", size).save(tmp_path / "in" / f"{name}.png")
    said = predict("in", "--output", "out", "--max_pixels", 1350, code=1)
    assert "in/large.png: at most 1,350 pixels are accepted, the image has 46" in said
    assert written(tmp_path / "out") == ["small.png"]


def test_300_photos_with_10_bad_ones(predict, tmp_path):
    for number in range(290):
        save(tmp_path / "in" / f"{number}.png", number % 7)
    content = (tmp_path / "in" / "0.png").read_bytes()
    for number in range(10):
        (tmp_path / "in" / f"bad{number}.png").write_bytes(content[: 40 * number])
    said = predict("in", "--output", "out", code=1)
    assert said.count("unreadable: in/bad") == 10
    assert "290 written to out" in said and "10 of 300 could not be read" in said
    assert len(written(tmp_path / "out")) == 290


def test_unwritable_results_are_reported(predict, tmp_path):
    for name in "abc":
        save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "out" / "b.png").mkdir(parents=True)
    said = predict("in", "--output", "out", code=1)
    assert "failed: Cannot write out/b.png: Is a directory" in said
    assert "2 written to out" in said and "1 of 3 failed" in said
    assert written(tmp_path / "out") == ["a.png", "c.png"]


def test_unexpected_exception_is_reported_in_one_line(
    tiny, tmp_path, monkeypatch, capsys
):
    """A bug in a decoder, say, costs one photo."""
    for name in "abc":
        save(tmp_path / f"{name}.png")

    def read(path, *, real=file_predictor.read_image, **options):
        if path.name == "b.png":
            raise KeyError("tile\n7")
        return real(path, **options)

    monkeypatch.setattr(file_predictor, "read_image", read)
    options = PredictOptions(output=str(tmp_path / "out"), model=str(tiny[0]))
    report = predict_files([str(tmp_path)], options)
    assert [path.name for path in report.written] == ["a.png", "c.png"]
    (error,) = report.failed
    assert str(error) == f"{tmp_path}/b.png: unexpected KeyError: 'tile\\n7'"
    assert f"failed: {tmp_path}/b.png: unexpected KeyError" in capsys.readouterr().err


def test_full_disk_ends_the_run(tiny, tmp_path):
    """/dev/full is always; a link to it stands for the temporary file."""
    for number in range(50):
        save(tmp_path / "in" / f"{number}.png")
    code = (
        "import os, pathlib, picanet_tf\n"
        "real = pathlib.Path.write_bytes\n"
        "def full(path, data):\n"
        "    os.symlink('/dev/full', path)\n"
        "    return real(path, data)\n"
        "pathlib.Path.write_bytes = full\n"
        "from picanet_tf.commands import main\n"
        "main()"
    )
    run = commands.call(
        *("-c", code, "predict", "in", "--output", "out", "--model", tiny[0]),
        cwd=tmp_path,
    )
    assert run.returncode == 1 and "Traceback" not in run.stderr
    assert "0 of 50 written" in run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert last == (
        "picanet predict: error: Cannot write out/0.png: No space left on device"
    )
    assert written(tmp_path / "out") == []


# File formats


@pytest.mark.parametrize("name", ["webp", "jpg", "tiff"])
def test_maps_are_written_in_other_file_formats(name, tiny, predict, tmp_path):
    save(tmp_path / "in" / "a.bmp")
    words = ("in", "--output_format", name, "--format", "map")
    said = predict(*words, "--output", "out")
    assert written(tmp_path / "out") == [f"a.{name}"]
    with Image.open(tmp_path / "out" / f"a.{name}") as picture:
        seen = np.asarray(picture.convert("L"), float)
    expected = np.round(tiny[1].predict(photo()) * 255)
    assert np.abs(seen - expected).mean() < (0.5 if name == "tiff" else 3)
    predict(*words)
    said = predict(*words)
    assert written(tmp_path / "in") == ["a.bmp", f"a.map.{name}"]
    assert "Passed over 1 file: 1 result of an earlier run" in said


def test_quality_changes_the_size_of_files(predict, tmp_path):
    save(tmp_path / "a.png", size=(200, 300))
    sizes = []
    for quality in (5, 60, 100):
        words = ("--output_format", "webp", "--quality", quality)
        predict("a.png", "--format", "overlay", *words)
        sizes.append((tmp_path / "a.overlay.webp").stat().st_size)
    assert sizes == sorted(set(sizes))


def test_a_cutout_in_webp(tiny, predict, tmp_path):
    save(tmp_path / "a.png")
    predict("a.png", "--output_format", "webp")
    with Image.open(tmp_path / "a.cutout.webp") as cutout:
        assert (cutout.format, cutout.mode) == ("WEBP", "RGBA")
        alpha = np.asarray(cutout)[..., 3]
    expected = cut_out(photo(), tiny[1].predict(photo()))[..., 3]
    np.testing.assert_allclose(alpha, expected, atol=1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--quality", "50"], "--quality goes with --output_format jpg or webp only"),
        (
            ["--output_format", "webp", "--quality", "0"],
            "0 is not an integer in the range [1, 100]",
        ),
        (["--output_format", "jpg"], "--output_format jpg has no transparency. Give"),
        (
            ["--output_format", "jpg", "--format", "cutout"],
            "--background, or use png, webp or tiff",
        ),
        (["--output_format", "gif"], "png|webp|jpg|tiff"),
        (["--video_format", "webm"], "--video_format goes with --format cutout only"),
        (
            ["--format", "json", "--output", "o", "--output_format", "webp"],
            "--output_format cannot be combined with --format json",
        ),
        (
            ["--format", "cutout", "--video_format", "frames"],
            "--video_format is for videos, and no input is one; in folders they are "
            "passed over, so name them. For pictures give --output_format",
        ),
        (["--watch", "."], "--watch takes no other input. Received: a.png"),
    ],
)
def test_conflicting_options_are_reported(words, message, predict, tmp_path):
    save(tmp_path / "a.png")
    assert message in predict("a.png", *words, code=1)
    assert written(tmp_path) == ["a.png"]


def test_photo_too_wide_for_webp_is_reported(predict, tmp_path):
    Image.new("L", (16384, 2), 90).save(tmp_path / "wide.png")
    save(tmp_path / "a.png")
    words = ("--output", "out", "--output_format", "webp")
    said = predict("wide.png", "a.png", *words, code=1)
    assert "holds at most 16,383 pixels a side, and the picture has 16,384" in said
    assert written(tmp_path / "out") == ["a.webp"]


@pytest.mark.parametrize("name", ["png", "webp", "jpg", "tiff"])
def test_output_format_applies_to_standard_output(name, tiny, tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(photo()).save(buffer, "PNG")
    words = ("predict", "--model", tiny[0], "-", "--output_format", name)
    run = picanet(*words, cwd=tmp_path, input=buffer.getvalue())
    assert run.returncode == 0, run.stderr
    formats = {"jpg": "JPEG"}
    with Image.open(io.BytesIO(run.stdout)) as picture:
        assert picture.format == formats.get(name, name.upper())
        assert picture.size == (45, 30)
    if name == "jpg":
        run = picanet(*words, "--format", "cutout", cwd=tmp_path, input=b"")
        assert run.returncode == 1 and b"has no transparency" in run.stderr


def test_video_format_is_refused_for_standard_input(tiny, tmp_path):
    words = ("predict", "-", "--format", "cutout", "--video_format", "frames")
    run = picanet(*words, cwd=tmp_path, input=b"")
    assert run.returncode == 1 and run.stdout == b""
    assert b"--video_format cannot be combined with --input -" in run.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_photo_from_a_pipe(tiny, predict, tmp_path):
    """As the shell's `<(...)`."""
    save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe")
    content = (tmp_path / "a.png").read_bytes()
    writing = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[content])
    writing.start()
    predict("pipe", "--output", "out")
    writing.join()
    predict("a.png", "--output", "out")
    piped, plain = (tmp_path / "out" / f"{name}.png" for name in ("pipe", "a"))
    assert piped.read_bytes() == plain.read_bytes()


def test_options_of_pictures_are_refused_for_videos(clip, predict, tmp_path):
    for words, message in (
        (["--output_format", "webp"], "--output_format is for pictures"),
        (
            ["--output_format", "webp", "--quality", "5", "--format", "cutout"],
            "--output_format and --quality are for pictures, and all inputs are videos",
        ),
    ):
        assert message in predict("clip.mp4", *words, code=1)
    assert written(tmp_path) == ["clip.mp4"]


# Videos


@pytest.fixture
def clip(tmp_path):
    """Three frames of 64 x 48."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    if not writer.isOpened():
        pytest.skip("OpenCV has no MPEG-4 encoder here")
    for seed in range(3):
        writer.write(photo((48, 64), seed))
    writer.release()
    return path


def frames_of(path):
    from picanet_tf.drawing.videos import VideoReader

    return list(VideoReader(path))


@pytest.mark.parametrize("video_format", ["webm", "mov"])
def test_cutout_of_a_video_has_alpha(video_format, tiny, clip, predict, tmp_path):
    program = find_ffmpeg()
    if program is None:
        pytest.skip("there is no ffmpeg; pip install imageio-ffmpeg")
    words = () if video_format == "webm" else ("--video_format", video_format)
    predict("clip.mp4", "--format", "cutout", *words)
    assert written(tmp_path) == [f"clip.cutout.{video_format}", "clip.mp4"]
    decoder = ["-c:v", "libvpx-vp9"] if video_format == "webm" else []
    line = [program, "-loglevel", "error", *decoder]
    line += ["-i", str(tmp_path / f"clip.cutout.{video_format}")]
    line += ["-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    raw = subprocess.run(line, capture_output=True, check=True).stdout
    seen = np.frombuffer(raw, np.uint8).reshape(-1, 48, 64, 4)
    images = frames_of(clip)
    assert len(seen) == len(images) == 3
    for frame, image in zip(seen, images, strict=True):
        alpha = np.float32(cut_out(image, tiny[1].predict(image))[..., 3])
        assert alpha.std() > 5 and np.abs(frame[..., 3] - alpha).mean() < 4
    said = predict("*.mp4", "*.webm", "*.mov", code=1, PATH="")
    assert "no images match" in said
    said = predict("clip*", "--output", "out")
    assert "Passed over 1 file: 1 result of an earlier run" in said
    assert written(tmp_path / "out") == ["clip.saliency.mp4"]
    # The same if the shell has expanded the pattern.
    words = ("clip.mp4", f"clip.cutout.{video_format}", "--output", "out")
    assert "Passed over 1 file: 1 result of an earlier run" in predict(*words)


def test_a_video_on_an_opaque_background(tiny, clip, predict, tmp_path):
    predict("clip.mp4", "--background", "#ff0000")
    assert written(tmp_path) == ["clip.cutout.mp4", "clip.mp4"]
    options = CutoutOptions(background="#ff0000")
    frames = zip(frames_of(tmp_path / "clip.cutout.mp4"), frames_of(clip), strict=True)
    for frame, image in frames:
        expected = cut_out(image, tiny[1].predict(image), options)
        assert np.abs(np.int16(frame) - expected).mean() < 12  # Lossy.
    assert "1 result of an earlier run" in predict("clip*", "--output", "out")
    said = predict("clip.mp4", "--crop", code=1)
    assert "--crop is not available for videos" in said


def test_the_cutout_of_a_video_as_frames(tiny, clip, predict, tmp_path):
    words = ("clip.mp4", "--format", "cutout", "--video_format", "frames")
    for _ in range(2):
        predict(*words)
        names = [f"clip.cutout/00000{n}.png" for n in (1, 2, 3)]
        assert written(tmp_path) == [*names, "clip.mp4"]
    for name, image in zip(names, frames_of(clip), strict=True):
        with Image.open(tmp_path / name) as picture:
            frame = np.asarray(picture)
        expected = cut_out(image, tiny[1].predict(image))
        np.testing.assert_allclose(frame, expected, atol=1)
    said = predict(*words, "--resume")
    assert "1 of 1 results exist already" in said


def test_the_frames_of_an_incomplete_video(clip, predict, tmp_path):
    content = bytearray(clip.read_bytes())
    begin, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    begin += (end - begin) // 2
    content[begin:end] = bytes(end - begin)
    clip.write_bytes(content)
    words = ("clip.mp4", "--format", "cutout", "--video_format", "frames", "--resume")
    for _ in range(2):  # It is tried again.
        said = predict(*words, code=1)
        told = "of its 3 frames could not be read; the others are in incomplete."
        assert f"{told}clip.cutout\n" in said
        assert written(tmp_path) == [
            "clip.mp4",
            "incomplete.clip.cutout/000001.png",
            "incomplete.clip.cutout/000002.png",
        ]
    (tmp_path / "incomplete.clip.saliency.mp4").touch()
    said = predict(*words, "incomplete.clip.saliency.mp4", code=1)
    assert "Passed over 1 file: 1 result of an earlier run" in said
    (tmp_path / "incomplete.clip.cutout" / "notes.txt").touch()
    said = predict(*words, code=1)  # before any frame is computed
    assert "incomplete.clip.cutout: it exists and is not a folder of frames" in said
    assert not (tmp_path / "clip.cutout").exists()


def test_without_ffmpeg_a_cutout_is_frames(tiny, clip, tmp_path, monkeypatch, caplog):
    from picanet_tf.drawing import ffmpeg
    from picanet_tf.inference import options

    for module in (ffmpeg, options):
        monkeypatch.setattr(module, "find_ffmpeg", lambda: None)
    chosen = PredictOptions(form="cutout", model=str(tiny[0]))
    with caplog.at_level("INFO", "absl"):
        report = predict_files([str(clip)], chosen)
    assert report.written == [tmp_path / "clip.cutout"] and not report.failed
    assert len(list((tmp_path / "clip.cutout").iterdir())) == 3
    assert any("pip install imageio-ffmpeg" in line for line in caplog.messages)


def test_ctrl_c_leaves_no_half_video(tiny, clip, tmp_path):
    cv2 = pytest.importorskip("cv2")
    writer = cv2.VideoWriter(
        str(tmp_path / "long.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (640, 480)
    )
    for seed in range(300):
        writer.write(photo((480, 640), seed % 5))
    writer.release()
    words = ("predict", "long.mp4", "--model", tiny[0], "--format", "cutout")
    run = commands.start("-m", "picanet_tf.commands", *words, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not any(name.startswith(".long") for name in os.listdir(tmp_path)):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    said = run.communicate(timeout=60)[1]
    assert run.returncode == 130 and "Traceback" not in said
    assert sorted(os.listdir(tmp_path)) == ["clip.mp4", "long.mp4"]


# Watching a folder


def test_watch_reports_invalid_arguments(predict, tmp_path):
    save(tmp_path / "in" / "a.png")
    (tmp_path / "empty").mkdir()
    for words, message in (
        (["--watch", "nowhere"], "--watch must be a folder. Received: nowhere"),
        (["--watch", "in", "--output", "in"], "--output must not be the folder of"),
        (["--watch", "empty", "--output", "empty"], "--output must not be the folder"),
        (
            ["--watch", "in", "--output", "out", "--format", "json"],
            "--watch cannot be combined with --format json",
        ),
        (
            ["--watch", "in", "--format", "cutout", "--video_format", "frames"],
            "--watch cannot be combined with --video_format: videos are passed over",
        ),
        (["--watch", "in", "-"], "--watch takes no other input. Received: -"),
    ):
        assert message in predict(*words, code=1)
