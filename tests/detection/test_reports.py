"""What is written of the scores, read back and equal to them."""

import csv
import io
import json
import sys

import numpy as np
import pytest

from picanet_tf.core.voc import OBJECT_CLASSES
from picanet_tf.detection import reports
from picanet_tf.detection.scoring import DetectionScoring
from picanet_tf.evaluation.samples import DataSet, Method
from tests.detection.test_evaluation import (
    CAT,
    DOG,
    FAR,
    LARGE,
    MEDIUM,
    PERSON,
    SMALL,
    perfect,
    scored,
)

IMAGES = [
    ([(SMALL, DOG), (MEDIUM, DOG), (LARGE, PERSON, 1)],
     [(FAR, DOG, 0.9), (SMALL, DOG, 0.75), (LARGE, PERSON, 0.6)]),
    ([(LARGE, CAT), (SMALL, CAT), (MEDIUM, CAT)], [(LARGE, CAT, 0.5)]),
    ([], []),
]  # fmt: skip

REPORT = reports.DetectionReport()
SCORING = DetectionScoring()


def result(evaluation, name="ours", dataset="mine", variant=None, facts=None):
    method = Method(name, None, facts or {"run": "runs/a"}, variant)
    data = DataSet(dataset, 3, None, None, {"tfrecords": "data/mine"})
    return REPORT.summarize(evaluation, method, data, 1.239)


@pytest.fixture(scope="module")
def evaluation():
    return scored(*IMAGES, pick={0, 2})


@pytest.fixture(scope="module")
def better():
    return scored(*[perfect(*objects) for objects, _ in IMAGES], pick={0, 2})


def rows_of(text):
    return [line.split() for line in text.splitlines()]


def cells_of(markdown):
    """{first cell: the others} of every table's rows."""
    lines = [line.replace("\\|", "!") for line in markdown.splitlines()]
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    return {row[0]: row[1:] for row in rows}


def test_scores_by_hand(evaluation):
    """Dogs: wrong, right, of two. Cats: right, of three."""
    scores = result(evaluation).scores
    assert scores.more["ap"]["dog"] == pytest.approx(6 / 11 / 2)
    assert scores.more["ap_area"]["dog"] == pytest.approx(1 / 4)
    assert scores.more["ap"]["cat"] == pytest.approx(4 / 11)
    assert scores.more["ap_area"]["cat"] == pytest.approx(1 / 3)
    assert np.isnan(scores.more["ap"]["person"]) and np.isnan(scores.more["ap"]["bus"])
    assert scores.means["mean_ap"] == pytest.approx((3 / 11 + 4 / 11) / 2)
    objects = scores.counts["objects"]
    assert (objects["dog"], objects["cat"], objects["person"]) == (2, 3, 0)
    assert (scores.counts["difficult"], scores.counts["images"]) == (1, 3)


def test_the_table_holds_the_scores(evaluation, better):
    ours, other = result(evaluation), result(better, "perfect")
    heading, head, *rows = rows_of(REPORT.table([ours, other]))
    assert " ".join(heading) == "mine, 3 images, 5 objects, and 1 difficult ones"
    assert head == ["class", "objects", "ours", "perfect"]
    rows = {row[0]: row[1:] for row in rows}
    assert list(rows) == [*OBJECT_CLASSES, *ours.scores.means]
    assert rows["dog"] == ["2", "27.27", "100.00"]
    assert rows["cat"] == ["3", "36.36", "100.00"]
    assert rows["person"] == ["0", "-", "-"] and rows["bus"] == ["0", "-", "-"]
    for name, value in ours.scores.means.items():
        told = [f"{100 * value:.2f}", f"{100 * other.scores.means[name]:.2f}"]
        assert rows[name] == told, name


def test_comparison_and_markdown_hold_the_scores(evaluation, better):
    results = [
        result(evaluation, "a|b"),
        result(better, "perfect"),
        result(better, "a|b", "other"),
    ]
    assert rows_of(REPORT.comparison(results)) == [
        ["mean", "AP", "mine", "other"],
        ["a|b", "31.82", "100.00"],
        ["perfect", "100.00", "-"],
    ]
    text = REPORT.markdown(results)
    cells = cells_of(text)
    assert cells["a!b"] == ["31.82", "100.00"] and cells["perfect"] == ["100.00", "-"]
    one = cells_of(text.split("other, 3 images")[0])
    assert one["class"] == ["objects", "a!b", "perfect"]
    assert one["dog"] == ["2", "27.27", "100.00"]
    for name, value in results[0].scores.means.items():
        assert one[name][1] == f"{100 * value:.2f}", name
    assert "- perfect: run runs/a" in text and "- mine: tfrecords data/mine" in text
    assert reports.CONVENTIONS in text


