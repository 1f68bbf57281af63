"""The network as it is served: inference parts only, float32, no cuDNN operation."""

from __future__ import annotations

import keras

from picanet_tf.context import ATTENTIVE
from picanet_tf.errors import PicanetError
from picanet_tf.saliency.model import CHANNELS, ENCODER_FEATURES, build_model
from picanet_tf.saliency.variants import parse_variant
from picanet_tf.serving.folding import Savings, folded
from picanet_tf.weights import copy_weights


def variant_of(network: keras.Model) -> str:
    """The variant of a network of `build_model`, read off its name.

    Raises:
        PicanetError: it is no such network.
    """
    variant = network.name.removeprefix("picanet_")
    try:
        parse_variant(variant)
    except ValueError as error:
        raise PicanetError(f"The network's name: {error}") from error
    outputs = getattr(network, "output", None)
    if not isinstance(outputs, dict) or "stage1" not in outputs:
        raise PicanetError(f"The network {network.name} has no output stage1")
    return variant


def attentive_stages(variant: str) -> tuple[int, ...]:
    """Decoding stages whose module has an attention, coarse to fine."""
    plan = parse_variant(variant)
    return tuple(stage for stage, kind in plan.items() if kind in ATTENTIVE)


def rebuilt(
    trained: keras.Model, image_size: int | None = None, **options
) -> keras.Model:
    """The same network once more, with the trained one's weights.

    Built under the global dtype policy, not under the one that it was trained with.

    Args:
        trained: a network of `build_model`.
        image_size: side of the input, in pixels; by default the trained one's.
        **options: of `build_model`. `use_cudnn` and `unroll` do not survive
            `clone_model` or `load_model`, so this is the way to set them.

    Raises:
        PicanetError: an image size at which the network cannot be built, or at which
            its weights do not fit.
    """
    size = image_size or trained.input.shape[1]
    channels = trained.get_layer(ENCODER_FEATURES[6]).output.shape[-1]
    try:
        network = build_model(
            variant_of(trained),
            size,
            width=channels / CHANNELS[6],
            dropout=0.0,
            **options,
        )
    except PicanetError:
        raise
    except ValueError as error:
        raise PicanetError(str(error)) from error
    try:
        copy_weights(trained, network)
    except PicanetError as error:
        raise PicanetError(
            f"The network was trained at image_size {trained.input.shape[1]} and "
            f"cannot be moved to {size}, where its GAP has another grid. ({error})"
        ) from error
    return network


def serving_network(
    trained: keras.Model,
    image_size: int | None = None,
    *,
    unroll: bool = False,
    attention: bool = True,
    savings: Savings | None = None,
) -> keras.Model:
    """The network for an artefact.

    Args:
        trained: a network of `build_model`.
        image_size: as in `rebuilt`.
        unroll: ReNet's LSTMs step by step in place of a loop.
        attention: whether to give the attention as well.
        savings: what to simplify; everything by default.

    Returns:
        A functional model from `image` float32 [N, S, S, 3], RGB 0..255, to a dict:
        `saliency` float32 [N, S, S, 1] in 0..1 and, of attentive modules,
        `attention6` ... `attention2` float32 [N, h, w, K*K]. No side outputs.

    Raises:
        PicanetError: as `rebuilt`.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        network = rebuilt(
            trained,
            image_size,
            return_attention=attention,
            use_cudnn=False,
            unroll=unroll,
        )
        wanted = {"stage1": network.output["stage1"]}
        if attention:
            for stage in attentive_stages(variant_of(trained)):
                name = f"attention{stage}"
                wanted[name] = network.output[name]
        image, outputs = folded(network.input, wanted, savings or Savings())
        logits = outputs.pop("stage1")
        saliency = keras.layers.Activation("sigmoid", name="saliency")(logits)
        return keras.Model(
            image, {"saliency": saliency, **outputs}, name=f"{network.name}_serving"
        )
    finally:
        keras.config.set_dtype_policy(policy)
