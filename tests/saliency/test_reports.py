"""What a report says, spelled out on sets small enough to score by hand."""

import csv
import io
import json

import numpy as np
import pytest

from picanet_tf.core.files import in_utf8
from picanet_tf.evaluation.samples import Sample
from picanet_tf.saliency import reference, reports
from picanet_tf.saliency.evaluation import evaluate
from picanet_tf.training.experiments import Experiment
from tests.evaluation.methods import ALL, MASK, PERFECT, data_set, method

REPORT = reports.SaliencyReport()


def result(method, data=None, **options):
    data = data or data_set()
    found = evaluate(method.predict(data), **options)
    return found, REPORT.summarize(found, method, data, seconds=1.234)


def lines_of(text):
    return [line.split() for line in text.splitlines()]


class TestPaper:
    def test_data_sets_by_any_spelling(self):
        for name in ("ECSSD", "ecssd"):
            assert reference.paper_row(name, "6GAP_5432AC").max_f == 0.935
        assert reference.paper_row("DUTS-TE", "UNet") == (0.823, 0.834, 0.057)
        assert reference.paper_row("PASCAL-S", "UNet").mae == 0.097
        for name in ("DUT-O", "DUT-OMRON"):
            assert reference.paper_row(name, "UNet").max_f == 0.762
        assert reference.paper_row("mine", "UNet") is None

    def test_published_methods(self):
        assert reference.paper_row("SOD", None, "dss").max_f == 0.846
        assert reference.paper_row("SOD", None, "nobody") is None
        # A variant of our own naming is no published method.
        assert reference.paper_row("SOD", "6AC", "DSS") is None

    def test_settings_of_a_training_choose_the_papers_row(self):
        for variant, weight, expected in (
            ("6GAP_5432AC", 0.2, "6GAP_5432AC"),
            ("6GAP_5432AC", 0.0, "6GAP_5432AC_no_attention_loss"),
            ("UNet", 0.0, "UNet"),
            ("5GAP_432AC", 0.0, "5GAP_432AC"),  # L_GA is D6's.
        ):
            experiment = Experiment(variant=variant, attention_loss_weight=weight)
            assert REPORT.paper_variant(experiment) == expected
        assert reference.paper_row("SOD", "6GAP_5432AC_no_attention_loss").mae == 0.109


class TestTable:
    def test_scores_intervals_and_the_papers_row(self):
        _, ours = result(method(variant="UNet"), which=["max_f", "mae"])
        heading, head, row, interval, paper = lines_of(REPORT.table([ours]))
        assert " ".join(heading) == "ECSSD, 2 images of the 1,000 that the paper scores"
        assert head == ["max_f", "mae"]
        # Mean precision 3/4, recall 1: 1.3 * 0.75 / (0.3 * 0.75 + 1) = 0.796.
        assert row == ["ours", "0.796", "0.250"]
        assert interval == ["95%", "interval", "0.565-1.000", "0.000-0.500"]
        assert paper == ["the", "paper", "0.906", "0.052"]

    def test_difference_is_paired(self):
        _, ours = result(method(), which=["mae"])
        _, worse = result(method("worse", (ALL, ALL)), which=["mae"])
        assert reports.difference(worse, ours)["mae"] == {
            "difference": 0.25, "low": 0.0, "high": 0.5,
        }  # fmt: skip
        told = REPORT.table([ours, worse]).splitlines()[-1]
        assert told == (
            "ECSSD, worse minus ours, paired 95% interval: mae +0.250 [+0.000, +0.500]"
        )
        # The same maps under another name do not differ, however wide the intervals.
        _, same = result(method("same"), which=["mae"])
        assert reports.difference(same, ours)["mae"]["high"] == 0

    def test_notes(self):
        _, small = result(method(maps=(PERFECT, ALL[:, :2])), normalize=False)
        text = REPORT.table([small])
        assert "ours, ECSSD: 1 of 2 maps were resized to their mask" in text
        assert "ours, ECSSD: maps not normalized to 0..1" in text

    def test_empty_masks(self):
        samples = [Sample("a", MASK), Sample("none", np.zeros_like(MASK))]
        data = data_set("mine")._replace(samples=lambda: iter(samples))
        _, ours = result(method(), data)
        text = REPORT.table([ours])
        assert text.startswith("mine, 2 images, 1 with an empty mask (not in F)\n")
        # The second map is white, its mask black.
        told = "ours, mine: mae 1.000 of the images with an empty mask, 1 of 2"
        assert told in text and told in REPORT.markdown([ours])

    def test_comparison_has_the_form_of_table_1(self):
        results = [
            result(each, data, which=["max_f", "s_measure", "mae"])[1]
            for data in (data_set(), data_set("mine"))
            for each in (method(variant="UNet"), method("center", (ALL, ALL)))
        ]
        head, ours, paper, center = lines_of(REPORT.comparison(results))
        assert (
            head == "ECSSD max F ECSSD S ECSSD MAE mine max F mine S mine MAE".split()
        )
        assert ours[0] == "ours" and ours[1] == ours[4] == "0.796"
        assert paper == "ours, the paper 0.906 0.886 0.052 - - -".split()
        assert center[0] == "center" and center[3] == center[6] == "0.500"