def test_json_holds_the_scores_in_full_precision(evaluation, better):
    ours, other = result(evaluation), result(better, "perfect")
    told = json.loads(json.dumps(REPORT.to_json([ours, other]), allow_nan=False))
    mine = told["datasets"]["mine"]
    assert (mine["images"], mine["difficult"], mine["objects"]["cat"]) == (3, 1, 3)
    assert mine["tfrecords"] == "data/mine" and mine["method"] == "ours"
    for name, kept in (("ours", ours), ("perfect", other)):
        method = mine["methods"][name]
        assert method["seconds"] == 1.24 and method["details"] == {"run": "runs/a"}
        assert method["paper_mean_ap"] is None
        for key, value in kept.scores.means.items():
            assert method[key] == value, key
        for kind in ("ap", "ap_area"):
            assert list(method[kind]) == list(OBJECT_CLASSES)
            for label, value in kept.scores.more[kind].items():
                assert method[kind][label] == (None if np.isnan(value) else value)
    # Short cuts to the first method's.
    assert {key: mine[key] for key in ours.scores.means} == ours.scores.means
    assert set(told["versions"]) == {"tensorflow", "keras", "numpy", "pycocotools"}


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_files_hold_the_scores(evaluation):
    texts = {name: read(text) for name, text in reports.texts(evaluation)}
    assert list(texts) == ["images.csv", "classes.csv", "curves.csv"]
    first, second, third = texts["images.csv"]
    assert first == {"name": "0", "ap": "0.250000", "objects": "2", "detections": "3",
                     "true_positives": "1"}  # fmt: skip
    assert second["ap"] == "0.333333" and third["ap"] == ""

    classes = {row.pop("class"): row for row in texts["classes.csv"]}
    assert list(classes) == list(OBJECT_CLASSES)
    assert classes["dog"] == {"ap": "0.272727", "ap_area": "0.250000", "objects": "2",
                              "detections": "2", "true_positives": "1"}  # fmt: skip
    # The one on a difficult object counts not.
    assert classes["person"] == {"ap": "", "ap_area": "", "objects": "0",
                                 "detections": "0", "true_positives": "0"}  # fmt: skip
    assert [tuple(row.values()) for row in texts["curves.csv"]] == [
        ("cat", "0.500000", "0.333333", "1.000000"),
        ("dog", "0.900000", "0.000000", "0.000000"),
        ("dog", "0.750000", "0.500000", "0.500000"),
    ]


def test_names_with_commas_and_quotes_are_read_back():
    image = scored(perfect((SMALL, DOG)))
    named = image._replace(rows=(image.rows[0]._replace(name='a, "b"\n'),))
    (row,) = read(dict(reports.texts(named))["images.csv"])
    assert row["name"] == 'a, "b"\n'


def test_paper_score_is_shown_for_its_set_and_variant_only(better):
    ours = result(better, dataset="VOC2007 test", variant="478AC_910GAP")
    assert ours.paper == 0.779
    told = REPORT.table([ours]).splitlines()[-1]
    assert told == "ours: the paper has mean AP 0.779 on all 4,952"
    told = REPORT.to_json([ours])["datasets"]["VOC2007 test"]["methods"]["ours"]
    assert told["paper_mean_ap"] == 0.779
    for dataset, variant in (
        ("VOC2007 trainval", "478AC_910GAP"),
        ("VOC2007 test", "478AC"),
        ("VOC2007 test", None),
    ):
        assert result(better, dataset=dataset, variant=variant).paper is None


def test_missing_coco_scores_are_noted(monkeypatch, better):
    note = "COCO scores are missing: pip install pycocotools"
    assert note not in REPORT.table([result(better)])
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    alone = result(scored(perfect((SMALL, DOG))))
    assert list(alone.scores.means) == ["mean_ap", "mean_ap_area"]
    assert REPORT.table([alone]).splitlines()[-1] == note


def test_panels_show_worst_images_and_shared_examples(evaluation, better):
    panels = {
        name: (columns, rows)
        for name, columns, rows in SCORING.panels({"my net": evaluation, "b": better})
    }
    assert list(panels) == ["my_net/worst.png", "b/worst.png", "examples.png"]
    columns, rows = panels["my_net/worst.png"]
    assert columns == ["image", "ground truth", "my net"]
    assert [label for label, _ in rows] == ["0\nAP 0.250", "1\nAP 0.333"]
    columns, rows = panels["examples.png"]
    assert columns == ["image", "ground truth", "my net", "b"]
    assert [label for label, _ in rows] == ["0", "2"]
    for (_, pictures), one, other in zip(
        rows, evaluation.picked, better.picked, strict=True
    ):
        shown = [one.image, one.truth, one.prediction, other.prediction]
        assert all(map(np.array_equal, pictures, shown))
    unpicked = scored(([], [])), scored(([], []))
    assert list(SCORING.panels(dict(zip("ab", unpicked, strict=True)))) == []


def test_curves_are_drawn_of_classes_with_objects(evaluation):
    ((name, drawing),) = SCORING.figures({"my net": evaluation}, "mine")
    assert name == "my_net/pr_curve.png"
    (axes,) = drawing.axes
    lines = {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.get_lines()
    }
    assert lines == {
        "cat 0.364": ([0, pytest.approx(1 / 3)], [1, 1]),
        "dog 0.273": ([0, 0, 0.5], [0, 0, 0.5]),
    }
    ((_, empty),) = SCORING.figures({"m": scored(([], [(FAR, DOG, 1)]))}, "mine")
    assert empty.axes[0].get_lines() == [] and empty.axes[0].get_legend() is None
    ((_, missed),) = SCORING.figures({"m": scored(([(SMALL, DOG)], []))}, "mine")
    (line,) = missed.axes[0].get_lines()
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([0], [0])
