"""What every layer promises, whatever it computes: one test class to inherit.

class TestContract(LayerContract):
    layer_class = LocalAttentionPooling
    arguments = {"kernel_size": 3, "dilation_rate": 2}
    input_shape = (5, 4, 3)
"""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

OF_EVERY_LAYER = {"name", "dtype", "trainable", "kwargs", "self"}


def random_input(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


def randomize(layer, seed=0):
    """Random weights and statistics. Of an untouched normalization nothing shows."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        if weight.name in ("gamma", "moving_variance"):
            value = rng.uniform(0.5, 2.0, weight.shape)
        elif weight.name == "collected_weight":
            value = rng.uniform(5.0, 50.0)
        elif "seed" in weight.name:
            continue
        else:
            value = rng.normal(0.0, 0.4, weight.shape)
        weight.assign(value)


def as_list(outputs):
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


class LayerContract:
    """Subclasses name the layer; the tests below are inherited.

    Attributes:
        layer_class, arguments: the layer and what it is constructed with.
        input_shape: of one example, small and not square.
        has_attention: the layer takes `return_attention`; see the subclass.
        attention_sums_to_one: its attention comes from a softmax.
        silenced: names of biases whose effect a normalization behind them takes away
            again: in training mode their gradient is zero by mathematics.
    """

    layer_class: type[keras.layers.Layer]
    arguments: dict = {}
    input_shape = (5, 4, 3)
    has_attention = False
    attention_sums_to_one = False
    silenced: tuple[str, ...] = ()

    def make(self, **more):
        """The layer, built, with random weights; attention returned where it can be."""
        keras.utils.set_random_seed(0)
        if self.has_attention:
            more = {"return_attention": True, **more}
        layer = self.layer_class(**{**self.arguments, **more})
        layer.build((None, *self.input_shape))
        randomize(layer)
        return layer

    def batch(self, size=2):
        return random_input(size, *self.input_shape)

    def functional(self, layer, batch_size=None):
        inputs = keras.Input(self.input_shape, batch_size=batch_size)
        return keras.Model(inputs, layer(inputs))

    def test_config_is_what_was_passed(self):
        layer = self.layer_class(**self.arguments, name="its_name")
        config = layer.get_config()
        for name, value in {**self.arguments, "name": "its_name"}.items():
            assert config[name] == value
        own = inspect.signature(self.layer_class.__init__).parameters
        for name, parameter in own.items():
            if name not in OF_EVERY_LAYER and name not in self.arguments:
                assert config[name] == parameter.default
        if self.layer_class.__mro__[1] is keras.layers.Layer:
            of_base = {"name", "trainable", "dtype"}
            assert set(config) == (set(own) | of_base) - {"self", "kwargs"}
        assert self.layer_class.from_config(config).get_config() == config

    def test_saves_and_loads(self, tmp_path):
        model = self.functional(self.make())
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        again = loaded.layers[-1]  # the input comes first, the layer last
        assert type(again) is self.layer_class
        assert again.get_config() == model.layers[-1].get_config()
        for weight, wanted in zip(loaded.weights, model.weights, strict=True):
            assert weight.path == wanted.path
            np.testing.assert_array_equal(weight, wanted)
        for output, wanted in zip(
            as_list(loaded(self.batch())), as_list(model(self.batch())), strict=True
        ):
            np.testing.assert_array_equal(output, wanted)

    def test_promises_the_shapes_and_dtypes_that_it_gives(self):
        layer = self.make()
        symbolic = as_list(self.functional(layer).outputs)
        for output, spec in zip(as_list(layer(self.batch())), symbolic, strict=True):
            assert spec.shape == (None, *output.shape[1:])
            assert spec.dtype == output.dtype

    @pytest.mark.parametrize("precision", ["float16", "bfloat16"])
    def test_honours_mixed_precision(self, precision):
        layer = self.make(dtype=f"mixed_{precision}")
        for part in layer._flatten_layers():
            assert part.compute_dtype == precision, part.path
        assert {weight.dtype for weight in layer.weights} <= {"float32"}
        outputs = as_list(layer(self.batch()))
        symbolic = as_list(self.functional(layer).outputs)
        for output, spec in zip(outputs, symbolic, strict=True):
            assert output.dtype == spec.dtype
        assert outputs[0].dtype == precision
        exact = as_list(self.make()(self.batch()))
        tolerance = {"float16": 0.01, "bfloat16": 0.08}[precision]
        scale = np.abs(exact[0]).max()
        for output, wanted in zip(outputs, exact, strict=True):
            np.testing.assert_allclose(
                tf.cast(output, "float32"), wanted, atol=tolerance * scale
            )
        if self.has_attention:
            assert outputs[1].dtype == "float32"
            if self.attention_sums_to_one:
                # In half precision it would be off by up to a hundredth.
                np.testing.assert_allclose(np.sum(outputs[1], axis=-1), 1.0, rtol=2e-6)

    @pytest.mark.parametrize("training", [False, True])
    def test_every_weight_gets_a_gradient(self, training):
        layer = self.make()
        with tf.GradientTape() as tape:
            outputs = as_list(self.call(layer, self.batch(), training))[0]
            loss = tf.reduce_sum(outputs * random_input(*outputs.shape, seed=1))
        weights = layer.trainable_weights
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        silenced = set()
        for weight, gradient in zip(weights, gradients, strict=True):
            assert gradient is not None, weight.path
            magnitude = np.abs(gradient).max()
            if training and weight.path.endswith(self.silenced):
                assert magnitude < 1e-4, weight.path
                silenced.add(weight.path)
            else:
                assert magnitude > 1e-3, weight.path
        if training:
            assert len(silenced) == len(self.silenced)

    @staticmethod
    def call(layer, inputs, training):
        takes_training = "training" in inspect.signature(layer.call).parameters
        return layer(inputs, training=training) if takes_training else layer(inputs)

    def test_one_graph_serves_every_batch_size(self):
        layer = self.make()
        graph = tf.function(
            self.functional(layer),
            input_signature=[tf.TensorSpec([None, *self.input_shape])],
        )
        three = self.batch(3)
        expected = as_list(layer(three))
        for size in (3, 1):
            for output, wanted in zip(
                as_list(graph(three[:size])), expected, strict=True
            ):
                np.testing.assert_allclose(output, wanted[:size], atol=1e-5)

    def test_converts_to_tflite_builtins(self, tmp_path):
        layer = self.make()
        inputs = self.batch(1)
        outputs = run_tflite(self.functional(layer, batch_size=1), inputs, tmp_path)
        for output, wanted in zip(outputs, as_list(layer(inputs)), strict=True):
            np.testing.assert_allclose(output, wanted, atol=1e-5)


class AttentiveLayerContract(LayerContract):
    """Of a layer that takes `return_attention`."""

    has_attention = True

    @pytest.mark.parametrize("training", [False, True])
    def test_attention_is_an_extra_output_only(self, training):
        with_attention, without = self.make(), self.make(return_attention=False)
        outputs, attention = with_attention(self.batch(), training=training)
        alone = without(self.batch(), training=training)
        np.testing.assert_array_equal(alone, outputs)
        assert self.functional(without).output_shape == (None, *outputs.shape[1:])
        assert attention.dtype == "float32"


def run_tflite(model, inputs, directory):
    """The outputs of a batch-1 model as the TFLite interpreter computes them."""

    def serve(inputs):
        outputs = as_list(model(inputs, training=False))
        return {f"output_{i}": output for i, output in enumerate(outputs)}

    # By way of an archive: of a live model, and of a `tf.Module` saved with it, the
    # interpreter finds the LSTM's variables unread or not a number.
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", serve, [tf.TensorSpec(inputs.shape, name="inputs")])
    archive.write_out(str(directory), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(directory))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    runner = tf.lite.Interpreter(
        model_content=converter.convert()
    ).get_signature_runner()
    outputs = runner(inputs=inputs)
    return [outputs[f"output_{i}"] for i in range(len(outputs))]
