"""The parts that both clients share."""

import errno
import os
import signal
from pathlib import Path

import pytest

from deploy.client import (
    INPUT,
    OUTPUT,
    SIGNATURE,
    Client,
    ModelInfo,
    NoAnswer,
    Refused,
    shorten_message,
)
from deploy.common import Options, report_latency, send_images
from deploy.pool import Pool, draw_pause
from picanet_tf.core import files
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.inputs import Input

PNG = b"\x89PNG\r\n\x1a\nand so on"


@pytest.mark.parametrize(
    "message, line",
    [
        (
            "assertion failed: [Cannot decode image_bytes: a PNG must have 1 to 9 "
            "pixels, its header declares (width, height)] [4] [3] [in image number] "
            "[2]\n\t [[{{node map/Assert}}]]",
            "Cannot decode image_bytes: a PNG must have 1 to 9 pixels, its header "
            "declares (width, height) 4 3",
        ),
        ("{{function_node f_1}} Invalid JPEG data, size 40 [[{{node d}}]]",
         "Invalid JPEG data, size 40"),
        ("Expects arg[0] to be float", "Expects arg[0] to be float"),
        ("  \n", "no reason given"),
        ("x" * 301, "x" * 300 + " ..."),
    ],
)  # fmt: skip
def test_messages_are_shortened_to_one_line(message, line):
    assert shorten_message(message) == line


def test_latency_report():
    seconds = [n / 1000 for n in range(1, 101)]
    assert report_latency(seconds, 4, 8) == (
        "latency p50 50 ms, p90 90 ms, p99 99 ms; 25.0 images/s, 8 in flight"
    )
    assert report_latency([2], 2, 1, resent=3) == (
        "latency p50 2000 ms, p90 2000 ms, p99 2000 ms; 0.5 images/s, 1 in flight; "
        "3 requests sent again"
    )


def test_model_description_has_version_or_label():
    for options, name in (
        ({}, "picanet"),
        ({"version": 0}, "picanet, version 0"),
        ({"label": "stable", "model": "other"}, "other, label stable"),
    ):
        assert Options("server", **options).describe_model() == name
    with pytest.raises(PicanetError, match="`version` and `label`"):
        Options("server", version=0, label="stable")


def test_pauses_double(monkeypatch):
    monkeypatch.setattr("deploy.pool.FIRST_PAUSE", 0.25)
    for attempt in range(5):
        assert 0.75 <= draw_pause(attempt) / (0.25 * 2**attempt) <= 1.25


@pytest.fixture
def pairs(tmp_path):
    paths = [tmp_path / f"{n}.png" for n in range(20)]
    for path in paths:
        path.write_bytes(path.stem.encode())
    return [(Input(path, Path(path.name)), tmp_path / "out") for path in paths]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("deploy.pool.FIRST_PAUSE", 0.001)


def test_each_file_has_one_outcome(pairs):
    pairs[3][0].path.unlink()

    def predict(image):
        if image == b"5":
            raise Refused("no photo")
        return b"JPEG" if image == b"7" else PNG + image

    outcomes = {o.item.path.stem: o for o in Pool(predict, pairs, 4, 0).outcomes()}
    assert sorted(outcomes, key=int) == [str(n) for n in range(20)]
    errors = {name: o.error for name, o in outcomes.items() if o.png is None}
    assert errors == {
        "3": "cannot be read: No such file or directory",
        "5": "no photo",
        "7": "the answer is not a PNG",
    }
    assert all(o.png == PNG + n.encode() for n, o in outcomes.items() if not o.error)


def test_requests_are_retried_only_where_it_may_help(pairs):
    asked = []

    def predict(image):
        asked.append(image)
        if asked.count(image) <= 2:
            raise NoAnswer("busy", retry=image != b"0")
        return PNG

    outcomes = list(Pool(predict, pairs[:3], 3, 2).outcomes())
    assert sorted((o.item.path.stem, o.resent, o.error) for o in outcomes) == [
        ("0", 0, "busy"),
        ("1", 2, ""),
        ("2", 2, ""),
    ]
    assert sorted(asked) == [b"0"] + 3 * [b"1"] + 3 * [b"2"]


