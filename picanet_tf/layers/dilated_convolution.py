"""Dilated convolutions: one faster than Keras' own, and one with strides."""

from __future__ import annotations

import functools

import keras
import tensorflow as tf

from picanet_tf.layers.arguments import check_positive


@keras.saving.register_keras_serializable(package="picanet_tf")
class DilatedConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` that computes a dilation in the convolution itself.

    Keras calls `tf.nn.convolution`, which splits a map into `dilation_rate` squared
    smaller ones, pads and convolves each of them, and merges the results: for fc6, of
    dilation 12 on a 28x28 map, four times the work. `tf.nn.conv2d` takes the dilation
    directly. Its gradient supports that on GPUs and with oneDNN, TensorFlow's default
    on newer x86 processors; elsewhere this layer falls back to Keras' convolution.

    Args: those of `keras.layers.Conv2D`, with channels last and one group.

    Input shape: [N, H, W, C].
    Output shape: [N, H', W', filters].
    """

    def __init__(self, filters, kernel_size, **kwargs):
        super().__init__(
            filters, kernel_size, **{"data_format": "channels_last", **kwargs}
        )

    def convolution_op(self, inputs, kernel):
        return self._convolve(inputs, kernel, self.strides)

    def _convolve(self, inputs, kernel, strides):
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if max(self.dilation_rate) == 1 or not has_dilated_gradient(dtype):
            return keras.ops.conv(
                inputs,
                kernel,
                strides=list(strides),
                padding=self.padding,
                dilation_rate=self.dilation_rate,
                data_format=self.data_format,
            )
        return tf.nn.conv2d(
            inputs,
            keras.ops.convert_to_tensor(kernel),
            strides=strides,
            padding=self.padding.upper(),
            dilations=self.dilation_rate,
        )


@keras.saving.register_keras_serializable(package="picanet_tf")
class StridedDilatedConv2D(DilatedConv2D):
    """`DilatedConv2D` with "same" padding that takes strides along with a dilation.

    Keras refuses `strides` together with `dilation_rate`. The window of output (y, x)
    is centred on (y * strides, x * strides), as in `AttentionConvolution`.

    Args:
        filters: output channels.
        kernel_size: size of the window.
        strides: distance between the centres of neighbouring windows, a whole number.
        **kwargs: further arguments of `DilatedConv2D`; the padding is always "same".

    Input shape: [N, H, W, C].
    Output shape: [N, ceil(H / strides), ceil(W / strides), filters].

    Raises:
        ValueError: `strides` below 1.

    Example:
        >>> layer = StridedDilatedConv2D(4, 3, strides=2, dilation_rate=2)
        >>> layer(keras.ops.ones([1, 19, 19, 3])).shape
        TensorShape([1, 10, 10, 4])
    """

    def __init__(self, filters, kernel_size, strides=1, **kwargs):
        super().__init__(filters, kernel_size, **{**kwargs, "padding": "same"})
        # Not passed to Keras' constructor, which refuses it along with a dilation.
        self.strides = (check_positive(strides=strides),) * 2

    def convolution_op(self, inputs, kernel):
        # "Same" padding of a strided convolution would shift the windows' centres on
        # maps of even size.
        outputs = self._convolve(inputs, kernel, strides=(1, 1))
        rows, columns = self.strides
        return outputs[:, ::rows, ::columns]

    def get_config(self):
        return {**super().get_config(), "strides": self.strides[0]}


@functools.cache
def has_dilated_gradient(dtype: str = "float32") -> bool:
    """Tests whether a dilated `tf.nn.conv2d` has a gradient on this machine.

    Args:
        dtype: the dtype of the map; on CPUs, none has one in float64.
    """
    with tf.init_scope():
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=[1, 5, 5, 2],
                filter=tf.ones([3, 3, 2, 2], dtype),
                out_backprop=tf.ones([1, 5, 5, 2], dtype),
                strides=[1, 1, 1, 1],
                padding="SAME",
                dilations=[1, 2, 2, 1],
            )
        except tf.errors.OpError:
            return False
    return True
