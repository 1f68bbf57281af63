"""The segmentation networks of Table 3: DeepLab with ASPP, and the saliency U-Net."""

from __future__ import annotations

import keras

from picanet_tf.backbones.vgg16 import scaled, vgg16_features
from picanet_tf.backbones.vgg16_weights import load_vgg16_weights
from picanet_tf.decoder import decoding_module, side_output
from picanet_tf.segmentation.aspp import aspp
from picanet_tf.segmentation.classes import CLASSES
from picanet_tf.segmentation.variants import (
    BRANCHES,
    DEFAULT_VARIANT,
    check_image_size,
    default_image_size,
    is_deeplab,
    parse_variant,
)

NAME = "picanet_segmentation_"  # in front of the variant, the network's name
# En_6 ... En_3 and C_6 ... C_2, as in the saliency network.
ENCODER_FEATURES = {6: "fc7", 5: "conv5_3", 4: "conv4_3", 3: "conv3_3"}
CHANNELS = {6: 1024, 5: 512, 4: 512, 3: 256, 2: 128}
GLOBAL_KERNEL_SIZE = 12


def build_model(
    variant: str = DEFAULT_VARIANT,
    image_size: int | None = None,
    weights: str | None = None,
    width: float = 1.0,
    implementation: str = "fused",
    *,
    classes: int = CLASSES,
    dropout: float = 0.5,
    seed: int | None = None,
    return_attention: bool = False,
    use_cudnn="auto",
    unroll: bool = False,
) -> keras.Model:
    """Builds a segmentation network.

    Args:
        variant: which network, and which context module attends where, see
            `variants.parse_variant`.
        image_size: side of the square input in pixels; by default 321 for a DeepLab,
            which takes any from 16 on, and 384 for a U-Net, which wants a multiple of
            32. A U-Net with GAP keeps the size that it was trained at, all others
            move to any.
        weights, width, implementation, dropout, seed, return_attention, use_cudnn,
            unroll: as of `saliency.build_model`.
        classes: channels of the scores; VOC's 21.

    Returns:
        A functional model from `image` float32 [N, S, S, 3], RGB 0..255, to a dict:

        * of a DeepLab `logits`, float32 [N, s, s, classes], s = S / 8 rounded up;
          of a U-Net `stage6` ... `stage3`, at S / 32, 16, 8 and 4;
        * with `return_attention` `attention<attach point>` float32 [N, h, w, K*K] of
          every attentive module: `attention6`, `12`, `18`, `24` of a DeepLab's
          branches, `attention6` ... `attention3` of a U-Net's decoding modules.

    Raises:
        ValueError: an unreadable variant, or an image size that it cannot take.

    Example:
        >>> build_model("DeepLab_LAP", weights="hed").output["logits"].shape
        (None, 41, 41, 21)
    """
    plan = parse_variant(variant)
    deeplab = is_deeplab(variant)
    image_size = image_size or default_image_size(variant)
    check_image_size(variant, image_size)
    image = keras.Input([image_size, image_size, 3], name="image")
    options = {
        "return_attention": return_attention,
        "attention_filters": scaled(128, width),
        "implementation": implementation,
    }
    if deeplab:
        features = vgg16_features(image, include_fc=False, width=width)
        logits, attention = aspp(
            features["pool5"],
            branches=BRANCHES,
            plan=plan,
            classes=classes,
            width=width,
            dropout=dropout,
            seed=seed,
            **options,
        )
        outputs = {"logits": logits}
        outputs |= {f"attention{rate}": value for rate, value in attention.items()}
    else:
        features = vgg16_features(
            image,
            dilated=False,
            fc6_dilation_rate=1,
            dropout_rate=dropout,
            dropout_seed=seed,
            width=width,
        )
        options |= {
            "global_kernel_size": GLOBAL_KERNEL_SIZE,
            "renet_units": scaled(256, width),
            "use_cudnn": use_cudnn,
            "unroll": unroll,
        }
        outputs = _unet(features, plan, classes, width, options)
    model = keras.Model(image, outputs, name=f"{NAME}{variant}")
    if weights is not None:
        load_vgg16_weights(model, weights)
    return model


def _unet(features, plan, classes, width, options) -> dict:
    """Side outputs, and attention, of the saliency decoder's first four modules."""
    outputs, decoded = {}, None
    for stage, feature in ENCODER_FEATURES.items():
        decoded, attention = decoding_module(
            stage,
            features[feature],
            decoded,
            kind=plan.get(stage),
            filters=scaled(CHANNELS[stage - 1], width),
            **options,
        )
        outputs[f"stage{stage}"] = side_output(stage, decoded, classes)
        if attention is not None:
            outputs[f"attention{stage}"] = attention
    return outputs
