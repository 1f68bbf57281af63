"""The flags of `predict` and `evaluate` that determine how a model is run."""

from __future__ import annotations

from absl import flags

from picanet_tf.inference import ENGINES
from picanet_tf.inference.loading import MOST_THREADS, POLICIES
from picanet_tf.training.run_directory import WEIGHTS

# The flags belong to the command that calls `define_engine_flags`, also in its help.
flags.disclaim_key_flags()

ENGINE_FLAGS = ("weights", "engine", "threads", "precision")


def define_engine_flags() -> None:
    """Defines `ENGINE_FLAGS`."""
    one_of = flags.DEFINE_enum
    one_of("weights", None, WEIGHTS, "Which weights of a run: model (last) or best.")
    one_of(
        "engine",
        None,
        ENGINES,
        "litert: fast, saliency only, needs no TensorFlow; keras: any network. "
        "Default: litert if the model has a LiteRT file.",
    )
    flags.DEFINE_integer(
        "threads", None, "Engine threads; default: one per core.", 1, MOST_THREADS
    )
    one_of(
        "precision",
        "auto",
        list(POLICIES),
        "Precision of the engine keras; auto: bfloat16 if the processor or GPU "
        "computes it faster, else float32. That of the engine litert depends on its "
        "file.",
    )


def read_engine_options() -> dict:
    """Returns the values of the flags, by name."""
    return {name: flags.FLAGS[name].value for name in ENGINE_FLAGS}
