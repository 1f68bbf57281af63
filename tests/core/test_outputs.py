"""Where results go."""

from pathlib import Path

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.inputs import Input
from picanet_tf.core.outputs import OutputClash, _ignores_case, assign_outputs


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


def test_names_that_differ_in_case_only_collide():
    expected = ["out/Cat.jpg.png", "out/cat.webp.png"]  # One file, on many disks.
    assert outputs("Cat.jpg", "cat.webp") == expected


def test_names_that_stay_equal_without_case_clash_where_case_is_ignored(monkeypatch):
    assert outputs("Cat.jpg", "cat.jpg") == ["out/Cat.jpg.png", "out/cat.jpg.png"]
    monkeypatch.setattr("picanet_tf.core.outputs._ignores_case", lambda folder: True)
    assert outputs("Cat.jpg", "cat.png") == ["out/Cat.jpg.png", "out/cat.png.png"]
    with pytest.raises(OutputClash, match="Cat.jpg and in/cat.jpg would both go to"):
        outputs("Cat.jpg", "cat.jpg")


def test_disk_is_asked_whether_it_ignores_case(tmp_path):
    (tmp_path / "a").touch()
    assert _ignores_case(tmp_path / "new" / "out") == (tmp_path / "A").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_results_with_equal_paths_are_an_error():
    same = [
        Input(Path("x/a.jpg"), Path("a.jpg")),
        Input(Path("y/a.jpg"), Path("a.jpg")),
    ]
    with pytest.raises(PicanetError, match="`output`: x/a.jpg and y/a.jpg would both"):
        assign_outputs(same, "out")


def test_clash_error_lists_the_inputs():
    with pytest.raises(OutputClash) as clash:
        outputs("b.png", "a.png", "a.jpg", "a.jpg.png")
    assert clash.value.inputs == (Path("in/a.jpg"), Path("in/a.jpg.png"))


def test_chosen_results_keep_the_input_extension():
    inputs = [Input(Path(name), Path(name)) for name in ("a.jpg", "b.jpg", "a.jpg.png")]

    def keeps(item):
        return item.path.name == "a.jpg"

    pairs = assign_outputs(inputs[:2], "out", keeps_extension=keeps)
    assert [path.as_posix() for _, path in pairs] == ["out/a.jpg.png", "out/b.png"]
    with pytest.raises(OutputClash, match="a.jpg and a.jpg.png would both go to"):
        assign_outputs(inputs, "out", keeps_extension=keeps)


def test_results_never_overwrite_an_input(tmp_path):
    with pytest.raises(PicanetError, match="would overwrite the input .*a.png"):
        outputs("a.png", folder=tmp_path, root=tmp_path)
    # Nor another one's.
    inputs = [
        Input(tmp_path / "deep/a.jpg", Path("a.jpg")),
        Input(tmp_path / "a.png", Path("deep/a.png")),
    ]
    with pytest.raises(PicanetError, match="result of .*deep/a.jpg would overwrite"):
        assign_outputs(inputs, tmp_path)


def test_names_made_of_dots_get_valid_results(tmp_path):
    names = ("..jpg", "...jpg")
    found = [Input(tmp_path / name, Path(name)) for name in names]
    for suffix, expected in (
        (".png", ["out/..png", "out/...png"]),
        (".map", ["out/..map", "out/...map"]),
    ):
        pairs = assign_outputs(found, "out", suffix=suffix)
        assert [path.as_posix() for _, path in pairs] == expected
