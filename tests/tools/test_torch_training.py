"""Training in PyTorch, on a tiny network: `make test-torch`, without TensorFlow."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs PyTorch: make test-torch")

from tools.torch_training import pairs, reference, weights  # noqa: E402
from tools.torch_training.network import PiCANet, parse_variant  # noqa: E402

ROOT = pathlib.Path(__file__).parents[2]
REFERENCE = pathlib.Path(__file__).with_name("torch_reference.npz")
SMALL = ("--width", "0.0625", "--size", "80", "--batch", "4", "--no-bfloat16")


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """Twelve pairs: bright rectangles on dark noise."""
    folder = tmp_path_factory.mktemp("packs")
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for number in range(12):
        mask = np.zeros((90, 120), np.uint8)
        top, left = rng.integers(0, 40, 2)
        mask[top : top + 45, left : left + 60] = 255
        image = rng.integers(0, 60, (90, 120, 3)) + mask[..., None] // 2
        Image.fromarray(image.astype(np.uint8)).save(folder / f"images/{number}.jpg")
        Image.fromarray(mask).save(folder / f"masks/{number}.png")
    (folder / "packs").mkdir()
    pairs.write(folder / "images", folder / "masks", folder / "packs", 2, 96)
    return folder / "packs"


def run(module, *words, **options):
    command = [sys.executable, "-m", f"tools.torch_training.{module}", *map(str, words)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, **options
    ).stdout


def test_the_reference_is_of_this_network():
    with np.load(REFERENCE) as recorded:
        for variant in reference.VARIANTS:
            computed = reference.compute(variant)
            paths = recorded[f"{variant}/paths"].tolist()
            assert computed.pop("paths").tolist() == paths
            for name, value in computed.items():
                expected = recorded[f"{variant}/{name}"]
                np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-9)


def test_packs_are_read_back(packs):
    images, masks = pairs.read(packs)
    assert images.shape == (12, 96, 96, 3) and masks.shape == (12, 96, 96)
    assert images.dtype == masks.dtype == np.uint8
    assert set(np.unique(masks)) == {0, 1}
    for image, mask in zip(images, masks, strict=True):
        grey = image.mean(-1)
        assert grey[mask == 1].mean() > grey[mask == 0].mean() + 80


def test_weights_go_both_ways(tmp_path):
    torch.manual_seed(0)
    first, second = (PiCANet("65GAP_43AC_2LAP", 1 / 16) for _ in range(2))
    weights.save(first.state_dict(), tmp_path / "weights.npz")
    arrays = weights.read(tmp_path / "weights.npz")
    assert arrays["d4_ac/kernel"].shape == (7, 7, 32, 16)
    assert arrays["d4_ac/kernel"].dtype == np.float16
    assert arrays["d4_encoder_norm/moving_variance"].dtype == np.float32
    weights.assign(second, arrays)
    x = torch.randn(1, 3, 80, 80)
    found = [network.eval()(x)["stage1"] for network in (first, second)]
    torch.testing.assert_close(*found, rtol=0, atol=1e-3)
    with pytest.raises(ValueError, match="no value for d4_ac/kernel"):
        weights.assign(second, {k: v for k, v in arrays.items() if "d4_ac" not in k})
    with pytest.raises(ValueError, match="no variable for strange"):
        weights.assign(second, {**arrays, "strange": np.zeros(1)})
    with pytest.raises(ValueError, match="fc7/bias has the shape"):
        weights.assign(second, {**arrays, "fc7/bias": np.zeros(1)})


@pytest.mark.parametrize("variant", ["6ReNet", "7AC", "1LAP", "GAP", ""])
def test_other_variants_are_refused(variant):
    with pytest.raises(ValueError, match="`variant` must be"):
        parse_variant(variant)


def test_the_papers_recipe_learns(packs, tmp_path):
    """From 3.05, the loss of grey maps; the weights are those of the network."""
    run(
        *("train", packs, tmp_path, *SMALL, "--steps", 60, "--learning_rate", 0.03),
        *("--variant", "6GAP_5LAP", "--log_interval", 20, "--dropout", 0),
    )
    log = json.loads((tmp_path / "log.json").read_text())["log"]
    assert [row["step"] for row in log] == [20, 40, 60]
    assert log[-1]["loss"] < 2.3 < log[0]["loss"]
    network = PiCANet("6GAP_5LAP", 1 / 16)
    weights.assign(network, weights.read(tmp_path / "weights.npz"))
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["step"] == 60
    said = run(
        *("train", packs, tmp_path, *SMALL, "--steps", 64, "--resume"),
        *(tmp_path / "state.pt", "--variant", "6GAP_5LAP", "--log_interval", 1),
    )
    assert said.splitlines()[0].startswith("step 61:")


def test_rates_fall_by_the_time(packs, tmp_path):
    """A training that --seconds ends has done all of its schedule."""
    run("train", packs, tmp_path, *SMALL, "--variant", "UNet", "--seconds", 3)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] < 40_000


def test_spare_time_goes_on_where_it_was_left(packs, tmp_path):
    words = (packs, tmp_path, *SMALL, "--variant", "6GAP_54LAP")
    command = [sys.executable, "-m", "tools.torch_training.spare", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert '"seen": 40' in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    seen = torch.load(tmp_path / "state.pt", weights_only=True)["seen"]
    assert f"{seen} images seen" in said
    before = weights.read(tmp_path / "weights.npz")
    run("spare", *words, "--seconds", 2)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["seen"] > seen
    after = weights.read(tmp_path / "weights.npz")
    for path, value in before.items():  # The first two blocks are frozen.
        frozen = path.startswith(("block1", "block2"))
        assert np.array_equal(value, after[path]) == frozen, path
    average = weights.to_arrays(state["average"])["stage1/kernel"]
    np.testing.assert_allclose(after["stage1/kernel"], average, rtol=1e-3)
    assert not np.array_equal(
        average, weights.to_arrays(state["network"])["stage1/kernel"]
    )


def test_a_paused_training_does_nothing(packs, tmp_path):
    (tmp_path / "pause").touch()
    words = (packs, tmp_path, *SMALL, "--seconds", "1000")
    command = [sys.executable, "-m", "tools.torch_training.spare", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "masks.npy").exists():
        time.sleep(0.1)
    time.sleep(4)
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert second.returncode == 1
    assert "another training is at work" in second.stderr
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert "0 images seen" in said.splitlines()[-1]
