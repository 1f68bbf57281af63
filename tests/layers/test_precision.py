"""What the precision `auto` means on different machines."""

import logging
from types import SimpleNamespace

import pytest
import tensorflow as tf

from picanet_tf.layers import precision as module
from picanet_tf.layers.precision import resolve_precision

NEITHER = "float32 (the processor has neither AMX-BF16 nor AVX512-BF16)"


@pytest.fixture
def machine(monkeypatch):
    """Pretends to be a machine with a unit and GPUs, {name: compute capability}."""

    def machine(unit="", **gpus):
        devices = [SimpleNamespace(name=name) for name in gpus]
        details = {
            name: {"device_name": name, "compute_capability": capability}
            if capability
            else {}
            for name, capability in gpus.items()
        }
        monkeypatch.setattr(module, "bfloat16_unit", lambda: unit)
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: devices)
        monkeypatch.setattr(
            tf.config.experimental,
            "get_device_details",
            lambda device: details[device.name],
        )

    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    return machine


@pytest.mark.parametrize(
    ("unit", "gpus", "said"),
    [
        ("AMX-BF16", {}, "bfloat16 (the processor has AMX-BF16)"),
        ("AVX512-BF16", {}, "bfloat16 (the processor has AVX512-BF16)"),
        ("", {}, NEITHER),
        ("", {"H200": (9, 0)}, "bfloat16 (H200 has tensor cores for bfloat16)"),
        ("", {"A10": (8, 6)}, "bfloat16 (A10 has tensor cores for bfloat16)"),
        # The GPU computes, whatever the processor has.
        ("AMX-BF16", {"V100": (7, 0)}, "float32 (V100 has no tensor cores for bfloat"),
        ("", {"A10": (8, 6), "T4": (7, 5)}, "float32 (T4 has no tensor cores for bflo"),
        ("", {"Radeon": None}, "float32 (Radeon has no tensor cores for bfloat16)"),
    ],
)
def test_auto_chooses_what_the_machine_computes_fast(machine, caplog, unit, gpus, said):
    caplog.set_level(logging.INFO, logger="absl")
    machine(unit, **gpus)
    policy = "mixed_bfloat16" if said.startswith("bfloat16") else "float32"
    assert resolve_precision("auto") == policy
    assert [record.message[: len(said) + 11] for record in caplog.records] == [
        f"Precision: {said}"
    ]


@pytest.mark.parametrize("value", ["0", "false", "False"])
def test_without_onednn_the_unit_is_not_used(machine, caplog, monkeypatch, value):
    caplog.set_level(logging.INFO, logger="absl")
    machine("AMX-BF16")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", value)
    assert resolve_precision("auto") == "float32"
    assert caplog.messages == [
        "Precision: float32 (TF_ENABLE_ONEDNN_OPTS turns oneDNN off)"
    ]


@pytest.mark.parametrize(
    "policy", ["float32", "mixed_bfloat16", "mixed_float16", "float64"]
)
def test_explicit_precision_is_kept(machine, caplog, policy):
    caplog.set_level(logging.INFO, logger="absl")
    machine("AMX-BF16")
    assert resolve_precision(policy) == policy
    assert not caplog.messages
