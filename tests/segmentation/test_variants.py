"""Names and plans of Table 3."""

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.voc import VOC_CLASSES, palette
from picanet_tf.segmentation.variants import VARIANTS, parse_variant
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.machine import needed_memory


def test_variant_names_are_parsed():
    assert {name: parse_variant(name) for name in VARIANTS} == {
        "DeepLab": {},
        "DeepLab_LC": dict.fromkeys((6, 12, 18, 24), "LC"),
        "DeepLab_AC": dict.fromkeys((6, 12, 18, 24), "AC"),
        "DeepLab_LAP": dict.fromkeys((6, 12, 18, 24), "LAP"),
        "UNet": {},
        "6ReNet_543LC": {6: "ReNet", 5: "LC", 4: "LC", 3: "LC"},
        "6GAP_543AC": {6: "GAP", 5: "AC", 4: "AC", 3: "AC"},
        "6GAP_543LAP": {6: "GAP", 5: "LAP", 4: "LAP", 3: "LAP"},
    }


@pytest.mark.parametrize(
    "name, message",
    [
        ("DeepLab_GAP", "DeepLab's branches can have LC, AC, LAP"),
        ("6GAP_5432AC", "stage 2 cannot have a context module, only 6 to 3"),
        ("Deeplab", "'Deeplab' is not a list of stages followed by a kind"),
    ],
)
def test_invalid_names_are_rejected(name, message):
    with pytest.raises(ValueError, match=message):
        parse_variant(name)


def test_the_recipe_is_deeplabs():
    unet = Experiment.of("segmentation")
    assert (unet.variant, unet.image_size) == ("6GAP_543LAP", 384)
    deeplab = Experiment.of("segmentation", variant="DeepLab_AC")
    assert (deeplab.image_size, deeplab.batch_size, deeplab.steps) == (321, 10, 20_000)
    assert (deeplab.rate_schedule, deeplab.boundaries) == ("poly", ())
    assert deeplab.learning_rate * deeplab.encoder_lr_multiplier == pytest.approx(0.001)
    assert Experiment.of("segmentation", steps=5, batch_size=2).batch_size == 2
    assert Experiment.of("segmentation", batch_size=20, scale_rate=True).base_rate == (
        pytest.approx(0.02)
    )
    assert Experiment.of() == Experiment()
    assert Experiment.from_json(deeplab.to_json()) == deeplab


def test_invalid_settings_are_rejected():
    with pytest.raises(
        PicanetError, match="`image_size` of UNet must be a multiple.*8"
    ):
        Experiment.of("segmentation", variant="UNet", image_size=328)
    with pytest.raises(PicanetError, match="`task` must be one of saliency, segm"):
        Experiment.of("detecting")
    Experiment.of("segmentation", variant="DeepLab", image_size=17)
    with pytest.raises(PicanetError, match="requires `rate_schedule` steps"):
        Experiment.of("segmentation", rate_boundaries=(3,))


@pytest.mark.parametrize(
    "variant, measured",
    [("DeepLab_LAP", 2.65e9), ("DeepLab_AC", 3.94e9), ("6GAP_543LAP", 2.52e9)],
)
def test_memory_estimate_matches_measurements(variant, measured):
    experiment = Experiment.of("segmentation", variant=variant, batch_size=1)
    assert needed_memory(experiment) == pytest.approx(measured, rel=0.1)


def test_palette_has_the_colours_of_voc():
    """As in the palette that VOC's own masks carry."""
    colours = dict(zip(VOC_CLASSES, palette().tolist(), strict=False))
    assert colours["background"] == [0, 0, 0]
    assert colours["aeroplane"] == [128, 0, 0]
    assert colours["cat"] == [64, 0, 0]
    assert colours["person"] == [192, 128, 128]
    assert colours["tvmonitor"] == [0, 64, 128]
    assert palette()[255].tolist() == [224, 224, 192]
