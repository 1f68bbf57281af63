"""Trains a network and leaves a run directory.

    python train.py --tfrecords data/duts
    python train.py --resume
    python train.py --tfrecords data/mine --init_from runs/latest --freeze_encoder

Without --run it makes runs/<time>-<variant> and points runs/latest at it. Defaults are
the paper's recipe. After Ctrl-C, --resume goes on as if there had been no pause.
"""

import dataclasses
import functools
import signal
from pathlib import Path

from absl import flags, logging

from data_pipeline import cli
from data_pipeline.cli import UserError
from data_pipeline.manifest import load_manifest
from picanet_tf.errors import PicanetError
from picanet_tf.training.experiments import Experiment
from picanet_tf.training.run_directory import RunDirectory

FLAGS = flags.FLAGS
# What may change when a run is resumed: it does not touch what is computed.
CHANGEABLE = ("checkpoint_interval", "log_interval")
EXIT_RESUMABLE = 75  # EX_TEMPFAIL, after SIGTERM: run again with --resume


def define_flags() -> None:
    flags.DEFINE_string(
        "run",
        "",
        "The run directory: made, or with --resume gone on with (then runs/latest by "
        "default).",
    )
    flags.DEFINE_bool("resume", False, "Go on from the run's last checkpoint.")
    flags.DEFINE_integer(
        "skip_corrupt", 0, "Leave out up to so many corrupt records, telling each.", 0
    )
    define = {
        bool: flags.DEFINE_bool,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
        tuple: flags.DEFINE_list,
    }
    for field in dataclasses.fields(Experiment):
        kind = type(field.default)
        if "choices" in field.metadata:
            flags.DEFINE_enum(
                field.name,
                field.default,
                field.metadata["choices"],
                field.metadata["description"],
            )
        else:
            default = list(field.default) if kind is tuple else field.default
            define[kind](field.name, default, field.metadata["description"])


def flag_value(field: dataclasses.Field):
    value = FLAGS[field.name].value
    if not isinstance(field.default, tuple):
        return value
    try:
        return tuple(int(step) for step in value)
    except ValueError:
        raise UserError(
            f"--{field.name} must be steps, with commas between. Received: {value}"
        ) from None


def new_run() -> tuple[Experiment, None]:
    experiment = Experiment(
        **{field.name: flag_value(field) for field in dataclasses.fields(Experiment)}
    )
    if not experiment.tfrecords:
        raise UserError(
            "--tfrecords is missing: the directory that data_pipeline.convert made"
        )
    return experiment, None


def old_run() -> tuple[Experiment, RunDirectory]:
    run = RunDirectory.open(FLAGS.run or "runs/latest")
    experiment = run.load_experiment()
    given = {
        field.name: flag_value(field)
        for field in dataclasses.fields(Experiment)
        if FLAGS[field.name].present
    }
    changed = [
        f"--{name} was {getattr(experiment, name)!r}"
        for name, value in given.items()
        if value != getattr(experiment, name) and name not in CHANGEABLE
    ]
    if changed:
        raise UserError(
            f"A resumed run keeps its settings, in {run.path} {', '.join(changed)}. "
            "To train on with others, start a new run with --init_from"
        )
    return dataclasses.replace(experiment, **given), run


def main(_) -> int:
    try:
        return run_training()
    except PicanetError as error:
        raise UserError(str(error)) from error


def run_training() -> int:
    experiment, run = old_run() if FLAGS.resume else new_run()
    init_from = None
    if experiment.init_from and run is None:
        init_from = Path(experiment.init_from)
        if init_from.suffix != ".keras":
            init_from = RunDirectory.open(init_from).weights()
        init_from = init_from.resolve()

    data_sets = experiment.tfrecords, experiment.validation_tfrecords
    manifest, *_ = map(load_manifest, filter(None, data_sets))

    from data_pipeline import corrupt, readers

    recorded = run.recorded() if run else {}
    clean = corrupt.without_corrupt(data_sets, FLAGS.skip_corrupt, recorded)
    read = clean.around({"saliency": readers.read_saliency}[experiment.task])
    shape = {"batch_size": experiment.batch_size, "image_size": experiment.image_size}
    read_training = functools.partial(
        read, experiment.tfrecords, training=True, seed=experiment.seed, **shape
    )
    read_validation = None
    if experiment.validation_tfrecords:
        batches = -(-experiment.validation_images // experiment.batch_size) or -1

        def read_validation():
            dataset = read(experiment.validation_tfrecords, training=False, **shape)
            return dataset.take(batches)

    import keras
    import tensorflow as tf

    from picanet_tf.training.loop import train
    from picanet_tf.training.signals import TrainingInterrupted

    if run is None:
        # Bad records are told before there is a run that cannot go on.
        for folder in filter(None, data_sets):
            with readers.errors_named(folder):
                next(iter(read(folder, training=False, **shape)))
        run = RunDirectory.create(experiment, FLAGS.run)
        run.record(
            tensorflow=tf.__version__,
            keras=keras.__version__,
            training_set={
                "name": manifest.name,
                "count": manifest.count,
                "fingerprint": manifest.fingerprint,
            },
        )
    run.record(left_out=clean.left_out)
    logging.info(
        "%s on %d images of %s, %d steps of %d; run directory %s",
        experiment.variant,
        manifest.count,
        experiment.tfrecords,
        experiment.steps,
        experiment.batch_size,
        run.path,
    )
    try:
        with readers.errors_named(*data_sets):
            train(
                experiment,
                run,
                read_training=lambda step: read_training(start_step=step),
                read_validation=read_validation,
                init_from=init_from,
                resume=FLAGS.resume,
            )
    except TrainingInterrupted as stop:
        logging.warning(
            "Stopped after step %d of %d, everything is saved. Go on with: "
            "python train.py --resume --run %s",
            stop.step,
            experiment.steps,
            run.path,
        )
        return EXIT_RESUMABLE if stop.signal == signal.SIGTERM else 130
    logging.info("Done. The network is in %s", run.weights())
    return 0


if __name__ == "__main__":
    define_flags()
    cli.run(main)
