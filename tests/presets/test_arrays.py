"""Weights in int8: how far off they are, and what a file of them may hold."""

import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picanet_tf.core.errors import PicanetError
from picanet_tf.presets.arrays import dequantize, quantize, read_arrays


def kernel(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return values * np.geomspace(1e-4, 1e3, shape[-1], dtype=np.float32)


def check_bound(value):
    stored = quantize({"k": value})
    scale, integers = stored["k:scale"], stored["k"]
    assert integers.dtype == np.int8 and scale.dtype == np.float32
    assert scale.shape == value.shape[-1:]
    back = dequantize(stored)["k"]
    assert back.dtype == np.float32 and back.shape == value.shape
    # Half a step of its own channel, and the rounding of float32 itself.
    assert (np.abs(back - value) <= scale * 0.5001 + 1e-30).all()
    flat = integers.reshape(-1, value.shape[-1])
    zero = np.abs(value).reshape(flat.shape).max(0) == 0
    assert (np.abs(flat).max(0) == np.where(zero, 0, 127)).all()
    return stored


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (64, 32), (1, 1, 1, 1), (5, 1)])
def test_quantization_is_off_by_half_a_step_at_most(shape):
    check_bound(kernel(*shape))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 40))
def test_quantization_error_is_bounded_for_random_kernels(seed, channels, rows):
    check_bound(kernel(rows, channels, seed=seed))


def test_quantization_matches_values_computed_by_hand():
    value = np.float32([[127, 0.5], [-63.4, -1], [1.5, 0.25]])
    stored = quantize({"a/kernel": value})
    np.testing.assert_array_equal(stored["a/kernel"], [[127, 64], [-63, -127], [2, 32]])
    np.testing.assert_allclose(stored["a/kernel:scale"], [1, 1 / 127])


def test_quantising_twice_changes_nothing():
    once = dequantize(quantize({"k": kernel(3, 3, 8, 16)}))
    again = quantize(once)
    np.testing.assert_array_equal(dequantize(again)["k"], once["k"])
    # And what int8 of a scale gives, such as a TFLite file's weights.
    scale = np.float32([0.013, 7.1])
    integers = np.int8([[127, -127], [3, 5], [-128 + 1, 0]])
    exact = integers.astype(np.float32) * scale
    np.testing.assert_array_equal(dequantize(quantize({"k": exact}))["k"], exact)


def test_channels_of_zeros_and_of_tiny_values():
    value = np.zeros([4, 3], np.float32)
    value[:, 1] = 1e-30
    stored = check_bound(value)
    back = dequantize(stored)["k"]
    assert not back[:, [0, 2]].any()
    np.testing.assert_allclose(back[:, 1], 1e-30, rtol=1e-6)


def test_vectors_and_numbers_are_kept_as_they_are():
    arrays = {"bias": np.float32([1e-9, 3.3, -7e8]), "count": np.float32(20)}
    stored = quantize(arrays)
    assert set(stored) == {"bias", "count"}
    for path, value in arrays.items():
        assert stored[path].dtype == np.float32
        np.testing.assert_array_equal(dequantize(stored)[path], value)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_values_that_are_not_finite_are_rejected(wrong, shape):
    value = np.zeros(shape, np.float32)
    value.flat[1] = wrong
    with pytest.raises(PicanetError, match="^d2/k has values that are not finite"):
        quantize({"ok": np.ones(3), "d2/k": value})


def test_quantized_arrays_survive_a_file(tmp_path):
    arrays = {
        "a/kernel": kernel(3, 3, 4, 8),
        "a/bias": np.arange(8.0),
        "n": np.ones(()),
    }
    path = tmp_path / "weights.npz"
    np.savez(path, **quantize(arrays))
    read = read_arrays(path)
    assert list(read) == ["a/kernel", "a/bias", "n"]
    expected = dequantize(quantize(arrays))
    for name in arrays:
        assert read[name].dtype == np.float32
        np.testing.assert_array_equal(read[name], expected[name])


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_plain_arrays_of_any_precision(dtype, save, tmp_path):
    values = kernel(5, 4).astype(dtype)
    save(tmp_path / "plain.npz", k=values)
    (read,) = read_arrays(str(tmp_path / "plain.npz")).values()
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values.astype(np.float32))


def spoilt(folder):
    """{name of a file that is not one: what is said of it}."""
    np.savez(folder / "whole.npz", a=kernel(30, 20), b=kernel(30, 20))
    whole = (folder / "whole.npz").read_bytes()
    middle = len(whole) // 4
    np.save(folder / "lone.npy", kernel(3, 2))
    objects = np.array([{"a": 1}, None], object)
    np.save(folder / "object.npy", objects, allow_pickle=True)
    np.savez(folder / "objects.npz", a=objects)
    np.savez(folder / "integers.npz", a=np.arange(3))
    np.savez(folder / "texts.npz", a=np.array(["x"]))
    np.savez(folder / "none.npz")
    np.savez(folder / "scale.npz", **{"a": np.int8([[1]])})
    np.savez(folder / "scale_only.npz", **{"a:scale": np.ones(3)})
    np.savez(
        folder / "shapes.npz",
        **{"a": np.int8([[1, 2]]), "a:scale": np.float32([1, 2, 3])},
    )
    with zipfile.ZipFile(folder / "foreign.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    for name, content in (
        ("truncated.npz", whole[:middle]),
        ("empty.npz", b""),
        ("text.npz", b"no archive"),
        ("flipped.npz", whole[:middle] + b"\xff" * 40 + whole[middle + 40 :]),
        ("header.npz", whole.replace(b"'descr'", b"'desc'r")),
        ("half.npy", (folder / "lone.npy").read_bytes()[:90]),
    ):
        (folder / name).write_bytes(content)
    return {
        "gone.npz": "No such file",
        "truncated.npz": "not a zip file",
        "empty.npz": "No data left in file",
        "text.npz": "pickled",
        "flipped.npz": "Bad CRC-32",
        "header.npz": "Bad CRC-32",
        "lone.npy": "not an .npz",
        "half.npy": "reading array header",
        "object.npy": "Object arrays cannot be loaded",
        "objects.npz": "Object arrays cannot be loaded",
        "integers.npz": "must hold arrays of weights, float or int8",
        "texts.npz": "must hold arrays of weights",
        "none.npz": "must hold arrays of weights",
        "scale.npz": "a is int8 and has no scale",
        "scale_only.npz": "must hold arrays of weights",
        "shapes.npz": "a:scale",
        "foreign.npz": "must hold arrays of weights",
        ".": "Is a directory",
    }


def test_files_that_are_not_weights_are_reported(tmp_path):
    for name, reason in spoilt(tmp_path).items():
        path = tmp_path / name
        with pytest.raises(PicanetError) as raised:
            read_arrays(path)
        said = str(raised.value)
        assert str(path) in said and reason in said, said
        assert "\n" not in said and len(said) < 400 + len(str(path)), said
