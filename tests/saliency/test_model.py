"""The saliency network: wiring, sizes, every variant alive."""

import functools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.layers import BatchNormalization
from picanet_tf.saliency import build_model
from picanet_tf.saliency.losses import loss_weights, losses
from picanet_tf.saliency.targets import encode_targets
from picanet_tf.saliency.variants import VARIANTS
from tests.layers import naive
from tests.layers.harness import randomize

STAGES = ("stage6", "stage5", "stage4", "stage3", "stage2", "stage1")


def disks(count, size=32, seed=0):
    """Images of a bright disk on a darker ground, and their masks."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    centre_y, centre_x = rng.uniform(0.3 * size, 0.7 * size, (2, count, 1, 1))
    radius = rng.uniform(0.15 * size, 0.3 * size, (count, 1, 1))
    inside = (y - centre_y) ** 2 + (x - centre_x) ** 2 < radius**2
    mask = inside.astype("float32")[..., None]
    image = rng.uniform(20, 110, (count, 1, 1, 3))
    image = image + mask * rng.uniform(60, 130, (count, 1, 1, 3))
    image += rng.normal(0, 8, (count, size, size, 3))
    return image.astype("float32"), mask


def total_loss(model, images, masks, training):
    targets = encode_targets(tf.convert_to_tensor(masks), model.output)
    outputs = model(images, training=training)
    weights = loss_weights(targets)
    return sum(
        weights[name] * loss(targets[name], outputs[name])
        for name, loss in losses(targets).items()
    )


def loss_and_gradients(model, images, masks, training):
    with tf.GradientTape() as tape:
        loss = total_loss(model, images, masks, training)
    weights = [weight.value for weight in model.trainable_weights]
    return loss, tape.gradient(loss, weights)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_trains_a_step_and_comes_back_from_a_file(
    variant, tmp_path, tiny_network
):
    model = tiny_network(variant)
    images, masks = disks(2)
    before = [weight.numpy() for weight in model.trainable_weights]
    loss, gradients = loss_and_gradients(model, images, masks, training=True)
    keras.optimizers.SGD(0.01).apply(gradients, model.trainable_weights)
    moved = {
        weight.path
        for weight, old in zip(model.trainable_weights, before, strict=True)
        if not np.array_equal(weight, old)
    }
    assert moved >= {
        f"{stage}/{part}" for stage in STAGES for part in ("kernel", "bias")
    }
    assert moved >= {f"d{i}_decode_norm/gamma" for i in range(1, 7)}
    # Steps too small beside 1 to change a float32, or of a few saturated LSTM cells.
    still = {weight.path for weight in model.trainable_weights} - moved
    tiny = r"d\d_\w+(/attention)?/norm/gamma|d4_gap/renet/columns/.*/recurrent_kernel"
    assert [path for path in still if not re.fullmatch(tiny, path)] == []
    assert np.isfinite(loss)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    wanted = model(images, training=False)
    for name, output in loaded(images, training=False).items():
        np.testing.assert_array_equal(output, wanted[name])
    assert [w.path for w in loaded.weights] == [w.path for w in model.weights]


@pytest.mark.parametrize("variant", VARIANTS)
def test_output_shapes(variant, tiny_network):
    model = tiny_network(variant, image_size=48)
    expected = {
        "stage6": (None, 6, 6, 1),
        "stage5": (None, 6, 6, 1),
        "stage4": (None, 6, 6, 1),
        "stage3": (None, 12, 12, 1),
        "stage2": (None, 24, 24, 1),
        "stage1": (None, 48, 48, 1),
    }
    if variant.split("GAP")[0] in ("6", "65", "654"):
        expected["attention6"] = (None, 6, 6, 36)
    assert {name: output.shape for name, output in model.output.items()} == expected
    assert {output.dtype for output in model.output.values()} == {"float32"}
    assert model.input.shape == (None, 48, 48, 3)
    paths = [weight.path for weight in model.weights]
    assert len(set(paths)) == len(paths)
    names = [layer.name for layer in model.layers]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "variant, positions",
    [
        ("6GAP_5432AC", {6: 16, 5: 49, 4: 49, 3: 49, 2: 49}),
        ("65GAP_432LAP", {6: 16, 5: 16, 4: 49, 3: 49, 2: 49}),
        ("65432AC", {6: 49, 5: 49, 4: 49, 3: 49, 2: 49}),
        ("6GAP", {6: 16}),
        ("6ReNet_5432LC", {}),
        ("UNet", {}),
    ],
)
def test_all_attention_on_request(variant, positions, tiny_network):
    sizes = {6: 4, 5: 4, 4: 4, 3: 8, 2: 16}
    model = tiny_network(variant, return_attention=True)
    attention = {
        name: output.shape
        for name, output in model.output.items()
        if name not in STAGES
    }
    assert attention == {
        f"attention{i}": (None, sizes[i], sizes[i], count)
        for i, count in positions.items()
    }


def test_attention_on_request_changes_nothing_else(tiny_network):
    plain, attentive = (
        tiny_network("6GAP_5LAP_4AC", return_attention=flag) for flag in (False, True)
    )
    plain.set_weights(attentive.get_weights())
    images, _ = disks(1)
    wanted = plain(images)
    outputs = attentive(images)
    for name in (*STAGES, "attention6"):
        np.testing.assert_array_equal(outputs[name], wanted[name])


@pytest.mark.parametrize("image_size", [0, 8, 30, 100, 225])
def test_invalid_image_sizes_are_rejected(image_size):
    with pytest.raises(ValueError, match=f"multiple of 8.*image_size={image_size}"):
        build_model("UNet", image_size)


def test_invalid_arguments_are_rejected(tiny_network):
    with pytest.raises(ValueError, match="'GAPS' is not one of the kinds"):
        tiny_network("6GAPS")
    with pytest.raises(ValueError, match="`lstm_options` .*fast"):
        tiny_network(lstm_options={"fast": True})
    with pytest.raises(ValueError, match="`width` must be above 0.*width=0"):
        tiny_network(width=0)


def test_the_smallest_image(tiny_network):
    model = tiny_network(image_size=16)
    assert model(np.zeros([1, 16, 16, 3]))["stage1"].shape == (1, 16, 16, 1)


def sources(model):
    """{layer: the layers that it reads}."""
    return {
        layer.name: [
            tensor._keras_history.operation.name
            for tensor in tf.nest.flatten(layer.input)
        ]
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    }


def feature(i):
    return {
        6: "fc7",
        5: "block5_conv3",
        4: "block4_conv3",
        3: "block3_conv3",
        2: "block2_conv2",
        1: "block1_conv2",
    }[i]


def expected_decoder(plan):
    """Sec. 4.2's steps, for plans of convolving and pooling kinds."""
    wiring = {}
    for i in (6, 5, 4, 3, 2, 1):
        d = f"d{i}"
        wiring[f"{d}_encoder_norm"] = [feature(i)]
        wiring[f"{d}_encoder_relu"] = [f"{d}_encoder_norm"]
        fused = f"{d}_encoder_relu"
        if i < 6:
            previous = f"d{i + 1}_decode_relu"
            if i < 4:
                wiring[f"{d}_upsample"] = [previous]
                previous = f"{d}_upsample"
            wiring[f"{d}_skip"] = [fused, previous]
            fused = f"{d}_skip"
            if i > 1:
                wiring[f"{d}_fuse"] = [fused]
                wiring[f"{d}_fuse_relu"] = [f"{d}_fuse"]
                fused = f"{d}_fuse_relu"
        decoded = f"{d}_decode"
        if plan.get(i) in ("AC", "LC"):
            decoded = f"{d}_{plan[i].lower()}"
            wiring[decoded] = [fused]
        elif i in plan:
            attended = f"{d}_{plan[i].lower()}"
            wiring[attended] = [fused]
            wiring[f"{d}_context"] = [fused, attended]
            wiring[decoded] = [f"{d}_context"]
        else:
            wiring[decoded] = [fused]
        wiring[f"{d}_decode_norm"] = [decoded]
        wiring[f"{d}_decode_relu"] = [f"{d}_decode_norm"]
        wiring[f"stage{i}"] = [f"{d}_decode_relu"]
    return wiring


