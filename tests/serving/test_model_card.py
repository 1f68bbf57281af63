"""The model card states what is known, and None for what is not."""

import json
import os

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.serving import model_card
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path):
    experiment = Experiment(
        tfrecords="/somewhere/duts", validation_tfrecords="data/ecssd", steps=90
    )
    run = RunDirectory.create(experiment, str(tmp_path / "run"))
    run.record(tensorflow="2.21.0", keras="3.15.1", training_set={"name": "DUTS-TR"})
    run.checkpoints.mkdir()
    for step in (30, 60):
        (run.checkpoints / f"step-{step}.index").write_text("")
    run.validation.write_text("step,max_f,mae\n30,0.8,0.1\n60,0.7,0.2\n90,0.6,0.3\n")
    return run


def test_facts_of_the_last_checkpoint(run):
    facts = model_card.facts_of_run(run, "model")
    assert facts["steps"] == 60  # and not the 90 that were meant
    assert facts["validation"] == {"step": 60, "max_f": 0.7, "mae": 0.2}
    assert facts["validation_set"] == "ecssd"
    assert facts["training_set"] == {"name": "DUTS-TR"}
    assert facts["trained_with"] == {"tensorflow": "2.21.0", "keras": "3.15.1"}
    assert "somewhere" not in json.dumps(facts)  # No path of this machine.


def test_facts_of_the_best_checkpoint(run):
    facts = model_card.facts_of_run(run, "best")
    assert facts["steps"] == 30
    assert facts["validation"] == {"step": 30, "max_f": 0.8, "mae": 0.1}


@pytest.mark.parametrize(
    "sizes, rows, best",
    [
        # Steps 1 to 60 at 160 pixels, whose scores are forgotten then.
        ("160:0.6667,224:0.3333", "30,0.9,0.1\n60,0.8,0.1\n90,0.5,0.1\n", 90),
        ("160:0.6667,224:0.3333", "30,0.9,0.1\n60,0.8,0.1\n", 30),  # no later one yet
        ("224:0.6667,224:0.3333", "30,0.9,0.1\n60,0.8,0.1\n90,0.5,0.1\n", 30),
        (
            "160:0.3333,224:0.3333,160:0.3334",
            "30,0.9,0.1\n70,0.5,0.1\n90,0.6,0.1\n",
            90,
        ),
    ],
)
def test_the_best_checkpoint_is_of_the_last_image_size(tmp_path, sizes, rows, best):
    """Scores at different sizes of the input are not compared."""
    experiment = Experiment(
        validation_tfrecords="data/ecssd",
        steps=90,
        image_sizes=sizes,
        image_size=int(sizes.rsplit(",", 1)[1].split(":")[0]),
    )
    run = RunDirectory.create(experiment, str(tmp_path / "run"))
    run.validation.write_text("step,max_f,mae\n" + rows)
    facts = model_card.facts_of_run(run, "best")
    assert facts["steps"] == facts["validation"]["step"] == best


def test_truncated_row_of_the_table_is_ignored(run):
    """Its last row is left out; a row that says nothing is reported."""
    text = run.validation.read_text()
    for rest in ("120,0.9", "120,0.9,0.0"):
        run.validation.write_text(text + rest)
        assert model_card.facts_of_run(run, "best")["steps"] == 30
    run.validation.write_text(text + "120,high,0.1\n")
    with pytest.raises(PicanetError, match="validation.csv is damaged: .*'high'"):
        model_card.facts_of_run(run, "best")


def test_facts_of_an_empty_run_are_none(tmp_path):
    run = RunDirectory.create(Experiment(), str(tmp_path / "run"))
    facts = model_card.facts_of_run(run, "model")
    for name in ("steps", "training_set", "validation", "validation_set"):
        assert facts[name] is None


def test_card_is_written(tmp_path):
    (tmp_path / "tflite").mkdir()
    (tmp_path / "tflite" / "picanet.tflite").touch()
    path = model_card.write_card(tmp_path, task="saliency", variant="UNet", steps=None)
    assert path == tmp_path / "assets" / "model_card.json"
    card = json.loads(path.read_text())
    assert card["task"] == "saliency"
    assert card["variant"] == "UNet" and card["steps"] is None
    assert "bilinear" in card["preprocessing"]
    assert card["image_bytes"]["max_pixels"] == 64_000_000
    assert "profiles are ignored" in card["image_bytes"]["colour"]
    assert card["exported_with"]["keras"].startswith("3.")
    assert "research" in card["licence_notes"]
    assert card["files"] == ["assets/model_card.json", "tflite/picanet.tflite"]


def test_card_holds_any_file_names(tmp_path):
    name = os.fsdecode(b"caf\xe9 \xe5\xad\x97")
    path = model_card.write_card(tmp_path, task="saliency", training_set=name)
    assert json.loads(path.read_text("utf-8"))["training_set"] == name
    assert "caf\\udce9 字" in path.read_text("utf-8")
