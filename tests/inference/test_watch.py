"""Images that are predicted as they arrive in a folder."""

import signal
import time

import pytest

from picanet_tf.inference import file_predictor, pipeline, watch
from picanet_tf.inference.options import PredictOptions
from picanet_tf.inference.watch import watch_folder
from tests import commands
from tests.commands import written
from tests.inference.networks import save


def wait_for(condition, run):
    deadline = time.monotonic() + 60
    while not condition():
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_files_are_predicted_as_they_arrive(litert_file, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    save(folder / "a.png")
    (folder / "bad.png").write_text("no photo")
    words = ("predict", "--watch", "in", "--output", "out", "--model", litert_file)
    run = commands.start("-m", "picanet_tf.commands", *words, cwd=tmp_path)
    wait_for((out / "a.png").exists, run)
    save(folder / "sub" / "b.png", 1)
    wait_for((out / "sub" / "b.png").exists, run)
    first = (out / "a.png").read_bytes()
    save(folder / "a.png", 5)
    wait_for(lambda: (out / "a.png").read_bytes() != first, run)
    save(folder / "bad.png")
    wait_for((out / "bad.png").exists, run)
    run.send_signal(signal.SIGINT)
    said = run.communicate(timeout=60)[1]
    assert run.returncode == 0, said
    assert "Traceback" not in said
    assert said.count("unreadable: in/bad.png") == 1
    for line in ("in/a.png -> out/a.png", "in/sub/b.png -> out/sub/b.png"):
        assert line in said
    assert "4 written, 1 failed" in said
    assert written(out) == ["a.png", "bad.png", "sub/b.png"]


class Looks:
    """Runs `watch_folder` without waiting, and does one thing before each look."""

    def __init__(self, monkeypatch, *actions):
        self.left = list(actions)
        monkeypatch.setattr(watch, "_sleep", self)

    def __call__(self, seconds, stop):
        if not self.left:
            stop.received = signal.SIGINT
        elif action := self.left.pop(0):
            action()


def watched(litert_file, folder, **options):
    return watch_folder(folder, PredictOptions(model=str(litert_file), **options))


def results(report):
    return [path.name for path in report.written]


def test_a_file_is_read_once_it_is_stable(litert_file, tmp_path, monkeypatch):
    save(tmp_path / "whole.png", size=(60, 90))
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "whole.png").unlink()
    folder = tmp_path / "in"
    folder.mkdir()

    def copy(end):
        return lambda: (folder / "a.png").write_bytes(content[:end])

    ends = [len(content) * part // 4 for part in (1, 2, 3, 4)]
    Looks(monkeypatch, *map(copy, ends), None, None, None)
    report = watched(litert_file, folder)
    assert results(report) == ["a.cutout.png"] and not report.failed


def test_results_are_not_taken_for_new_photos(litert_file, tmp_path, monkeypatch):
    for form in ("map", "cutout"):
        folder = tmp_path / form
        save(folder / "a.png")
        Looks(monkeypatch, None, (folder / "a.png").unlink, *[None] * 4)
        report = watched(litert_file, folder, form=form)
        assert results(report) == [f"a.{form}.png"]
    folder = tmp_path / "deep"
    save(folder / "a.png")
    Looks(monkeypatch, *[None] * 4)
    assert results(watched(litert_file, folder, output=str(folder / "out"))) == [
        "a.png"
    ]
    assert written(folder) == ["a.png", "out/a.png"]


def test_bad_file_is_reported_once_for_each_change(litert_file, tmp_path, monkeypatch):
    (tmp_path / "a.png").write_text("bad")
    Looks(
        monkeypatch,
        *[None] * 4,
        lambda: (tmp_path / "a.png").write_text("still bad"),
        *[None] * 4,
    )
    assert len(watched(litert_file, tmp_path).failed) == 2


def test_names_of_results_do_not_change_while_watching(
    litert_file, tmp_path, monkeypatch
):
    folder, out = tmp_path / "in", tmp_path / "out"
    save(folder / "c.png")
    Looks(
        monkeypatch,
        None,
        (folder / "c.png").unlink,
        lambda: save(folder / "c.bmp", 3),
        *[None] * 3,
    )
    assert results(watched(litert_file, folder, output=str(out))) == [
        "c.png",
        "c.bmp.png",
    ]


@pytest.mark.parametrize("output", ["out", None])
def test_only_photos_with_the_same_result_fail(
    output, litert_file, tmp_path, monkeypatch, caplog
):
    folder = tmp_path / "in"
    save(folder / "a.png")

    def add(*names):
        return lambda: [save(folder / name) for name in names]

    # A JPEG that is called a.jpg.png.
    Looks(
        monkeypatch,
        None,
        add("a.jpg", "a.jpg.png"),
        *[None] * 3,
        add("good.png"),
        *[None] * 2,
        (folder / "a.jpg").unlink,
        *[None] * 2,
        add("a.jpg"),
        *[None] * 2,
        (folder / "a.jpg.png").unlink,
        *[None] * 2,
    )
    report = watched(
        litert_file, folder, output=output and str(tmp_path / output), form="cutout"
    )
    end = "" if output else ".cutout"
    names = ("a", "good", "a.jpg", "a.jpg")
    assert results(report) == [f"{name}{end}.png" for name in names]
    # Both at first, and a.jpg when it is back.
    assert len(report.failed) == 3
    told = [line for line in caplog.messages if "would both go to" in line]
    assert len(told) == 2
    assert f"{folder}/a.jpg and {folder}/a.jpg.png would both go to" in told[0]


def test_watch_resumes(litert_file, tmp_path, monkeypatch):
    for name in ("a", "b"):
        save(tmp_path / f"{name}.png")
    (tmp_path / "a.cutout.png").write_bytes(b"mine")
    Looks(monkeypatch, None, None, lambda: save(tmp_path / "a.png", 3), *[None] * 3)
    report = watched(litert_file, tmp_path, resume=True)
    assert results(report) == ["b.cutout.png", "a.cutout.png"]


def test_removed_folder_is_an_error(litert_file, tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    Looks(monkeypatch, None, folder.rmdir, None)
    with pytest.raises(ValueError, match="`watch`: .*in is gone"):
        watched(litert_file, folder)


def test_ctrl_c_finishes_the_photos_in_progress(litert_file, tmp_path, monkeypatch):
    """After Ctrl-C, those that were begun are finished and counted."""
    monkeypatch.setattr(pipeline, "cores", lambda: 2)
    for number in range(60):
        save(tmp_path / f"{number}.png")
    stops = []

    def stop_at_once(*args, real=watch.StopRequest, **kwargs):
        stops.append(real(*args, **kwargs))
        return stops[-1]

    monkeypatch.setattr(watch, "StopRequest", stop_at_once)
    original = file_predictor.save_picture

    def saved(*args):
        stops[0].received = signal.SIGINT
        original(*args)

    monkeypatch.setattr(file_predictor, "save_picture", saved)
    monkeypatch.setattr(watch, "_sleep", lambda *_: None)
    report = watched(litert_file, tmp_path)
    cutouts = [name for name in written(tmp_path) if "cutout" in name]
    assert 0 < len(report.written) < 20 and sorted(results(report)) == cutouts
