"""An experiment's fields as absl flags. Imports no TensorFlow."""

from __future__ import annotations

import dataclasses

from absl import flags

from picanet_tf.errors import PicanetError
from picanet_tf.presets import list_presets
from picanet_tf.recipes import RECIPES
from picanet_tf.training.cluster import Cluster
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run_directory import RunDirectory

# What may change when a run is resumed: it does not touch what is computed, or only
# what would otherwise not be computed at all.
CHANGEABLE = ("checkpoint_interval", "log_interval", "on_nonfinite")


def define_flags() -> None:
    """A flag for each field of `Experiment`.

    One that is not given has the default of the task's recipe, see `Experiment.of`.
    """
    define = {
        bool: flags.DEFINE_bool,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
        tuple: flags.DEFINE_list,
    }
    for field in dataclasses.fields(Experiment):
        kind = type(field.default)
        description = field.metadata["description"] + _other_defaults(field)
        if "choices" in field.metadata:
            flags.DEFINE_enum(
                field.name,
                field.default,
                field.metadata["choices"],
                description,
            )
        else:
            default = list(field.default) if kind is tuple else field.default
            define[kind](field.name, default, description)


def _other_defaults(field: dataclasses.Field) -> str:
    """What --help says of the tasks whose default is another one."""
    others = {task: recipe.defaults(None) for task, recipe in RECIPES.items()}
    return "".join(
        f" (--task {task}: {defaults[field.name]})"
        for task, defaults in others.items()
        if defaults.get(field.name, field.default) != field.default
    )


def _value(field: dataclasses.Field):
    value = flags.FLAGS[field.name].value
    if not isinstance(field.default, tuple):
        return value
    try:
        return tuple(int(step) for step in value)
    except ValueError:
        raise PicanetError(
            f"--{field.name} must be steps, with commas between. Received: {value}"
        ) from None


def _check_tfrecords(experiment: Experiment) -> None:
    if not experiment.tfrecords:
        raise PicanetError(
            "--tfrecords is missing: the directory that data_pipeline.convert made"
        )


def new_experiment(run: str, cluster: Cluster) -> Experiment:
    """What the flags say.

    Raises:
        PicanetError: no data set is named, or a run directory that cannot be made.
    """
    given = {
        field.name: _value(field)
        for field in dataclasses.fields(Experiment)
        if flags.FLAGS[field.name].present
    }
    preset = list_presets().get(given.get("init_from"))
    if preset and given.get("task", Experiment.task) == preset.task:
        given.setdefault("variant", preset.variant)
    experiment = Experiment.of(**given)
    _check_tfrecords(experiment)
    if cluster.size > 1 and not run:
        raise PicanetError(
            "With TF_CONFIG, --run must name the run directory, one for all workers"
        )
    if run:  # Told here, where no worker waits for another yet.
        RunDirectory.check_new(run)
    return experiment


def resumed_experiment(run: RunDirectory) -> Experiment:
    """The run's own, with what the flags may change.

    Raises:
        PicanetError: they would change what is computed, or no data set is named.
    """
    experiment = run.load_experiment()
    given = {
        field.name: _value(field)
        for field in dataclasses.fields(Experiment)
        if flags.FLAGS[field.name].present
    }
    changed = [
        f"--{name} was {getattr(experiment, name)!r}"
        for name, value in given.items()
        if value != getattr(experiment, name) and name not in CHANGEABLE
    ]
    if changed:
        raise PicanetError(
            f"A resumed run keeps its settings, in {run.path} {', '.join(changed)}. "
            "To train on with others, start a new run with --init_from"
        )
    experiment = dataclasses.replace(experiment, **given)
    _check_tfrecords(experiment)
    return experiment
