"""Folders that cannot be written are reported before any work."""

import errno
import os
import tempfile

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.path_checks import check_writable, existing_folder


def test_writable_paths_are_accepted(tmp_path):
    for path in (tmp_path, tmp_path / "new" / "deep"):
        assert check_writable(str(path)) == path
    assert list(tmp_path.iterdir()) == []


def test_unwritable_paths_are_reported(tmp_path):
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


def test_missing_folder_is_checked_by_its_nearest_parent(tmp_path, monkeypatch):
    def refuse(dir):
        assert dir == tmp_path
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(PicanetError, match="to .*/new/deep: Permission denied"):
        check_writable(tmp_path / "new" / "deep")


def test_missing_folders_are_reported(tmp_path):
    assert existing_folder(str(tmp_path)) == tmp_path
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name, what in (
        ("file", "not a folder"),
        ("link", "not a folder"),
        ("none", "no such folder"),
    ):
        path = tmp_path / name
        for named, told in ((), str(path)), (("source",), f"`source` {path}"):
            with pytest.raises(PicanetError) as raised:
                existing_folder(path, *named)
            assert str(raised.value) == f"{told}: {what}"