class TestFiles:
    def test_json(self):
        _, ours = result(method(variant="UNet"))
        _, center = result(method("center", (ALL, ALL)))
        report = REPORT.to_json([ours, center])
        report = json.loads(json.dumps(report, allow_nan=False))
        assert set(report) == {
            "versions", "normalize", "resamples", "conventions", "datasets",
        }  # fmt: skip
        ecssd = report["datasets"]["ECSSD"]
        assert (ecssd["images"], ecssd["complete"], ecssd["masks"]) == (2, 1000, "gt")
        scores = ecssd["methods"]["ours"]
        assert scores["max_f"] == pytest.approx(0.975 / 1.225)
        assert scores["mae"] == 0.25 and scores["seconds"] == 1.23
        assert scores["intervals"]["mae"] == [0, 0.5]
        assert scores["paper"] == {"max_f": 0.906, "s_measure": 0.886, "mae": 0.052}
        assert scores["details"] == {"model": "runs/ours"}
        assert scores["empty_mae"] is None  # There is none.
        # Short cuts to those of the first method.
        assert ecssd["method"] == "ours"
        for name in ("max_f", "max_mean_f", "mae", "s_measure"):
            assert ecssd[name] == scores[name] is not None, name
        (difference,) = ecssd["differences"]
        assert difference["method"] == "center" and difference["minus"] == "ours"
        assert difference["mae"]["difference"] == 0.25

    def test_json_has_no_nan(self):
        samples = [Sample("none", np.zeros_like(MASK))] * 2
        data = data_set()._replace(samples=lambda: iter(samples))
        _, ours = result(method(), data)
        report = json.loads(json.dumps(REPORT.to_json([ours]), allow_nan=False))
        scores = report["datasets"]["ECSSD"]["methods"]["ours"]
        assert scores["max_f"] is None and scores["intervals"]["max_f"] == [None, None]
        assert scores["mae"] == pytest.approx((0.5 + 1) / 2)
        assert " - " in REPORT.markdown([ours])

    def test_csv(self):
        found, _ = result(method(), which=["max_f", "mae"])
        rows = list(csv.DictReader(io.StringIO(reports.images_csv(found))))
        assert rows == [
            {"name": "a", "empty": "0", "max_f": "1.000000", "mae": "0.000000"},
            {"name": "b", "empty": "0", "max_f": "0.565217", "mae": "0.500000"},
        ]

    def test_non_utf8_names_are_written_escaped(self):
        assert in_utf8("caf\udce9, é") == "caf\\udce9, é"
        _, ours = result(method("caf\udce9", variant="UNet"), which=["max_f", "mae"])
        assert "- caf\\udce9: model" in REPORT.markdown([ours])

    def test_markdown(self):
        _, ours = result(method("a|b", variant="UNet"), which=["max_f", "mae"])
        text = REPORT.markdown([ours])
        assert "| a\\|b | 0.796 | 0.250 |\n" in text
        assert "| a\\|b, the paper | 0.906 | 0.052 |\n" in text
        assert "- a|b: model runs/a|b\n- ECSSD: masks gt\n" in text
        assert reports.CONVENTIONS in text and "pysodmetrics 1." in text
