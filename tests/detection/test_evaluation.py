"""Scores of a data set, by both metrics, on cases that are worked out by hand."""

import math
import sys

import numpy as np
import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.detection.evaluation import Truth, evaluate, truth_of, whole_image
from picanet_tf.detection.results import Detections
from picanet_tf.detection.sources import nothing
from picanet_tf.evaluation.samples import Sample

CAT, DOG, PERSON = 8, 12, 15
SMALL, MEDIUM, LARGE = (0, 0, 20, 20), (30, 30, 80, 80), (90, 90, 190, 190)
FAR = (0, 200, 10, 210)


def truth(*objects):
    """Of (box, label) or (box, label, difficult), in an image of 200 x 300."""
    rows = [(*box, label, *more, 0)[:6] for box, label, *more in objects]
    rows = np.array(rows, np.float32).reshape(-1, 6)
    labels = rows[:, 4].astype(np.int64)
    return Truth(rows[:, :4], labels, rows[:, 5].astype(bool), (200, 300))


def found(*rows):
    """Of (box, label, score)."""
    rows = np.array([(*box, *more) for box, *more in rows], np.float32).reshape(-1, 6)
    return Detections(rows[:, :4], rows[:, 5], rows[:, 4].astype(np.int64))


def sample(name, objects, image=None):
    return Sample(name, truth(*objects), image)


def scored(*images, **options):
    """Of (objects, detections) of each image."""
    return evaluate(
        [
            (sample(f"{number}", objects), found(*detections))
            for number, (objects, detections) in enumerate(images)
        ],
        **options,
    )


def perfect(*objects):
    return objects, [(box, label, 0.9) for box, label, *_ in objects]


def numbers(evaluation):
    """The VOC means and COCO's, by short names."""
    scores, coco = evaluation.scores, evaluation.coco
    return {
        "eleven": scores.mean_ap,
        "area": scores.mean_ap_area,
        **{name.removeprefix("coco_"): value for name, value in coco.items()},
    }


ALL = ("eleven", "area", "map", "map_50", "map_75", "recall_100")


def test_perfect_detections_have_perfect_scores():
    evaluation = scored(
        perfect((SMALL, DOG), (LARGE, DOG), (MEDIUM, PERSON)),
        perfect((SMALL, CAT), (MEDIUM, CAT)),
    )
    values = numbers(evaluation)
    assert len(values) == 9
    for name, value in values.items():
        assert value == pytest.approx(1), name
    scores = evaluation.scores
    assert (scores.images, scores.objects, scores.difficult) == (2, 5, 0)
    assert np.flatnonzero(~np.isnan(scores.ap)).tolist() == [CAT - 1, DOG - 1, 14]


def test_object_sizes_are_divided_at_32_and_96_squared():
    values = numbers(scored(([(SMALL, DOG), (MEDIUM, DOG)], [(MEDIUM, DOG, 0.9)])))
    assert (values["map_small"], values["map_medium"]) == pytest.approx((0, 1))
    assert math.isnan(values["map_large"])
    # 32² is not below, nor is 96².
    values = numbers(scored(perfect(((0, 0, 32, 32), DOG), ((50, 50, 146, 146), DOG))))
    assert values["map_medium"] == pytest.approx(1)


