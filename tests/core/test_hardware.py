"""The units of processors, from texts of /proc/cpuinfo."""

import pytest

from picanet_tf.core import hardware
from picanet_tf.core.hardware import bfloat16_unit

CPUINFO = """processor\t: {number}
model name\t: Some Processor
flags\t\t: fpu vme {flags}
bugs\t\t: spectre_v1 amx_bf16_in_name_only

"""


def cpuinfo(flags: str) -> str:
    return "".join(CPUINFO.format(number=number, flags=flags) for number in range(2))


@pytest.mark.parametrize(
    ("flags", "unit"),
    [
        ("avx512_bf16 amx_tile amx_int8 amx_bf16 avx512f", "AMX-BF16"),
        ("avx512f avx512_bf16 avx512_vnni", "AVX512-BF16"),
        ("avx2 avx512f avx512_vnni amx_int8", ""),
        ("avx512_bf16x", ""),
        ("", ""),
    ],
)
def test_fastest_unit_among_the_cpu_flags_is_chosen(flags, unit):
    assert bfloat16_unit(cpuinfo(flags)) == unit


@pytest.mark.parametrize("text", ["", "Features\t: fp asimd bf16\n", "flags\n"])
def test_other_processors_have_no_unit(text):
    assert bfloat16_unit(text) == ""


def test_cpuinfo_of_this_machine_is_read_by_default(monkeypatch, tmp_path):
    monkeypatch.setattr(hardware, "CPUINFO", tmp_path / "cpuinfo")
    assert bfloat16_unit() == ""  # Not Linux.
    (tmp_path / "cpuinfo").write_text(cpuinfo("avx512_bf16"))
    assert bfloat16_unit() == "AVX512-BF16"
