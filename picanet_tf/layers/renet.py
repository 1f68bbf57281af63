"""ReNet: LSTMs along the rows and columns of a map (Sec. 3.1)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import keras
import tensorflow as tf
from keras import ops

from picanet_tf.layers.arguments import check_positive
from picanet_tf.layers.precision import at_least_float32

# The longest sweep that training unrolls: tracing takes time and memory for each step.
MAX_UNROLLED_STEPS = 64


@dataclasses.dataclass(frozen=True)
class LSTMOptions:
    """How LSTMs are computed; neither option changes what they compute.

    Attributes:
        use_cudnn: passed to `keras.layers.LSTM`. False keeps cuDNN operations, which no
            CPU can run, out of an exported graph.
        unroll: whether to always unroll the time steps instead of looping over them,
            for converters that cannot calibrate a loop. If False, training on CPUs
            unrolls up to `MAX_UNROLLED_STEPS`, which is faster.
    """

    use_cudnn: bool | str = "auto"
    unroll: bool = False

    @classmethod
    def convert(cls, value: LSTMOptions | Mapping | None) -> LSTMOptions:
        """Converts a layer's argument `lstm_options`.

        Args:
            value: options, a mapping of some of their fields (as in a layer's config),
                or None for the defaults.

        Raises:
            ValueError: any other value, or a mapping with an unknown field.

        Example:
            >>> LSTMOptions.convert({"unroll": True})
            LSTMOptions(use_cudnn='auto', unroll=True)
        """
        if isinstance(value, cls):
            return value
        fields = [field.name for field in dataclasses.fields(cls)]
        options = {} if value is None else value
        if not isinstance(options, Mapping) or not set(options) <= set(fields):
            raise ValueError(
                f"`lstm_options` must be LSTMOptions, a mapping of {fields}, or None. "
                f"Received: lstm_options={value!r}"
            )
        return cls(**options)


@keras.saving.register_keras_serializable(package="picanet_tf")
class ReNet(keras.layers.Layer):
    """A bidirectional LSTM along the rows, and another along the columns of its result.

    All rows share their weights, and so do all columns. After the first LSTM each
    position depends on its row, after the second on the whole map.

    Args:
        units: hidden units of each direction; 256 in the paper.
        lstm_options: options of the LSTMs, as `LSTMOptions` or a mapping of its fields.

    Input shape: [N, H, W, C]; H and W static if the LSTMs are unrolled.
    Output shape: [N, H, W, 2 * units], forward and backward concatenated.

    Raises:
        ValueError: `units` below 1, or invalid `lstm_options`.

    Example:
        >>> ReNet(256)(keras.ops.ones([1, 28, 28, 1024])).shape
        TensorShape([1, 28, 28, 512])

    Reference: Visin et al., ReNet, 2015, as used in Fig. 2a. As in the authors'
        release, weights are initialized uniformly in [-0.2, 0.2], forget biases to 1.
    """

    def __init__(self, units=256, lstm_options=None, **kwargs):
        super().__init__(**kwargs)
        self.units = check_positive(units=units)
        self.lstm_options = LSTMOptions.convert(lstm_options)
        rows, columns = self._make_lstm(), self._make_lstm()
        policy = self.dtype_policy
        self.rows = keras.layers.Bidirectional(
            rows, dtype=policy, trainable=self.trainable, name="rows"
        )
        self.columns = keras.layers.Bidirectional(
            columns, dtype=policy, trainable=self.trainable, name="columns"
        )
        # `Bidirectional` copies its argument. While Keras loads a model it identifies
        # shared layers by id(), so the originals must stay alive: a freed id could be
        # given to a later LSTM, which Keras would then take for this one. In a closure,
        # Keras does not track them as sublayers.
        self._originals = lambda: (rows, columns)

    def _make_lstm(self):
        return keras.layers.LSTM(
            self.units,
            kernel_initializer=keras.initializers.RandomUniform(-0.2, 0.2),
            recurrent_initializer=keras.initializers.RandomUniform(-0.2, 0.2),
            unit_forget_bias=True,
            return_sequences=True,
            use_cudnn=self.lstm_options.use_cudnn,
            unroll=self.lstm_options.unroll,
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name="lstm",
        )

    def build(self, input_shape):
        _, height, width, channels = input_shape
        self.rows.build((None, width, channels))
        self.columns.build((None, height, 2 * self.units))

    def call(self, inputs, training=None):
        outputs = self._run_along_rows(self.rows, inputs, training)
        outputs = ops.transpose(outputs, [0, 2, 1, 3])
        outputs = self._run_along_rows(self.columns, outputs, training)
        return ops.transpose(outputs, [0, 2, 1, 3])

    def _run_along_rows(self, lstm, inputs, training=False):
        """Runs a bidirectional LSTM along axis 2, with axes 0 and 1 as its batch."""
        _, rows, steps, channels = ops.shape(inputs)
        unroll = self.lstm_options.unroll or (
            training and _unrolling_is_faster(inputs.shape[2])
        )
        run = functools.partial(_run_unrolled, lstm) if unroll else lstm
        outputs = run(ops.reshape(inputs, [-1, steps, channels]))
        return ops.reshape(outputs, [-1, rows, steps, 2 * self.units])

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2 * self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "lstm_options": dataclasses.asdict(self.lstm_options),
        }


def _unrolling_is_faster(steps: int | None) -> bool:
    """Whether training should unroll the steps of a sweep: on CPUs, if they are few.

    In a loop, the gradient of the kernel is added up step by step. On GPUs cuDNN runs
    the whole LSTM. A single step, unrolled, would leave the recurrent kernel without a
    gradient, where the loop's is zero.
    """
    if steps is None or not 1 < steps <= MAX_UNROLLED_STEPS:
        return False
    return not tf.config.get_visible_devices("GPU")


def _run_unrolled(lstm, inputs):
    """Runs both directions of a bidirectional LSTM without a loop.

    Keras' own `unroll` multiplies each time step by the kernel separately. TensorFlow
    Lite keeps a copy of the matrix for each product, which at full size doubles the
    memory and the time to the first map. Here one product serves all steps.

    Args:
        lstm: a built `Bidirectional` of LSTMs.
        inputs: [N, T, C] float; T static.

    Returns:
        [N, T, 2 * units], forward and backward concatenated.

    Raises:
        ValueError: T is not static.
    """
    if inputs.shape[1] is None:
        raise ValueError(
            "`unroll` needs maps of static height and width. Received sequences of "
            f"shape={tuple(inputs.shape)}; give the input a size or set unroll=False."
        )
    forward = _run_direction(lstm.forward_layer.cell, inputs)
    backward = _run_direction(lstm.backward_layer.cell, inputs, backward=True)
    return ops.concatenate([forward, backward], axis=-1)


def _run_direction(cell, inputs, backward=False):
    """Runs one direction from a zero state: [N, T, C] -> [N, T, units].

    In half precision the gates and the carry are float32, and only the products half.
    """
    _, steps, channels = inputs.shape
    precision = at_least_float32(inputs.dtype)
    # A product of matrices: with an unknown batch size, all shapes stay static.
    gates = ops.matmul(ops.reshape(inputs, [-1, channels]), cell.kernel) + cell.bias
    gates = ops.unstack(ops.reshape(gates, [-1, steps, gates.shape[-1]]), axis=1)
    hidden, carry, outputs = None, None, []
    for gate in reversed(gates) if backward else gates:
        gate = ops.cast(gate, precision)
        if hidden is not None:
            product = ops.matmul(hidden, cell.recurrent_kernel)
            gate = gate + ops.cast(product, precision)
        i, f, c, o = ops.split(gate, 4, axis=-1)
        update = ops.sigmoid(i) * ops.tanh(c)
        carry = update if carry is None else ops.sigmoid(f) * carry + update
        hidden = ops.cast(ops.sigmoid(o) * ops.tanh(carry), inputs.dtype)
        outputs.append(hidden)
    return ops.stack(outputs[::-1] if backward else outputs, axis=1)