def test_answers_in_between_keep_the_pool_running(pairs):
    def predict(image):
        if int(image) % 2:
            raise NoAnswer("late", retry=False)
        return PNG

    pool = Pool(predict, pairs, 1, 0)
    assert pool.gone == ""
    # In flight 1: the first that is not answered ends it.
    assert [o.error for o in pool.outcomes()] == ["", "late"]
    assert pool.gone == "late"
    assert len(list(Pool(predict, pairs, 20, 0).outcomes())) == 20


def test_bugs_are_not_swallowed(pairs):
    def predict(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(Pool(predict, pairs, 4, 0).outcomes())


class Echo(Client):
    """Answers each image with `PNG` followed by the image; needs no server."""

    def _connect(self, model, version, label):
        pass

    def describe(self):
        return ModelInfo("1", {SIGNATURE: ({INPUT}, {OUTPUT})})

    def predict(self, image):
        return PNG + image


class Signalled(Echo):
    """Sends this process a signal with each request."""

    def predict(self, image):
        os.kill(os.getpid(), int(image))
        return PNG


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """`photos/cat.jpg` and `photos/deep/dog.jpg`, below the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/cat.jpg", "photos/deep/dog.jpg"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(Path(name).stem.encode())
    return Path("photos")


def written(folder="."):
    return sorted(str(path) for path in Path(folder).rglob("*.png"))


@pytest.mark.parametrize("resume", [False, True])
def test_no_photo_is_overwritten_by_anothers_map(photos, resume):
    (photos / "cat.png").write_bytes(b"a photo")
    with pytest.raises(PicanetError) as raised:
        send_images(Echo, ["photos/cat.jpg"], "photos", Options("a", resume=resume))
    assert str(raised.value) == (
        "`output`: the map of photos/cat.jpg would overwrite photos/cat.png next to "
        "it, which may be another photo. Give another folder"
    )
    assert (photos / "cat.png").read_bytes() == b"a photo"
    (photos / "cat.png").unlink()
    assert send_images(Echo, ["photos/cat.jpg"], "photos", Options("a")) == 0
    assert (photos / "cat.png").read_bytes() == PNG + b"cat"


def test_maps_are_not_taken_for_photos(photos, capsys):
    for _ in range(2):
        assert send_images(Echo, ["photos"], "photos/maps", Options("a")) == 0
        assert "2 of 2 maps in photos/maps" in capsys.readouterr().out
    assert written() == ["photos/maps/cat.png", "photos/maps/deep/dog.png"]
    with pytest.raises(PicanetError) as raised:
        send_images(Echo, ["photos"], "photos", Options("a"))
    assert str(raised.value) == (
        "`output` must not be the folder of the inputs, photos: the next run would "
        "take the maps for photos. Give another folder"
    )


def test_unwritable_map_is_reported_with_the_others(photos, capsys):
    Path("maps").mkdir()
    Path("maps/deep").touch()
    assert send_images(Echo, ["photos"], "maps", Options("a")) == 1
    said = capsys.readouterr()
    assert "failed: photos/deep/dog.jpg: Cannot write maps/deep/dog.png: " in said.err
    assert "1 of 2 images have no map: 1 failed, 0 not sent" in said.err
    assert "1 of 2 maps in maps" in said.out and written() == ["maps/cat.png"]


def test_full_disk_ends_the_run_with_a_report(photos, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for number in range(50):
        (photos / f"{number}.jpg").touch()
    monkeypatch.setattr(files, "move_into_place", full)
    assert send_images(Echo, ["photos"], "maps", Options("a", in_flight=1)) == 1
    said = capsys.readouterr()
    first = "failed: photos/0.jpg: Cannot write maps/0.png: No space left on device"
    assert first in said.err
    assert "52 of 52 images have no map: " in said.err and " 0 not sent" not in said.err


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_exit_code_reflects_the_signal(photos, number, code):
    (photos / "cat.jpg").write_text(str(int(number)))
    sent = [str(photos / "cat.jpg")]
    assert send_images(Signalled, sent, "maps", Options("a", in_flight=1)) == code
    assert written() == ["maps/cat.png"]  # Only the exit code differs.
