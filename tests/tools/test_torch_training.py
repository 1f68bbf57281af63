"""Training in PyTorch, on a tiny network: `make test-torch`, without TensorFlow."""

import errno
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: make test-torch")

from tools.torch_training import common, reference, spare, weights  # noqa: E402
from tools.torch_training import packs as packing  # noqa: E402
from tools.torch_training.network import PiCANet, parse_variant  # noqa: E402

ROOT = pathlib.Path(__file__).parents[2]
REFERENCE = pathlib.Path(__file__).with_name("torch_reference.npz")
SMALL = ("--width", "0.0625", "--size", "80", "--batch", "4", "--no-bfloat16")


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """Twelve pairs: bright rectangles on dark noise."""
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(12):
        mask = np.zeros((90, 120), np.uint8)
        top, left = rng.integers(0, 40, 2)
        mask[top : top + 45, left : left + 60] = 255
        image = rng.integers(0, 60, (90, 120, 3)) + mask[..., None] // 2
        pairs.append((image.astype(np.uint8), mask))
    folder = tmp_path_factory.mktemp("data") / "packs"
    packing.write(pairs, folder, parts=2, side=96)
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Weights of a whole network, and of its encoder alone, in float16."""
    folder = tmp_path_factory.mktemp("start")
    torch.manual_seed(0)
    weights.save(PiCANet("6GAP_54LAP", 1 / 16).state_dict(), folder / "all.npz")
    arrays = weights.read(folder / "all.npz")
    blocks = {k: v for k, v in arrays.items() if k.startswith("block")}
    assert len(blocks) == 26
    np.savez(folder / "encoder.npz", **blocks)
    np.savez(folder / "part.npz", **dict(list(blocks.items())[:4]))
    infinite = {**blocks, "block1_conv1/bias": np.full(4, np.inf)}
    np.savez(folder / "infinite.npz", **infinite)
    (folder / "garbage.npz").write_bytes(b"no archive")
    return folder


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
    images, masks = packing.read(packs)
    assert images.shape == (12, 96, 96, 3) and masks.shape == (12, 96, 96)
    assert images.dtype == masks.dtype == np.uint8
    assert set(np.unique(masks)) == {0, 1}
    for image, mask in zip(images, masks, strict=True):
        grey = image.mean(-1)
        assert grey[mask == 1].mean() > grey[mask == 0].mean() + 80


def test_damaged_packs_are_reported(packs, tmp_path):
    with pytest.raises(ValueError, match="has packs already"):
        packing.write([], packs)
    with pytest.raises(ValueError, match=r"no \*.pack in"):
        packing.read(tmp_path)
    content = bytearray((packs / "part0.pack").read_bytes())
    content[-9] ^= 1
    heads = [{"side": 96, "sizes": sizes} for sizes in ([[1, 2, 3]], [], [["a", 1]])]
    heads = [json.dumps(head).encode() for head in heads]
    heads = [len(head).to_bytes(8, "little") + head for head in heads]
    for damaged in (content, content[:-1], b"", b"nonsense" * 9, *heads):
        (tmp_path / "part0.pack").write_bytes(damaged)
        with pytest.raises(ValueError, match="part0.pack is damaged"):
            packing.read(tmp_path)


def test_missing_pack_is_reported(packs, tmp_path):
    (tmp_path / "part0.pack").write_bytes((packs / "part0.pack").read_bytes())
    with pytest.raises(ValueError, match="has 1 of 2 packs: part 1 is missing"):
        packing.read(tmp_path)


def test_packs_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(path, content):
        if path.name.startswith("part1"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content)

    write = pathlib.Path.write_bytes
    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    pair = (np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), np.uint8))
    with pytest.raises(OSError, match="cannot write .*part1.pack: No space left"):
        packing.write([pair] * 4, tmp_path / "packs", parts=2, side=8)
    assert list((tmp_path / "packs").iterdir()) == []


def test_weights_are_saved_and_loaded(tmp_path):
    torch.manual_seed(0)
    first, second = (PiCANet("65GAP_43AC_2LAP", 1 / 16) for _ in range(2))
    path = tmp_path / "weights.npz"
    weights.save(first.state_dict(), path)
    arrays = weights.read(path)
    assert arrays["d4_ac/kernel"].shape == (7, 7, 32, 16)
    assert arrays["d4_ac/kernel"].dtype == np.float16
    assert arrays["d4_encoder_norm/moving_variance"].dtype == np.float32
    weights.load(second, path)
    x = torch.randn(1, 3, 80, 80)
    found = [network.eval()(x)["stage1"] for network in (first, second)]
    torch.testing.assert_close(*found, rtol=0, atol=1e-3)
    for changed, message in (
        ({"d4_ac/kernel": None}, "has no value for d4_ac/kernel"),
        ({"strange": np.zeros(1)}, "no variable for strange"),
        ({"fc7/bias": np.zeros(1)}, "fc7/bias has the shape"),
        ({"fc7/bias": np.full(64, np.nan)}, "fc7/bias has values that are not finite"),
    ):
        other = {k: v for k, v in {**arrays, **changed}.items() if v is not None}
        np.savez(path, **other)
        with pytest.raises(ValueError, match=f"weights.npz.*{message}"):
            weights.load(second, path)


def test_the_first_averages_of_norms_are_corrected(tmp_path):
    torch.manual_seed(0)
    network = PiCANet("UNet", 1 / 16).train()
    norm, name = network.layers["d2_decode_norm"], "layers.d2_decode_norm.running"
    means, variances = [], []
    for _ in range(5):
        x = 3 + 2 * torch.randn(4, norm.num_features, 8, 8)
        norm(x)
        means.append(x.mean((0, 2, 3)))
        variances.append(x.var((0, 2, 3)))
    parts = torch.tensor([0.99**n for n in (4, 3, 2, 1, 0)])[:, None]
    state = weights.corrected(network.state_dict())
    for kind, values in (("mean", means), ("var", variances)):
        expected = (parts * torch.stack(values)).sum(0) / parts.sum()
        torch.testing.assert_close(state[f"{name}_{kind}"], expected)
    untrained = "layers.d3_decode_norm.running_var"
    torch.testing.assert_close(state[untrained], network.state_dict()[untrained])

    weights.save(network.state_dict(), tmp_path / "weights.npz")
    other = PiCANet("UNet", 1 / 16)
    weights.load(other, tmp_path / "weights.npz")
    for each in (other.state_dict(), weights.corrected(other.state_dict())):
        assert torch.equal(each[f"{name}_mean"], state[f"{name}_mean"])
        assert torch.equal(each[f"{name}_var"], state[f"{name}_var"])


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    network = PiCANet("UNet", 1 / 16)
    weights.save(network.state_dict(), tmp_path / "weights.npz")
    before = (tmp_path / "weights.npz").read_bytes()
    with torch.no_grad():
        network.layers["stage1"].bias.fill_(torch.nan)
    with pytest.raises(ValueError, match="stage1/bias is not finite"):
        weights.save(network.state_dict(), tmp_path / "weights.npz")
    assert (tmp_path / "weights.npz").read_bytes() == before


def test_a_full_disk_keeps_the_old_state(tmp_path, monkeypatch):
    def full(state, path):
        path.write_text("half")
        raise RuntimeError("[enforce fail at inline_container.cc:672]")

    common.save_state({"step": 1}, tmp_path / "state.pt")
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="^cannot write .*state.pt: the disk may be full"):
        common.save_state({"step": 2}, tmp_path / "state.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
    assert torch.load(tmp_path / "state.pt", weights_only=True) == {"step": 1}


@pytest.mark.parametrize(
    "variant", ["6ReNet", "7AC", "1LAP", "GAP", "", "6GAP_66LAP", "5LAP_6GAP"]
)
def test_other_variants_are_refused(variant):
    with pytest.raises(ValueError, match="`variant` must be"):
        parse_variant(variant)


def test_the_papers_recipe_learns(packs, tmp_path):
    """From 3.05, the loss of grey maps; the weights are those of the network."""
    run(
        *("train", packs, tmp_path, *SMALL, "--steps", 60, "--learning_rate", 0.03),
        *("--variant", "6GAP_5LAP", "--log_interval", 20, "--dropout", 0),
    )
    log = json.loads((tmp_path / "log.json").read_text())
    assert [row["step"] for row in log] == [20, 40, 60]
    assert log[-1]["loss"] < 2.3 < log[0]["loss"]
    network = PiCANet("6GAP_5LAP", 1 / 16)
    weights.load(network, tmp_path / "weights.npz")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["step"] == 60
    np.testing.assert_allclose(
        network.layers["fc7"].weight.detach(),
        state["network"]["layers.fc7.weight"],
        rtol=1e-3,
        atol=1e-6,
    )
    assert "give --resume, or another folder" in refused("train", packs, tmp_path)
    said = refused("train", packs, tmp_path, "--resume", "--steps", 70, "--seed", 3)
    assert "--steps was 60, --seed was 0. Leave them out" in said
    # Settings that are given are compared even if they are the defaults.
    said = refused("train", packs, tmp_path, "--resume", "--steps", 40_000)
    assert "--steps was 60. Leave them out" in said


def test_a_network_that_diverged_since_the_last_log_is_not_saved(packs, tmp_path):
    words = ("train", packs, tmp_path, *SMALL, "--steps", 6, "--learning_rate", 1e30)
    assert "is not finite" in refused(*words, "--log_interval", 100)
    assert not (tmp_path / "state.pt").exists()


def test_a_training_is_resumed_with_its_settings(packs, tmp_path, start):
    """Ctrl-C saves; the schedule, the log and the groups go on."""
    words = ("train", packs, tmp_path, *SMALL, "--steps", 100_000, "--variant")
    words += ("6GAP_54LAP", "--encoder", start / "encoder.npz", "--log_interval", 1)
    process = begin(*words)
    for line in process.stdout:
        if line.startswith("step 2:"):
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=60)
    assert process.returncode == 0
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert 2 <= state["step"] < 100 and state["seconds"] > 0
    # That it goes on for one more second, not from the beginning of its time.
    state["settings"]["seconds"] = state["seconds"] + 1
    torch.save(state, tmp_path / "state.pt")
    said = run("train", packs, tmp_path, "--resume").splitlines()
    assert f"12 pairs, from step {state['step']}; encoder: " in said[0]
    assert said[1].startswith(f"step {state['step'] + 1}:")
    after = torch.load(tmp_path / "state.pt", weights_only=True)
    assert after["seconds"] < state["seconds"] + 3
    assert [row["step"] for row in after["log"]] == [*range(1, after["step"] + 1)]


def test_training_in_spare_time_is_resumed(packs, tmp_path, start):
    words = ("spare", packs, tmp_path, *SMALL, "--variant", "6GAP_54LAP")
    process = begin(*words, "--weights", start / "all.npz")
    assert process.stdout.readline() == f"from {start / 'all.npz'}\n"
    assert '"seen": 40' in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    seen = torch.load(tmp_path / "state.pt", weights_only=True)["seen"]
    assert f"{seen} images seen" in said
    before = weights.read(tmp_path / "weights.npz")
    run(*words, "--seconds", 2, "--encoder_lr_multiplier", 0.7)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["seen"] > seen
    factors = [group["factor"] for group in state["optimizer"]["param_groups"]]
    assert factors == [0.7, 1.0]
    after = weights.read(tmp_path / "weights.npz")
    for path, value in before.items():  # The first two blocks are frozen.
        frozen = path.startswith(("block1", "block2"))
        assert np.array_equal(value, after[path]) == frozen, path
    average = weights.to_arrays(state["average"])["stage1/kernel"]
    np.testing.assert_allclose(after["stage1/kernel"], average, rtol=1e-3)
    assert not np.array_equal(
        average, weights.to_arrays(state["network"])["stage1/kernel"]
    )
    said = run(*words, "--freeze_blocks", 1, "--seconds", 0.1)
    assert "AdamW's moments start anew" in said
    assert "has the variant 6GAP_54LAP" in refused("spare", packs, tmp_path, *SMALL)
    assert "was written by the command spare" in refused(
        "train", packs, tmp_path, "--resume"
    )


def test_a_state_without_weights_is_resumed(packs, tmp_path, monkeypatch):
    """Weights without a state would count as someone else's."""
    words = (*SMALL, "--freeze_blocks", "0", "--seconds", "0.1")
    options = spare.make_parser().parse_args([str(packs), str(tmp_path), *words])

    def full(*_):
        raise OSError("full")

    with monkeypatch.context() as patch:
        patch.setattr(weights, "save", full)
        with pytest.raises(OSError, match="full"):
            spare.train(options)
    assert not (tmp_path / "weights.npz").exists()
    spare.train(options)
    assert len(weights.read(tmp_path / "weights.npz")) > 100