@pytest.mark.parametrize(
    "variant, plan",
    [
        ("UNet", {}),
        ("6GAP_5432AC", {6: "GAP", 5: "AC", 4: "AC", 3: "AC", 2: "AC"}),
        ("65432AC", {6: "AC", 5: "AC", 4: "AC", 3: "AC", 2: "AC"}),
        ("6GAP_5432LAP", {6: "GAP", 5: "LAP", 4: "LAP", 3: "LAP", 2: "LAP"}),
        ("6ReNet_5432LC", {6: "ReNet", 5: "LC", 4: "LC", 3: "LC", 2: "LC"}),
    ],
)
def test_decoder_is_wired_as_in_the_paper(variant, plan, tiny_network):
    wiring = sources(tiny_network(variant))
    decoder = {
        name: inputs
        for name, inputs in wiring.items()
        if name.startswith(("d1", "d2", "d3", "d4", "d5", "d6", "stage"))
    }
    assert decoder == expected_decoder(plan)


def test_numbers_of_channels_are_the_papers(tiny_network):
    """C_1 ... C_6 = 64, 128, 256, 512, 512, 1024; here a sixteenth."""
    model = tiny_network(width=1 / 16)
    decoded = {6: 32, 5: 32, 4: 16, 3: 8, 2: 4, 1: 4}  # C_{i-1}; D1 has 64
    fused = {5: 32, 4: 32, 3: 16, 2: 8}  # C_i
    for i, channels in decoded.items():
        assert model.get_layer(f"d{i}_decode_relu").output.shape[-1] == channels
    for i, channels in fused.items():
        assert model.get_layer(f"d{i}_fuse").filters == channels
    assert "d6_fuse" not in [layer.name for layer in model.layers]
    gap = model.get_layer("d6_gap")
    assert (gap.kernel_size, gap.dilation_rate, gap.units) == (4, 1, 16)
    for i in (5, 4, 3, 2):
        convolution = model.get_layer(f"d{i}_ac")
        assert convolution.filters == decoded[i]
        assert (convolution.kernel_size, convolution.dilation_rate) == (7, 2)
        assert convolution.attention_filters == 8


