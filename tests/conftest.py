"""Of every test."""

import signal

import pytest

from tests.commands import CommandServer, picanet

# A shell ignores Ctrl-C in what it runs in the background, and so would all programs
# that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def run_command():
    """Runs a command as a user types it: `commands.CommandServer.run`."""
    server = CommandServer()
    yield server.run
    server.close()


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


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A LiteRT file of a tiny network, and the model."""
    from picanet_tf.inference import LiteRTModel
    from tests.inference import networks

    path = networks.write(networks.network(), tmp_path_factory.mktemp("network"))
    return path, LiteRTModel(path)


@pytest.fixture
def predict(tiny, tmp_path):
    """Runs `picanet predict` in the test's folder; what it said, after its code."""

    def predict(*words, code=0, **environment):
        line = ("predict", "--model", tiny[0], *words)
        run = picanet(*line, cwd=tmp_path, **environment)
        said = run.stderr.decode()
        assert run.returncode == code, said
        assert "Traceback" not in said and run.stdout == b""
        return said

    return predict
