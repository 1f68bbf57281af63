import dataclasses
import json

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.training import run
from picanet_tf.training.experiments import Experiment


def test_defaults_are_the_papers_recipe():
    paper = Experiment()
    assert paper.variant == "6GAP_5432AC"
    assert (paper.batch_size, paper.steps, paper.image_size) == (9, 40_000, 224)
    assert (paper.learning_rate, paper.encoder_lr_multiplier) == (0.01, 0.1)
    assert (paper.momentum, paper.weight_decay) == (0.9, 0.0005)
    assert (paper.attention_loss_weight, paper.dropout) == (0.2, 0.5)
    assert paper.boundaries == (20_000, 30_000)


def test_the_rate_scales_with_the_batch_when_asked():
    assert Experiment(batch_size=18).base_rate == 0.01
    assert Experiment(batch_size=18, scale_rate=True).base_rate == pytest.approx(0.02)
    assert Experiment(batch_size=3, scale_rate=True).base_rate == pytest.approx(1 / 300)


@pytest.mark.parametrize(
    ("task", "replicas", "size"),
    [
        *[("saliency", 2, 10), ("saliency", 4, 8), ("saliency", 8, 8)],
        *[("saliency", 3, 9), ("saliency", 6, 12), ("saliency", 32, 32)],
        *[("segmentation", 4, 12), ("segmentation", 8, 8), ("segmentation", 5, 10)],
        *[("detection", 8, 32), ("detection", 5, 30), ("detection", 3, 33)],
    ],
)
def test_the_default_batch_is_a_multiple_of_the_replicas(task, replicas, size):
    """The nearest one; of two the larger. A batch that is given stays as it is."""
    assert Experiment.of(task, replicas=replicas).batch_size == size
    default = Experiment.of(task)
    assert run.fit_batch_size(default, replicas).batch_size == size
    assert run.fit_batch_size(default, 1) == default
    rate = Experiment.of(task, replicas=replicas, scale_rate=True).base_rate
    assert rate == pytest.approx(default.base_rate * size / default.batch_size)
    with pytest.raises(PicanetError, match="multiple of `replicas`"):
        Experiment.of(task, replicas=7, batch_size=9)


def test_the_quick_recipe():
    quick = Experiment.of(recipe="quick")
    assert (quick.optimizer, quick.learning_rate, quick.beta_2) == ("adamw", 5e-4, 0.99)
    assert (quick.weight_decay, quick.encoder_lr_multiplier) == (0.01, 0.2)
    assert (quick.rate_schedule, quick.linear_share) == ("linear", 0.2)
    assert [phase.image_size for phase in quick.phases] == [160, 224]
    assert (quick.steps, quick.batch_size, quick.dropout) == (1000, 8, 0.3)
    assert Experiment.from_json(quick.to_json()) == quick


def test_each_setting_of_a_recipe_is_its_own():
    quick = Experiment.of(recipe="quick", optimizer="sgd", steps=10, image_size=128)
    assert (quick.learning_rate, quick.weight_decay) == (0.01, 0.0005)
    assert quick.phases == ((128, 10),)
    adamw = Experiment.of(optimizer="adamw", learning_rate=0.001)
    assert (adamw.learning_rate, adamw.weight_decay) == (0.001, 0.01)
    assert adamw.rate_schedule == "steps"
    scaled = Experiment.of(recipe="quick", batch_size=16, scale_rate=True)
    assert scaled.base_rate == 2 * Experiment.of(recipe="quick").base_rate


@pytest.mark.parametrize("task", ["saliency", "segmentation", "detection"])
def test_adamw_has_its_defaults_for_every_task(task):
    adamw, sgd = (Experiment.of(task, optimizer=name) for name in ("adamw", "sgd"))
    assert (adamw.learning_rate, adamw.weight_decay, adamw.beta_2) == (5e-4, 0.01, 0.99)
    assert sgd == Experiment.of(task)
    assert adamw.steps == sgd.steps


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_of_the_quick_recipe_end_at_the_full_size(steps):
    quick = Experiment.of(recipe="quick", steps=steps)
    assert quick.phases[-1] == (224, steps)


