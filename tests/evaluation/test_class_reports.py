"""The report of a task that is scored by class, on scores made up here."""

import json
import math
from types import SimpleNamespace

from picanet_tf.evaluation.class_reports import ClassReport, Scores

ODD = "caf\udce9"  # a name that is no UTF-8


class PetsReport(ClassReport):
    title = "Scores of pets"
    conventions = "as usual\n"
    packages = ["no-such-package"]
    mean = "mean_iou"
    mean_in_words = "mean IoU"
    paper = {"UNet": 0.75}
    paper_set = "pets val"
    paper_images = 1449
    paper_digits = 3

    def scores_of(self, cat):
        return Scores(
            means={"mean_iou": cat, "other": math.nan},
            by_class={"cat": cat, "dog": math.nan},
            more={"iou": {"cat": cat, "dog": math.nan}},
            size="2 images",
            counts={"images": 2},
            columns={"objects": {"cat": 3, "dog": 0}},
            notes=["One note."],
        )


REPORT = PetsReport()


def result(cat, method="ours", variant=None, dataset="pets val"):
    return REPORT.summarize(
        cat,
        SimpleNamespace(name=method, variant=variant, facts={"run": f"runs/{method}"}),
        SimpleNamespace(name=dataset, facts={"tfrecords": "data"}),
        seconds=1.234,
    )


def test_table_lists_scores_and_notes():
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


def test_non_utf8_names_are_written_escaped():
    assert "- caf\\udce9: run runs/caf\\udce9\n" in REPORT.markdown([result(0.5, ODD)])
