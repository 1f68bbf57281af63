"""`train`, which runs a training from its settings to its run directory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from absl import logging

from picanet_tf.core.errors import PicanetError, naming_argument
from picanet_tf.core.keras_config import check_keras
from picanet_tf.core.signals import StopRequest
from picanet_tf.inference.locate import locate
from picanet_tf.presets import Preset, list_presets
from picanet_tf.training import machine
from picanet_tf.training.cluster import Cluster
from picanet_tf.training.data import TrainingData
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run_directory import LATEST, RunDirectory
from picanet_tf.training.settings import nearest_multiple

# Settings that may change when a run is resumed, because they do not affect the result,
# or affect only steps that could not be taken otherwise.
CHANGEABLE = ("checkpoint_interval", "log_interval", "on_nonfinite")
# {setting that names a data set: its key in `provenance.json`}. Data sets may have
# moved when a run is resumed.
MOVABLE = {"tfrecords": "training_set", "validation_tfrecords": "validation_set"}


def train(
    *,
    run: str | os.PathLike = "",
    resume: bool = False,
    skip_corrupt: int = 0,
    **settings,
) -> RunDirectory:
    """Trains a network.

    Args:
        run: the run directory, a new one or with `resume` an existing one. Defaults to
            `runs/<time>-<variant>`, to which `runs/latest` then points; with `resume`,
            to `runs/latest`.
        resume: continue from the run's last checkpoint. `tfrecords` and
            `validation_tfrecords` may then name other folders with the same data.
        skip_corrupt: maximum number of corrupt records to skip; each is logged.
        **settings: settings of `Experiment`, such as `tfrecords`. `seed` also becomes
            TensorFlow's global seed. The rest have the
            task's defaults. Paths may be `os.PathLike`; as in `open`, "~" is not
            expanded, which only the commands do.

    Returns:
        The run directory, which contains the trained network.

    Raises:
        PicanetError: if a setting, data set or weights cannot be used, or a loss is
            not finite.
        TrainingInterrupted: on SIGINT or SIGTERM, after saving the state.
        WorkerLost: if another worker was lost.

    Example:
        >>> run = train(tfrecords="data/duts", variant="6GAP_5432LAP", steps=200)
        >>> run.weights()
        PosixPath('runs/20261128-141500-6GAP_5432LAP/model.keras')
    """
    check_keras()
    cluster = Cluster.from_environment()
    run = os.fspath(run)
    settings = {
        name: os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in settings.items()
    }
    moved = {}
    if resume:
        with naming_argument("run"):
            directory = RunDirectory.open(run or LATEST)
        experiment = resumed_experiment(directory, settings)
        moved = moved_data(directory.load_experiment(), experiment)
    else:
        experiment = new_experiment(settings, run, cluster)
        directory = RunDirectory.planned(experiment.variant, run)
    init_from = None
    if experiment.init_from and not (resume and directory.begun):
        init_from = find_weights(experiment.init_from)
    recorded = directory.recorded() if resume else {}
    data = TrainingData(experiment, skip_corrupt, recorded, moved)

    import keras
    import tensorflow as tf

    from picanet_tf.layers.precision import resolve_precision
    from picanet_tf.training.step import translate_worker_errors
    from picanet_tf.training.strategy import make_strategy
    from picanet_tf.training.trainer import Trainer

    gpus = len(tf.config.list_physical_devices("GPU"))
    machine.warn_of_unused_gpu(gpus)
    strategy = make_strategy(experiment.replicas, cluster)
    experiment = dataclasses.replace(
        experiment, precision=resolve_precision(experiment.precision)
    )
    if not (resume or "batch_size" in settings):
        experiment = fit_batch_size(experiment, strategy.num_replicas_in_sync)
        data.experiment = experiment
    if not gpus:
        machine.warn_of_memory(experiment, cluster.size)
    with StopRequest() as stop:  # Bad data must not leave a run directory or a record.
        data.check_first_batches()
    stop.obey()
    new_run = None
    if not resume:
        new_run = {
            "path": run,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            **data.describe(),
            "left_out": data.left_out,
        }
    elif cluster.chief:
        directory.record(left_out=data.left_out)
        if moved:
            directory.record_move(**{name: to for name, (_, to) in moved.items()})
        if "stopped_early" in recorded and directory.finished:
            logging.warning(
                "%s stopped early after step %d, see --patience: it takes no more "
                "steps. For more, start a new run with --init_from",
                directory.path,
                directory.last_step,
            )
    logging.info(
        "%s on %d images of %s, %d steps of %d",
        experiment.variant,
        data.manifest.count,
        experiment.tfrecords,
        experiment.steps,
        experiment.batch_size,
    )
    with data.translate_errors(), translate_worker_errors(cluster):
        trainer = Trainer(
            experiment,
            directory,
            data.batches(),
            init_from=init_from,
            resume=resume,
            strategy=strategy,
            cluster=cluster,
            new_run=new_run,
        )
        trainer.train()
    return trainer.run_directory


def new_experiment(settings: Mapping, run: str, cluster: Cluster) -> Experiment:
    """Creates the experiment of a new run.

    Args:
        settings: settings of `Experiment`; a preset or a run in `init_from` sets the
            variant unless it is given.
        run: the run directory; "" for one named by date.
        cluster: the workers of the training.

    Raises:
        PicanetError: if no data set is given, the run directory cannot be created, or
            several workers are not told the directory or the precision.
    """
    settings = dict(settings)
    if settings.get("init_from") and "variant" not in settings:
        task = settings.get("task", Experiment.task)
        if variant := _variant_of(settings["init_from"], task):
            settings["variant"] = variant
    experiment = Experiment.of(**settings)
    _check_tfrecords(experiment)
    if experiment.backbone_weights in list_presets() and not experiment.init_from:
        raise PicanetError(
            f"`backbone_weights`: {experiment.backbone_weights} is a preset, the "
            "weights of a whole network and not of an encoder: give it as `init_from`"
        )
    if cluster.size > 1 and not run:
        raise PicanetError(
            "With TF_CONFIG, `run` must name the run directory, one for all workers"
        )
    if cluster.size > 1 and experiment.precision == "auto":
        raise PicanetError(
            "With TF_CONFIG, `precision` cannot be auto, which every worker resolves "
            "for itself: give float32, mixed_bfloat16 or mixed_float16"
        )
    if run:  # Checked here, before workers wait for each other.
        RunDirectory.check_new(run)
    else:
        RunDirectory.check_latest()
    return experiment


def fit_batch_size(experiment: Experiment, replicas: int) -> Experiment:
    """Adapts the default batch size to the replicas, which must divide it."""
    default = experiment.default_batch_size
    size = nearest_multiple(default, replicas)
    if size != default:
        logging.info(
            "Batches of %d images instead of %d, so that each of %d replicas gets %d",
            size,
            default,
            replicas,
            size // replicas,
        )
    return dataclasses.replace(experiment, batch_size=size)


def _variant_of(init_from: str, task: str) -> str | None:
    """Returns the variant of a preset or run of the task; None for anything else."""
    if preset := list_presets().get(init_from):
        return preset.variant if preset.task == task else None
    if not os.path.isdir(init_from):
        return None
    with naming_argument("init_from"):
        experiment = RunDirectory.open(init_from).load_experiment()
    return experiment.variant if experiment.task == task else None


def resumed_experiment(run: RunDirectory, settings: Mapping) -> Experiment:
    """Returns the experiment of a run to resume, with changed settings applied.

    Raises:
        PicanetError: if a setting must not change, or no data set is given.
    """
    experiment = run.load_experiment()
    recorded = run.recorded()
    movable = [name for name, data_set in MOVABLE.items() if recorded.get(data_set)]
    settings = dict(settings)
    if settings.get("precision") == "auto":  # It was resolved when the run began.
        del settings["precision"]
    changed = [
        f"`{name}` was {getattr(experiment, name)!r}"
        for name, value in settings.items()
        if value != getattr(experiment, name) and name not in (*CHANGEABLE, *movable)
    ]
    if changed:
        raise PicanetError(
            f"A resumed run keeps its settings; in {run.path} {', '.join(changed)}. "
            "To change them, start a new run with `init_from`"
        )
    experiment = dataclasses.replace(experiment, **settings)
    _check_tfrecords(experiment)
    for name in movable:
        folder = getattr(experiment, name)
        if not folder:
            raise PicanetError(
                f"The run {run.path} has a validation set, which cannot be left out: "
                f"leave out `{name}`, or give its folder"
            )
        if not os.path.exists(folder):
            raise PicanetError(
                f"The data set {folder} of the run {run.path} is not there. If it has "
                f"moved, give its new folder as `{name}`"
            )
    return experiment


def moved_data(before: Experiment, now: Experiment) -> dict[str, tuple[str, str]]:
    """Returns {setting: (old folder, new folder)} of the data sets that have moved."""
    folders = {name: (getattr(before, name), getattr(now, name)) for name in MOVABLE}
    return {name: pair for name, pair in folders.items() if pair[0] != pair[1]}


def find_weights(init_from: str) -> Path | Preset:
    """Returns the preset (downloading its weights) or `.keras` file to start from."""
    with naming_argument("init_from"):
        found = locate(init_from, argument="init_from")
    found.require_network("init_from")
    if found.preset:
        found.preset.path("weights")  # Downloads and verifies before TensorFlow loads.
        return found.preset
    return found.keras.resolve()


def _check_tfrecords(experiment: Experiment) -> None:
    if not experiment.tfrecords:
        raise PicanetError(
            "`tfrecords` is missing: give the directory made by data_pipeline.convert"
        )