def test_foreign_files_are_kept(packs, tmp_path):
    output = tmp_path / "mine"
    output.mkdir()
    for name in ("pid", "images.npy", "weights.npz"):
        (output / name).write_text("mine")
    for words in (("train",), ("spare", "--freeze_blocks", 0, "--seconds", 0.1)):
        said = refused(words[0], packs, output, *SMALL, *words[1:])
        assert f"OUT {output} has no state.pt to go on from, and holds " in said
    assert {path.read_text() for path in output.iterdir()} == {"mine"}
    assert "is a file: give a folder" in refused("train", packs, output / "pid", *SMALL)


def test_a_paused_training_does_nothing(packs, tmp_path):
    (tmp_path / "pause").touch()
    words = ("spare", packs, tmp_path, *SMALL, "--freeze_blocks", 0)
    process = begin(*words, "--seconds", 1000)
    assert process.stdout.readline() == "from random weights\n"
    time.sleep(4)
    assert "another process is training in" in refused(*words)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert "0 images seen" in said.splitlines()[-1]


def test_changed_packs_are_decoded_again(packs, tmp_path):
    words = (*SMALL, "--variant", "UNet", "--freeze_blocks", 0, "--seconds", 0.1)
    run("spare", packs, tmp_path / "out", *words)
    pair = (np.full((96, 96, 3), 9, np.uint8), np.zeros((96, 96), np.uint8))
    packing.write([pair] * 4, tmp_path / "other", parts=1, side=96)
    run("spare", tmp_path / "other", tmp_path / "out", *words)
    assert np.load(tmp_path / "out" / "images.npy").shape == (4, 96, 96, 3)


