"""VGG16 as an encoder with named features, optionally dilated (Sec. 4.1 and 5.6)."""

from typing import Any

import keras
from keras import layers, ops

from picanet_tf.core.constants import MEAN_RGB
from picanet_tf.layers import DilatedConv2D, Dropout
from picanet_tf.layers.initializers import gaussian

# Channels and number of 3x3 convolutions of blocks 1 to 5.
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
FC_CHANNELS = 1024

# Channel means of Keras' VGG16 in BGR order. The weights were trained with them, so
# they are part of the network and not of the data pipeline.
BGR_MEANS = MEAN_RGB[::-1]


def scale_channels(channels: int, width: float) -> int:
    """Returns `width` times a number of channels, rounded and at least 1.

    Raises:
        ValueError: if `width` is not positive.
    """
    if width <= 0:
        raise ValueError(f"`width` must be positive. Received: width={width}")
    return max(1, round(channels * width))


@keras.saving.register_keras_serializable(package="picanet_tf")
class CaffePreprocessing(layers.Layer):
    """Converts RGB images to the input of VGG16: BGR minus the channel means.

    Equals `keras.applications.vgg16.preprocess_input`. As a layer of the model, it
    ensures that the model's input is always RGB. The subtraction is computed in float32
    and only the result is cast, because half precision has a step of 0.125 (float16) or
    1 (bfloat16) at a value of 255.

    Input shape:
        `(batch, height, width, 3)`, RGB, 0..255, any real dtype.

    Output shape:
        `(batch, height, width, 3)`, BGR, about -124..151, in the compute dtype.

    Raises:
        ValueError: if the input does not have three channels.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)

    def build(self, input_shape):
        if input_shape[-1] != 3:
            raise ValueError(
                "Input must be RGB, with 3 channels in its last axis. "
                f"Received: input_shape={tuple(input_shape)}"
            )

    def call(self, inputs):
        bgr = ops.cast(inputs, "float32")[..., ::-1]
        return ops.cast(bgr - ops.array(BGR_MEANS, "float32"), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


def vgg16_features(
    inputs: keras.KerasTensor,
    *,
    dilated: bool = True,
    pool5_stride: int | None = None,
    include_fc: bool = True,
    fc6_dilation_rate: int = 12,
    dropout_rate: float = 0.5,
    dropout_seed: int | None = None,
    width: float = 1.0,
    kernel_initializer: str | keras.initializers.Initializer = "he_normal",
) -> dict[str, keras.KerasTensor]:
    """Applies VGG16 and returns its features, each before its ReLU.

    The layers are named as in `keras.applications.VGG16` (`block1_conv1`, ...), except
    that `fc1` and `fc2` are the convolutions `fc6` and `fc7` here; `load_vgg16_weights`
    relies on these names. ReLUs are separate layers, so that features can be taken
    before them.

    | use | arguments | stride at conv4, conv5, fc7 |
    |---|---|---|
    | saliency; DeepLab | the defaults; `include_fc=False` | 8, 8, 8 |
    | SSD | `dilated=False, pool5_stride=1, fc6_dilation_rate=6` | 8, 16, 16 |
    | U-Net of segmentation | `dilated=False, fc6_dilation_rate=1` | 8, 16, 32 |

    All padding is "same" with zeros (minus infinity for the pools). Pools with stride 2
    round odd sizes up, as in Caffe: SSD's 300 pixels give 38x38 at conv4_3.

    Args:
        inputs: RGB images 0..255, `(batch, height, width, 3)`.
        dilated: whether pool4 and pool5 keep their input's size (3x3 windows with
            stride 1) and conv5 has dilation 2 instead.
        pool5_stride: 1 (3x3 windows) or 2 (2x2 windows). None: 1 if `dilated`, else 2.
        include_fc: whether to add fc6 and fc7.
        fc6_dilation_rate: dilation of fc6's 3x3 kernel.
        dropout_rate: dropout rate after fc6.
        dropout_seed: seed of that dropout.
        width: factor on all channel counts. Pretrained weights require 1.0.
        kernel_initializer: initializer of the 13 convolutions; fc6 and fc7 use a
            Gaussian, as the new layers in the authors' release.

    Returns:
        {VGG layer: its feature before the ReLU}. For 224x224 images and the default
        arguments, these are `conv1_2` (224, 224, 64), `conv2_2` (112, 112, 128),
        `conv3_3` (56, 56, 256), `conv4_3` (28, 28, 512), `conv5_3` (28, 28, 512) and
        `fc7` (28, 28, 1024); and `pool5` (28, 28, 512), which is non-negative.

    Raises:
        ValueError: if `pool5_stride`, `width` or the number of input channels is
            invalid.

    Reference:
        Sec. 4.1 (saliency), 5.6 (segmentation, detection).
    """
    if pool5_stride is None:
        pool5_stride = 1 if dilated else 2
    pool_strides = (2, 2, 2, 1 if dilated else 2, pool5_stride)
    fc_kernel_initializer = gaussian()

    features = {}
    x = CaffePreprocessing(name="preprocessing")(inputs)
    for block, (channels, depth) in enumerate(BLOCKS, start=1):
        for conv in range(1, depth + 1):
            name = f"block{block}_conv{conv}"
            # He normal, which matters only without pretrained weights. The release's
            # Gaussian with 0.01, meant for a few layers on top of a trained encoder,
            # would make the signal vanish within 13 layers.
            x = DilatedConv2D(
                scale_channels(channels, width),
                kernel_size=3,
                padding="same",
                dilation_rate=2 if dilated and block == 5 else 1,
                kernel_initializer=_independent(kernel_initializer),
                name=name,
            )(x)
            if conv == depth:
                features[f"conv{block}_{conv}"] = x
            x = layers.ReLU(name=f"{name}_relu")(x)
        x = _pool(pool_strides[block - 1], name=f"block{block}_pool")(x)
    features["pool5"] = x
    if not include_fc:
        return features

    x = DilatedConv2D(
        scale_channels(FC_CHANNELS, width),
        kernel_size=3,
        padding="same",
        dilation_rate=fc6_dilation_rate,
        kernel_initializer=_independent(fc_kernel_initializer),
        name="fc6",
    )(x)
    x = layers.ReLU(name="fc6_relu")(x)
    x = Dropout(dropout_rate, seed=dropout_seed, name="fc6_dropout")(x)
    features["fc7"] = layers.Conv2D(
        scale_channels(FC_CHANNELS, width),
        kernel_size=1,
        kernel_initializer=_independent(fc_kernel_initializer),
        name="fc7",
    )(x)
    return features


def _pool(stride: int, name: str) -> layers.MaxPooling2D:
    # Windows with stride 1 have an odd size, so that the map is not shifted.
    window = {1: 3, 2: 2}
    if stride not in window:
        raise ValueError(f"`pool5_stride` must be 1 or 2. Received: {stride}")
    return layers.MaxPooling2D(window[stride], stride, padding="same", name=name)


def _independent(
    initializer: str | keras.initializers.Initializer,
) -> keras.initializers.Initializer:
    # An initializer without a seed draws one on creation and keeps it. Shared by two
    # layers with the same shape, it would give both the same weights.
    return keras.initializers.get(initializer).clone()
