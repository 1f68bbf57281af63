"""The Keras engine: runs networks of any task."""

from __future__ import annotations

import pickle

import keras
import numpy as np
import tensorflow as tf

from picanet_tf.core.errors import PicanetError
from picanet_tf.inference.base import Model
from picanet_tf.inference.forks import check_not_forked, tensorflow_is_used
from picanet_tf.inference.loading import load_model
from picanet_tf.layers.gradients import inference_only
from picanet_tf.models.base import Network


class KerasModel(Model):
    """Predicts saliency maps, class maps or boxes with a Keras network.

    Can be pickled and copied: the copy is loaded again from `source` on first use.

    Args:
        network: a network built by a task's `build_model`. DeepLab is copied to its
            test-time input size: create a `KerasModel` anew once its weights change.
        source: the preset name or absolute path that `load_model` loaded it from; None:
            a pickle contains the network.
        threads: as passed to `load_model`, for copies.

    Attributes:
        network: the network, at its test-time input size, with float32 weights. Its
            layers compute in `precision`, also when it is trained further or saved.

    Raises:
        PicanetError: if the network was not built by `build_model`; on prediction, in
            a process forked from one that has used TensorFlow.

    Example:
        >>> model = load_model("runs/latest")
        >>> model.predict("photo.jpg").shape
        (480, 640)
    """

    takes_batches = True

    def __init__(
        self,
        network: keras.Model,
        source: str | None = None,
        threads: int | None = None,
    ):
        if not isinstance(network, Network):
            raise PicanetError(
                f"The model {network.name} was not built by `build_model`: it has no "
                "network configuration"
            )
        task = network.task
        side = task.test_image_size(network.variant, network.image_size)
        if side != network.image_size:
            network = network.rebuild(image_size=side)
        super().__init__(task.spec, side)
        self._network = network
        self._source = source
        self._options = {"threads": threads, "precision": self.precision}
        tensorflow_is_used()
        logits = keras.Model(network.input, task.logits(network.output))
        signature = [tf.TensorSpec([None, side, side, 3], tf.float32)]

        @tf.function(input_signature=signature)
        def infer(images):
            return task.activate(logits(images, training=False), side)

        @tf.function(input_signature=signature)
        def infer_with_copies(images):
            with _substitute(copies):
                return infer.python_function(images)

        # Without a source, the caller has the network and may change its weights.
        copies = [] if source is None else _cast_kernels(network)
        self._infer = infer
        self._infer_with_copies = infer_with_copies if copies else None

    @property
    def network(self) -> Network:
        network = self._network
        self._infer_with_copies = None  # From now on, its weights may change.
        return network

    @property
    def precision(self) -> str:
        """What the network computes in: "float32" or "bfloat16" from `load_model`."""
        return self._network.config.dtype.removeprefix("mixed_")

    def infer(self, batch: np.ndarray):
        check_not_forked()
        if not len(batch):
            return []  # TensorFlow's fused convolutions refuse an empty batch.
        with inference_only():
            infer = self._infer_with_copies or self._infer
            # Calling the function itself warns of retracing after five models.
            return infer.get_concrete_function()(tf.constant(batch))

    def _reload(self) -> Model:
        check_not_forked()
        if isinstance(self._source, bytes):
            return KerasModel(pickle.loads(self._source))
        return load_model(self._source, engine="keras", **self._options)

    def __reduce__(self):
        if self._source is None:
            # As bytes, which are unpickled only on first use.
            return KerasModel(self._network, pickle.dumps(self._network)).__reduce__()
        return super().__reduce__()


def _cast_kernels(network: Network) -> list[tuple[keras.Variable, tf.Tensor]]:
    """Returns (kernel, its value in bfloat16) of the layers that compute in bfloat16.

    Each call would otherwise cast all kernels, which for one image takes a tenth of the
    time. The copies take half as much memory as the kernels.
    """
    return [
        (variable, tf.cast(variable.value, tf.bfloat16))
        for layer in network.layers
        if layer.compute_dtype == "bfloat16"
        for variable in layer.variables
        if variable.path.endswith("kernel")
    ]


def _substitute(values: list[tuple[keras.Variable, tf.Tensor]]):
    """Context manager in which variables have other values, of any dtype."""
    scope = keras.StatelessScope(initialize_variables=False)
    for pair in values:  # As `state_mapping`, they would be cast to float32.
        scope.add_update(pair)
    return scope
