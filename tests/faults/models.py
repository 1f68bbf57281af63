"""`.keras` files: foreign, holding code, truncated, damaged, bombs, or missing."""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
from pathlib import Path

import numpy as np

from tests.faults.mutations import VALUES, spoil_bytes, spoil_json
from tests.faults.outcomes import (
    ERROR,
    READ,
    Attempt,
    memory_rule,
    result_or_error,
    rule,
)

SIDE = 16


def network():
    """The smallest network of ours."""
    from picanet_tf.saliency import build_model

    return build_model("UNet", SIDE, width=1 / 64)


def saliency_like(layers=()):
    """A model of one convolution, with the name and the output of a network of ours."""
    import keras

    images = keras.Input((SIDE, SIDE, 3))
    features = images
    for layer in layers:
        features = layer(features)
    output = keras.layers.Conv2D(1, 3, padding="same", name="stage1")(features)
    return keras.Model(images, {"stage1": output}, name="picanet_UNet")


def files(canary: Path) -> dict[str, bytes]:
    """{kind: bytes}: a good file, and files that must be refused.

    Args:
        canary: what a Lambda that is run would make.
    """
    import keras

    def saved(model) -> bytes:
        path = canary.with_name("saved.keras")
        model.save(path)
        data = path.read_bytes()
        path.unlink()
        return data

    target = str(canary)

    # A lambda's code is stored in the file; of a function, there is only the name.
    touch = lambda x: (open(target, "w").close(), x)[1]  # noqa: E731, SIM115

    images = keras.Input((SIDE, SIDE, 3))
    pair = keras.Input((SIDE, SIDE, 3)), keras.Input((SIDE, SIDE, 3))
    conv = keras.layers.Conv2D(1, 3, padding="same")
    inner = keras.Sequential([images, keras.layers.Lambda(touch)])
    added = conv(keras.layers.Add()(list(pair)))
    flat = keras.layers.Dense(1)(keras.layers.Flatten()(images))
    found = {
        "good": saved(network()),
        "look-alike": saved(saliency_like()),
        "lambda": saved(saliency_like([keras.layers.Lambda(touch)])),
        "lambda inside": saved(saliency_like([inner])),
        "sequential": saved(keras.Sequential([images, conv])),
        "empty": saved(keras.Sequential([])),
        "other outputs": saved(keras.Model(images, {"other": conv(images)})),
        "two inputs": saved(keras.Model(list(pair), {"stage1": added})),
        "no map": saved(keras.Model(images, {"stage1": flat})),
        "no size": saved(_without_size()),
    }
    canary.unlink(missing_ok=True)
    return found


