import keras
import numpy as np
import pytest
import tensorflow as tf

from picanet_tf.backbones.vgg16 import (
    CaffePreprocessing,
    scale_channels,
    vgg16_features,
)

NARROW = 1 / 32


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


def build(size, **kwargs):
    inputs = keras.Input((size, size, 3))
    return keras.Model(inputs, vgg16_features(inputs, **kwargs))


def shapes(size, **kwargs):
    inputs = keras.Input((size, size, 3))
    features = vgg16_features(inputs, width=NARROW, **kwargs)
    return {name: tuple(x.shape[1:]) for name, x in features.items()}


def image(size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 255, (1, size, size, 3)).astype("float32")


def test_scaled_rounds_and_keeps_a_channel():
    assert [scale_channels(c, 1 / 32) for c in (64, 512, 1024, 4)] == [2, 16, 32, 1]
    assert scale_channels(512, 1.0) == 512
    with pytest.raises(ValueError, match="`width` must be positive"):
        scale_channels(64, 0)


class TestCaffePreprocessing:
    def test_values(self):
        red = np.array([[[[255, 0, 10.5]]]], "float32")
        np.testing.assert_allclose(
            CaffePreprocessing()(red)[0, 0, 0],
            [10.5 - 103.939, -116.779, 255 - 123.68],
            rtol=1e-6,
        )

    def test_equals_keras(self):
        x = image(8)
        expected = keras.applications.vgg16.preprocess_input(x.copy())
        np.testing.assert_allclose(CaffePreprocessing()(x), expected, atol=1e-4)

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_subtracts_in_float32_under_mixed_precision(self, dtype):
        # 123.4 is 123.375 in float16 and 123.5 in bfloat16: were the input cast first,
        # the difference to 123.68 would be off by more than its own rounding.
        x = np.full((1, 1, 1, 3), 123.4, "float32")
        y = CaffePreprocessing(dtype=f"mixed_{dtype}")(x)
        assert y.dtype == dtype
        assert float(y[0, 0, 0, 2]) == pytest.approx(123.4 - 123.68, rel=2**-8)

    def test_accepts_uint8(self):
        y = CaffePreprocessing()(np.full((1, 2, 2, 3), 200, "uint8"))
        assert y.dtype == "float32"
        assert float(y[0, 0, 0, 0]) == pytest.approx(200 - 103.939)

    def test_survives_saving(self, tmp_path):
        inputs = keras.Input((4, 4, 3))
        model = keras.Model(inputs, CaffePreprocessing()(inputs))
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(image(4)), model(image(4)))

    def test_requires_three_channels(self):
        with pytest.raises(ValueError, match=r"3 channels.*Received.*, 1\)"):
            CaffePreprocessing()(np.zeros((1, 4, 4, 1), "float32"))

    @pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
    def test_converts_to_tflite_builtins(self):
        inputs = keras.Input((4, 4, 3), batch_size=1)
        model = keras.Model(inputs, CaffePreprocessing()(inputs))
        content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
        lite = tf.lite.Interpreter(model_content=content)
        lite.allocate_tensors()
        lite.set_tensor(lite.get_input_details()[0]["index"], image(4))
        lite.invoke()
        y = lite.get_tensor(lite.get_output_details()[0]["index"])
        np.testing.assert_allclose(y, model(image(4)), atol=1e-4)


class TestShapes:
    def test_saliency(self):
        # Sec. 4.1: stride 8 from conv4 on.
        assert shapes(224) == {
            "conv1_2": (224, 224, 2),
            "conv2_2": (112, 112, 4),
            "conv3_3": (56, 56, 8),
            "conv4_3": (28, 28, 16),
            "conv5_3": (28, 28, 16),
            "pool5": (28, 28, 16),
            "fc7": (28, 28, 32),
        }

    def test_segmentation_unet(self):
        sizes = shapes(384, dilated=False, fc6_dilation_rate=1)
        assert [s[0] for s in sizes.values()] == [384, 192, 96, 48, 24, 12, 12]

    def test_ssd300_rounds_up(self):
        # SSD's conv4_3 has 38x38 positions, fc7 19x19.
        sizes = shapes(300, dilated=False, pool5_stride=1, fc6_dilation_rate=6)
        assert [s[0] for s in sizes.values()] == [300, 150, 75, 38, 19, 19, 19]

    def test_without_fc(self):
        assert list(shapes(32, include_fc=False))[-2:] == ["conv5_3", "pool5"]

    def test_width_one_has_the_papers_channels(self):
        features = vgg16_features(keras.Input((32, 32, 3)))
        channels = [x.shape[-1] for x in features.values()]
        assert channels == [64, 128, 256, 512, 512, 512, 1024]

    def test_rejects_other_pools(self):
        with pytest.raises(ValueError, match="`pool5_stride` must be 1 or 2"):
            vgg16_features(keras.Input((32, 32, 3)), pool5_stride=3)


