"""The saliency network: a dilated VGG16 U-Net with PiCANets (Sec. 4, Fig. 3a)."""

from __future__ import annotations

import keras

from picanet_tf.backbones.vgg16 import scaled, vgg16_features
from picanet_tf.backbones.vgg16_weights import load_vgg16_weights
from picanet_tf.decoder import (
    decoding_module,
    plain_decoding_module,
    side_output,
)
from picanet_tf.errors import PicanetError
from picanet_tf.presets import preset_for
from picanet_tf.saliency.variants import (
    DEFAULT_VARIANT,
    check_image_size,
    parse_variant,
)
from picanet_tf.weights import load_preset_weights

# En_6 ... En_1: the last convolution of each block, before its ReLU.
ENCODER_FEATURES = {
    6: "fc7",
    5: "conv5_3",
    4: "conv4_3",
    3: "conv3_3",
    2: "conv2_2",
    1: "conv1_2",
}
# C_6 ... C_1.
CHANNELS = {6: 1024, 5: 512, 4: 512, 3: 256, 2: 128, 1: 64}
NAME = "picanet_"  # in front of the variant, the network's name


def build_model(
    variant: str | None = None,
    image_size: int | None = None,
    weights: str | None = None,
    width: float = 1.0,
    implementation: str = "fused",
    *,
    dropout: float = 0.5,
    seed: int | None = None,
    return_attention: bool = False,
    use_cudnn="auto",
    unroll: bool = False,
) -> keras.Model:
    """Builds the saliency network.

    Args:
        variant: which context module attends where, see `variants.parse_variant`; by
            default the preset's, or the paper's best, 6GAP_5432AC.
        image_size: side of the square input in pixels, a multiple of 8, at least 16;
            by default the preset's, or the paper's, 224. A network moves only between
            sizes whose GAP grids have as many positions: all of 80 and more do.
        weights: a preset's name (see `picanet_tf.list_presets`), for the whole network;
            or of the encoder alone: `"imagenet"`, `"hed"`, a path (see
            `backbones.vgg16_weights`); or None for a random start.
        width: scales all channels; 1.0 is the paper's network, less is for tests.
        implementation: of the attention, `"fused"` or `"patches"`.
        dropout: rate after fc6.
        seed: of the dropout.
        return_attention: give the attention of every attentive module as an output.
        use_cudnn, unroll: of ReNet's LSTMs, see `layers.ReNet`.

    Returns:
        A functional model from `image` float32 [N, S, S, 3], RGB 0..255, to a dict:

        * `stage6` ... `stage1`: float32 logits [N, s, s, 1]; sigmoid(`stage1`), at
          the input's size, is the saliency map;
        * `attention6`: float32 [N, S/8, S/8, D], when D6 has GAP: its attention, for
          the attention loss; with `return_attention` `attention6` ... `attention2` of
          all attentive modules.

    Raises:
        ValueError: an unreadable variant, an image size that it cannot take, or a
            preset of another variant or task.

    Example:
        >>> model = build_model("6GAP_5432AC", weights="hed")
        >>> model.output["stage1"].shape
        (None, 224, 224, 1)
    """
    preset = preset_for(weights, "saliency", variant)
    if preset:
        if width not in (1.0, preset.width):
            raise PicanetError(
                f"The preset {preset.name} has width {preset.width}. Received: "
                f"width={width}. Leave it out"
            )
        variant, width = preset.variant, preset.width
    if variant is None:
        variant = DEFAULT_VARIANT
    if image_size is None:
        image_size = preset.image_size if preset else 224
    plan = parse_variant(variant)
    check_image_size(variant, image_size)
    image = keras.Input([image_size, image_size, 3], name="image")
    features = vgg16_features(
        image, dilated=True, width=width, dropout_rate=dropout, dropout_seed=seed
    )
    outputs, decoded = {}, None
    for stage in (6, 5, 4, 3, 2):
        kind = plan.get(stage)
        decoded, attention = decoding_module(
            stage,
            features[ENCODER_FEATURES[stage]],
            decoded,
            kind=kind,
            filters=scaled(CHANNELS[stage - 1], width),
            return_attention=return_attention or (stage == 6 and kind == "GAP"),
            renet_units=scaled(256, width),
            attention_filters=scaled(128, width),
            implementation=implementation,
            use_cudnn=use_cudnn,
            unroll=unroll,
        )
        outputs[f"stage{stage}"] = side_output(stage, decoded)
        if attention is not None:
            outputs[f"attention{stage}"] = attention
    decoded = plain_decoding_module(
        1, features[ENCODER_FEATURES[1]], decoded, filters=scaled(CHANNELS[1], width)
    )
    outputs["stage1"] = side_output(1, decoded)
    model = keras.Model(image, outputs, name=f"{NAME}{variant}")
    if preset:
        load_preset_weights(model, preset)
    elif weights is not None:
        load_vgg16_weights(model, weights)
    return model