def _without_size():
    import keras

    images = keras.Input((None, None, 3))
    return keras.Model(
        images, {"stage1": keras.layers.Conv2D(1, 3, padding="same")(images)}
    )


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(content: dict[str, bytes], compression=zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def swollen(data: bytes, member: str, megabytes: int = 1000) -> bytes:
    """A file of a thousandth of its size once unpacked."""
    import zlib

    content = members(data)
    content[member] = b""
    raw, block = bytearray(), zlib.compressobj(9, wbits=-15)
    crc, zeros = 0, b" " * 2**20
    for _ in range(megabytes):
        raw += block.compress(zeros)
        crc = zlib.crc32(zeros, crc)
    raw += block.flush()
    whole = bytearray(packed(content))
    # zipfile would unpack to know; so the member is written by hand, as the last.
    return _appended(bytes(whole), member, bytes(raw), crc, megabytes * 2**20)


def _appended(archive: bytes, name: str, raw: bytes, crc: int, size: int) -> bytes:
    import struct

    with zipfile.ZipFile(io.BytesIO(archive)) as old:
        kept = {n: old.read(n) for n in old.namelist() if n != name}
    body = packed(kept)
    end = body.rindex(b"PK\5\6")
    count, length, start = struct.unpack("<HII", body[end + 10 : end + 20])
    common = struct.pack(
        "<HHHHHIIIHH", 20, 0, 8, 0, 33, crc, len(raw), size, len(name), 0
    )
    local = b"PK\3\4" + common + name.encode() + raw
    central = (
        b"PK\1\2"
        + struct.pack("<H", 20)
        + common
        + struct.pack("<HHHII", 0, 0, 0, 0, start)
        + name.encode()
    )
    directory = body[start : start + length] + central
    tail = struct.pack(
        "<HHHHIIH", 0, 0, count + 1, count + 1, len(directory), start + len(local), 0
    )
    return body[:start] + local + directory + b"PK\5\6" + tail


def hostile_class(rng: random.Random, config: dict) -> dict:
    """The model's class, or a layer's, from a module that is no layer's."""
    module, name = rng.choice(
        (("os", "system"), ("builtins", "eval"), ("subprocess", "run"), ("keras", "x"),
         ("keras.utils", "get_file"),
          ("picanet_tf.models.weights", "load_keras"), (None, "X"))
    )  # fmt: skip
    target = config
    if "layers" in config["config"] and rng.random() < 0.7:
        target = rng.choice(config["config"]["layers"])
    target.update(
        module=module, class_name=name, registered_name=rng.choice((None, "X"))
    )
    target["config"] = rng.choice((target["config"], {}, {"command": "true"}, ["true"]))
    return config


def spoilt(rng: random.Random, whole: dict[str, bytes], bomb: bytes):
    """(bytes of a file, whether it must be refused)."""
    good = whole["good"]
    how = rng.choice(
        ("kind", "kind", "bytes", "bytes", "cut", "config", "settings", "class",
         "member", "names", "weights", "text", "empty", "bomb", "compressed")
    )  # fmt: skip
    if how == "kind":
        name = rng.choice(sorted(whole))
        return whole[name], name != "good"
    if how == "bytes":
        return spoil_bytes(rng, good), False
    if how == "cut":
        return good[: rng.randrange(len(good))], True
    if how == "text":
        return rng.choice((b"no model", b"\x89HDF\r\n\x1a\n" + bytes(64), b"PK")), True
    if how == "empty":
        return b"", True
    if how == "bomb":
        return bomb, True
    layers = how == "class" and rng.random() < 0.7  # which a network does not list
    content = members(whole["look-alike"] if layers else good)
    config = json.loads(content["config.json"])
    if how == "config":
        content["config.json"] = spoil_json(rng, config)
    elif how == "settings":
        name = rng.choice(sorted(config["config"]))
        config["config"][name] = rng.choice((*VALUES, 8, 24, 1000, 0.1, 30.0, 1e-3))
        content["config.json"] = json.dumps(config).encode()
    elif how == "class":
        content["config.json"] = json.dumps(hostile_class(rng, config)).encode()
        return packed(content), True
    elif how == "member":
        name = rng.choice(sorted(content))
        del content[name]
        return packed(content), name != "metadata.json"
    elif how == "names":
        name = rng.choice(
            ("../outside", "/tmp/outside-of-keras", "assets/../../outside")
        )
        content[name] = b"x"
    elif how == "weights":
        content["model.weights.h5"] = spoil_bytes(rng, content["model.weights.h5"])
    elif how == "compressed":
        return packed(content, zipfile.ZIP_DEFLATED), False
    return packed(content), False


def _safe_again() -> None:
    """Undoes `enable_unsafe_deserialization`, for which Keras has no name."""
    from keras.src.backend.common import global_state

    global_state.set_global_attribute("safe_mode_saving", None)


def make_models(folder: Path) -> Attempt:
    from picanet_tf.inference import load_model

    folder.mkdir(parents=True, exist_ok=True)
    canary = folder / "canary"
    whole = files(canary)
    bomb = swollen(whole["good"], "config.json")
    home = folder / "home"
    home.mkdir()

    def attempt(rng: random.Random) -> str:
        import keras

        data, must_refuse = spoilt(rng, whole, bomb)
        path = home / "foreign.keras"
        path.write_bytes(data)
        allowed = rng.random() < 0.3
        if allowed:  # Whoever turned it off for other files has not for these.
            keras.config.enable_unsafe_deserialization()
        try:
            with memory_rule(300_000):
                model, error = result_or_error(lambda: load_model(path), path)
        finally:
            if allowed:
                _safe_again()
        rule(not canary.exists(), "code of the file was run")
        rule(sorted(folder.rglob("*")) == [home, path], "files were written")
        if error:
            return ERROR
        rule(not must_refuse, "was loaded")
        side = model.network.input.shape[1]
        rule(model.image_size == side and side % 8 == 0, "image size", side)
        if side == SIDE and rng.random() < 0.05:
            saliency = model.predict(np.zeros((5, 7, 3), np.uint8))
            rule(saliency.shape == (5, 7), "a map of", saliency.shape)
        return READ

    return attempt


def make_model_folders(folder: Path) -> Attempt:
    """What is no file at all."""
    from picanet_tf.inference import load_model

    def attempt(rng: random.Random) -> str:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        path = folder / rng.choice(("a.keras", "ü b.keras", "a\nb.keras", "run"))
        what = rng.choice(("folder", "loop", "broken", "none", "file"))
        if what == "folder":
            path.mkdir()
            (path / "config.json").write_text("{}")
        elif what == "loop":
            path.symlink_to(path.name)
        elif what == "broken":
            path.symlink_to("nowhere")
        elif what == "file":
            path.write_text("no model")
        _, error = result_or_error(lambda: load_model(path), path)
        rule(bool(error), "was loaded")
        return ERROR

    return attempt


KINDS = {"models": make_models, "model paths": make_model_folders}
