"""The report of a task that is scored by class, on scores made up here."""

import json
import math
from types import SimpleNamespace

import numpy as np

from picanet_tf.class_reports import ClassReport, Scores, examples
from picanet_tf.reporting import csv_text, versions

ODD = "caf\udce9"  # a name that is no UTF-8
REPORT = ClassReport(
    title="Scores of pets",
    mean="mean_iou",
    mean_in_words="mean IoU",
    conventions="as usual\n",
    scores_of=lambda cat: Scores(
        means={"mean_iou": cat, "other": math.nan},
        by_class={"cat": cat, "dog": math.nan},
        more={"iou": {"cat": cat, "dog": math.nan}},
        size="2 images",
        counts={"images": 2},
        columns={"objects": {"cat": 3, "dog": 0}},
        notes=["One note."],
    ),
    paper={"UNet": 0.75},
    paper_set="pets val",
    paper_images=1449,
    paper_digits=3,
    packages=["no-such-package"],
)


def result(cat, method="ours", variant=None, dataset="pets val"):
    return REPORT.summarize(
        cat,
        SimpleNamespace(name=method, variant=variant, facts={"run": f"runs/{method}"}),
        SimpleNamespace(name=dataset, facts={"tfrecords": "data"}),
        seconds=1.234,
    )


def test_table():
    results = [result(0.5, variant="UNet"), result(0.25, "all")]
    assert REPORT.table(results).splitlines() == [
        "pets val, 2 images",
        "class     objects   ours    all",
        "cat             3  50.00  25.00",
        "dog             0      -      -",
        "mean_iou           50.00  25.00",
        "other                  -      -",
        "ours: the paper has mean IoU 0.750 on all 1,449",
        "One note.",
    ]


def test_the_paper_is_quoted_on_its_data_set_only():
    assert result(0.5, variant="UNet").paper == 0.75
    assert result(0.5, variant="UNet", dataset="pets train").paper is None
    assert result(0.5, variant="DeepLab").paper is None


def test_comparison_leaves_out_what_was_not_scored():
    results = [result(0.5), result(0.25, "all"), result(1.0, dataset="zoo")]
    assert REPORT.comparison(results).splitlines() == [
        "mean IoU  pets val     zoo",
        "ours         50.00  100.00",
        "all          25.00       -",
    ]


def test_json_has_no_nan():
    report = REPORT.to_json([result(0.5, variant="UNet"), result(0.25, "all")])
    report = json.loads(json.dumps(report, allow_nan=False))
    assert report["versions"]["no-such-package"] == "not installed"
    assert report["datasets"]["pets val"] == {
        "images": 2,
        "tfrecords": "data",
        "method": "ours",
        "mean_iou": 0.5,
        "other": None,
        "methods": {
            "ours": {
                "mean_iou": 0.5,
                "other": None,
                "iou": {"cat": 0.5, "dog": None},
                "paper_mean_iou": 0.75,
                "seconds": 1.23,
                "details": {"run": "runs/ours"},
            },
            "all": {
                "mean_iou": 0.25,
                "other": None,
                "iou": {"cat": 0.25, "dog": None},
                "paper_mean_iou": None,
                "seconds": 1.23,
                "details": {"run": "runs/all"},
            },
        },
    }


def test_names_that_are_no_utf_8_can_be_written():
    assert "- caf\\udce9: run runs/caf\\udce9\n" in REPORT.markdown([result(0.5, ODD)])
    assert csv_text([["name"], [ODD]]) == "name\ncaf\\udce9\n"


def test_versions():
    assert versions("no-such-package") == {
        **versions(),
        "no-such-package": "not installed",
    }
    assert versions()["numpy"] == np.__version__


def test_examples_are_side_by_side():
    def evaluation(*names):
        picked = [
            SimpleNamespace(name=n, image=1, truth=2, prediction=3) for n in names
        ]
        return SimpleNamespace(picked=picked)

    found = {"ours": evaluation("a", "b"), "all": evaluation("a", "b")}
    assert list(examples(found)) == [
        (
            "examples.png",
            ["image", "ground truth", "ours", "all"],
            [("a", [1, 2, 3, 3]), ("b", [1, 2, 3, 3])],
        )
    ]
    assert list(examples({"ours": evaluation()})) == []
