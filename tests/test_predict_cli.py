"""`predict.py`, as a command: what it writes, says and answers."""

import functools
import io
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picanet_tf.drawing.cutouts import cut_out
from picanet_tf.inference import KerasModel
from tests import bad_images, commands
from tests.commands import written


@pytest.fixture(scope="module")
def network(tiny_network, tmp_path_factory):
    model = tiny_network("UNet", gain=20)
    path = tmp_path_factory.mktemp("network") / "model.keras"
    model.save(path)
    return path, KerasModel(model)


def photo(size=(30, 45), seed=0):
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 9, 3)).astype(np.uint8))
    return small.resize(size[::-1])


predict = functools.partial(commands.call, "predict.py", text=False)


def test_folder_with_bad_and_unusual_files(network, tmp_path):
    path, _ = network
    source, out = tmp_path / "in", tmp_path / "out"
    bad_images.write_all(source)
    bad_images.write(source / "sub", "turned")
    (source / "gone.jpg").symlink_to("nowhere.jpg")
    arguments = ("--model", path, "--input", source, "--output", out, "--batch_size", 3)
    run = predict(*arguments)
    errors = run.stderr.decode()
    assert run.returncode == 1, errors
    assert "Traceback" not in errors
    bad = [bad_images.CASES[name] for name in bad_images.BAD]
    for case in bad:
        assert f"unreadable: {source / case.file}: {case.reason}" in errors
    assert f"unreadable: {source}/gone.jpg: no such file" in errors
    assert f"{len(bad) + 1} of {len(bad_images.CASES) + 2} could not" in errors
    assert run.stdout == b""
    good = [bad_images.CASES[name] for name in bad_images.GOOD]
    expected = {f"{Path(case.file).stem}.png": case.size for case in good}
    expected["sub/turned.png"] = bad_images.CASES["turned"].size
    assert written(out) == sorted(expected)
    for name, size in expected.items():
        image = Image.open(out / name)
        assert (image.mode, image.size) == ("L", size)

    for name in (*(case.file for case in bad), "gone.jpg"):
        (source / name).unlink()
    run = predict(*arguments, "--resume")
    assert run.returncode == 0, run.stderr
    assert (
        f"{len(expected)} of {len(expected)} results exist already"
        in run.stderr.decode()
    )


def test_from_stdin_to_stdout(network, tmp_path):
    path, model = network
    buffer = io.BytesIO()
    photo().save(buffer, "PNG")
    arguments = ("--model", path, "--input", "-")
    words = (*arguments, "--format", "cutout", "--precision", "float32")
    run = predict(*words, input=buffer.getvalue())
    assert run.returncode == 0, run.stderr
    cutout = np.asarray(Image.open(io.BytesIO(run.stdout)))
    image = np.asarray(photo())
    np.testing.assert_allclose(cutout, cut_out(image, model.predict(image)), atol=1)

    run = predict(*arguments, input=b"no image")
    assert run.returncode == 1 and run.stdout == b""
    assert run.stderr.decode().strip() == (
        "predict.py: error: standard input: not an image of a known format"
    )


def test_videos_are_predicted(network, tmp_path):
    cv2 = pytest.importorskip("cv2")
    path, _ = network
    clip, out = tmp_path / "clip.mp4", tmp_path / "out"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    if not writer.isOpened():
        pytest.skip("OpenCV has no MPEG-4 encoder here")
    for seed in range(5):
        writer.write(np.asarray(photo((48, 64), seed)))
    writer.release()
    (tmp_path / "broken.mp4").write_bytes(clip.read_bytes()[:100])
    spoilt = bytearray(clip.read_bytes())
    begin, end = spoilt.index(b"mdat") + 4, spoilt.index(b"moov") - 4
    middle = (begin + end) // 2
    spoilt[middle:end] = bytes(end - middle)
    (tmp_path / "spoilt.mp4").write_bytes(spoilt)
    words = (
        *("--model", path, "--format", "overlay", "--output", out),
        *(tmp_path / "broken.mp4", clip, tmp_path / "spoilt.mp4"),
    )
    run = predict(*words)
    errors = run.stderr.decode()
    assert run.returncode == 1 and "Traceback" not in errors
    assert "broken.mp4: not a video that OpenCV can read" in errors
    told = (
        "spoilt.mp4: [1-4] of its 5 frames could not be read; the others are in "
        ".*/out/incomplete.spo"
    )
    assert re.search(told, errors)
    assert "2 of 3 could not be read" in errors
    assert written(out) == ["clip.saliency.mp4", "incomplete.spoilt.saliency.mp4"]
    result = cv2.VideoCapture(str(out / "clip.saliency.mp4"))
    assert result.get(cv2.CAP_PROP_FRAME_COUNT) == 5
    assert result.read()[1].shape == (48, 64, 3)
    again = predict(*words, "--resume")
    assert again.returncode == 1 and re.search(told, again.stderr.decode())
    assert "1 of 3 results exist already" in again.stderr.decode()


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_video_results_are_named_after_the_task(task, tiny_network, tmp_path):
    cv2 = pytest.importorskip("cv2")
    clip = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    if not writer.isOpened():
        pytest.skip("OpenCV has no MPEG-4 encoder here")
    writer.write(np.asarray(photo((48, 64))))
    writer.release()
    variant = {"segmentation": "DeepLab", "detection": "SSD300"}[task]
    tiny_network(variant, task).save(tmp_path / "n.keras")
    words = ("--model", "n.keras", "--input", "clip.mp4", "--output", "out", "--resume")
    assert predict(*words, cwd=tmp_path).returncode == 0
    assert written(tmp_path / "out") == [f"clip.{task}.mp4"]
    again = predict(*words, cwd=tmp_path)
    assert "1 of 1 results exist already" in again.stderr.decode()


