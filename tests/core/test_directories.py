"""Directories that appear whole or not at all; see also `serving.versions`."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from picanet_tf.core import directories
from picanet_tf.core.directories import publishing
from picanet_tf.core.errors import PicanetError


def everything(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_folder_is_published_on_success(tmp_path):
    with publishing(tmp_path / "new" / "deep") as staged:
        assert staged.published is None
        assert staged.folder.parent == tmp_path / "new"
        assert staged.folder.name.startswith(".")  # Folder scans pass over it.
        (staged.folder / "file").write_text("whole")
    assert staged.published == tmp_path / "new" / "deep"
    assert everything(tmp_path) == ["new", "new/deep", "new/deep/file"]


def test_files_are_synced_before_publication(tmp_path, monkeypatch):
    synced = []

    def sync(path):
        synced.append((path.name, (tmp_path / "out").exists()))

    monkeypatch.setattr(directories, "sync", sync)
    with publishing(tmp_path / "out") as staged:
        (staged.folder / "inner").mkdir()
        (staged.folder / "inner" / "file").write_text("whole")
    assert synced == [("file", False), (tmp_path.name, True)]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_errors_leave_nothing_behind(error, tmp_path):
    (tmp_path / "old").mkdir()
    for path in ("new/deep/out", "old/out"):
        with pytest.raises(error), publishing(tmp_path / path) as staged:
            (staged.folder / "file").write_text("half")
            raise error
    assert everything(tmp_path) == ["old"]


def test_second_ctrl_c_leaves_nothing_behind(tmp_path, monkeypatch):
    remove = directories.shutil.rmtree

    def rmtree(*args, **options):
        os.kill(os.getpid(), signal.SIGINT)
        remove(*args, **options)

    monkeypatch.setattr(directories.shutil, "rmtree", rmtree)
    with pytest.raises(KeyboardInterrupt), publishing(tmp_path / "out") as staged:
        (staged.folder / "file").write_text("half")
        raise KeyboardInterrupt
    assert everything(tmp_path) == []


@pytest.mark.parametrize("renames, left", [(1, "old"), (2, "new")])
def test_interrupted_replacement_is_undone_or_completed(
    renames, left, tmp_path, monkeypatch
):
    """SIGTERM and Ctrl-C may come right after each of the two renames."""
    rename, calls = pathlib.Path.rename, []

    def interrupted(self, target):
        rename(self, target)
        if not target.name.endswith(".lock"):
            calls.append(target)
            if len(calls) == renames:
                raise KeyboardInterrupt

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pathlib.Path, "rename", interrupted)
        with publishing(tmp_path / "out", overwrite=True) as staged:
            (staged.folder / "new").touch()
    assert everything(tmp_path) == ["out", f"out/{left}"]


def test_existing_folder_is_replaced_only_with_overwrite(tmp_path):
    with publishing(tmp_path / "out") as staged:
        (staged.folder / "old").touch()
    with pytest.raises(PicanetError) as raised, publishing(tmp_path / "out"):
        pass
    assert str(raised.value) == (
        f"`output` {tmp_path}/out exists already. Give another one"
    )
    with publishing(tmp_path / "out", overwrite=True) as staged:
        (staged.folder / "new").touch()
        assert everything(tmp_path / "out") == ["old"]
    assert everything(tmp_path) == ["out", "out/new"]
    (tmp_path / "link").symlink_to("out")
    with publishing(tmp_path / "link", overwrite=True):
        pass
    assert everything(tmp_path) == ["link", "out", "out/new"]
    assert not (tmp_path / "link").is_symlink()


def test_path_ending_in_dots_is_resolved(tmp_path, monkeypatch):
    (tmp_path / "out" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "out")
    for path in (".", "deep/.."):
        with pytest.raises(PicanetError, match="/out exists already"):
            with publishing(path) as staged:
                assert staged.folder.parent == tmp_path
                (staged.folder / "file").touch()
    assert everything(tmp_path) == ["out", "out/deep"]


def test_overwrite_replaces_a_file(tmp_path):
    (tmp_path / "out").touch()
    with publishing(tmp_path / "out", overwrite=True):
        pass
    assert everything(tmp_path) == ["out"] and (tmp_path / "out").is_dir()


HOLD = """
import sys, time
from picanet_tf.core.directories import publishing
with publishing(sys.argv[1]) as staged:
    (staged.folder / "file").touch()
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process, in the middle of publishing `out`."""
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "out"]) as held:
        deadline = time.monotonic() + 30
        while not list(tmp_path.glob(".out.*/file")):
            assert held.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        yield held
        held.kill()


def test_only_leftovers_of_killed_processes_are_removed(tmp_path, holder, monkeypatch):
    def unknown(*_):
        raise ProcessLookupError

    before = everything(tmp_path)
    assert len(before) == 3  # the directory, the file in it, and the lock
    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", unknown)  # As if it were in another container.
        with publishing(tmp_path / "new"):
            pass
    assert everything(tmp_path) == [*before, "new"]
    holder.kill()
    holder.wait()
    with publishing(tmp_path / "out"):
        pass
    assert everything(tmp_path) == ["new", "out"]


def test_concurrent_publications_of_one_name_do_not_collide(tmp_path):
    """As by a process of the same number in another container."""
    with publishing(tmp_path / "out", overwrite=True) as first:
        (first.folder / "first").touch()
        with publishing(tmp_path / "out") as second:
            (second.folder / "second").touch()
        assert everything(tmp_path / "out") == ["second"]
    assert everything(tmp_path) == ["out", "out/first"]


def test_folder_moved_away_by_a_killed_process_is_restored(tmp_path):
    left = tmp_path / f".out.{socket.gethostname()}.0123abcd"
    for suffix in (".tmp", ".old"):
        left.with_name(left.name + suffix).mkdir()
        (left.with_name(left.name + suffix) / suffix[1:]).touch()
    left.with_name(left.name + ".lock").touch()
    (tmp_path / ".other.elsewhere.0123abcd.lock").touch()
    with publishing(tmp_path / "new"):
        pass
    assert everything(tmp_path) == [
        ".other.elsewhere.0123abcd.lock",
        "new",
        "out",
        "out/old",
    ]


def test_leftover_files_are_removed(tmp_path):
    left = f".out.{socket.gethostname()}.0123abcd"
    (tmp_path / "out").mkdir()
    for suffix in (".old", ".lock"):
        (tmp_path / (left + suffix)).touch()
    with publishing(tmp_path / "new"):
        pass
    assert everything(tmp_path) == ["new", "out"]


def test_publishing_works_without_file_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError

    monkeypatch.setattr(directories.fcntl, "flock", refuse)
    left = f".out.{socket.gethostname()}.0123abcd"
    for suffix in (".tmp", ".lock"):
        (tmp_path / (left + suffix)).touch()
    with publishing(tmp_path / "out"):
        pass
    assert everything(tmp_path) == [left + ".lock", left + ".tmp", "out"]


def test_uncreatable_folder_is_reported(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for path, reason in (
        (tmp_path / "file" / "out", "Not a directory"),
        (tmp_path / "file" / "deep" / "out", "Not a directory"),
        (tmp_path / "link" / "out", "File exists"),
        (tmp_path / ("x" * 250), "File name too long"),
    ):
        with pytest.raises(PicanetError) as raised:
            with publishing(path, argument="run"):
                pytest.fail("it was made")
        assert str(raised.value) == f"`run` {path} cannot be made: {reason}"
    assert everything(tmp_path) == ["file", "link"]
