"""Scoring a set: by hand, against PySODMetrics, in processes, and its intervals."""

import json
import multiprocessing

import numpy as np
import py_sod_metrics
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.evaluation.bootstrap import interval
from picanet_tf.evaluation.samples import PICTURE_SIDE, Sample
from picanet_tf.saliency import evaluation
from picanet_tf.saliency.evaluation import center_map, evaluate, resize_map
from picanet_tf.saliency.intervals import draw_scores
from picanet_tf.saliency.metrics import SaliencyMetrics


def blurry(count=6, seed=0):
    """Noisy maps of rectangles of several sizes: (Sample, uint8 map)."""
    rng = np.random.default_rng(seed)
    made = []
    for index in range(count):
        mask = np.zeros((30 + 7 * index, 45 - 5 * index), np.uint8)
        mask[5:20, 3 : 9 + index] = 255
        saliency = 0.6 * mask + rng.uniform(0, 90, mask.shape)
        image = np.repeat(mask[..., np.newaxis], 3, axis=-1)
        made.append((Sample(f"im{index}", mask, image), saliency.astype(np.uint8)))
    return made


def two_by_hand():
    """Precision 1 and recall 1/2; precision 1/2 and recall 1: in two grey levels."""
    mask = np.array([[0, 0, 255, 255]], np.uint8)
    half = np.array([[0, 0, 0, 255]], np.uint8)
    twice = np.array([[255, 255, 255, 255]], np.uint8)
    return [(Sample("half", mask), half), (Sample("twice", mask), twice)]


