"""The segmentation networks of Table 3: DeepLab with ASPP, and U-Nets."""

from __future__ import annotations

from picanet_tf.backbones.vgg16 import scale_channels, vgg16_features
from picanet_tf.core.voc import CLASSES
from picanet_tf.models.base import NetworkConfig
from picanet_tf.models.decoder import decoding_module, side_output
from picanet_tf.segmentation.aspp import aspp
from picanet_tf.segmentation.variants import BRANCHES, is_deeplab, parse_variant

# En_6 ... En_3 and C_6 ... C_2, as in the saliency network.
ENCODER_FEATURES = {6: "fc7", 5: "conv5_3", 4: "conv4_3", 3: "conv3_3"}
CHANNELS = {6: 1024, 5: 512, 4: 512, 3: 256, 2: 128}
GLOBAL_KERNEL_SIZE = 12


def segmentation_outputs(image, config: NetworkConfig) -> dict:
    """Builds the functional graph of a segmentation network.

    Args:
        image: Keras tensor, float32 [N, S, S, 3], RGB 0..255.
        config: variant, width and all other settings; 21 classes by default.

    Returns:
        A dict of Keras tensors:

        * DeepLab: `logits`, float32 [N, s, s, classes], with s = S / 8 rounded up;
          U-Nets: `stage6` ... `stage3`, with s = S / 32, 16, 8 and 4.
        * with `return_attention`, `attention<attach point>` float32 [N, h, w, K*K] of
          every attentive module: `attention6`, `12`, `18`, `24` of DeepLab's branches,
          `attention6` ... `attention3` of a U-Net's decoding modules.

    Reference: Sec. 5.6, Table 3.
    """
    classes = config.classes or CLASSES
    if is_deeplab(config.variant):
        return _deeplab(image, config, classes)
    return _unet(image, config, classes)


def _deeplab(image, config: NetworkConfig, classes: int) -> dict:
    features = vgg16_features(image, include_fc=False, width=config.width)
    logits, attention = aspp(
        features["pool5"],
        branches=BRANCHES,
        plan=parse_variant(config.variant),
        classes=classes,
        width=config.width,
        dropout=config.dropout,
        seed=config.seed,
        return_attention=config.return_attention,
        attention_filters=scale_channels(128, config.width),
    )
    maps = {f"attention{rate}": value for rate, value in attention.items()}
    return {"logits": logits, **maps}


def _unet(image, config: NetworkConfig, classes: int) -> dict:
    """Returns side outputs and attention of the first four decoding modules."""
    features = vgg16_features(
        image,
        dilated=False,
        fc6_dilation_rate=1,
        dropout_rate=config.dropout,
        dropout_seed=config.seed,
        width=config.width,
    )
    plan = parse_variant(config.variant)
    outputs, decoded = {}, None
    for stage, feature in ENCODER_FEATURES.items():
        decoded, attention = decoding_module(
            stage,
            features[feature],
            decoded,
            kind=plan.get(stage),
            filters=scale_channels(CHANNELS[stage - 1], config.width),
            return_attention=config.return_attention,
            attention_filters=scale_channels(128, config.width),
            global_kernel_size=GLOBAL_KERNEL_SIZE,
            renet_units=scale_channels(256, config.width),
            lstm_options=config.lstm_options,
        )
        outputs[f"stage{stage}"] = side_output(stage, decoded, classes)
        if attention is not None:
            outputs[f"attention{stage}"] = attention
    return outputs
