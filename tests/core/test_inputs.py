"""Which files are read, and where their results go."""

from pathlib import Path

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.inputs import Input, assign_outputs, find_inputs
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
    return [item.place.as_posix() for item in find_inputs([str(w) for w in words])]


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


def test_a_file_is_taken_as_it_is(photos):
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
def test_errors_name_the_word(word, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PicanetError, match=message):
        find_inputs([word])


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(PicanetError, match=f"`input`: no images in {tmp_path}"):
        find_inputs([str(tmp_path)])


def outputs(*names, folder="out", root="in"):
    inputs = [Input(Path(root, name), Path(name)) for name in names]
    return [path.as_posix() for _, path in assign_outputs(inputs, folder)]


def test_results_keep_names_and_sub_folders():
    assert outputs("a.jpg", "deep/a.jpg", "clip.mp4") == [
        "out/a.png",
        "out/deep/a.png",
        "out/clip.saliency.mp4",
    ]


def test_colliding_results_all_keep_their_whole_names():
    expected = ["out/a.jpg.png", "out/a.png.png", "out/b.png"]
    assert outputs("a.jpg", "a.png", "b.jpg") == expected
    # In any order, so that --resume never takes one for the other.
    assert set(outputs("a.png", "b.jpg", "a.jpg")) == set(expected)


def test_results_that_cannot_be_told_apart_are_an_error():
    same = [
        Input(Path("x/a.jpg"), Path("a.jpg")),
        Input(Path("y/a.jpg"), Path("a.jpg")),
    ]
    with pytest.raises(PicanetError, match="`output`: x/a.jpg and y/a.jpg would both"):
        assign_outputs(same, "out")


def test_no_input_is_overwritten(tmp_path):
    with pytest.raises(PicanetError, match="would overwrite the input .*a.png"):
        outputs("a.png", folder=tmp_path, root=tmp_path)
    # Nor another one's.
    inputs = [
        Input(tmp_path / "deep/a.jpg", Path("a.jpg")),
        Input(tmp_path / "a.png", Path("deep/a.png")),
    ]
    with pytest.raises(PicanetError, match="result of .*deep/a.jpg would overwrite"):
        assign_outputs(inputs, tmp_path)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PicanetError, match="`output`: .*file is a file, not a"):
        check_folder(tmp_path / "file")
    assert check_folder(tmp_path / "new") == tmp_path / "new"


def test_links_that_go_in_circles_are_entered_once(photos):
    for number in range(4):  # 4 ** 40 paths, were each followed.
        (photos / f"link{number}").symlink_to(".")
        (photos / "deep" / f"up{number}").symlink_to("..")
    expected = ["deep/clip.mp4", "deep/er/a.png", "im2.JPG", "im10.jpg", "odd[1].jpg"]
    assert places([photos / "**/*"]) == expected
    assert places([photos / "**/**/*.png"]) == ["deep/er/a.png"]


def test_a_linked_folder_is_looked_into(photos):
    (photos.parent / "elsewhere").mkdir()
    (photos.parent / "elsewhere" / "b.png").touch()
    (photos / "link").symlink_to("../elsewhere")
    assert places([photos / "**/b*"]) == ["link/b.png"]


def test_no_pattern_climbs_out_of_the_output(photos):
    (photos.parent / "secret.jpg").touch()
    with pytest.raises(PicanetError, match=r"`input`: \.\. may not follow a wildcard"):
        find_inputs([str(photos / "*/../../secret.*")])
    assert places([photos / "../photos/*.JPG"]) == ["im2.JPG"]


def test_a_file_is_read_once_however_it_is_spelled(photos):
    words = [photos / "im2.JPG", photos / "../photos/im2.JPG", photos / "deep/../*.JPG"]
    assert places(words) == ["im2.JPG"]


def test_a_link_to_itself_is_told_when_it_is_read(photos):
    (photos / "loop.jpg").symlink_to("loop.jpg")
    inputs = find_inputs([str(photos)])
    assert "loop.png" in [path.name for _, path in assign_outputs(inputs, "out")]


def test_names_of_dots(tmp_path):
    names = ("..jpg", "...jpg")
    found = [Input(tmp_path / name, Path(name)) for name in names]
    for suffix, expected in (
        (".png", ["out/..png", "out/...png"]),
        (".map", ["out/..map", "out/...map"]),
    ):
        pairs = assign_outputs(found, "out", suffix=suffix)
        assert [path.as_posix() for _, path in pairs] == expected