class TestScores:
    def test_two_images_by_hand(self):
        found = evaluate(two_by_hand())
        # Mean precision 3/4, mean recall 3/4, so F is 3/4.
        assert found.scores.scores["max_f"] == pytest.approx(0.75)
        # One of four pixels is wrong; two of four.
        assert found.scores.scores["mae"] == pytest.approx((1 / 4 + 2 / 4) / 2)
        # F of each: 1.3 * 0.5 / (0.3 + 0.5), 1.3 * 0.5 / (0.3 * 0.5 + 1).
        expected = (0.65 / 0.8 + 0.65 / 1.15) / 2
        assert found.scores.scores["max_mean_f"] == pytest.approx(expected)
        np.testing.assert_allclose(found.precision[:, 255], [1, 0.5])
        np.testing.assert_allclose(found.recall[:, 255], [0.5, 1])

    def test_six_measures_are_those_of_pysodmetrics(self):
        images = blurry()
        measures = {
            "f": py_sod_metrics.Fmeasure(),
            "mae": py_sod_metrics.MAE(),
            "s": py_sod_metrics.Smeasure(),
            "e": py_sod_metrics.Emeasure(),
            "wf": py_sod_metrics.WeightedFmeasure(),
        }
        for sample, saliency in images:
            for measure in measures.values():
                measure.step(saliency, sample.truth)
        f = measures["f"].get_results()["fm"]
        e = measures["e"].get_results()["em"]
        expected = {
            "max_mean_f": f["curve"].max(),
            "mean_f": f["curve"].mean(),
            "adaptive_f": f["adp"],
            "mae": measures["mae"].get_results()["mae"],
            "s_measure": measures["s"].get_results()["sm"],
            "max_e": e["curve"].max(),
            "mean_e": e["curve"].mean(),
            "adaptive_e": e["adp"],
            "weighted_f": measures["wf"].get_results()["wfm"],
        }
        ours = evaluate(images).scores.scores
        assert {name: ours[name] for name in expected} == pytest.approx(expected)

    def test_processes_give_identical_scores(self):
        alone, together = evaluate(blurry()), evaluate(blurry(), workers=1)
        assert together.scores.scores == alone.scores.scores
        assert together.scores.rows == alone.scores.rows
        np.testing.assert_array_equal(together.recall, alone.recall)

    def test_two_images_per_process_are_in_progress(self):
        taken = []

        def endless():
            while True:
                taken.append(0)
                yield *blurry(1)[0], False

        results = evaluation._measure_all(endless(), SaliencyMetrics(which=["mae"]), 1)
        for number in range(3):
            next(results)
            assert len(taken) == 2 + number
        results.close()

    def test_errors_while_reading_are_raised(self):
        def read():
            yield from blurry(2)
            raise OSError("the disk is gone")

        for workers in (0, 1):
            with pytest.raises(OSError, match="the disk is gone"):
                evaluate(read(), workers=workers, which=["mae"])

    def test_killed_process_is_reported(self):
        def read():
            yield from blurry(2)
            for process in multiprocessing.active_children():
                process.kill()
            yield from blurry(6)

        with pytest.raises(PicanetError, match="was killed, .* Received: workers=1"):
            evaluate(read(), workers=1, which=["mae"])

    def test_empty_masks_are_counted_separately(self):
        sample = Sample("none", np.zeros((1, 4), np.uint8))
        images = [*two_by_hand(), (sample, np.array([[0, 0, 0, 255]], np.uint8))]
        found = evaluate(images)
        assert (found.scores.images, found.scores.empty) == (3, 1)
        assert found.scores.scores["max_f"] == pytest.approx(0.75)
        assert found.scores.scores["mae"] == pytest.approx((1 / 4 + 2 / 4 + 1 / 4) / 3)
        assert [example.name for example in found.worst] == ["twice", "half"]

    def test_errors_name_the_image(self):
        sample = Sample("im7", np.ones((2, 2), np.uint8))
        for workers in (0, 1):
            with pytest.raises(PicanetError, match="im7: `ground_truth`.*maximum of 1"):
                evaluate([(sample, np.zeros((2, 2), np.uint8))], workers=workers)
        with pytest.raises(PicanetError, match="no images to score"):
            evaluate([])

    @pytest.mark.parametrize("shape", [(1, 1), (1, 9), (10, 20_000)])
    def test_images_of_extreme_shapes_are_scored(self, shape):
        mask = np.full(shape, 255, np.uint8)
        sample = Sample("odd", mask, np.zeros((*shape, 3), np.uint8))
        found = evaluate([(sample, mask)], pick=[0])
        for name, value in found.scores.scores.items():
            best = 0 if name == "mae" else 1
            # PySODMetrics divides by the pixels less one.
            if "_e" in name and mask.size > 1:
                best += 1 / (mask.size - 1)
            assert value == pytest.approx(best), name
        assert max(found.picked[0].truth.shape) <= PICTURE_SIDE
        assert min(found.picked[0].truth.shape) >= 1


class TestMapsOfOtherSizes:
    def test_are_resized_and_counted(self):
        mask = np.zeros((8, 12), np.uint8)
        mask[:, 6:] = 255
        small = np.array([[0, 255]], np.uint8)
        found = evaluate([(Sample("a", mask), small), (Sample("b", mask), mask)])
        assert found.resized == 1
        assert found.scores.scores["max_f"] == pytest.approx(1)

    def test_resizing_is_bilinear(self):
        resized = resize_map(np.array([[0.0, 1.0]]), 1, 4)
        np.testing.assert_allclose(resized, [[0, 0.25, 0.75, 1]])
        np.testing.assert_allclose(
            resize_map(np.array([[0, 255]], np.uint8), 2, 4), [[0, 0.25, 0.75, 1]] * 2
        )