def test_a_decoding_module_by_hand(tiny_network):
    """D3 with LAP, from what En_3 and Dec_4 give it, in NumPy."""
    model = tiny_network("6GAP_5432LAP", return_attention=True)
    randomize_decoder(model)
    tapped = keras.Model(
        model.input,
        [
            model.get_layer(name).output
            for name in ("block3_conv3", "d4_decode_relu", "d3_decode_relu")
        ]
        + [model.output["attention3"], model.output["stage3"]],
    )
    images, _ = disks(1)
    encoded, previous, decoded, attention, logits = (
        np.array(value, "float64") for value in tapped(images, training=False)
    )
    weights = {
        name: [w.numpy().astype("float64") for w in model.get_layer(name).weights]
        for name in ("d3_encoder_norm", "d3_fuse", "d3_decode", "d3_decode_norm")
    }

    def norm(x, name):
        gamma, beta, mean, variance, _ = weights[name]
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def conv(x, name):
        kernel, bias = weights[name]
        return x @ kernel[0, 0] + bias

    skip = np.maximum(norm(encoded, "d3_encoder_norm"), 0)
    skip = np.concatenate([skip, twice(twice(previous, 1), 2)], axis=-1)
    fused = np.maximum(conv(skip, "d3_fuse"), 0)
    attended = naive.local_attention_pool(fused, attention, 7, 2)
    context = np.concatenate([fused, attended], axis=-1)
    expected = np.maximum(norm(conv(context, "d3_decode"), "d3_decode_norm"), 0)
    assert (expected > 0).mean() > 0.1
    np.testing.assert_allclose(decoded, expected, rtol=1e-4, atol=1e-4)
    kernel, bias = (w.numpy() for w in model.get_layer("stage3").weights)
    np.testing.assert_allclose(logits, expected @ kernel[0, 0] + bias, atol=1e-3)


def twice(x, axis):
    """Bilinear, half-pixel centres: 3/4 of the nearer value, 1/4 of the other."""
    x = np.moveaxis(x, axis, 0)
    before, after = np.concatenate([x[:1], x[:-1]]), np.concatenate([x[1:], x[-1:]])
    pairs = np.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis=1)
    return np.moveaxis(pairs.reshape(-1, *x.shape[1:]), 0, axis)


def randomize_decoder(model):
    for layer in model.layers:
        if layer.name.startswith(("d6", "d5", "d4", "d3", "d2", "d1", "stage")):
            randomize(layer, seed=len(layer.name))
    # Of a random start: En_i is in the hundreds, its statistics should be, too.
    images, _ = disks(4, seed=1)
    model(images, training=True)


