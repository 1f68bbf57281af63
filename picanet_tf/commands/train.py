"""Trains a network and writes a run directory.

    picanet train --tfrecords data/duts
    picanet train --resume
    picanet train --tfrecords data/mine --init_from picanet_vgg16_duts --steps 200
    picanet train --tfrecords data/mine --init_from runs/latest --freeze_encoder

Without --run, creates runs/<time>-<variant> and points runs/latest at it. The defaults
are the paper's recipe. After Ctrl-C, --resume continues as if never interrupted; give
--tfrecords again only if the data have moved.
"""

from __future__ import annotations

import dataclasses
import signal

from absl import flags, logging

from picanet_tf.core import cli
from picanet_tf.core.errors import PicanetError
from picanet_tf.tasks.registry import get_spec, task_names
from picanet_tf.training.errors import TrainingInterrupted, WorkerLost
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run import train

POSITIONAL = ""
# EX_TEMPFAIL, after SIGTERM or the loss of another worker: run again with --resume
EXIT_RESUMABLE = 75
_OWN = ("run", "resume", "skip_corrupt")  # flags that are not `Experiment` fields


def define_flags() -> None:
    flags.DEFINE_string(
        "run",
        "",
        "Run directory to create or, with --resume, to continue (default with "
        "--resume: runs/latest).",
    )
    flags.DEFINE_bool("resume", False, "Continue from the run's last checkpoint.")
    flags.DEFINE_integer(
        "skip_corrupt", 0, "Skip up to this many corrupt records; each is logged.", 0
    )
    for field in dataclasses.fields(Experiment):
        _define_setting(field)
    cli.path_flags("run", "tfrecords", "validation_tfrecords")
    cli.path_flags("init_from", "backbone_weights")


def _define_setting(field: dataclasses.Field) -> None:
    """Defines a field's flag; if not given, the default of task and recipe applies."""
    help_text = field.metadata["description"] + _other_defaults(field)
    choices = field.metadata.get("choices")
    if field.name == "task":
        choices = task_names()
        help_text += " Recipes: " + "; ".join(
            f"{get_spec(task).recipe_source} ({task})" for task in choices
        )
    if choices:
        flags.DEFINE_enum(field.name, field.default, choices, help_text)
        return
    define = {
        bool: flags.DEFINE_bool,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
        tuple: flags.DEFINE_list,
    }[type(field.default)]
    default = field.default
    define(
        field.name, list(default) if isinstance(default, tuple) else default, help_text
    )


def _other_defaults(field: dataclasses.Field) -> str:
    """Returns help text that lists the tasks and recipes with another default."""
    others = {}
    for task in task_names():
        others[f"--task {task}"] = get_spec(task).training_defaults()
        for recipe, settings in get_spec(task).recipes.items():
            others[f"--recipe {recipe}"] = settings
    return "".join(
        f" ({flag}: {defaults[field.name]})"
        for flag, defaults in others.items()
        if defaults.get(field.name, field.default) != field.default
    )


def read_options() -> dict:
    """Returns the arguments of `train` that were given as flags."""
    values = flags.FLAGS
    options = {name: values[name].value for name in _OWN}
    for field in dataclasses.fields(Experiment):
        if values[field.name].present:
            options[field.name] = _value(field, values[field.name].value)
    return options


def _value(field: dataclasses.Field, value):
    if not isinstance(field.default, tuple):
        return value
    try:
        return tuple(int(step) for step in value)
    except ValueError:
        raise PicanetError(
            f"--{field.name} must be comma-separated steps. Received: {value}"
        ) from None


def main(_) -> int:
    try:
        run = train(**read_options())
    except WorkerLost as lost:
        logging.error("%s", lost)
        return EXIT_RESUMABLE
    except TrainingInterrupted as stop:
        logging.warning(
            "Stopped after step %d of %d; the state is saved. Continue with: "
            "picanet train --resume --run %s",
            stop.step,
            stop.steps,
            stop.run,
        )
        return EXIT_RESUMABLE if stop.signal == signal.SIGTERM else 130
    logging.info("Done. Network saved to %s", run.weights())
    return 0


if __name__ == "__main__":
    define_flags()
    cli.run(main)