class TestExamples:
    def test_worst_best_and_picked(self):
        # The map finds number + 1 of 12 pixels, and nothing else.
        mask = np.zeros((4, 12), np.uint8)
        mask[0] = 255
        images = []
        for number in [3, 0, 11, 7, 5]:
            saliency = np.zeros_like(mask)
            saliency[0, : number + 1] = 255
            images.append((Sample(str(number), mask), saliency))
        found = evaluate(images, panel_images=2, pick={0, 4})
        assert [example.name for example in found.worst] == ["0", "3"]
        assert [example.name for example in found.best] == ["11", "7"]
        assert [example.name for example in found.picked] == ["3", "5"]
        assert found.best[0].score == 1
        assert found.best[0].image is None
        np.testing.assert_array_equal(found.best[0].prediction, mask)
        none = evaluate(images, panel_images=0)
        assert none.worst == none.best == none.picked == ()


class TestCenter:
    def test_map_is_a_centred_gaussian(self):
        saliency = center_map(3, 5, sigma=0.25)
        assert saliency.shape == (3, 5) and saliency[1, 2] == 1
        np.testing.assert_array_equal(saliency, saliency[::-1, ::-1])
        # One pixel of five away from the centre: 0.2 / 0.25 deviations.
        assert saliency[1, 3] == pytest.approx(np.exp(-0.5 * 0.8**2))

    def test_max_f_does_not_depend_on_its_width(self):
        # Stretched and cut at rising thresholds, all Gaussians show the same ellipses.
        mask = np.zeros((60, 80), np.uint8)
        mask[10:40, 20:60] = 255
        values = [
            evaluate([(Sample("a", mask), center_map(60, 80, s))], which=["max_f"])
            for s in (0.2, 0.3)
        ]
        first, second = (found.scores.scores["max_f"] for found in values)
        assert first == pytest.approx(second, abs=5e-3)


class TestBootstrap:
    def test_draws_are_the_scores_of_drawn_sets(self):
        images = blurry(5)
        found = evaluate(images)
        draws = draw_scores(found, resamples=3, seed=7)
        rng = np.random.default_rng(7)
        for number, counts in enumerate(rng.multinomial(5, [1 / 5] * 5, 3)):
            drawn = [
                image
                for image, count in zip(images, counts, strict=True)
                for _ in range(count)
            ]
            expected = evaluate(drawn).scores.scores
            for name in ("max_f", "mae", "s_measure"):
                assert draws[name][number] == pytest.approx(expected[name], rel=1e-5)

    def test_empty_masks_do_not_count_for_f(self):
        empty = (Sample("none", np.zeros((1, 4), np.uint8)), np.zeros((1, 4), np.uint8))
        found = evaluate([*two_by_hand(), empty])
        draws = draw_scores(found, resamples=200)["max_f"]
        # "half" alone, "twice" alone, and mixtures; never less, or none at all.
        assert np.nanmin(draws) == pytest.approx(0.65 / 1.15)
        assert np.nanmax(draws) == pytest.approx(0.65 / 0.8)
        assert np.isnan(draws).any()
        low, high = interval(draws)
        assert low == pytest.approx(0.65 / 1.15) and high == pytest.approx(0.65 / 0.8)

    def test_interval_of_a_mean(self):
        """Against the normal approximation."""
        rng = np.random.default_rng(0)
        mask = np.zeros((1, 100), np.uint8)
        mask[0, 0] = 255
        images = []
        for wrong in rng.integers(0, 50, 200):
            saliency = mask.copy()
            saliency[0, 1 : 1 + wrong] = 255
            images.append((Sample("", mask), saliency))
        found = evaluate(images, which=["mae"])
        low, high = interval(draw_scores(found)["mae"])
        errors = np.array([row.mae for row in found.scores.rows])
        half = 1.96 * errors.std() / np.sqrt(len(errors))
        assert low == pytest.approx(errors.mean() - half, abs=0.15 * half)
        assert high == pytest.approx(errors.mean() + half, abs=0.15 * half)

    def test_only_measured_scores_are_drawn(self):
        found = evaluate(two_by_hand(), which=["max_f"])
        assert list(draw_scores(found, resamples=5)) == ["max_f"]
        assert json.dumps(interval(np.array([np.nan]))) == "[NaN, NaN]"