def test_implementations_agree(tiny_network):
    variant = "6GAP_53AC_42LAP"
    images, masks = disks(2)
    results = []
    weights = None
    for implementation in ("fused", "patches"):
        model = tiny_network(variant, dropout=0.0)
        attentive = [model.get_layer(p.layer) for p in model.attentive_points]
        assert len(attentive) == 5
        for layer in attentive:
            layer.implementation = implementation
        if weights is None:
            randomize_decoder(model)
            weights = model.get_weights()
        model.set_weights(weights)
        outputs = model(images, training=False)
        results.append((outputs, *loss_and_gradients(model, images, masks, False)))
    (outputs, loss, gradients), (others, other_loss, other_gradients) = results
    for name in outputs:
        scale = np.abs(outputs[name]).max()
        np.testing.assert_allclose(outputs[name], others[name], atol=1e-4 * scale)
    np.testing.assert_allclose(loss, other_loss, rtol=1e-4)
    for weight, gradient, other in zip(
        model.trainable_weights, gradients, other_gradients, strict=True
    ):
        scale = np.abs(gradient).max() + 1e-6
        np.testing.assert_allclose(
            gradient, other, atol=2e-3 * scale, err_msg=weight.path
        )


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(precision, tiny_network):
    keras.mixed_precision.set_global_policy(precision)
    try:
        model = tiny_network()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    images, masks = disks(2)
    outputs = model(images)
    assert {value.dtype for value in outputs.values()} == {tf.float32}
    exact = tiny_network()
    exact.set_weights(model.get_weights())
    for name, value in exact(images).items():
        tolerance = {"mixed_float16": 0.03, "mixed_bfloat16": 0.1}[precision]
        difference = np.abs(outputs[name] - value).max()
        assert difference < tolerance * np.std(value), name
    assert {weight.dtype for weight in model.weights} == {"float32"}
    half = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}[precision]
    for name in ("block5_conv3", "d6_gap", "d5_ac", "d2_decode_relu"):
        assert tf.nest.flatten(model.get_layer(name).output)[0].dtype == half
    np.testing.assert_allclose(np.sum(outputs["attention6"], -1), 1, rtol=1e-5)
    assert np.isfinite(total_loss(model, images, masks, training=True))


def test_stages_learn_without_the_attention_loss(tiny_network):
    """Its gradients are those of the stages' losses, at all weights, GAP's too."""
    model = tiny_network(dropout=0.0)
    images, masks = disks(2)
    weights = loss_weights(model.output, attention_weight=0.0)
    stages = {"stage1": 1, "stage2": 0.8, "stage3": 0.8}
    stages |= {"stage4": 0.5, "stage5": 0.5, "stage6": 0.5}
    assert weights == {**stages, "attention6": 0}
    targets = encode_targets(tf.convert_to_tensor(masks), model.output)
    each, trained = losses(targets), [w.value for w in model.trainable_weights]

    def gradients(weights):
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            loss = sum(
                weight * each[name](targets[name], outputs[name])
                for name, weight in weights.items()
            )
        return tape.gradient(loss, trained)

    kinds = set()
    for weight, without, alone in zip(
        model.trainable_weights, gradients(weights), gradients(stages), strict=True
    ):
        np.testing.assert_allclose(without, alone, atol=1e-7, err_msg=weight.path)
        if np.abs(without).max() > 0:
            kinds.add(weight.path.split("/")[0])
    assert {"d6_gap", "d2_ac", "block1_conv1", "stage1"} <= kinds


def test_a_short_run_predicts_as_well_in_inference_mode(tiny_network):
    """Sixty steps: the moving averages must hold already.

    They lag behind the weights and are noisy, which moves the loss by a tenth or two
    here. With plain momentum 0.99 they would still hold 55% of their initial 0 and 1,
    and the loss would be half as large again.
    """
    model = tiny_network("6GAP", width=1 / 16, dropout=0.0)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(images, masks):
        with tf.GradientTape() as tape:
            loss = total_loss(model, images, masks, training=True)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(
            zip(gradients, model.trainable_variables, strict=True)
        )
        return loss

    steps = 60
    curve = [float(step(*disks(8, seed=i))) for i in range(steps)]
    assert curve[-1] < 0.6 * curve[0]

    images, masks = disks(8, seed=steps)
    inference = float(total_loss(model, images, masks, training=False))
    # What Keras' plain 0.99 would hold: 0.99^t of the initial 0 or 1, and of the rest
    # at best our average.
    statistics = [weight.numpy() for weight in model.non_trainable_weights]
    for layer in model._flatten_layers():
        if isinstance(layer, BatchNormalization):
            initial = 0.99**steps
            for average, start in [(layer.moving_mean, 0), (layer.moving_variance, 1)]:
                average.assign(initial * start + (1 - initial) * average)
    plain = float(total_loss(model, images, masks, training=False))
    for weight, value in zip(model.non_trainable_weights, statistics, strict=True):
        weight.assign(value)
    batch = float(total_loss(model, images, masks, training=True))

    assert inference < 1.25 * batch
    assert plain > 1.4 * batch


# --- Parameters at full width, from SPEC's numbers ------------------------------------


