"""The saliency network: a dilated VGG16 U-Net with PiCANets (Sec. 4, Fig. 3a)."""

from __future__ import annotations

from picanet_tf.backbones.vgg16 import scale_channels, vgg16_features
from picanet_tf.core.errors import PicanetError
from picanet_tf.models.base import NetworkConfig
from picanet_tf.models.decoder import (
    decoding_module,
    plain_decoding_module,
    side_output,
)
from picanet_tf.saliency.variants import parse_variant

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


def saliency_outputs(image, config: NetworkConfig) -> dict:
    """Builds the functional graph of the saliency network.

    Args:
        image: Keras tensor, float32 [N, S, S, 3], RGB 0..255.
        config: variant, width and all other settings.

    Returns:
        A dict of Keras tensors:

        * `stage6` ... `stage1`: float32 logits [N, s, s, 1]; sigmoid(`stage1`), at
          the input's size, is the saliency map.
        * `attention6`: float32 [N, S/8, S/8, D], the attention of D6 for the attention
          loss, if D6 has GAP; with `return_attention`, `attention6` ... `attention2` of
          all attentive modules.

    Reference: Sec. 4.1 and 4.2.
    """
    if config.classes is not None:
        raise PicanetError("`classes`: a saliency network has none")
    plan, width = parse_variant(config.variant), config.width
    features = vgg16_features(
        image,
        dilated=True,
        width=width,
        dropout_rate=config.dropout,
        dropout_seed=config.seed,
    )
    outputs, decoded = {}, None
    for stage in (6, 5, 4, 3, 2):
        kind = plan.get(stage)
        decoded, attention = decoding_module(
            stage,
            features[ENCODER_FEATURES[stage]],
            decoded,
            kind=kind,
            filters=scale_channels(CHANNELS[stage - 1], width),
            return_attention=config.return_attention or (stage == 6 and kind == "GAP"),
            renet_units=scale_channels(256, width),
            attention_filters=scale_channels(128, width),
            lstm_options=config.lstm_options,
        )
        outputs[f"stage{stage}"] = side_output(stage, decoded)
        if attention is not None:
            outputs[f"attention{stage}"] = attention
    decoded = plain_decoding_module(
        1,
        features[ENCODER_FEATURES[1]],
        decoded,
        filters=scale_channels(CHANNELS[1], width),
    )
    outputs["stage1"] = side_output(1, decoded)
    return outputs
