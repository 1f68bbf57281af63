"""Which files are read, and which are skipped."""

import errno
import os
from pathlib import Path

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.inputs import scan_folder, scan_inputs
from picanet_tf.core.outputs import assign_outputs
from picanet_tf.core.passed_over import Reason, describe
from picanet_tf.core.path_checks import check_folder


@pytest.fixture
def photos(tmp_path):
    for name in (
        "photos/im10.jpg",
        "photos/im2.JPG",
        "photos/notes.txt",
        "photos/.hidden.jpg",
        "photos/deep/er/a.png",
        "photos/deep/clip.mp4",
        "photos/odd[1].jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "photos"


def places(words):
    found = scan_inputs([str(word) for word in words])
    return [item.place.as_posix() for item in found.inputs]


def test_a_folder_gives_its_images_and_keeps_their_places(photos):
    expected = ["deep/er/a.png", "im2.JPG", "im10.jpg", "odd[1].jpg"]
    assert places([photos]) == expected


def test_a_pattern_keeps_what_is_below_its_fixed_part(photos):
    assert places([photos / "**/*.png"]) == ["deep/er/a.png"]
    assert places([photos / "d*/**/*"]) == ["deep/clip.mp4", "deep/er/a.png"]
    assert places([photos / "*"]) == ["im2.JPG", "im10.jpg", "odd[1].jpg"]


def test_broken_links_are_listed_so_that_reading_names_them(photos):
    (photos / "deep" / "gone.png").symlink_to("nowhere.png")
    assert "deep/gone.png" in places([photos])
    assert places([photos / "**/g*.png"]) == ["deep/gone.png"]


def test_links_that_cannot_be_followed_are_listed_too(photos):
    """As links into a locked folder are, which stop no test that runs as root."""
    (photos / "deep" / "odd.png").symlink_to("n" * 300)
    assert "deep/odd.png" in places([photos])
    assert places([photos / "**/o*.png"]) == ["deep/odd.png"]
    (photos / "z").symlink_to("n" * 300)
    assert places([photos / "*/**/odd.png"]) == ["deep/odd.png"]


def test_names_of_files_are_not_expanded_as_patterns(photos):
    assert places([photos / "odd[1].jpg"]) == ["odd[1].jpg"]
    assert places([photos / "notes.txt"]) == ["notes.txt"]


def test_a_file_named_twice_is_read_once(photos):
    assert places([photos / "im2.JPG", photos]).count("im2.JPG") == 1


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nowhere.jpg", "`input`: there is no nowhere.jpg"),
        ("no*where.jpg", r"`input`: no images match no\*where.jpg"),
        ("", "`input`: an empty name"),
    ],
)
def test_errors_quote_the_given_name(word, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PicanetError, match=message):
        scan_inputs([word])


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(PicanetError, match=f"`input`: no images in {tmp_path}"):
        scan_inputs([str(tmp_path)])


def test_output_folder_must_not_be_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PicanetError, match="`output`: .*file is a file, not a"):
        check_folder(tmp_path / "file")
    assert check_folder(tmp_path / "new") == tmp_path / "new"


def test_circular_links_are_followed_once(photos):
    for number in range(4):  # 4 ** 40 paths, were each followed.
        (photos / f"link{number}").symlink_to(".")
        (photos / "deep" / f"up{number}").symlink_to("..")
    expected = ["deep/clip.mp4", "deep/er/a.png", "im2.JPG", "im10.jpg", "odd[1].jpg"]
    assert places([photos / "**/*"]) == expected
    assert places([photos / "**/**/*.png"]) == ["deep/er/a.png"]


def test_linked_folder_is_searched(photos):
    (photos.parent / "elsewhere").mkdir()
    (photos.parent / "elsewhere" / "b.png").touch()
    (photos / "link").symlink_to("../elsewhere")
    assert places([photos / "**/b*"]) == ["link/b.png"]


def test_patterns_cannot_climb_out_of_the_output(photos):
    (photos.parent / "secret.jpg").touch()
    with pytest.raises(PicanetError, match=r"`input`: \.\. may not follow a wildcard"):
        scan_inputs([str(photos / "*/../../secret.*")])
    assert places([photos / "../photos/*.JPG"]) == ["im2.JPG"]


def test_a_file_is_read_once_however_it_is_spelled(photos):
    words = [photos / "im2.JPG", photos / "../photos/im2.JPG", photos / "deep/../*.JPG"]
    assert places(words) == ["im2.JPG"]


def test_link_to_itself_is_listed_for_the_reader_to_report(photos):
    (photos / "loop.jpg").symlink_to("loop.jpg")
    inputs = scan_inputs([str(photos)]).inputs
    assert "loop.png" in [path.name for _, path in assign_outputs(inputs, "out")]


def passed_over(found, folder):
    return {
        path.relative_to(folder).as_posix(): reason
        for path, reason in found.passed_over.items()
    }