def test_after_ctrl_c_nothing_is_half_written(network, tmp_path):
    path, _ = network
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for seed in range(400):
        photo((300, 400), seed).save(source / f"{seed}.bmp")
    words = ("--model", path, "--input", source, "--output", out, "--batch_size", 1)
    run = commands.start("predict.py", *words)
    deadline = time.monotonic() + 60
    while not (out.is_dir() and any(out.glob("[!.]*.png"))):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    errors = run.communicate(timeout=60)[1]
    assert run.returncode == 130, errors
    assert "predict.py: interrupted" in errors and "Traceback" not in errors
    results = written(out)
    assert 0 < len(results) < 400
    for name in results:
        assert not name.startswith(".")
        Image.open(out / name).load()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--input is missing"),
        (["--input", "a.jpg", "--format", "json"], "--output is missing"),
        (["--input", "a.jpg", "--output="], "--output=: an empty name, perhaps"),
        (["--input", "a.jpg", "--output", "out"], "--input: there is no a.jpg"),
        (["--input", ".", "--output", "out"], "--input: no images in ."),
        (["--input", "*.jpg", "--output", "out"], "no images match *.jpg"),
        (["--input", "-", "--output", "out"], "--input - must be the only input"),
        (["a.jpg", "--threshold", "0.2"], "--threshold goes with --format mask"),
        (["a.jpg", "--format", "jpeg"], "map|mask|cutout|overlay|panel"),
        (["a.jpg", "--threshold", "2"], "2.0 is not a number in the range [0, 1]"),
        (["here.png", "--output", "."], "would overwrite the input here.png"),
        (["here.png", "--output", "here.png"], "--output: here.png is a file"),
        (
            ["here.png", "--output", "here.png/out"],
            "--output: cannot write to here.png/out: Not a directory",
        ),
        (["here.png", "--output", "o", "--model", "r"], "there is no r: neither a run"),
        (
            ["here.png", "--output", "o", "--model", "r.keras"],
            "--model: there is no model file r.keras",
        ),
    ],
)
def test_invalid_arguments_are_reported_in_one_line(words, message, tmp_path):
    """Each is reported before TensorFlow is imported, in a fraction of a second."""
    if "here.png" in words:
        photo().save(tmp_path / "here.png")
    run = predict(*words, cwd=tmp_path)
    said = run.stderr.decode().strip()
    assert run.returncode == 1 and not run.stdout
    assert said.startswith("predict.py: error: ") and message in said
    assert len(said.splitlines()) == 1
    assert written(tmp_path) in ([], ["here.png"])


def test_class_numbers_need_a_lossless_format(tiny_network, tmp_path):
    for name in "abc":
        photo().save(tmp_path / f"{name}.png")
    tiny_network("DeepLab", "segmentation").save(tmp_path / "n.keras")
    words = ("--model", "n.keras", *(f"{name}.png" for name in "abc"), "--output", "o")
    run = predict(*words, "--output_format", "webp", cwd=tmp_path)
    assert run.returncode == 1 and not (tmp_path / "o").exists()
    assert run.stderr.decode().strip().splitlines()[-1] == (
        "predict.py: error: --output_format webp would not keep the class numbers of a "
        "palette. Use png or tiff"
    )
    assert predict(*words, "--output_format", "tiff", cwd=tmp_path).returncode == 0
    assert written(tmp_path / "o") == ["a.tiff", "b.tiff", "c.tiff"]
    with Image.open(tmp_path / "o" / "a.tiff") as classes:
        assert (classes.mode, classes.size) == ("P", (45, 30))
