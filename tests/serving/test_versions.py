"""A version appears whole or not at all."""

import json
import signal
import socket
import subprocess
import sys
import time

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.serving.versions import (
    MODEL_CARD,
    check_version,
    publishing_version,
    versions,
)


def publish(base, text="new", version=None, overwrite=False):
    with publishing_version(base, version, overwrite) as staged:
        (staged.folder / "file").write_text(text)
        (staged.folder / MODEL_CARD).parent.mkdir()
        card = {"files": ["file", str(MODEL_CARD)]}
        (staged.folder / MODEL_CARD).write_text(json.dumps(card))
        assert staged.folder.parent == base and staged.folder.name.startswith(".")
        assert staged.published is None
    return staged.published


def everything(folder):
    """All but the model cards."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(path for path in paths if "/assets" not in path)


def test_next_version_is_numbered_above_the_others(tmp_path):
    base = tmp_path / "export" / "picanet"
    assert publish(base) == base / "1"
    assert publish(base, version=9) == base / "9"
    (base / "latest").mkdir()
    assert publish(base) == base / "10"
    assert versions(base) == [1, 9, 10]
    assert (base / "10" / "file").read_text() == "new"


def test_existing_version_is_replaced_only_with_overwrite(tmp_path):
    publish(tmp_path, "old")
    with pytest.raises(PicanetError, match="`version`: .*/1 exists already.*overwrite"):
        publish(tmp_path, version=1)
    assert (tmp_path / "1" / "file").read_text() == "old"
    publish(tmp_path, version=1, overwrite=True)
    assert everything(tmp_path) == ["1", "1/file"]
    assert (tmp_path / "1" / "file").read_text() == "new"


def test_only_an_export_is_replaced(tmp_path):
    """Such as photos, by year."""
    (tmp_path / "2024").mkdir()
    (tmp_path / "2024" / "photo.jpg").write_text("mine")
    (tmp_path / "2025").write_text("a file")
    (tmp_path / "2026").symlink_to("nowhere")
    before = everything(tmp_path)
    for version in (2024, 2025, 2026):
        for overwrite in (False, True):
            with pytest.raises(PicanetError, match=f"{version} exists.* not an export"):
                publish(tmp_path, version=version, overwrite=overwrite)
    assert everything(tmp_path) == before
    assert (tmp_path / "2024" / "photo.jpg").read_text() == "mine"


def test_foreign_files_in_a_version_are_kept(tmp_path):
    version = publish(tmp_path, "old")
    for name in ("notes.txt", "assets/rocket.jpg", ".git/HEAD"):
        (version / name).parent.mkdir(exist_ok=True)
        (version / name).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(PicanetError) as raised:
        publish(tmp_path, version=1, overwrite=True)
    assert str(raised.value) == (
        f"`version`: {version} holds files that are not of its export, so `overwrite` "
        "does not touch it: .git, assets/rocket.jpg, notes.txt. Move them away, or "
        "give another `version`"
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_files_created_meanwhile_are_kept(tmp_path):
    version = publish(tmp_path, "old")
    with (
        pytest.raises(PicanetError, match="does not touch it: notes.txt"),
        publishing_version(tmp_path, 1, True),
    ):
        (version / "notes.txt").write_text("mine")
    assert everything(tmp_path) == ["1", "1/file", "1/notes.txt"]
    assert (version / "file").read_text() == "old"


@pytest.mark.parametrize("card", ["{}", "[]", "nonsense", '{"files": null}'])
def test_version_without_a_list_of_files_is_not_replaced(tmp_path, card):
    version = publish(tmp_path, "old")
    (version / MODEL_CARD).write_text(card)
    with pytest.raises(PicanetError, match="does not list the files that `overwrite`"):
        publish(tmp_path, version=1, overwrite=True)
    assert (version / "file").read_text() == "old"


def test_output_must_not_be_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PicanetError, match="`output`: .*file is a file, not a folder"):
        check_version(tmp_path / "file", None, False)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failed_export_leaves_nothing(tmp_path, error):
    with pytest.raises(error):
        with publishing_version(tmp_path / "a" / "b", None, False) as staged:
            (staged.folder / "file").write_text("half")
            raise error
    assert everything(tmp_path) == []


def test_a_failed_overwrite_keeps_the_old_one(tmp_path, monkeypatch):
    publish(tmp_path, "old")
    with pytest.raises(ValueError):
        with publishing_version(tmp_path, 1, True):
            raise ValueError
    assert (tmp_path / "1" / "file").read_text() == "old"

    rename = type(tmp_path).rename

    def failing(path, target):
        if path.suffix == ".tmp":
            raise PermissionError(13, "no")
        return rename(path, target)

    monkeypatch.setattr(type(tmp_path), "rename", failing)
    with pytest.raises(PermissionError):
        publish(tmp_path, version=1, overwrite=True)
    assert everything(tmp_path) == ["1", "1/file"]
    assert (tmp_path / "1" / "file").read_text() == "old"


def test_two_exports_at_once_do_not_collide(tmp_path):
    with publishing_version(tmp_path, None, False) as first:
        (first.folder / "file").write_text("slow")
        # The quicker one, of another process.
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "file").write_text("quick")
    assert first.published == tmp_path / "2"
    assert (tmp_path / "1" / "file").read_text() == "quick"
    with pytest.raises(PicanetError, match="/3 exists already"):
        with publishing_version(tmp_path, 3, False) as asked:
            (asked.folder / "file").write_text("slow")
            (tmp_path / "3").mkdir()
            (tmp_path / "3" / "file").write_text("quick")
    assert everything(tmp_path) == ["1", "1/file", "2", "2/file", "3", "3/file"]


def test_next_version_never_replaces_another(tmp_path):
    with publishing_version(tmp_path, None, overwrite=True) as staged:
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "file").write_text("quick")
    assert staged.published == tmp_path / "2"
    assert (tmp_path / "1" / "file").read_text() == "quick"


def test_leftovers_of_killed_exports_are_removed(tmp_path):
    host = socket.gethostname()
    for name in (f".4.{host}.00000004", f".2.{host}.00000002", ".6.elsewhere.00000006"):
        (tmp_path / f"{name}.{'old' if name.startswith('.2') else 'tmp'}").mkdir()
        (tmp_path / f"{name}.lock").touch()
    with publishing_version(tmp_path, 5, False):
        publish(tmp_path, version=1)
    assert everything(tmp_path) == [
        ".6.elsewhere.00000006.lock",
        ".6.elsewhere.00000006.tmp",
        "1",
        "1/file",
        "2",  # Killed between two renamings: the old version comes back.
        "5",
    ]


def test_sigterm_leaves_nothing(tmp_path):
    code = (
        "import pathlib, sys, time\n"
        "from picanet_tf.serving.versions import publishing_version\n"
        "base = pathlib.Path(sys.argv[1]) / 'base'\n"
        "with publishing_version(base, None, False) as staged:\n"
        "    (staged.folder / 'file').write_text('half')\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path])
    deadline = time.monotonic() + 30
    while not list(tmp_path.rglob("file")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert everything(tmp_path) == []
