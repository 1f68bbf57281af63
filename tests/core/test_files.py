"""Files that appear whole or not at all."""

import errno
import json
import os
import stat
import subprocess
import sys
import threading

import pytest

from picanet_tf.core import files
from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import replacing, sha256_of, write_json, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_replacing_leaves_nothing_half_written(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["file.txt"]


def test_old_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "file.tar.gz"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path and temporary.suffix == ".gz"
        assert temporary.name.startswith(".")  # Folder scans pass over it.
    assert path.read_text() == "new"


def test_ctrl_c_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and names(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("step", ["sync", "replace"])
def test_a_full_disk_leaves_the_old_file(step, tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "replace" if step == "replace" else "fsync", full)
    with pytest.raises(PicanetError) as raised:
        write_text(path, "new")
    assert str(raised.value) == f"Cannot write {path}: No space left on device"
    assert path.read_text() == "old" and names(tmp_path) == ["file.txt"]


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path, monkeypatch):
    """Such as one of some network file systems, or without permission to list it."""
    sync = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        sync(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)
    write_text(tmp_path / "file.txt", "new")
    assert (tmp_path / "file.txt").read_text() == "new"
    with pytest.raises(OSError, match="No such file"):
        files.sync(tmp_path / "none")


def test_writing_nothing_is_an_error(tmp_path):
    with pytest.raises(PicanetError, match="Cannot write .*file.txt: No such file"):
        with replacing(tmp_path / "file.txt"):
            pass


def test_error_below_a_file_names_the_whole_path(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PicanetError) as raised:
        with replacing(tmp_path / "file" / "a.txt") as temporary:
            temporary.write_text("new")
    assert str(raised.value) == f"Cannot write {tmp_path}/file/a.txt: Not a directory"


def test_write_errors_name_the_file(tmp_path):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(files.DiskFullError) as raised:
        with files.errors_of_writing("out", "make room"):
            raise full
    assert str(raised.value) == "Cannot write out: No space left on device; make room"
    with pytest.raises(PicanetError) as raised, files.errors_of_writing("out"):
        (tmp_path / "none" / "file").touch()
    assert str(raised.value) == "Cannot write out: No such file or directory"
    unnamed = OSError(errno.EAGAIN, "of another kind")
    with pytest.raises(BlockingIOError), files.errors_of_writing("out"):
        raise unnamed


def test_other_errors_are_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(ValueError, match="^mine$") as raised:
        with replacing(tmp_path / "file.txt") as temporary:
            temporary.write_text("half")
            raise ValueError("mine")
    assert not isinstance(raised.value, PicanetError) and names(tmp_path) == []


def test_h5py_errors_are_replaced_by_the_system_message(tmp_path):
    """Its own messages are full of numbers; the message of the system is clearer."""
    error = OSError("Unable to synchronously write (errno = 28, buf = 0x55d0)")
    error.errno = errno.ENOSPC
    said = str(files.cannot_write(tmp_path, error))
    assert said == f"Cannot write {tmp_path}: No space left on device"
    assert str(files.cannot_write(tmp_path, OSError("odd"))).endswith(": odd")


def test_files_of_one_stem_can_be_written_at_once(tmp_path):
    """As predictions do: a temporary name has the suffix and the process in it."""
    with replacing(tmp_path / "a.png") as one, replacing(tmp_path / "a.txt") as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert (tmp_path / "a.png").read_text() == "one"
    assert (tmp_path / "a.txt").read_text() == "two"


def test_threads_can_write_the_same_file(tmp_path):
    """Whole texts only, and no error: whoever comes last wins."""
    path, errors = tmp_path / "a.txt", []
    texts = [str(number) * 200_000 for number in range(6)]

    def write(text):
        try:
            for _ in range(15):
                write_text(path, text)
                assert path.read_text() in texts
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=[text]) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and names(tmp_path) == ["a.txt"]


def test_json_is_written_into_new_folders(tmp_path):
    path = tmp_path / "new" / "deep" / "a.json"
    write_json(path, {"a": [1, None]})
    assert json.loads(path.read_text()) == {"a": [1, None]}
    assert path.read_text().endswith("}\n")


def test_text_is_utf8_in_any_locale_and_keeps_non_utf8_names(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "é " + os.fsdecode(b"caf\xe9"))
    assert path.read_bytes() == b"\xc3\xa9 caf\xe9"
    code = "import sys; from picanet_tf.core.files import *\n"
    code += "write_text(Path(sys.argv[1]), '\\xe9')"
    latin = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "POSIX"}
    latin["PYTHONCOERCECLOCALE"] = "0"
    subprocess.run([sys.executable, "-c", code, path], env=latin, check=True)
    assert path.read_bytes() == b"\xc3\xa9"


def test_json_is_read_as_utf8_in_any_locale(tmp_path):
    path = tmp_path / "a.json"
    code = "import sys; from picanet_tf.core.files import *\n"
    code += "assert read_json(sys.argv[1]) == {'caf\\xe9': 1}"
    latin = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "POSIX"}
    latin["PYTHONCOERCECLOCALE"] = "0"
    for start in (b"", b"\xef\xbb\xbf"):  # Windows' editors write the latter.
        path.write_bytes(start + '{"café": 1}'.encode())
        subprocess.run([sys.executable, "-c", code, path], env=latin, check=True)


def test_checksums(tmp_path):
    """The values are those of NIST's FIPS 180-2, appendix B."""
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert sha256_of(path) == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    path.write_bytes(b"a" * 1_000_000)
    assert sha256_of(str(path)) == (
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    )


@pytest.mark.parametrize("stem", ["n" * 250, "é" * 125, "日" * 83, "\udcff" * 250])
def test_longest_possible_names_are_written(stem, tmp_path):
    path = tmp_path / f"{stem}.png"
    with replacing(path) as temporary:
        assert len(os.fsencode(temporary.name)) < 200
        temporary.name.encode()  # Characters are whole.
        temporary.write_text("new")
    assert names(tmp_path) == [path.name]
