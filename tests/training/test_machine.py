"""What a machine can do, checked before the first step."""

import logging
import re

import pytest

from picanet_tf.training import machine
from tests.training import disks


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine.glob, "glob", lambda _: [])
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    return monkeypatch


def test_unused_gpu_is_warned_about(no_gpu, caplog):
    machine.warn_of_unused_gpu(0)
    assert caplog.text == ""
    no_gpu.setattr(machine.glob, "glob", lambda _: ["/dev/nvidia0"])
    with caplog.at_level(logging.WARNING):
        machine.warn_of_unused_gpu(0)
    assert "TENSORFLOW USES NONE (/dev/nvidia0 exists)" in caplog.text
    assert machine.unused_gpu(1) == ""
    no_gpu.setenv("CUDA_VISIBLE_DEVICES", "-1")  # hidden on purpose
    assert machine.unused_gpu(0) == ""


def test_other_signs_of_a_gpu_are_recognized(no_gpu):
    no_gpu.setattr(machine.shutil, "which", lambda name: name)
    assert machine.unused_gpu(0) == "nvidia-smi is installed"
    no_gpu.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert machine.unused_gpu(0) == "CUDA_VISIBLE_DEVICES is 0,1"


def of(**changes):
    changes = {"variant": "6GAP_5432AC", "width": 1.0, "image_size": 224, **changes}
    return disks.experiment(**changes)


@pytest.mark.parametrize(
    "variant, batch_size, measured",
    [
        ("6GAP_5432AC", 1, 2.74e9),
        ("6GAP_5432AC", 2, 3.33e9),
        ("6GAP_5432AC", 4, 4.64e9),
        ("6GAP_5432AC", 9, 7.8e9),
        ("UNet", 1, 1.58e9),
        ("UNet", 4, 2.52e9),
    ],
)
def test_memory_estimate_matches_measurements(variant, batch_size, measured):
    experiment = of(variant=variant, batch_size=batch_size)
    assert machine.needed_memory(experiment) == pytest.approx(measured, rel=0.1)


def test_memory_estimate_grows_with_the_settings():
    def needed(workers=1, **changes):
        return machine.needed_memory(of(**changes), workers)

    assert needed(image_size=448, batch_size=1) == pytest.approx(
        needed(image_size=224, batch_size=4)
    )
    assert needed(on_nonfinite="skip") - needed() == pytest.approx(8 * 57.5e6)
    moments = needed(optimizer="adamw", ema_decay=0.9) - needed()
    assert moments == pytest.approx(2 * 4 * 57.5e6)
    sizes = needed(image_sizes="448:0.5,224:0.5", batch_size=1)
    assert sizes == needed(image_size=448, batch_size=1)
    assert needed(batch_size=8, workers=2) == needed(batch_size=4)
    assert needed(width=1 / 32) < 0.7e9


@pytest.mark.parametrize(
    "batch_size, size",
    [(9, "7.[0-9] GB"), (64, "[45][0-9].[0-9] GB")],  # more than is free, than there is
)
def test_lack_of_memory_is_only_warned_about(batch_size, size, monkeypatch, caplog):
    monkeypatch.setattr(machine, "memory", lambda: (16e9, 2e9))
    with caplog.at_level(logging.WARNING):
        machine.warn_of_memory(of(batch_size=batch_size))
    told = f"with batches of {batch_size} at 224 pixels needs about {size}; "
    assert re.search(told, caplog.text), caplog.text
    assert (
        "has 16.0 GB, of which 2.0 GB are free now. Reduce --batch_size" in caplog.text
    )


def test_largest_of_several_sizes_is_warned_about(monkeypatch, caplog):
    monkeypatch.setattr(machine, "memory", lambda: (16e9, 2e9))
    machine.warn_of_memory(of(batch_size=9, image_sizes="320:0.5,224:0.5"))
    assert "batches of 9 at 320 pixels needs" in caplog.text


@pytest.mark.parametrize("memory", [(16e9, 12e9), (0.0, 0.0)])  # enough; unknown
def test_sufficient_memory_is_not_warned_about(memory, monkeypatch, caplog):
    monkeypatch.setattr(machine, "memory", lambda: memory)
    with caplog.at_level(logging.WARNING):
        machine.warn_of_memory(of(batch_size=9))
    assert caplog.text == ""


def test_this_machine_has_memory():
    total, free = machine.memory()
    assert 0 < free <= total