@pytest.mark.parametrize(
    "steps, warmup", [(1, 0), (10, 2), (200, 40), (250, 50), (1000, 50)]
)
def test_the_quick_recipe_warms_up_for_at_most_a_fifth(steps, warmup):
    assert Experiment.of(recipe="quick", steps=steps).warmup_steps == warmup
    assert Experiment.of(recipe="quick", steps=100, warmup_steps=60).warmup_steps == 60


@pytest.mark.parametrize(
    "name, value, others",
    [
        ("backbone_weights", "hed", {"init_from": "picanet_vgg16_duts"}),
        ("beta_2", 0.9, {"optimizer": "sgd"}),
        ("encoder_lr_multiplier", 0.5, {"freeze_encoder": True}),
        ("encoder_lr_multiplier", 0.5, {"backbone_weights": "none"}),
        ("rate_boundaries", (8,), {"steps": 8}),
        ("warmup_steps", 8, {"steps": 8}),
        ("validation_interval", 10, {}),
        ("validation_images", 10, {}),
    ],
)
def test_settings_without_an_effect_are_rejected(name, value, others):
    with pytest.raises(PicanetError) as raised:
        Experiment.of(**others, **{name: value})
    assert str(raised.value).startswith(f"`{name}` ")
    assert str(raised.value).endswith(f": leave it out. Received: {value}")


def test_settings_that_have_an_effect_are_accepted():
    Experiment.of(rate_boundaries=(7,), warmup_steps=7, steps=8)
    Experiment.of(
        encoder_lr_multiplier=0.5, backbone_weights="none", init_from="runs/a"
    )
    Experiment.of(init_from="picanet_vgg16_duts", backbone_weights="none")
    Experiment.of(optimizer="adamw", beta_2=0.9)
    Experiment.of(validation_tfrecords="data", validation_interval=10)


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_other_tasks_have_only_the_papers_recipe(task):
    with pytest.raises(PicanetError, match=f"{task} must be one of paper. .*'quick'"):
        Experiment.of(task, recipe="quick")


@pytest.mark.parametrize(
    "given",
    [
        {"variant": "UNet"},
        {"variant": "6ReNet_5432LC"},
        {"variant": "5GAP_432AC"},
        {"task": "segmentation", "variant": "6GAP_543AC"},
        {"task": "detection"},
    ],
)
def test_attention_loss_weight_needs_an_attention_loss(given):
    with pytest.raises(PicanetError, match="`attention_loss_weight` is for saliency.*"):
        Experiment.of(**given, attention_loss_weight=0.2)
    weight = Experiment.of(variant="65GAP_432AC", attention_loss_weight=0.0)
    assert weight.attention_loss_weight == 0


def test_linear_share_needs_the_linear_schedule():
    share = Experiment.of(linear_share=0.3, rate_schedule="linear").linear_share
    assert share == 0.3
    with pytest.raises(PicanetError, match="`linear_share` requires `rate_schedule`"):
        Experiment.of(recipe="quick", linear_share=0.3, rate_schedule="cosine")


def test_random_scale_is_for_segmentation():
    assert Experiment.of("segmentation", random_scale=True).random_scale
    assert not Experiment.of("segmentation").random_scale
    with pytest.raises(PicanetError, match="`random_scale` is for task segmentation"):
        Experiment.of(random_scale=True)


