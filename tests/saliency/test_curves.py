"""The pictures of a report: what is in each panel, and what the curves show."""

import numpy as np
import pytest

from picanet_tf.saliency.evaluation import evaluate
from picanet_tf.saliency.scoring import SaliencyScoring
from tests.evaluation.methods import ALL, data_set, method

SCORING = SaliencyScoring()


def test_panels_show_worst_best_and_picked_images():
    found = {
        "ours": evaluate(method().predict(data_set()), pick={1}),
        "x/y": evaluate(method(maps=(ALL, ALL)).predict(data_set()), pick={1}),
    }
    panels = {path: rest for path, *rest in SCORING.panels(found)}
    assert list(panels) == [
        "ours/worst.png", "ours/best.png", "x_y/worst.png", "x_y/best.png",
        "examples.png",
    ]  # fmt: skip
    columns, rows = panels["ours/worst.png"]
    assert columns == ["ground truth", "ours"]  # there are no images
    assert [label for label, _ in rows] == ["b\nF 0.565", "a\nF 1.000"]
    np.testing.assert_array_equal(rows[0][1][1], ALL)
    columns, rows = panels["examples.png"]
    assert columns == ["ground truth", "ours", "x/y"]
    assert [label for label, _ in rows] == ["b"]
    assert len(rows[0][1]) == len(columns)


def test_curves_are_drawn_of_the_scores(tmp_path):
    found = {"ours": evaluate(method().predict(data_set()))}
    figures = dict(SCORING.figures(found, "ECSSD"))
    assert set(figures) == {"pr_curve.png", "f_curve.png"}
    for path, figure in figures.items():
        (axes,) = figure.axes
        line = axes.lines[0]
        if path == "pr_curve.png":
            np.testing.assert_allclose(line.get_xdata(), found["ours"].scores.recall)
            np.testing.assert_allclose(line.get_ydata()[255], 0.75)
        else:
            assert line.get_xdata()[-1] == 255
            assert line.get_ydata().max() == pytest.approx(0.975 / 1.225)
        figure.savefig(tmp_path / path)