@pytest.mark.parametrize(
    "words, message",
    [
        (("train", "--steps", "0"), "--steps: must be above 0, not 0"),
        (("train", "--batch", "x"), "--batch: must be above 0, not x"),
        (("train", "--size", "84"), "--size: must be a multiple of 8 and at least 80"),
        (("train", "--variant", "7AC"), "--variant: `variant` must be UNet"),
        (("train", "--size", "224"), "12 pairs of 96 pixels"),
        (("train", "--encoder", "part.npz"), "part.npz has no value for block2"),
        (("train", "--encoder", "all.npz"), "all.npz: no variable for d1_decode"),
        (("train", "--encoder", "infinite.npz"), "block1_conv1/bias has values that"),
        (
            ("train", "--encoder", "garbage.npz"),
            "garbage.npz is missing or not an .npz",
        ),
        (
            ("train", "--encoder", "missing.npz"),
            "missing.npz is missing or not an .npz",
        ),
        (("train", "--resume"), "state.pt is missing or damaged"),
        (("spare",), "blocks 1 to 2 would stay random"),
        (("spare", "--fall", "5"), "--fall must be the last of --seconds"),
        (("spare", "--fall", "-3"), "--fall: must be a number of at least 0, not -3"),
        (("spare", "--fall", "nan"), "--fall: must be a number of at least 0, not nan"),
        (("spare", "--freeze_blocks", "9"), "--freeze_blocks: invalid choice"),
        (("spare", "--weights", "all.npz"), "Is it of another width or variant?"),
    ],
)
def test_invalid_arguments_are_reported(words, message, packs, tmp_path, start):
    module, *rest = (start / w if w.endswith(".npz") else w for w in words)
    width = () if "--weights" in rest else SMALL
    assert message in refused(module, packs, tmp_path / "out", *width, *rest)
    assert not list((tmp_path / "out").glob("*.npz"))


def begin(module, *words):
    command = [sys.executable, "-m", f"tools.torch_training.{module}", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def refused(module, *words) -> str:
    """The line that reports why the arguments are refused."""
    command = [sys.executable, "-m", f"tools.torch_training.{module}", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr, done.stderr
    return done.stderr.splitlines()[-1]
