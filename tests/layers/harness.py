"""The contract that every layer fulfils, as a test class to inherit.

class TestContract(LayerContract):
    layer_class = L2Normalization
    arguments = {"scale": 3.0}
    input_shape = (5, 4, 3)
    variable_paths = ("gamma",)
"""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

BASE_ARGUMENTS = {"name", "dtype", "trainable"}  # of `keras.layers.Layer`


def random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def random_input(*shape, seed=0):
    return random(*shape, seed=seed).astype("float32")


def randomize(layer, seed=0):
    """Assigns random weights and statistics.

    With its initial ones, an inference-mode batch normalization changes nothing, and
    tests would not notice if it were missing.
    """
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
    """Tests of any layer. Subclasses set the attributes and inherit the tests.

    Attributes:
        layer_class: the layer's class.
        arguments: the arguments that it is constructed with.
        config_defaults: {argument: value in the config} of arguments whose default is
            None and stands for something else.
        input_shape: shape of one example, small and not square.
        variable_paths: sorted paths of the layer's variables, without its own name.
        has_attention: whether the layer takes `return_attention`.
        attention_sums_to_one: whether its attention comes from a softmax.
        cancelled: path endings of biases that a batch normalization after them
            cancels: in training mode their gradient is zero.
    """

    layer_class: type[keras.layers.Layer]
    arguments: dict = {}
    config_defaults: dict = {}
    input_shape = (5, 4, 3)
    variable_paths: tuple[str, ...]
    has_attention = False
    attention_sums_to_one = False
    cancelled: tuple[str, ...] = ()

    def make(self, **more):
        """Builds the layer with random weights; it returns its attention if it can."""
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
            if name not in {*BASE_ARGUMENTS, "self", "kwargs", *self.arguments}:
                default = self.config_defaults.get(name, parameter.default)
                assert config[name] == default
        if self.extends_keras_layer():
            assert set(config) == (set(own) | BASE_ARGUMENTS) - {"self", "kwargs"}
        assert self.layer_class.from_config(config).get_config() == config

    def extends_keras_layer(self):
        """Whether the layer extends `keras.layers.Layer`, not a particular layer."""
        from_keras = (
            base
            for base in self.layer_class.__mro__
            if base.__module__.startswith("keras.")
        )
        return next(from_keras) is keras.layers.Layer

    def test_variable_paths(self):
        # Weights are moved between networks, and optimized, by these paths.
        paths = sorted(weight.path for weight in self.make(name="its_name").weights)
        assert paths == [f"its_name/{path}" for path in self.variable_paths]

    def test_saves_and_loads(self, tmp_path):
        model = self.functional(self.make())
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        again = loaded.layers[-1]  # after the input layer
        assert type(again) is self.layer_class
        assert again.get_config() == model.layers[-1].get_config()
        for weight, wanted in zip(loaded.weights, model.weights, strict=True):
            assert weight.path == wanted.path
            np.testing.assert_array_equal(weight, wanted)
        for output, wanted in zip(
            as_list(loaded(self.batch())), as_list(model(self.batch())), strict=True
        ):
            np.testing.assert_array_equal(output, wanted)

    def test_stays_frozen(self):
        frozen = self.layer_class(**self.arguments, trainable=False)
        again = self.layer_class.from_config(frozen.get_config())
        again.build((None, *self.input_shape))
        assert not any(layer.trainable for layer in again._flatten_layers())

    def test_symbolic_shapes_and_dtypes_equal_eager_ones(self):
        layer = self.make()
        symbolic = as_list(self.functional(layer).outputs)
        for output, spec in zip(as_list(layer(self.batch())), symbolic, strict=True):
            assert spec.shape == (None, *output.shape[1:])
            assert spec.dtype == output.dtype

    def test_output_shape_is_computed_alone_and_over_time(self):
        inputs = self.batch()
        layer = self.layer_class(**self.arguments)
        shape = layer.compute_output_shape(inputs.shape)
        outputs = as_list(self.make()(inputs))
        assert shape == tuple(outputs[0].shape)
        if self.has_attention:
            both = self.make().compute_output_shape((None, *self.input_shape))
            assert both == tuple((None, *output.shape[1:]) for output in outputs)
        frames = keras.layers.TimeDistributed(layer)
        wanted = (2, 3, *shape[1:])
        assert frames.compute_output_shape((2, 3, *self.input_shape)) == wanted
        video = random_input(2, 3, *self.input_shape)
        assert frames(video).shape == wanted

    def test_float64_is_computed_in_float64(self):
        layer, inputs = self.make(dtype="float64"), self.batch().astype("float64")
        symbolic = as_list(self.functional(layer).outputs)
        for output, spec in zip(as_list(layer(inputs)), symbolic, strict=True):
            assert output.dtype == spec.dtype == "float64"
        if self.attention_sums_to_one and self.has_attention:
            np.testing.assert_allclose(
                np.sum(layer(inputs)[1], axis=-1), 1.0, rtol=1e-14
            )

    @pytest.mark.parametrize("precision", ["float16", "bfloat16"])
    def test_trains_in_half_precision(self, precision):
        layer, inputs = self.make(dtype=precision), tf.constant(self.batch())
        with tf.GradientTape() as tape:
            outputs = as_list(self.call(layer, inputs, True))[0]
            loss = tf.reduce_sum(tf.cast(outputs, "float32") ** 2)
        assert outputs.dtype == as_list(self.functional(layer).outputs)[0].dtype
        weights = [weight.value for weight in layer.trainable_weights]
        for gradient in tape.gradient(loss, weights):
            assert gradient.dtype == precision and np.isfinite(gradient).all()
        exact = as_list(self.make()(self.batch()))[0]
        tolerance = {"float16": 0.02, "bfloat16": 0.1}[precision]
        np.testing.assert_allclose(
            tf.cast(as_list(self.make(dtype=precision)(inputs))[0], "float32"),
            exact,
            atol=tolerance * np.abs(exact).max(),
        )

    def test_trains_in_float64(self):
        layer = self.make(dtype="float64")
        inputs = tf.constant(self.batch(), "float64")
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = as_list(self.call(layer, inputs, True))[0]
            loss = tf.reduce_sum(tf.cast(outputs, "float64") ** 2)
        weights = [weight.value for weight in layer.trainable_weights]
        for gradient in tape.gradient(loss, [inputs, *weights]):
            assert gradient.dtype == "float64" and np.isfinite(gradient).all()

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
                # A sum of half-precision values would be off by up to 0.01.
                np.testing.assert_allclose(np.sum(outputs[1], axis=-1), 1.0, rtol=2e-6)

    @pytest.mark.parametrize("training", [False, True])
    def test_inputs_and_every_weight_get_a_gradient(self, training):
        layer, inputs = self.make(), tf.constant(self.batch())
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = as_list(self.call(layer, inputs, training))[0]
            loss = tf.reduce_sum(outputs * random_input(*outputs.shape, seed=1))
        weights = layer.trainable_weights
        d_inputs, *gradients = tape.gradient(
            loss, [inputs, *(weight.value for weight in weights)]
        )
        assert np.abs(d_inputs).max() > 1e-3
        cancelled = set()
        for weight, gradient in zip(weights, gradients, strict=True):
            assert gradient is not None, weight.path
            magnitude = np.abs(gradient).max()
            if training and weight.path.endswith(self.cancelled):
                assert magnitude < 1e-4, weight.path
                cancelled.add(weight.path)
            else:
                assert magnitude > 1e-3, weight.path
        if training:
            assert len(cancelled) == len(self.cancelled)

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
    """Tests of a layer that takes `return_attention`."""

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
    """Converts a model of batch size 1 and runs it in the TFLite interpreter."""

    def serve(inputs):
        outputs = as_list(model(inputs, training=False))
        return {f"output_{i}": output for i, output in enumerate(outputs)}

    # Through an archive. Converted from a live model or from a `tf.Module` that holds
    # one, the interpreter fails to read the LSTM's variables or reads NaN.
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
