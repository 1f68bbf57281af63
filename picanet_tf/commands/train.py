"""Trains a network and leaves a run directory.

    picanet train --tfrecords data/duts
    picanet train --resume
    picanet train --tfrecords data/mine --init_from picanet_vgg16_duts --steps 200
    picanet train --tfrecords data/mine --init_from runs/latest --freeze_encoder

Without --run it makes runs/<time>-<variant> and points runs/latest at it. Defaults are
the paper's recipe. After Ctrl-C, --resume goes on as if there had been no pause.
"""

import functools
import os
import signal

from absl import flags, logging

from data_pipeline import cli
from data_pipeline.cli import UserError
from data_pipeline.manifest import Manifest, load_manifest
from picanet_tf.errors import PicanetError
from picanet_tf.inference import locate
from picanet_tf.training import experiment_flags, machine
from picanet_tf.training.cluster import Cluster
from picanet_tf.training.run_directory import RunDirectory

FLAGS = flags.FLAGS
# EX_TEMPFAIL, after SIGTERM or when another worker is lost: run again with --resume
EXIT_RESUMABLE = 75


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
    experiment_flags.define_flags()
    flags.adopt_module_key_flags(experiment_flags)  # for --help


def described(manifest: Manifest | None) -> dict | None:
    """What a run remembers of a data set."""
    return manifest and {
        "name": manifest.name,
        "count": manifest.count,
        "fingerprint": manifest.fingerprint,
    }


def check_unchanged(run: RunDirectory, **manifests: Manifest | None) -> None:
    for use, manifest in manifests.items():
        before, now = run.recorded().get(use), described(manifest)
        if before and before != now:
            raise UserError(
                f"{manifest.folder} has changed since the run {run.path} began, with "
                f"{before}; now it is {now}. Bring the old data back, or start a new "
                "run with --init_from"
            )


def main(_) -> int:
    try:
        return run_training()
    except PicanetError as error:
        raise UserError(str(error)) from error


def run_training() -> int:
    cluster = Cluster.from_environment()
    run = RunDirectory.open(FLAGS.run or "runs/latest") if FLAGS.resume else None
    if run:
        experiment = experiment_flags.resumed_experiment(run)
    else:
        experiment = experiment_flags.new_experiment(FLAGS.run, cluster)
    init_from = None
    if experiment.init_from and not (run and run.begun):
        source = locate(experiment.init_from, flag="--init_from")
        if source.preset:
            source.preset.path("weights")  # Whole and here, before TensorFlow is.
        elif not source.keras:
            raise UserError(f"--init_from {source.name}: a LiteRT file only predicts")
        init_from = source.preset or source.keras.resolve()

    manifest = load_manifest(experiment.tfrecords)
    validation_manifest = None
    if experiment.validation_tfrecords:
        validation_manifest = load_manifest(experiment.validation_tfrecords)
    if run:
        check_unchanged(run, training_set=manifest, validation_set=validation_manifest)

    from data_pipeline import corrupt, readers

    data_sets = experiment.tfrecords, experiment.validation_tfrecords
    recorded = run.recorded() if run else {}
    clean = corrupt.without_corrupt(data_sets, FLAGS.skip_corrupt, recorded)
    read = clean.around(readers.READERS[experiment.task])
    shape = {"batch_size": experiment.batch_size, "image_size": experiment.image_size}
    read_training = functools.partial(
        read, experiment.tfrecords, training=True, seed=experiment.seed, **shape
    )

    def read_keys(step):
        batch = next(iter(read_training(start_step=step, with_keys=True)))
        return [os.fsdecode(key) for key in batch[-1].numpy()]

    read_validation = None
    if experiment.validation_tfrecords:
        batches = -(-experiment.validation_images // experiment.batch_size) or -1

        def read_validation():
            dataset = read(experiment.validation_tfrecords, training=False, **shape)
            return dataset.take(batches)

    import keras
    import tensorflow as tf

    from picanet_tf.training.loop import train
    from picanet_tf.training.signals import StopRequest, TrainingInterrupted
    from picanet_tf.training.step import WorkerLost, lost_workers_named
    from picanet_tf.training.strategy import make_strategy

    gpus = len(tf.config.list_physical_devices("GPU"))
    machine.warn_of_unused_gpu(gpus)
    if not gpus:
        machine.check_memory(experiment, cluster.size)
    strategy = make_strategy(experiment.replicas, cluster)
    make_run = None
    if run is None:
        # Bad records are told before there is a run that cannot go on.
        with StopRequest() as stop:
            for folder in filter(None, data_sets):
                with readers.errors_named(folder):
                    next(iter(read(folder, training=False, **shape)))
        stop.obey()
        run = RunDirectory.planned(experiment.variant, FLAGS.run)
        make_run = functools.partial(
            RunDirectory.create,
            experiment,
            str(run.path),
            latest=not FLAGS.run,
            tensorflow=tf.__version__,
            keras=keras.__version__,
            training_set=described(manifest),
            validation_set=described(validation_manifest),
            left_out=clean.left_out,
        )
    elif cluster.chief:
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
        with readers.errors_named(*data_sets), lost_workers_named(cluster):
            train(
                experiment,
                run,
                make_run=make_run,
                read_training=lambda step, share=(0, 1): read_training(
                    start_step=step, share=share
                ),
                read_validation=read_validation,
                read_keys=read_keys,
                init_from=init_from,
                resume=FLAGS.resume,
                strategy=strategy,
                cluster=cluster,
                fingerprint=manifest.fingerprint,
            )
    except WorkerLost as lost:
        logging.error("%s", lost)
        return EXIT_RESUMABLE
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
