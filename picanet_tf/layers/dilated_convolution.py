"""A convolution that dilates without taking the map apart."""

from __future__ import annotations

import functools

import keras
import tensorflow as tf

from picanet_tf.layers.arguments import positive


@keras.saving.register_keras_serializable(package="picanet_tf")
class DilatedConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, dilated by the convolution itself.

    Keras goes by `tf.nn.convolution`, which deals a map out to `dilation_rate` squared
    small ones, pads and convolves these, and puts them together again: for fc6, of
    dilation 12 on 28x28, four times the work. `tf.nn.conv2d` takes the dilation as it
    is. Its gradient does so on GPUs and with oneDNN, TensorFlow's default on newer x86
    processors; elsewhere this layer goes Keras' way.

    Args, input and output: `keras.layers.Conv2D`'s, channels last, in one group.
    """

    def convolution_op(self, inputs, kernel):
        if max(self.dilation_rate) == 1 or not dilates_backward():
            return super().convolution_op(inputs, kernel)
        return tf.nn.conv2d(
            inputs,
            keras.ops.convert_to_tensor(kernel),
            strides=self.strides,
            padding=self.padding.upper(),
            dilations=self.dilation_rate,
        )


@keras.saving.register_keras_serializable(package="picanet_tf")
class SteppingConv2D(DilatedConv2D):
    """`DilatedConv2D` of "same" padding whose window goes by steps.

    Keras refuses `strides` together with `dilation_rate`. The window of output (y, x)
    is centred on (y * step, x * step), as an attention convolution's is.

    Args:
        step: between the windows' centres.
        **kwargs: of `DilatedConv2D`; `strides` must be 1.

    Input shape: [N, H, W, C].
    Output shape: [N, ceil(H / step), ceil(W / step), filters].
    """

    def __init__(self, filters, kernel_size, step=1, **kwargs):
        super().__init__(filters, kernel_size, **{**kwargs, "padding": "same"})
        self.step = positive(step=step)

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel)[:, :: self.step, :: self.step]

    def compute_output_shape(self, input_shape):
        batch, *sides, filters = super().compute_output_shape(input_shape)
        sides = [side and -(-side // self.step) for side in sides]
        return (batch, *sides, filters)

    def get_config(self):
        return {**super().get_config(), "step": self.step}


@functools.cache
def dilates_backward() -> bool:
    """Whether a dilated `tf.nn.conv2d` has a gradient here: one small trial."""
    with tf.init_scope():
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=[1, 5, 5, 2],
                filter=tf.ones([3, 3, 2, 2]),
                out_backprop=tf.ones([1, 5, 5, 2]),
                strides=[1, 1, 1, 1],
                padding="SAME",
                dilations=[1, 2, 2, 1],
            )
        except tf.errors.OpError:
            return False
    return True
