"""The contract that every task fulfils, as a test class to inherit.

class TestMine(TaskContract):
    name = "mine"
"""

import dataclasses
import math
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_pipeline.kinds import KINDS
from data_pipeline.readers import READERS, read_originals
from picanet_tf.core.errors import PicanetError
from picanet_tf.evaluation.reports import Report
from picanet_tf.evaluation.run import scoring_of
from picanet_tf.evaluation.samples import DataSet, Sample
from picanet_tf.inference import KerasModel
from picanet_tf.models import Network
from picanet_tf.models.context_modules import ATTENTIVE
from picanet_tf.models.context_modules import KINDS as CONTEXT_KINDS
from picanet_tf.tasks import (
    ServingSpec,
    Task,
    TaskSpec,
    get_spec,
    get_task,
    task_names,
)
from picanet_tf.tasks.base import Validation
from picanet_tf.tasks.registry import specs_of_kind
from picanet_tf.training.experiments import Experiment
from tests import commands
from tests.tasks.datasets import SIZES, make_dataset

# (height, width): smaller and larger than the networks' inputs, which are 32 or so.
PHOTOS = ((31, 23), (67, 101))


NO_ADVICE = Task.no_object_advice


def photo(size):
    return np.random.default_rng(sum(size)).integers(0, 256, (*size, 3), np.uint8)


def values_of(outputs):
    return {name: value.numpy() for name, value in outputs.items()}