@pytest.mark.parametrize(
    "objects, detections, wanted",
    [
        # Half of the objects, at precision 1: 6 of 11 points, 51 of COCO's 101.
        ([(SMALL, DOG), (LARGE, DOG)], [(LARGE, DOG, 0.9)],
         dict(eleven=6 / 11, area=1 / 2, map=51 / 101, map_50=51 / 101,
              recall_100=1 / 2)),
        # A class without a detection counts as 0, one without an object not at all.
        ([(SMALL, DOG), (LARGE, PERSON)], [(SMALL, DOG, 0.9), (LARGE, CAT, 0.8)],
         dict.fromkeys(ALL, 0.5)),
        # The right box as another class.
        ([(SMALL, DOG)], [(SMALL, CAT, 0.9)], dict.fromkeys(ALL, 0)),
        # IoU 0.625: of COCO's ten, 0.5, 0.55 and 0.6 are reached.
        ([((70, 90, 150, 170), DOG)], [((70, 90, 150, 140), DOG, 0.9)],
         dict(eleven=1, area=1, map=0.3, map_50=1, map_75=0, recall_100=0.3)),
        # A second one on the same object, of a lower score, costs nothing here.
        ([(SMALL, DOG)], [(SMALL, DOG, 0.9), (SMALL, DOG, 0.8)], dict.fromkeys(ALL, 1)),
        # A wrong one above the right one.
        ([(SMALL, DOG)], [(FAR, DOG, 0.9), (SMALL, DOG, 0.8)],
         {**dict.fromkeys(ALL, 0.5), "recall_100": 1}),
        # Ten of them: COCO's recall is that with 100 detections.
        ([(SMALL, DOG)], [*[(FAR, DOG, 0.9)] * 10, (SMALL, DOG, 0.8)],
         {**dict.fromkeys(ALL, 1 / 11), "recall_100": 1}),
        ([(SMALL, DOG)], [], dict.fromkeys(ALL, 0)),
        # A difficult object is not missed, and what lies on it is not wrong.
        ([(SMALL, DOG), (LARGE, DOG, 1)], [(SMALL, DOG, 0.9)], dict.fromkeys(ALL, 1)),
        ([(SMALL, DOG), (LARGE, DOG, 1)],
         [(LARGE, DOG, 0.9), (LARGE, DOG, 0.8), (SMALL, DOG, 0.7)],
         dict.fromkeys(ALL, 1)),
        # With another class on it, it is.
        ([(SMALL, DOG), (LARGE, CAT, 1)], [(LARGE, DOG, 0.9), (SMALL, DOG, 0.7)],
         {**dict.fromkeys(ALL, 0.5), "recall_100": 1}),
        ([(LARGE, DOG, 1)], [(LARGE, DOG, 0.9)], dict.fromkeys(ALL, math.nan)),
        ([], [(LARGE, DOG, 0.9)], dict.fromkeys(ALL, math.nan)),
    ],
)  # fmt: skip
def test_scores_match_values_computed_by_hand(objects, detections, wanted):
    values = numbers(scored((objects, detections)))
    for name, value in wanted.items():
        assert values[name] == pytest.approx(value, nan_ok=True), name