def conv(size, channels, filters):
    return size * size * channels * filters + filters


def norm(channels):
    return 2 * channels


def lstm(channels, units=256):
    """Both directions: four gates, each of the input, the state and a bias."""
    return 2 * 4 * units * (channels + units + 1)


VGG16 = 14_714_688  # the 13 convolutions, as published
FC = conv(3, 512, 1024) + conv(1, 1024, 1024)
ENCODER_NORMS = norm(1024 + 512 + 512 + 256 + 128 + 64)
# D5 ... D2 see En_i and Dec_{i+1}, of C_i channels each.
FUSE = conv(1, 1024, 512) + conv(1, 1024, 512) + conv(1, 512, 256) + conv(1, 256, 128)
DECODE_NORMS = norm(512 + 512 + 256 + 128 + 64 + 64)
DECODE_1 = conv(1, 128, 64)
SIDE_OUTPUTS = 512 + 512 + 256 + 128 + 64 + 64 + 6
COMMON = VGG16 + FC + ENCODER_NORMS + FUSE + DECODE_NORMS + DECODE_1 + SIDE_OUTPUTS

# The 1x1 convolution after a module's attention, from C_i to C_{i-1}, of F_i alone ...
ALONE = {
    6: conv(1, 1024, 512),
    5: conv(1, 512, 512),
    4: conv(1, 512, 256),
    3: conv(1, 256, 128),
    2: conv(1, 128, 64),
}
# ... and of F_i and F_att.
JOINED = {
    6: conv(1, 2048, 512),
    5: conv(1, 1024, 512),
    4: conv(1, 1024, 256),
    3: conv(1, 512, 128),
    2: conv(1, 256, 64),
}
# ReNet's rows see F_i, its columns the 512 channels of the rows; D = 100.
GAP = {i: lstm(c) + lstm(512) + conv(1, 512, 100) + norm(100) for i, c in
       {6: 1024, 5: 512}.items()}  # fmt: skip
SEE = {
    i: conv(7, channels, 128) + conv(1, 128, 49) + norm(49)
    for i, channels in {5: 512, 4: 512, 3: 256, 2: 128}.items()
}
AC = {
    5: conv(7, 512, 512),
    4: conv(7, 512, 256),
    3: conv(7, 256, 128),
    2: conv(7, 128, 64),
}
# Channels that are normalized, beside the attention's: two statistics each.
NORMS = (1024 + 512 + 512 + 256 + 128 + 64) + (512 + 512 + 256 + 128 + 64 + 64)


@pytest.mark.full_size
@pytest.mark.parametrize(
    "variant, trainable, norms, normalized",
    [
        ("UNet", COMMON + sum(ALONE.values()), 12, NORMS),
        (
            "6GAP",
            COMMON + sum(ALONE.values()) - ALONE[6] + JOINED[6] + GAP[6],
            13,
            NORMS + 100,
        ),
        (
            "6GAP_5432AC",
            COMMON + JOINED[6] + GAP[6] + sum(SEE.values()) + sum(AC.values()),
            17,
            NORMS + 100 + 4 * 49,
        ),
        (
            "65GAP_432LAP",
            COMMON
            + sum(JOINED.values())
            + sum(GAP.values())
            + sum(SEE[i] for i in (4, 3, 2)),
            17,
            NORMS + 2 * 100 + 3 * 49,
        ),
    ],
)
def test_parameter_counts(variant, trainable, norms, normalized):
    model = full_size(variant)
    counted = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert counted == trainable
    # Of each normalization a mean, a variance, and once the weight collected.
    assert model.count_params() - counted == 2 * normalized + norms
    assert len(model.trainable_weights) == len(set(w.path for w in model.weights)) - (
        3 * norms
    )


@functools.lru_cache(maxsize=1)
def full_size(variant):
    return build_model(variant)


@pytest.mark.full_size
def test_output_shapes_at_full_size_are_the_papers():
    model = full_size("65GAP_432LAP")
    assert {name: output.shape for name, output in model.output.items()} == {
        "stage6": (None, 28, 28, 1),
        "attention6": (None, 28, 28, 100),
        "stage5": (None, 28, 28, 1),
        "stage4": (None, 28, 28, 1),
        "stage3": (None, 56, 56, 1),
        "stage2": (None, 112, 112, 1),
        "stage1": (None, 224, 224, 1),
    }
    gap = model.get_layer("d6_gap")
    assert (gap.kernel_size, gap.dilation_rate, gap.units) == (10, 3, 256)
    assert model.get_layer("d4_lap").attention_filters == 128