def test_skipped_files_are_returned_with_their_reasons(photos):
    for name in (".DS_Store", ".trash/a.jpg", "a.xcf"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).touch()
    os.mkfifo(photos / "pipe.png")
    found = scan_inputs([str(photos)])
    assert passed_over(found, photos) == {
        ".hidden.jpg": Reason.HIDDEN,
        "a.xcf": Reason.UNKNOWN,
        "deep/clip.mp4": Reason.VIDEO,
        "notes.txt": Reason.UNKNOWN,
        "pipe.png": Reason.SPECIAL,
    }
    assert describe(found.passed_over) == (
        "Passed over 5 files: 1 video (name it to predict it), 2 of unknown formats "
        "(.txt, .xcf), 1 hidden, 1 not a regular file"
    )
    assert describe({}) == ""
    # A pattern matches videos, but no hidden files.
    found = scan_inputs([str(photos / "**/*")])
    assert set(passed_over(found, photos)) == {"a.xcf", "notes.txt", "pipe.png"}
    # A file that is named is read, even if its folder's scan skips it.
    found = scan_inputs([str(photos), str(photos / "deep/clip.mp4")])
    assert "deep/clip.mp4" not in passed_over(found, photos)


def test_many_unknown_formats_are_summarized_in_one_line(tmp_path):
    for number in range(9):
        (tmp_path / f"a.x{number}").touch()
    (tmp_path / "noext").touch()
    (tmp_path / "a.png").touch()
    assert describe(scan_inputs([str(tmp_path)]).passed_over) == (
        "Passed over 10 files: 10 of unknown formats (.x0, .x1, .x2, .x3, .x4, ...)"
    )


def test_linked_folders_are_searched_once(photos):
    other = photos.parent / "elsewhere"
    other.mkdir()
    (other / "b.png").touch()
    (other / "back").symlink_to(photos)
    (photos / "link").symlink_to(other)
    (photos / "link2").symlink_to(other)
    (photos / "deep" / "up").symlink_to("..")
    (photos / "self").symlink_to("self")
    assert places([photos]) == [
        *("deep/er/a.png", "im2.JPG", "im10.jpg", "link/b.png", "odd[1].jpg")
    ]


@pytest.mark.parametrize("output", ["out", "deep/../out", "link"])
def test_output_folder_inside_the_input_is_not_read(photos, output):
    (photos / "out" / "sub").mkdir(parents=True)
    (photos / "link").symlink_to("out")
    for name in ("out/im2.png", "out/sub/x.png", "outside.png"):
        (photos / name).touch()
    for word in (photos, photos / "**/*"):
        found = scan_inputs([str(word)], photos / output)
        names = [item.path.name for item in found.inputs]
        assert "im2.png" not in names and "x.png" not in names
        assert "outside.png" in names and "im2.JPG" in names
        reasons = list(found.passed_over.values())
        assert reasons.count(Reason.OUTPUT) == 2
    # A folder that is named is read, even if it is the output folder.
    found = scan_inputs([str(photos / "out")], photos / "out")
    assert [item.place.as_posix() for item in found.inputs] == ["im2.png", "sub/x.png"]


def test_folder_without_images_is_reported_with_its_contents(tmp_path):
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(PicanetError) as raised:
        scan_inputs([str(tmp_path)])
    assert str(raised.value) == (
        f"`input`: no images in {tmp_path}. Passed over 1 file: 1 video (name it to "
        "predict it)"
    )
    assert scan_folder(tmp_path).inputs == []


def test_overlong_name_is_reported(tmp_path):
    with pytest.raises(PicanetError, match="`input`: there is no nnn"):
        scan_inputs(["n" * 300])


@pytest.fixture
def locked(monkeypatch):
    """Locks folders, the names of which it is given; a mode would not stop root."""

    def lock(*names):
        def guard(whole):
            def listed(path):
                if os.path.basename(path) in names:
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
                return whole(path)

            return listed

        monkeypatch.setattr(os, "scandir", guard(os.scandir))
        monkeypatch.setattr(os, "listdir", guard(os.listdir))

    return lock


def test_unreadable_folder_is_reported(photos, locked):
    locked("photos")
    for word in (photos, photos / "*.jpg", photos / "**/*.jpg"):
        with pytest.raises(PicanetError) as raised:
            scan_inputs([str(word)])
        assert str(raised.value) == f"`input`: cannot read {photos}: Permission denied"


def test_unreadable_subfolder_is_skipped_with_a_warning(photos, locked, caplog):
    (photos / ".trash").mkdir()
    locked("deep", ".trash")
    assert places([photos]) == ["im2.JPG", "im10.jpg", "odd[1].jpg"]
    assert caplog.messages == [f"Skipped {photos}/deep: Permission denied"]


def test_known_skipped_folder_is_warned_of_once(photos, locked, caplog):
    """Each second, `watch` looks again."""
    locked("deep")
    known: set[Path] = set()
    for _ in range(2):
        scan_folder(photos, known=known)
    assert len(known) == 1 and caplog.text.count("Skipped ") == 1


@pytest.mark.parametrize("pattern", ["*/*.png", "*/**/*.png"])
def test_unreadable_folder_below_a_pattern_is_skipped_with_a_warning(
    pattern, photos, locked, caplog
):
    (photos / "more").mkdir()
    (photos / "more" / "b.png").touch()
    locked("deep")
    assert places([photos / pattern]) == ["more/b.png"]
    assert caplog.messages == [f"Skipped {photos}/deep: Permission denied"]
