"""Fixtures and settings of all tests."""

import contextlib
import os
import signal
import tempfile

import pytest

from tests import commands, forks

# A shell ignores Ctrl-C in what it runs in the background, and so would all programs
# that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A proxy for the packages has no way to the servers of the tests.
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost"

# Continuous integration draws the same examples each time, developers others.
if os.environ.get("CI"):
    with contextlib.suppress(ImportError):  # It is not installed for make test-tf215.
        import hypothesis

        hypothesis.settings.register_profile("ci", derandomize=True, database=None)
        hypothesis.settings.load_profile("ci")


# The files that take longest, for their length: they are to begin first, so that the
# last ones are short and all processes end at once.
LONG = (
    *("test_cluster", "test_survival", "test_trainer", "test_train_starts", "test_cli"),
    *("test_tflite", "test_train_cli", "test_export_cli", "test_exporting"),
    *("test_selection", "test_saved_model", "test_onnx", "test_keras_config"),
)


def pytest_collection_modifyitems(items):
    rank = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session", autouse=True)
def processes(tmp_path_factory):
    """This one and those of commands: their graphs, and TensorFlow's own files."""
    forks.skip_graph_optimizations()
    tempfile.tempdir = str(tmp_path_factory.mktemp("temporary"))
    os.environ["TMPDIR"] = commands.ENVIRONMENT["TMPDIR"] = tempfile.tempdir
    yield
    commands.close()


@pytest.fixture(scope="session")
def tiny_network():
    """Builds a network of 1/32 of the channels, always with the same weights.

    Its outputs hardly vary with the image; with a `gain` on its kernels, of 20 or so,
    they do.
    """

    def build(variant=None, task="saliency", image_size=None, gain=1, **options):
        import keras

        from picanet_tf.tasks import get_task

        keras.utils.set_random_seed(0)
        side = image_size or {"saliency": 32, "segmentation": 64, "detection": 64}[task]
        options = {"width": 1 / 32, **options}
        network = get_task(task).build_model(variant, side, **options)
        for variable in network.weights:
            if gain != 1 and variable.path.endswith("kernel"):
                variable.assign(variable * gain)
        return network

    return build


@pytest.fixture(scope="session")
def litert_file(tmp_path_factory):
    """LiteRT file of a tiny float32 network; `model.keras` is in the same folder."""
    from tests.inference import networks

    return networks.write(networks.network(), tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="session")
def tiny(litert_file):
    """A LiteRT file of a tiny network, and the model."""
    from picanet_tf.inference import LiteRTModel

    return litert_file, LiteRTModel(litert_file)


@pytest.fixture
def predict(tiny, tmp_path):
    """Runs `picanet predict` in the test's folder; what it said, after its code."""

    def predict(*words, code=0, **environment):
        line = ("predict", "--model", tiny[0], *words)
        run = commands.picanet(*line, cwd=tmp_path, **environment)
        said = run.stderr.decode()
        assert run.returncode == code, said
        assert "Traceback" not in said and run.stdout == b""
        return said

    return predict
