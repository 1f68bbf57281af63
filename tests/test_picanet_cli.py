"""The command `picanet`: where results go by default, and its own arguments."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import picanet_tf
from picanet_tf.commands import COMMANDS
from picanet_tf.drawing.cutouts import cut_out
from picanet_tf.inference import LiteRTModel
from picanet_tf.presets import registry
from tests import commands
from tests.commands import picanet, written
from tests.inference.networks import photo, save


def check_cutout(path, image, model):
    cutout = Image.open(path)
    assert cutout.mode == "RGBA"
    expected = cut_out(image, model.predict(image))
    assert expected[..., 3].std() > 5
    np.testing.assert_allclose(np.asarray(cutout), expected, atol=1)


def test_a_cutout_beside_the_photo(tiny, predict, tmp_path):
    image = save(tmp_path / "deep" / "photo.bmp")
    said = predict("deep/photo.bmp")
    assert written(tmp_path) == ["deep/photo.bmp", "deep/photo.cutout.png"]
    check_cutout(tmp_path / "deep" / "photo.cutout.png", image, tiny[1])
    assert "1 written to deep/photo.cutout.png" in said


@pytest.mark.parametrize("form", ["map", "mask", "overlay", "panel"])
def test_another_format_beside_the_photo(form, predict, tmp_path):
    save(tmp_path / "photo.png")
    predict("photo.png", "--format", form)
    assert written(tmp_path) == [f"photo.{form}.png", "photo.png"]


def test_output_folder_gets_maps(tiny, predict, tmp_path):
    image = save(tmp_path / "photo.png")
    predict("photo.png", "--output", "out")
    assert written(tmp_path) == ["out/photo.png", "photo.png"]
    drawn = Image.open(tmp_path / "out" / "photo.png")
    assert drawn.mode == "L"
    expected = np.round(tiny[1].predict(image) * 255)
    assert np.abs(np.asarray(drawn, float) - expected).max() <= 1


def test_results_are_skipped_on_a_second_run(tiny, predict, tmp_path):
    """Results of the first run are not taken for photos by the second."""
    images = {
        f"{place}.png": save(tmp_path / "in" / f"{place}.png", seed)
        for seed, place in enumerate(("a", "b", "sub/a"))
    }
    first = predict("in")
    assert "3 written beside the inputs" in first and "Passed over" not in first
    after = sorted([*images, "a.cutout.png", "b.cutout.png", "sub/a.cutout.png"])
    assert written(tmp_path / "in") == after
    for place, image in images.items():
        cutout = tmp_path / "in" / place.replace(".png", ".cutout.png")
        check_cutout(cutout, image, tiny[1])
    save(tmp_path / "in" / "a.png", 7)
    for words in (["in"], ["in/**/*.png"]):
        said = predict(*words)
        assert "3 written beside the inputs" in said
        assert "Passed over 3 files: 3 results of earlier runs" in said
        assert written(tmp_path / "in") == after
    said = predict("in", "--resume")
    assert "3 of 3 results exist already" in said and "Passed over 3 files" in said


def test_folder_is_predicted_in_many_formats(predict, tmp_path):
    for place in ("in/a.png", "in/b.png", "in/b.bmp"):
        save(tmp_path / place)
    for form in ("map", "panel", "cutout", "overlay", "mask"):
        predict("in", "--format", form)
    forms = ("cutout", "map", "mask", "overlay", "panel")
    photos = ["a.png", "b.bmp", "b.png"]
    results = [f"{p}.{f}.png" for f in forms for p in ("a", "b.bmp", "b.png")]
    assert written(tmp_path / "in") == sorted(photos + results)
    assert "Passed over 15 files: 15 results of earlier runs" in predict("in")


def test_only_results_are_skipped(predict, tmp_path):
    """A photo may be called photo.map.png: it is no result without its photo."""
    for name in ("x.map.png", "y.overlay.png", "z.mask.bmp", "map.png", "a.b.png"):
        save(tmp_path / "in" / name)
    predict("in", "--output", "out")
    assert written(tmp_path / "out") == [
        *("a.b.png", "map.png", "x.map.png", "y.overlay.png", "z.mask.png")
    ]
    save(tmp_path / "in" / "x.png")
    assert "Passed over 1 file: 1 result of an earlier run" in predict(
        "in", "--output", "more"
    )
    assert "x.png" in written(tmp_path / "more")
    assert "x.map.png" not in written(tmp_path / "more")


def test_explicitly_named_cutout_is_predicted(predict, tmp_path):
    save(tmp_path / "x.cutout.png")
    predict("x.cutout.png")
    assert written(tmp_path) == ["x.cutout.cutout.png", "x.cutout.png"]
    said = predict(".", code=1)
    line = "--input: no images. Passed over 2 files: 2 results of earlier runs"
    assert line in said


def test_photos_of_one_stem_get_distinct_results(tiny, predict, tmp_path):
    images = {
        name: save(tmp_path / name, n) for n, name in enumerate(["c.png", "c.bmp"])
    }
    predict("c.png", "c.bmp")
    names = ["c.bmp", "c.bmp.cutout.png", "c.png", "c.png.cutout.png"]
    assert written(tmp_path) == names
    for name, image in images.items():
        check_cutout(tmp_path / f"{name}.cutout.png", image, tiny[1])
    assert "Passed over 2 files: 2 results of earlier runs" in predict(".")
    assert written(tmp_path) == names


@pytest.mark.parametrize("words", [[], ["--output", "out"]])
def test_unreadable_photos_do_not_stop_the_others(tiny, predict, tmp_path, words):
    image = save(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.jpg").write_bytes(b"no photo")
    (tmp_path / "in" / "gone.png").symlink_to("nowhere.png")
    said = predict("in", *words, code=1)
    assert "unreadable: in/bad.jpg: not an image of a known format" in said
    assert "unreadable: in/gone.png: no such file" in said
    assert "1 written" in said and "2 of 3 could not be read" in said
    if words:
        assert written(tmp_path / "out") == ["good.png"]
    else:
        check_cutout(tmp_path / "in" / "good.cutout.png", image, tiny[1])


def test_unwritable_folder_is_reported(predict, tmp_path):
    """Nobody can write to /proc, not even root."""
    save(tmp_path / "photo.png")
    said = predict("/proc/self/exe", code=1)
    assert said.startswith("picanet predict: error: --output: cannot write to /proc/se")
    assert "Results are written next to their inputs unless --output is given" in said
    assert len(said.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_write_permission_is_reported(predict, tmp_path):
    save(tmp_path / "in" / "photo.png")
    (tmp_path / "in").chmod(0o500)
    try:
        assert "cannot write to in: Permission denied" in predict("in", code=1)
    finally:
        (tmp_path / "in").chmod(0o700)
    assert written(tmp_path) == ["in/photo.png"]


def test_resume_predicts_only_what_is_missing(tiny, predict, tmp_path):
    images = {n: save(tmp_path / "in" / f"{n}.png", int(n)) for n in "0123"}
    predict("in/0.png", "in/1.png")
    marked = tmp_path / "in" / "0.cutout.png"
    marked.write_bytes(b"mine")
    said = predict("in", "--resume")
    assert "2 of 4 results exist already" in said and "2 written" in said
    assert "Passed over 2 files: 2 results of earlier runs" in said
    assert marked.read_bytes() == b"mine"
    for n in "123":
        check_cutout(tmp_path / "in" / f"{n}.cutout.png", images[n], tiny[1])


def test_many_photos_of_many_sizes(tiny, predict, tmp_path):
    images = {
        f"{n}": save(tmp_path / "in" / f"{n}.png", n, (20 + 7 * (n % 5), 30 + n))
        for n in range(40)
    }
    assert "40 written beside the inputs" in predict("in")
    for name, image in images.items():
        check_cutout(tmp_path / "in" / f"{name}.cutout.png", image, tiny[1])


def test_from_standard_input(tiny, tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(photo()).save(buffer, "PNG")
    words = ("predict", "--model", tiny[0], "-")
    run = picanet(*words, cwd=tmp_path, input=buffer.getvalue())
    assert run.returncode == 0, run.stderr
    drawn = Image.open(io.BytesIO(run.stdout))
    assert (drawn.mode, drawn.size) == ("L", (45, 30))
    run = picanet(*words, "--format", "cutout", cwd=tmp_path, input=buffer.getvalue())
    (tmp_path / "out.png").write_bytes(run.stdout)
    check_cutout(tmp_path / "out.png", photo(), tiny[1])
    run = picanet(*words, cwd=tmp_path, input=b"")
    assert run.returncode == 1 and run.stdout == b""
    assert run.stderr.startswith(b"picanet predict: error: standard input: ")
    assert written(tmp_path) == ["out.png"]


def test_the_default_model_ships(tmp_path):
    image = save(tmp_path / "photo.png", size=(60, 80))
    run = picanet("predict", "photo.png", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert b"The model is the preset picanet_vgg16_duts (there is no runs" in run.stderr
    path = Path(registry.__file__).parent / "picanet_vgg16_duts.tflite"
    cutout = np.asarray(Image.open(tmp_path / "photo.cutout.png"))
    expected = cut_out(image, LiteRTModel(path).predict(image))
    np.testing.assert_allclose(cutout, expected, atol=1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["photo.png", "--model", "nothing"], "--model: there is no nothing: neither"),
        (["photo.png", "--model="], "flag --model=: an empty name"),
        (["photo.png", "--model", "photo.png"], "--model: photo.png is not a model"),
        (["photo.png", "--weights", "best"], "--weights goes with a run only"),
        (["photo.png", "--engine", "onnx"], "litert|keras"),
        (["photo.png", "--threads", "0"], "threads"),
        (
            ["photo.png", "--format", "boxes"],
            "of map, mask, cutout, overlay, panel for",
        ),
        (["photo.png", "photo.png/x"], "--input: there is no photo.png/x"),
        (["--resume"], "--input is missing"),
    ],
)
def test_invalid_arguments_are_reported_in_one_line(words, message, tmp_path):
    save(tmp_path / "photo.png")
    run = picanet("predict", *words, cwd=tmp_path)
    said = run.stderr.decode().strip()
    assert run.returncode == 1 and run.stdout == b""
    assert message in said and said.splitlines()[-1].startswith(
        "picanet predict: error"
    )
    # Before it, the log's line on which model it is, at most.
    assert len([line for line in said.splitlines() if "The model is" not in line]) == 1
    assert written(tmp_path) == ["photo.png"]


def test_version(tmp_path):
    for word in ("--version", "-V", "version"):
        run = picanet(word, cwd=tmp_path)
        assert run.stdout.decode() == f"picanet {picanet_tf.__version__}\n"
        assert run.returncode == 0 and run.stderr == b""


def test_usage(tmp_path):
    for words, code in (([], 1), (["--help"], 0), (["-h"], 0), (["help"], 0)):
        run = picanet(*words, cwd=tmp_path)
        lines = (run.stdout + run.stderr).decode().splitlines()
        assert lines[0] == "usage: picanet COMMAND [flags] [arguments]"
        assert run.returncode == code
        for command in COMMANDS:
            assert any(line.split()[:1] == [command] for line in lines), command


def test_unknown_commands_are_reported(tmp_path):
    for word in ("predcit", "--model", "-x", "photo.jpg"):
        run = picanet(word, cwd=tmp_path)
        assert run.returncode == 1 and run.stdout == b""
        said = run.stderr.decode()
        assert said.startswith(
            f"picanet: error: unknown command {word!r}. Available commands: "
        )
        assert "predict, serve, web, models" in said and len(said.splitlines()) == 1


def test_unexpected_arguments_are_reported(tmp_path):
    for words, message in (
        (["models", "a", "b"], "picanet models: error: expected at most one NAME"),
        (
            ["models", "nothing"],
            "picanet models: error: There is no preset 'nothing'. ",
        ),
        (["models", "--colour"], "picanet models: error: Unknown command line flag"),
        (["predict", "--colour"], "picanet predict: error: Unknown command line flag"),
        (["train", "word"], "picanet train: error: unexpected argument 'word'"),
    ):
        run = picanet(*words, cwd=tmp_path)
        assert run.returncode == 1
        assert run.stderr.decode().startswith(message), run.stderr
        assert len(run.stderr.decode().strip().splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command, tmp_path):
    """Of the command's own flags, whichever program it is called by."""
    run = picanet(command, "--help", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    said = run.stdout.decode()
    assert said.startswith(f"usage: picanet {command} ") and run.stderr == b""
    assert ("\n  --" in said) == (command not in ("models", "verify"))  # without flags
    if command in ("predict", "evaluate"):
        for name in ("weights", "engine", "threads", "precision"):
            assert f"\n  --{name}: " in said, name


def video(path):
    cv2 = pytest.importorskip("cv2")
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    if not writer.isOpened():
        pytest.skip("OpenCV has no MPEG-4 encoder here")
    for seed in range(3):
        writer.write(photo((48, 64), seed))
    writer.release()
    return cv2


def test_a_video_alone_gets_maps(predict, tmp_path):
    """It has no alpha, so the default of photos would be the video once more."""
    cv2 = video(tmp_path / "clip.mp4")
    save(tmp_path / "a.png")
    predict("clip.mp4", "a.png")
    assert written(tmp_path) == [
        "a.cutout.png",
        "a.png",
        "clip.mp4",
        "clip.saliency.mp4",
    ]
    frame = cv2.VideoCapture(str(tmp_path / "clip.saliency.mp4")).read()[1]
    assert np.abs(frame - frame.mean(-1, keepdims=True)).max() < 12  # grey
    said = predict("*.mp4")
    assert "Passed over 1 file: 1 result of an earlier run" in said
    assert not (tmp_path / "clip.saliency.saliency.mp4").exists()


def test_results_never_overwrite_a_photo(predict, tmp_path):
    save(tmp_path / "a.bmp")
    mine = save(tmp_path / "a.png", 5)
    for resume in ((), ("--resume",)):  # Nor taken for a result.
        said = predict("a.bmp", "--output", ".", *resume, code=1)
        assert "the result of a.bmp would overwrite a.png next to it" in said
    with Image.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), mine)