class TaskContract:
    """Tests of a task. Subclasses give its name: as `name`, or by a fixture of it."""

    @pytest.fixture(scope="class")
    def spec(self, name) -> TaskSpec:
        return get_spec(name)

    @pytest.fixture(scope="class")
    def task(self, name) -> Task:
        return get_task(name)

    @pytest.fixture(scope="class")
    def network(self, spec, task) -> Network:
        """The default variant, at the smallest size of 32 pixels or more."""
        side = next(side for side in range(32, 600) if self.takes(spec, side))
        keras.utils.set_random_seed(0)
        return task.build_model(image_size=side, width=1 / 32)

    @staticmethod
    def takes(spec, side):
        try:
            spec.check_image_size(spec.default_variant, side)
        except PicanetError:
            return False
        return True

    @pytest.fixture(scope="class")
    def records(self, spec, tmp_path_factory) -> Path:
        return make_dataset(spec.record_kind, tmp_path_factory.mktemp("records"))

    @pytest.fixture(scope="class")
    def batch(self, spec, network, records):
        """(images, ground truth), as the reader of the task's kind gives them."""
        dataset = READERS[spec.record_kind](
            records, training=False, batch_size=2, image_size=network.image_size
        )
        return next(iter(dataset))

    @pytest.fixture(scope="class")
    def outputs(self, network, batch):
        return network(batch[0], training=False)

    # What is known without TensorFlow

    def test_the_spec_imports_no_tensorflow(self, spec):
        kind = type(spec)
        code = (
            "import sys\n"
            f"from {kind.__module__} import {kind.__name__}\n"
            f"spec = {kind.__name__}()\n"
            "spec.training_defaults()\n"
            "spec.parse_variant(spec.default_variant)\n"
            "found = {'tensorflow', 'keras'} & set(sys.modules)\n"
            "assert not found, found"
        )
        done = commands.call("-c", code, modules=commands.LIGHT)
        assert done.returncode == 0, done.stderr

    def test_it_is_registered_by_its_name(self, name, spec, task):
        assert spec.name == name and name in task_names()
        assert isinstance(spec, TaskSpec) and isinstance(task, Task)
        assert get_spec(name) is spec and get_task(name) is task
        assert type(task.spec) is type(spec)
        assert spec.record_kind in KINDS
        assert name in [each.name for each in specs_of_kind(spec.record_kind)]

    def test_variants(self, spec):
        assert spec.default_variant in spec.variants
        assert len(set(spec.variants)) == len(spec.variants)
        for variant in spec.variants:
            plan = spec.parse_variant(variant)
            assert all(isinstance(key, int) for key in plan)
            assert set(plan.values()) <= set(CONTEXT_KINDS)
        with pytest.raises(PicanetError, match="none.such") as raised:
            spec.parse_variant("none such")
        assert "\n" not in str(raised.value)

    def test_image_sizes(self, spec, task):
        for variant in spec.variants:
            with pytest.raises(PicanetError, match="`image_size`.*image_size=0"):
                spec.check_image_size(variant, 0)
            side = spec.default_image_size(variant)
            spec.check_image_size(variant, side)
            spec.check_image_size(variant, task.test_image_size(variant, side))

    def test_training_defaults(self, name, spec):
        settings = {field.name for field in dataclasses.fields(Experiment)}
        assert set(spec.training_defaults()) <= settings
        for variant in spec.variants:
            defaults = dict(spec.training_defaults(variant))
            assert set(defaults) <= settings and defaults["variant"] == variant
            experiment = Experiment.of(name, variant=variant)
            told = {key: getattr(experiment, key) for key in defaults}
            assert told == defaults and experiment.task == name
        assert spec.training_defaults()["variant"] == spec.default_variant
        assert 0 <= spec.dropout < 1 and spec.recipe_source
        assert list(spec.rate_drops) == sorted(spec.rate_drops)
        assert all(0 < part < 1 for part in spec.rate_drops)

    def test_memory(self, spec):
        for variant in spec.variants:
            weights, image = spec.memory(variant)
            assert weights > 0 and image > 0

    # Networks

    def test_network_carries_its_configuration(self, name, spec, task, network):
        assert type(network) is Network and network.task is task
        assert network.config.task == name
        assert network.variant == spec.default_variant
        assert network.name == task.network_name + network.variant
        side = network.image_size
        assert network.input.shape == (None, side, side, 3)
        again = Network.from_config(network.get_config())
        assert again.get_config() == network.get_config()
        paths = [weight.path for weight in network.weights]
        assert [weight.path for weight in again.weights] == paths
        assert len(set(paths)) == len(paths)
        assert {output.dtype for output in network.output.values()} == {"float32"}

    def test_logits_have_the_declared_shape(self, task, network, outputs):
        for logits in (task.logits(network.output), task.logits(outputs)):
            assert len(logits.shape) == len(task.output_shape)
            for length, told in zip(logits.shape, task.output_shape, strict=True):
                assert isinstance(told, str) or length == told
        assert task.output_shape[0] == "N"
        with pytest.raises((KeyError, ValueError)):
            task.logits({})

    def test_attach_points(self, spec, task, network):
        for variant in spec.variants:
            points = task.attach_points(variant)
            assert {key: points[key].kind for key in points} == spec.parse_variant(
                variant
            )
            assert all(points[key].key == key for key in points)
            labels = [point.label for point in points.values()]
            assert len(set(labels)) == len(labels) and all(labels)
        for point in network.attach_points.values():
            network.get_layer(point.input_layer)
            network.get_layer(point.layer)
        shown = network.rebuild(return_attention=True)
        attentive = [p for p in network.attach_points.values() if p.kind in ATTENTIVE]
        assert network.attentive_points == tuple(attentive)
        assert {n for n in shown.output if n.startswith("attention")} == {
            f"attention{point.key}" for point in attentive
        }
        for point in attentive:
            attention = shown.output[f"attention{point.key}"]
            assert len(attention.shape) == 4
            assert math.isqrt(attention.shape[-1]) ** 2 == attention.shape[-1]

    # Training

    def test_every_output_has_target_loss_and_weight(self, task, network, batch):
        names = set(network.output)
        targets = task.encode_targets(batch[1], network.output, network.image_size)
        losses = task.losses(network.output)
        assert set(targets) == set(losses) == names
        assert all(isinstance(loss, keras.losses.Loss) for loss in losses.values())
        for weights in (
            task.loss_weights(network.output),
            task.loss_weights(network.output, 0.0),
        ):
            assert set(weights) == names
            assert all(weight >= 0 for weight in weights.values())
            assert sum(weights.values()) > 0
        # In the pipeline, as training has it.
        dataset = tf.data.Dataset.from_tensors(batch[1]).map(
            lambda truth: task.encode_targets(truth, network.output, network.image_size)
        )
        (in_graph,) = dataset
        for target, other in zip(
            tf.nest.flatten(targets), tf.nest.flatten(in_graph), strict=True
        ):
            np.testing.assert_allclose(target, other, atol=1e-6)

    def test_loss_has_a_gradient_for_every_variable(self, task, network, batch):
        images, truth = batch
        targets = task.encode_targets(truth, network.output, network.image_size)
        losses = task.losses(network.output)
        weights = task.loss_weights(network.output)
        variables = [variable.value for variable in network.trainable_variables]
        with tf.GradientTape() as tape:
            outputs = network(images, training=True)
            each = {name: losses[name](targets[name], outputs[name]) for name in losses}
            total = sum(weights[name] * each[name] for name in each)
        assert all(np.isfinite(loss) and loss >= 0 for loss in each.values())
        assert total > 0
        gradients = tape.gradient(total, variables)
        for variable, gradient in zip(
            network.trainable_variables, gradients, strict=True
        ):
            assert gradient is not None, variable.path
            assert np.isfinite(gradient).all(), variable.path
        assert max(np.abs(gradient).max() for gradient in gradients) > 0

    def test_presence_of_objects_is_detected(self, task, network, batch):
        """Of the batch there is; of none of it, unless the task knows no objects."""
        for part, expected in ((1, True), (0, task.no_object_advice is NO_ADVICE)):
            truth = tf.cast(part, batch[1].dtype) * batch[1]
            targets = task.encode_targets(truth, network.output, network.image_size)
            assert bool(task.has_object(targets)) is expected

    def test_validation(self, task, network, batch, outputs):
        validation = task.validation(network.image_size)
        assert isinstance(validation, Validation)
        validation.update(values_of(outputs), batch[1].numpy())
        once = validation.result()
        assert validation.best in once
        assert all(isinstance(score, float) for score in once.values())
        assert all(0 <= score <= 1 for score in once.values())
        # The same batch again changes no mean.
        validation.update(values_of(outputs), batch[1].numpy())
        assert validation.result() == pytest.approx(once, abs=1e-6)

    def test_panel(self, task, network, batch, outputs):
        side = network.image_size
        first = {name: value[0] for name, value in values_of(outputs).items()}
        image = batch[0][0].numpy()
        panel = task.panel(image, batch[1][0].numpy(), first)
        assert panel.shape == (side, 3 * side, 3) and panel.dtype == np.uint8
        np.testing.assert_allclose(panel[:, :side], image, atol=1)

    # Prediction

    @pytest.mark.parametrize("size", PHOTOS)
    def test_resizing_in_numpy_equals_resizing_in_a_graph(
        self, size, spec, task, network
    ):
        side, image = network.image_size, photo(size)
        ours = spec.resize(image, side)
        assert ours.shape == (side, side, 3) and ours.dtype == np.float32
        np.testing.assert_allclose(task.resize(image, side), ours, atol=1e-3)

    @pytest.fixture(scope="class", params=PHOTOS)
    def predicted(self, request, spec, task, network):
        """(photo, logits, result)."""
        side, image = network.image_size, photo(request.param)
        small = spec.resize(image, side)[np.newaxis]
        logits = task.logits(network(small, training=False))
        (activated,) = np.asarray(task.activate(logits, side))
        return image, logits, spec.postprocess(activated, image.shape[:2], side)

    def test_results_have_the_size_of_the_photo(self, predicted, network):
        image, _, result = predicted
        height, width = image.shape[:2]
        if isinstance(result, np.ndarray):
            assert result.shape[:2] == (height, width)
        else:
            assert (result.boxes >= 0).all()
            assert (result.boxes <= [height, width, height, width]).all()
            assert result.boxes.max() > network.image_size or height < 32
        again = KerasModel(network).predict(image)
        for name in ("__array__", "boxes", "scores"):
            if hasattr(result, name):
                one, other = (
                    np.asarray(each if name == "__array__" else getattr(each, name))
                    for each in (result, again)
                )
                np.testing.assert_allclose(one, other, atol=1e-4)

    def test_formats(self, predicted, spec):
        image, _, result = predicted
        assert spec.formats
        assert not set(spec.formats) & set(spec.collected_formats)
        for form in spec.formats:
            picture = spec.render(form, image, result, 0.5)
            assert isinstance(picture, Image.Image), form
        first = spec.render(spec.formats[0], image, result, 0.5)
        assert first.size == image.shape[1::-1]
        for form in spec.collected_formats:
            files = spec.collect(form, {"a": result, "b": result})
            assert files and all(isinstance(text, str) for text in files.values())
            assert all(Path(name).name == name for name in files)
        for refuse in (
            lambda: spec.render("no such", image, result, 0.5),
            lambda: spec.collect("no such", {"a": result}),
        ):
            with pytest.raises(ValueError, match="`form` must be"):
                refuse()

    def test_foreground_and_query_pixels(self, predicted, spec, task, network):
        image, logits, result = predicted
        side = network.image_size
        foreground = np.asarray(task.foreground(logits, side))
        assert foreground.ndim == 4
        assert foreground.shape[0] == 1 and foreground.shape[-1] == 1
        assert 0 <= foreground.min() <= foreground.max() <= 1
        frame = spec.frame(image, side)
        height, width = frame.shape[:2]
        assert frame.dtype == np.uint8 and frame.shape == (height, width, 3)
        rows, columns = image.shape[:2]
        np.testing.assert_array_equal(frame[:rows, :columns], image)
        large = tf.image.resize(foreground[0], (height, width)).numpy()[..., 0]
        pixels = task.default_query_pixels(large, result)
        centers = task.box_centers(result, (height, width))
        assert pixels and task.foreground_title
        assert bool(centers) <= task.finds_objects
        for pixel in (*pixels.values(), *centers.values()):
            assert 0 <= pixel.x < width and 0 <= pixel.y < height

    # Serving

    def test_serving(self, predicted, task, network):
        serving, side = task.serving, network.image_size
        assert isinstance(serving, ServingSpec)
        heads = serving.heads(task.logits(network.output), side)
        told = {serving.output, *serving.image_bytes_outputs}
        told |= {name for names in serving.signatures.values() for name in names}
        assert told <= set(heads)
        assert "serving_default" in serving.signatures
        assert serving.image_bytes_outputs and serving.output_description
        assert f"{side} x {side}" in serving.resize_description.format(side=side)
        assert all(path.is_file() for path in serving.companion_files.values())
        image = predicted[0]
        small = task.resize(image, side)[tf.newaxis]
        values = keras.Model(network.input, heads)(small, training=False)
        first = {name: value[0] for name, value in values.items()}
        size = image.shape[:2]
        if serving.png_output:
            assert serving.png_output.endswith("_png_bytes")
            pixels = serving.draw(first, size, side)
            assert pixels.shape == (*size, 1) and pixels.dtype == tf.uint8
            assert serving.drawn_difference(pixels.numpy(), first, size, side) <= 1e-6
            wrong = pixels.numpy() + np.uint8(60)
            assert serving.drawn_difference(wrong, first, size, side) > 0.01
        else:
            with pytest.raises(NotImplementedError):
                serving.draw(first, size, side)
        shown = {name: values[name].numpy() for name in serving.image_bytes_outputs}
        assert serving.difference(shown, shown) in (None, 0)

    # Scoring

    def test_scoring(self, name, spec, records):
        scoring = scoring_of(name)
        assert isinstance(scoring.report, Report)
        assert scoring.report.title and scoring.report.conventions.endswith("\n")
        assert scoring.baselines

        def samples():
            originals = read_originals(records, spec.record_kind)
            for record in originals.as_numpy_iterator():
                key = record["key"].decode()
                yield Sample(key, scoring.truth_of(record), record["image"])

        assert [sample.image.shape[:2] for sample in samples()] == list(SIZES)
        for sample in samples():
            truth = getattr(sample.truth, "shape", None) or sample.truth.size
            assert truth == sample.image.shape[:2]
        count = len(SIZES)
        keys = [str(number) for number in range(count)]
        data = DataSet("four", count, lambda: keys, samples, {"tfrecords": "here"})
        results = []
        for baseline, told in scoring.baselines.items():
            method = scoring.baseline(baseline)
            assert method.name == baseline and told in method.facts.values()
            evaluation = scoring.evaluate(method.predict(data), pick={0})
            assert [example.name for example in evaluation.picked] == ["0"]
            assert list(scoring.texts(evaluation))
            results.append(scoring.report.summarize(evaluation, method, data))
        assert "four" in scoring.report.table(results)
        assert f"# {scoring.report.title}\n" in scoring.report.markdown(results)
        report = scoring.report.to_json(results)
        assert set(report["datasets"]["four"]["methods"]) == set(scoring.baselines)
        with pytest.raises(PicanetError, match="no such"):
            scoring.baseline("no such")