def test_default_boundaries_are_fractions_of_the_steps():
    assert Experiment(steps=200).boundaries == (100, 150)
    assert Experiment(rate_boundaries=(5, 7)).boundaries == (5, 7)
    assert Experiment(steps=1).boundaries == ()
    assert Experiment(steps=2).boundaries == (1,)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"steps": 0}, "`steps` must be at least 1. Received: 0"),
        ({"learning_rate": 0.0}, "`learning_rate` must be above 0"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be finite"),
        ({"image_size": 225}, "`image_size` must be a multiple of 8.*225"),
        (
            {"image_sizes": "161:0.5,224:0.5"},
            "^`image_sizes` 161:0.5,224:0.5: image_size must be a multiple of 8.*161",
        ),
        ({"dropout": 1.0}, "`dropout` must be below 1"),
        ({"ema_decay": 1.0}, "`ema_decay` must be below 1"),
        ({"clip_norm": -1.0}, "`clip_norm` must be at least 0"),
        (
            {"rate_boundaries": (5,), "rate_schedule": "cosine"},
            "`rate_boundaries` requires `rate_schedule` steps. Received: cosine",
        ),
        (
            {"task": "segmentation", "variant": "6GAP_5432AC"},
            "stage 2 cannot.* such as 6GAP_543AC.*It is a variant of task saliency",
        ),
        ({"variant": "DeepLab_LAP"}, "It is a variant of task segmentation"),
        ({"variant": "7AC"}, "`variant`: Cannot read variant '7AC'.*stage 7"),
        (
            {"precision": "float8"},
            "`precision` must be one of float32, mixed_float16, mixed_bfloat16, auto. "
            "Received: 'float8'",
        ),
        ({"batch_size": 9, "replicas": 2}, "multiple of `replicas`. Received: 9 and 2"),
        ({"rate_boundaries": (7, 5)}, "`rate_boundaries` must be ascending"),
        ({"steps": "many"}, "`steps` must be int. Received: 'many'"),
        (
            {"freeze_encoder": True, "backbone_weights": "none"},
            "`freeze_encoder` needs trained weights",
        ),
        (
            {"freeze_blocks": 2, "backbone_weights": "none"},
            "`freeze_blocks` needs trained weights.*freeze_blocks=2, and neither",
        ),
        (
            {"freeze_blocks": 2, "freeze_encoder": True},
            "`freeze_encoder` freezes all blocks: leave `freeze_blocks` out",
        ),
        ({"freeze_blocks": 6}, "`freeze_blocks` must be"),
    ],
)
def test_invalid_settings_are_rejected(changes, message):
    with pytest.raises(PicanetError, match=message):
        Experiment(**changes)


def test_json_round_trip():
    experiment = Experiment(rate_boundaries=(3, 4), width=1, tfrecords="dätä set")
    assert Experiment.from_json(experiment.to_json()) == experiment


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "somewhere is not JSON"),
        ("[1]", "somewhere must hold a JSON object"),
        ('{"step": 3}', "somewhere has unknown settings: step"),
        ('{"steps": -3}', "somewhere: `steps` must be at least 1"),
        ('{"steps": null}', "somewhere: `steps` must be int"),
    ],
)
def test_invalid_json_is_reported(text, message):
    with pytest.raises(PicanetError, match=message):
        Experiment.from_json(text, "somewhere")


def test_json_holds_every_setting():
    names = {field.name for field in dataclasses.fields(Experiment)}
    assert set(json.loads(Experiment().to_json())) == names


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b'{"seed": "\xff"}', "is not JSON: 'utf-8' codec"),
        (b"[" * 100_000, "is not JSON: maximum recursion"),
        (b'{"steps": 9223372036854775808}', "`steps` must have at most 63 bits"),
        (b'{"rate_boundaries": {}}', "`rate_boundaries` must be positive steps"),
        (b'{"rate_boundaries": [true]}', "`rate_boundaries` must be positive steps"),
    ],
)
def test_damaged_files_are_reported_by_name(tmp_path, content, rule):
    path = tmp_path / "experiment.json"
    path.write_bytes(content)
    with pytest.raises(PicanetError, match=rule) as raised:
        Experiment.load(path)
    assert str(path) in str(raised.value)