def test_scores_rank_over_all_images():
    """One wrong detection, surer than one right one of two, in an empty image."""
    one, other = perfect((SMALL, DOG)), ([(LARGE, DOG)], [(LARGE, DOG, 0.5)])
    values = numbers(scored(one, ([], [(FAR, DOG, 0.7)]), other))
    assert values["area"] == pytest.approx((1 + 2 / 3) / 2)
    assert values["eleven"] == pytest.approx((6 + 5 * 2 / 3) / 11)
    assert values["map_50"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_an_object_is_found_in_its_own_image_alone():
    values = numbers(scored(([(SMALL, DOG)], []), ([], [(SMALL, DOG, 0.9)])))
    assert values["area"] == values["map_50"] == values["recall_100"] == 0


def test_coco_takes_the_100_best_of_an_image_and_voc_all():
    wrong = [(FAR, DOG, 0.9)] * 100
    values = numbers(scored(([(SMALL, DOG)], [*wrong, (SMALL, DOG, 0.5)])))
    assert values["map"] == 0 and values["recall_100"] == 0
    assert values["area"] == pytest.approx(1 / 101)


def test_rows_score_each_image_alone():
    evaluation = scored(
        perfect((SMALL, DOG)),
        ([(SMALL, DOG), (MEDIUM, CAT), (LARGE, CAT, 1)],
         [(FAR, CAT, 0.9), (SMALL, DOG, 0.8), (LARGE, CAT, 0.7)]),
        ([(LARGE, CAT, 1)], [(SMALL, CAT, 0.7)]),
    )  # fmt: skip
    assert evaluation.rows[0] == ("0", 1, 1, 1, 1)
    # Wrong, then right: half of the objects at precision 1/2. The third counts not.
    assert evaluation.rows[1] == ("1", 0.25, 2, 3, 1)
    assert math.isnan(evaluation.rows[2].ap) and evaluation.rows[2][2:] == (0, 1, 0)


def test_the_worst_images_come_first_and_picked_ones_as_asked():
    right, wrong = perfect((SMALL, DOG)), ([(SMALL, DOG)], [])
    half = [(SMALL, DOG)], [(FAR, DOG, 0.9), (SMALL, DOG, 0.8)]
    empty = [], []
    images = [right, half, empty, wrong, right, half, wrong, right, right]
    evaluation = scored(*images, pick={0, 2})
    assert [(each.name, each.score) for each in evaluation.worst] == [
        ("3", 0), ("6", 0), ("1", 0.5), ("5", 0.5), ("0", 1), ("4", 1),
    ]  # fmt: skip
    assert [each.name for each in evaluation.picked] == ["0", "2"]
    assert math.isnan(evaluation.picked[1].score)


def test_pictures_show_true_and_confident_boxes():
    image = np.full((200, 300, 3), 40, np.uint8)
    large = np.full((640, 960, 3), 40, np.uint8)
    objects, detections = [(SMALL, DOG)], found((SMALL, DOG, 0.9), (LARGE, CAT, 0.29))
    pairs = [(sample("a", objects, image), detections),
             (sample("b", objects, large), nothing()),
             (sample("c", objects), nothing())]  # fmt: skip
    one, scaled, blank = evaluate(pairs, pick=range(3)).picked
    assert (one.image == image).all()
    assert (one.truth != image)[:21, :21].any() and (one.prediction != image).any()
    # A box of a low score is not drawn.
    assert (one.prediction[85:] == image[85:]).all()
    assert scaled.image.shape == (213, 320, 3) and (scaled.prediction == 40).all()
    assert blank.image.shape == (200, 300, 3) and (blank.image == 0).all()


def test_truth_of_a_record():
    objects = np.float32([[0.1, 0.2, 0.5, 1, DOG, 0], [0, 0, 1, 0.5, CAT, 1]])
    found = truth_of({"height": 50, "width": 20, "objects": objects})
    np.testing.assert_allclose(found.boxes, [[5, 4, 25, 20], [0, 0, 50, 10]])
    assert found.labels.tolist() == [DOG, CAT] and found.size == (50, 20)
    assert found.difficult.tolist() == [False, True]
    assert found.difficult.dtype == bool and found.labels.dtype == np.int64


def test_whole_image_baseline_predicts_every_class():
    whole = whole_image(truth())
    assert whole.boxes.tolist() == [[0, 0, 200, 300]] * 20
    assert whole.classes.tolist() == list(range(1, 21)) and (whole.scores == 1).all()


def test_without_pycocotools_there_are_only_voc_scores(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    evaluation = scored(perfect((SMALL, DOG)))
    assert evaluation.coco == {} and evaluation.scores.mean_ap == 1


@pytest.mark.parametrize(
    "detections, message",
    [
        (
            found((SMALL, DOG, math.nan)),
            "0: A box or score of a detection is not finite",
        ),
        (found(((0, 0, math.inf, 1), DOG, 0.5)), "0: A box or score of a detection"),
        (
            found((SMALL, 21, 0.5)),
            "0: A detection has class 21; classes must be in 1..20",
        ),
        (found((SMALL, 0, 0.5)), "0: A detection has class 0"),
        (Detections(np.zeros((2, 4)), np.ones(1), np.ones(1, int)), "0: .*boxes"),
    ],
)
def test_invalid_detections_are_reported_with_their_image(detections, message):
    with pytest.raises(PicanetError, match=message):
        evaluate([(sample("0", [(SMALL, DOG)]), detections)])


def test_no_images_and_duplicate_images_are_errors():
    with pytest.raises(PicanetError, match="There are no images to score"):
        evaluate([])
    with pytest.raises(PicanetError, match="a: The image 'a' was already added"):
        evaluate([(sample("a", []), nothing())] * 2)
