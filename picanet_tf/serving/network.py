"""The network as it is served: inference parts only, float32, no cuDNN operation."""

from __future__ import annotations

import keras

from picanet_tf.networks import identify, rebuilt
from picanet_tf.serving.folding import Savings, folded


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
        the heads of the task (`saliency` float32 [N, S, S, 1] in 0..1; `logits` float32
        [N, S, S, classes] and `classes` int32 [N, S, S]; `raw` float32 [N, A, 25] and
        the detections made of it) and, of attentive modules, `attention<attach point>`
        float32 [N, h, w, K*K]. No side outputs.

    Raises:
        PicanetError: as `rebuilt`.
    """
    identity = identify(trained)
    task = identity.task
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
        wanted = {"finest": task.prediction.finest(network.output)}
        if attention:
            for point in identity.attentive:
                name = f"attention{point.key}"
                wanted[name] = network.output[name]
        image, outputs = folded(network.input, wanted, savings or Savings())
        heads = task.served.heads(outputs.pop("finest"), image.shape[1])
        return keras.Model(image, {**heads, **outputs}, name=f"{network.name}_serving")
    finally:
        keras.config.set_dtype_policy(policy)


def of_one_output(network: keras.Model, name: str) -> keras.Model:
    """A network of `serving_network` cut down to the output that files give.

    What is made of that output, such as boxes, is not in its graph any more.
    """
    return keras.Model(network.input, {name: network.output[name]}, name=network.name)
