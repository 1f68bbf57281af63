"""Folders that cannot be read or written, told before the work."""

import errno
import os
import tempfile

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.path_checks import check_readable, check_writable


@pytest.fixture
def locked(monkeypatch):
    """Locks folders, the names of which it is given; a mode would not stop root."""

    def lock(*names):
        whole = os.scandir

        def scandir(path):
            if os.path.basename(path) in names:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return whole(path)

        monkeypatch.setattr(os, "scandir", scandir)

    return lock


def test_a_locked_folder_is_told(tmp_path, locked):
    folder = tmp_path / "photos"
    folder.mkdir()
    words = [f"{tmp_path}/*.jpg", str(folder), "nowhere.jpg"]
    assert check_readable(words) == words
    locked("photos")
    with pytest.raises(PicanetError) as raised:
        check_readable(words)
    assert str(raised.value) == f"`input`: cannot read {folder}: Permission denied"


def test_a_locked_folder_inside_is_passed_over(tmp_path, locked, caplog):
    for name in ("in/lost+found", "in/.trash"):
        (tmp_path / name).mkdir(parents=True)
    locked("lost+found", ".trash")
    check_readable([str(tmp_path)])
    assert caplog.messages == [f"Skipped {tmp_path}/in/lost+found: Permission denied"]


def test_where_files_can_be_made(tmp_path):
    for path in (tmp_path, tmp_path / "new" / "deep"):
        assert check_writable(str(path)) == path
    assert list(tmp_path.iterdir()) == []


def test_where_no_files_can_be_made(tmp_path):
    file, broken = tmp_path / "file", tmp_path / "broken"
    file.write_text("")
    broken.symlink_to("nowhere")
    for path, reason in (
        (file / "out", "Not a directory"),
        (broken, "No such file or directory"),
        ("/proc/out", "No such file or directory"),
    ):
        with pytest.raises(PicanetError) as raised:
            check_writable(path)
        assert str(raised.value) == f"`output`: cannot write to {path}: {reason}"


def test_the_folder_above_is_asked_for_one_that_is_not_there(tmp_path, monkeypatch):
    def refuse(dir):
        assert dir == tmp_path
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(PicanetError, match="to .*/new/deep: Permission denied"):
        check_writable(tmp_path / "new" / "deep")