def test_layer_arguments():
    model = build(32, width=NARROW, dropout_rate=0.25, dropout_seed=7)
    dilations = {
        layer.name: layer.dilation_rate[0]
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.dilation_rate[0] > 1
    }
    conv5 = {f"block5_conv{i}": 2 for i in (1, 2, 3)}
    assert dilations == conv5 | {"fc6": 12}
    dropout = model.get_layer("fc6_dropout")
    assert (dropout.rate, dropout.seed) == (0.25, 7)

    plain = build(32, width=NARROW, dilated=False, fc6_dilation_rate=1)
    for layer in plain.layers:
        assert getattr(layer, "dilation_rate", (1, 1)) == (1, 1), layer.name


def test_taps_are_before_their_relu():
    features = build(64, width=NARROW)(image(64))
    for name, x in features.items():
        assert (np.min(x) < 0) == (name != "pool5"), name


def test_equals_keras_vgg16():
    ours = build(64, dilated=False, include_fc=False)
    theirs = keras.applications.VGG16(
        weights=None, include_top=False, input_shape=(64, 64, 3)
    )
    rng = np.random.default_rng(0)
    for layer in theirs.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            # The scale of He normal, so that the features neither vanish nor explode.
            kernel = rng.normal(0, np.sqrt(2 / np.prod(kernel.shape[:3])), kernel.shape)
            bias = rng.normal(0, 1, bias.shape)
            layer.set_weights([kernel, bias])
            ours.get_layer(layer.name).set_weights([kernel, bias])
    names = [f"block{b}_conv{n}" for b, n in ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3))]
    outputs = [theirs.get_layer(name).output for name in names + ["block5_pool"]]
    x = image(64)
    expected = keras.Model(theirs.input, outputs)(
        keras.applications.vgg16.preprocess_input(x.copy())
    )
    features = ours(x)
    assert list(features) == [
        "conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3", "pool5",
    ]  # fmt: skip
    for (name, ours), theirs in zip(features.items(), expected, strict=True):
        scale = np.max(theirs)
        assert scale > 1, name
        np.testing.assert_allclose(
            np.maximum(ours, 0), theirs, atol=1e-4 * scale, err_msg=name
        )


def test_pools_of_stride_1_do_not_shift_the_map():
    # Through pool4 and pool5 alone: a bright spot stays the centre of its 3x3 spread.
    model = build(32, width=NARROW)
    spot = np.zeros((1, 4, 4, 1), "float32")
    spot[0, 1, 2] = 1
    expected = np.zeros((4, 4))
    expected[0:3, 1:4] = 1
    for name in ("block4_pool", "block5_pool"):
        np.testing.assert_array_equal(
            model.get_layer(name)(spot)[0, :, :, 0], expected, err_msg=name
        )


def test_features_are_aligned_with_the_image():
    # A network of centred kernels, of equal weights each, commutes with mirroring; a
    # pool or a padding that shifts the map does not.
    model = build(64, width=NARROW)
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            mirrored = (
                kernel + kernel[::-1] + kernel[:, ::-1] + kernel[::-1, ::-1]
            ) / 4
            layer.set_weights([mirrored, bias])
    x = image(64)
    for name, feature in model(x).items():
        mirrored = model(x[:, ::-1, ::-1])[name]
        np.testing.assert_allclose(
            np.asarray(mirrored)[:, ::-1, ::-1], feature, atol=1e-3, err_msg=name
        )


def test_all_layers_get_a_gradient():
    model = build(32, width=NARROW)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(image(32))["fc7"] ** 2)
    weights = model.trainable_weights
    for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
        assert np.any(gradient), weight.path


class TestInitialValues:
    def test_default_scales(self):
        model = build(32, width=0.25)
        fc7 = model.get_layer("fc7").get_weights()[0]
        assert np.std(fc7) == pytest.approx(0.01, rel=0.02)
        conv = model.get_layer("block5_conv1").get_weights()[0]
        assert np.std(conv) == pytest.approx(np.sqrt(2 / (9 * 128)), rel=0.02)

    def test_layers_do_not_share_their_values(self):
        initializer = keras.initializers.RandomNormal(stddev=0.1)
        model = build(32, width=NARROW, kernel_initializer=initializer)
        one, two = (model.get_layer(f"block5_conv{i}").get_weights()[0] for i in (1, 2))
        assert not np.allclose(one, two)

    def test_signal_reaches_the_end_without_pretrained_weights(self):
        feature = build(64, width=0.25)(image(64))["conv5_3"]
        assert 1 < np.std(feature) < 1000
