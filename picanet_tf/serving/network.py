"""The network for serving: inference only, float32, without cuDNN operations."""

from __future__ import annotations

import keras

from picanet_tf.layers import LSTMOptions
from picanet_tf.models.base import Network, dtype_policy
from picanet_tf.serving.folding import FoldingOptions, fold


def serving_network(
    trained: Network,
    image_size: int | None = None,
    *,
    unroll: bool = False,
    attention: bool = True,
    folding: FoldingOptions | None = None,
) -> keras.Model:
    """Builds the network for export.

    Args:
        trained: a network built by `build_model`.
        image_size: side of the input in pixels; defaults to the trained network's.
        unroll: whether to unroll ReNet's LSTMs instead of using a loop.
        attention: whether to output the attention maps as well.
        folding: simplifications to apply; all by default.

    Returns:
        A functional model from `image` float32 [N, S, S, 3], RGB 0..255, to a dict of
        the task's heads (`saliency` float32 [N, S, S, 1] in 0..1; `logits` float32 [N,
        S, S, classes] and `classes` int32 [N, S, S]; `raw` float32 [N, A, 25] and the
        decoded detections) and, for attentive modules, `attention<attach point>`
        float32 [N, h, w, K*K]. Side outputs are dropped.

    Raises:
        PicanetError: see `Network.rebuild`.
    """
    network = trained.rebuild(
        image_size=image_size or trained.image_size,
        return_attention=attention,
        lstm_options=LSTMOptions(use_cudnn=False, unroll=unroll),
        dropout=0.0,
        dtype="float32",
    )
    task = network.task
    wanted = {"logits": task.logits(network.output)}
    if attention:
        for point in network.attentive_points:
            name = f"attention{point.key}"
            wanted[name] = network.output[name]
    with dtype_policy("float32"):
        image, outputs = fold(network.input, wanted, folding or FoldingOptions())
        heads = task.serving.heads(outputs.pop("logits"), network.image_size)
        return keras.Model(image, {**heads, **outputs}, name=f"{network.name}_serving")


def with_outputs(network: keras.Model, *names: str) -> keras.Model:
    """Prunes a network of `serving_network` to some of its outputs.

    Operations that postprocess these outputs, such as decoding boxes, are dropped.
    """
    wanted = {name: network.output[name] for name in names}
    return keras.Model(network.input, wanted, name=network.name)
