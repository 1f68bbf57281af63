"""ReNet: four LSTM sweeps that let every pixel see the whole map (Sec. 3.1)."""

from __future__ import annotations

import functools

import keras
from keras import ops

from picanet_tf.layers.arguments import positive


@keras.saving.register_keras_serializable(package="picanet_tf")
class ReNet(keras.layers.Layer):
    """A bidirectional LSTM along the rows, then one along the columns of its result.

    The weights are shared by all rows and by all columns. After the first sweep a
    position has seen its row; after the second, the map.

    Args:
        units: hidden units of each direction; the paper's 256.
        use_cudnn: passed to `keras.layers.LSTM`. False keeps cuDNN ops, which no CPU
            can run, out of an exported graph.
        unroll: unroll the steps instead of looping, for converters that cannot
            calibrate a loop.

    Input shape: [N, H, W, C]; H and W static when `unroll` is set.
    Output shape: [N, H, W, 2 * units], forward and backward concatenated.

    Raises:
        ValueError: `units` below 1.

    Example:
        >>> ReNet(256)(keras.ops.ones([1, 28, 28, 1024])).shape
        TensorShape([1, 28, 28, 512])

    Reference: Visin et al. 2015, as used in Fig. 2a. Weights start uniform in
    +-0.2 and forget biases at 1, as in the authors' release.
    """

    def __init__(self, units=256, use_cudnn="auto", unroll=False, **kwargs):
        super().__init__(**kwargs)
        self.units = positive(units=units)
        self.use_cudnn = use_cudnn
        self.unroll = unroll
        rows, columns = self._lstm(), self._lstm()
        policy = self.dtype_policy
        self.rows = keras.layers.Bidirectional(rows, dtype=policy, name="rows")
        self.columns = keras.layers.Bidirectional(columns, dtype=policy, name="columns")
        # Bidirectional copies them, known by their id(). While it loads a model, Keras
        # takes a second object of the same id for the same layer: none may be freed.
        self._keep = lambda: (rows, columns)

    def _lstm(self):
        return keras.layers.LSTM(
            self.units,
            kernel_initializer=keras.initializers.RandomUniform(-0.2, 0.2),
            recurrent_initializer=keras.initializers.RandomUniform(-0.2, 0.2),
            unit_forget_bias=True,
            return_sequences=True,
            use_cudnn=self.use_cudnn,
            unroll=self.unroll,
            dtype=self.dtype_policy,
            name="lstm",
        )

    def build(self, input_shape):
        _, height, width, channels = input_shape
        self.rows.build((None, width, channels))
        self.columns.build((None, height, 2 * self.units))

    def call(self, inputs):
        outputs = self._sweep_lines(self.rows, inputs)
        outputs = ops.transpose(outputs, [0, 2, 1, 3])
        outputs = self._sweep_lines(self.columns, outputs)
        return ops.transpose(outputs, [0, 2, 1, 3])

    def _sweep_lines(self, sweep, inputs):
        """Runs `sweep` along axis 2, axes 0 and 1 as its batch."""
        _, lines, steps, channels = ops.shape(inputs)
        run = functools.partial(_unrolled, sweep) if self.unroll else sweep
        outputs = run(ops.reshape(inputs, [-1, steps, channels]))
        return ops.reshape(outputs, [-1, lines, steps, 2 * self.units])

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2 * self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "use_cudnn": self.use_cudnn,
            "unroll": self.unroll,
        }


def _unrolled(sweep, inputs):
    """Both directions of a sweep without a loop.

    Keras' own `unroll` multiplies every step by the kernel for itself. TensorFlow Lite
    keeps a copy of the matrix for each product, which at full size doubles the memory
    and the time to the first map. Here one product serves all steps.

    Args:
        sweep: a built `Bidirectional` of LSTMs.
        inputs: [N, T, C] float; T static.

    Returns:
        [N, T, 2 * units], forward and backward concatenated.

    Raises:
        ValueError: T is not static.
    """
    if inputs.shape[1] is None:
        raise ValueError(
            "`unroll` needs maps of static height and width. Received sweeps of "
            f"shape={tuple(inputs.shape)}; give the input a size or set unroll=False."
        )
    forward = _steps(sweep.forward_layer.cell, inputs)
    backward = _steps(sweep.backward_layer.cell, inputs, backward=True)
    return ops.concatenate([forward, backward], axis=-1)


def _steps(cell, inputs, backward=False):
    """One direction: [N, T, C] -> [N, T, units]. The state starts at zero."""
    _, steps, channels = inputs.shape
    # Of a matrix, so that with a free batch all shapes are known before it runs.
    gates = ops.matmul(ops.reshape(inputs, [-1, channels]), cell.kernel) + cell.bias
    gates = ops.unstack(ops.reshape(gates, [-1, steps, gates.shape[-1]]), axis=1)
    hidden, carry, outputs = None, None, []
    for gate in reversed(gates) if backward else gates:
        if hidden is not None:
            gate = gate + ops.matmul(hidden, cell.recurrent_kernel)
        i, f, c, o = ops.split(gate, 4, axis=-1)
        added = ops.sigmoid(i) * ops.tanh(c)
        carry = added if carry is None else ops.sigmoid(f) * carry + added
        hidden = ops.sigmoid(o) * ops.tanh(carry)
        outputs.append(hidden)
    return ops.stack(outputs[::-1] if backward else outputs, axis=1)
