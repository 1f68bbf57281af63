"""Variant names."""

import pytest

from picanet_tf.saliency.variants import DEFAULT_VARIANT, VARIANTS, parse_variant

# SPEC, "Variants": written out, not computed.
PLANS = {
    "UNet": {},
    "6GAP": {6: "GAP"},
    "6GAP_5AC": {6: "GAP", 5: "AC"},
    "6GAP_54AC": {6: "GAP", 5: "AC", 4: "AC"},
    "6GAP_543AC": {6: "GAP", 5: "AC", 4: "AC", 3: "AC"},
    "6GAP_5432AC": {6: "GAP", 5: "AC", 4: "AC", 3: "AC", 2: "AC"},
    "65432AC": {6: "AC", 5: "AC", 4: "AC", 3: "AC", 2: "AC"},
    "65GAP_432AC": {6: "GAP", 5: "GAP", 4: "AC", 3: "AC", 2: "AC"},
    "654GAP_32AC": {6: "GAP", 5: "GAP", 4: "GAP", 3: "AC", 2: "AC"},
    "6GAP_5432LAP": {6: "GAP", 5: "LAP", 4: "LAP", 3: "LAP", 2: "LAP"},
    "6ReNet_5432LC": {6: "ReNet", 5: "LC", 4: "LC", 3: "LC", 2: "LC"},
    "6G_5432L_AveP": {6: "G_AveP", 5: "L_AveP", 4: "L_AveP", 3: "L_AveP", 2: "L_AveP"},
    "6G_5432L_MaxP": {6: "G_MaxP", 5: "L_MaxP", 4: "L_MaxP", 3: "L_MaxP", 2: "L_MaxP"},
    "65GAP_432LAP": {6: "GAP", 5: "GAP", 4: "LAP", 3: "LAP", 2: "LAP"},
    # Other tasks', and an order of parts that is not the map's.
    "6ReNet_543LC": {6: "ReNet", 5: "LC", 4: "LC", 3: "LC"},
    "32AC_6GAP": {6: "GAP", 3: "AC", 2: "AC"},
}


def test_the_variants_are_the_papers():
    assert set(VARIANTS) == set(list(PLANS)[:14])
    assert len(VARIANTS) == 14
    assert DEFAULT_VARIANT == "6GAP_5432AC"


@pytest.mark.parametrize("name", PLANS)
def test_variant_names_are_parsed(name):
    plan = parse_variant(name)
    assert plan == PLANS[name]
    assert list(plan) == sorted(plan, reverse=True)


@pytest.mark.parametrize(
    "name, why",
    [
        ("", "'' is not a list of stages followed by a kind"),
        ("GAP", "'GAP' is not a list of stages followed by a kind"),
        ("6GAP_", "'' is not a list of stages followed by a kind"),
        ("6", "'6' is not a list of stages followed by a kind"),
        ("unet", "'unet' is not a list of stages"),
        ("6GAP 5AC", "'6GAP 5AC' is not a list of stages"),
        ("6gap", "'gap' is not one of the kinds GAP, LAP, AC, ReNet, LC"),
        ("6GAP_5432CA", "'CA' is not one of the kinds"),
        ("6G_5432L", "'G' is not one of the kinds"),
        ("6GAP_5432L_AveP", "'GAP' is not one of the kinds G, L"),
        ("7GAP", "stage 7 cannot have a context module, only 6 to 2"),
        ("6GAP_54321AC", "stage 1 cannot have a context module"),
        ("6GAP_65AC", "stage 6 is named twice"),
        ("66GAP", "stage 6 is named twice"),
        ("AveP", "it names no stage"),
    ],
)
def test_bad_names_are_explained(name, why):
    with pytest.raises(ValueError) as error:
        parse_variant(name)
    message = str(error.value)
    assert message.startswith(f"Cannot read variant {name!r}: ")
    assert why in message
    assert "6GAP_5432AC" in message
    assert "\n" not in message