def test_a_cutouts_name_does_not_depend_on_the_call(tiny, predict, tmp_path):
    images = {
        name: save(tmp_path / name, i) for i, name in enumerate(("a.bmp", "a.png"))
    }
    for name in images:
        predict(name)
    assert written(tmp_path) == [
        "a.bmp",
        "a.bmp.cutout.png",
        "a.png",
        "a.png.cutout.png",
    ]
    for name, image in images.items():
        check_cutout(tmp_path / f"{name}.cutout.png", image, tiny[1])


def test_sigterm_leaves_nothing_half_written(tiny, tmp_path):
    for seed in range(300):
        save(tmp_path / "in" / f"{seed}.bmp", seed % 5, (300, 400))
    words = ("predict", "in", "--model", tiny[0])
    run = commands.start("-m", "picanet_tf.commands", *words, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not any((tmp_path / "in").glob("[!.]*.cutout.png")):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    run.terminate()
    said = run.communicate(timeout=60)[1]
    assert run.returncode in (-signal.SIGTERM, 143) and "Traceback" not in said
    results = [name for name in written(tmp_path / "in") if not name.endswith(".bmp")]
    assert 0 < len(results) < 300
    for name in results:
        assert name.endswith(".cutout.png") and not name.startswith(".")
        Image.open(tmp_path / "in" / name).load()


def test_predict_works_with_standard_error_closed(tiny, tmp_path):
    image = save(tmp_path / "a.png")
    line = f"{sys.executable} -m picanet_tf.commands predict a.png --model {tiny[0]}"
    closed = ["sh", "-c", f"{line} 2>&-"]
    done = subprocess.run(closed, cwd=tmp_path, env=commands.ENVIRONMENT, timeout=60)
    assert done.returncode == 0
    check_cutout(tmp_path / "a.cutout.png", image, tiny[1])


def test_long_file_name_is_predicted(tiny, predict, tmp_path):
    name = "n" * 235
    image = save(tmp_path / f"{name}.png")
    predict(".")
    check_cutout(tmp_path / f"{name}.cutout.png", image, tiny[1])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "out.png"], "--output must be a folder. Received: out.png"),
        (["--output", "-"], "--output must be a folder. Received: -"),
        (["--format", "mask", "--threshold", "nan"], "--threshold must be 0 to 1"),
        (["--threads", "99999999999"], "--threads=99999999999"),
        (["--threads", "0"], "--threads=0"),
    ],
)
def test_invalid_values_are_reported(predict, tmp_path, words, message):
    save(tmp_path / "a.png")
    assert message in predict("a.png", *words, code=1)
    assert written(tmp_path) == ["a.png"]
