"""Ways to spoil bytes and JSON, drawn from a seeded generator."""

from __future__ import annotations

import copy
import json
import random

# What a program or a person may leave where something else belongs.
VALUES = (
    None, True, False, 0, 1, -1, 3, 1.0, 3.0, 0.5, -0.0, 1e308, float("nan"),
    float("inf"), 2**31, 2**63, 2**64, 10**400, "", "3", "0", "saliency", ".", "..",
    "../outside", "../outside.tfrecord", "/etc/hostname", "a/b", "a\\b", "a\0b", "a\nb",
    "\ud800", "é", "x" * 300, "00000.tfrecord", [], [[]], {}, [1], ["a"], {"a": 1},
    [None, None], "6GAP_5432AC", "²GAP",
)  # fmt: skip


def spoil_bytes(rng: random.Random, data: bytes) -> bytes:
    """One to three mutations of a file's bytes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(_BYTE_MUTATIONS)(rng, data)
    return data


def _flip(rng, data):
    if not data:
        return b"\0"
    spoilt = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        spoilt[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def _flip_early(rng, data):
    return _flip(rng, data[:64]) + data[64:]


def _truncate(rng, data):
    return data[: rng.randrange(len(data) + 1)]


def _span(rng, data):
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 4, 16, 64, 256)))


def _delete(rng, data):
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def _repeat(rng, data):
    start, end = _span(rng, data)
    return data[:end] + data[start:end] * rng.choice((1, 2, 50)) + data[end:]


def _overwrite(rng, data):
    start, end = _span(rng, data)
    fill = rng.choice((b"\0", b"\xff", bytes([rng.randrange(256)])))
    return data[:start] + fill * (end - start) + data[end:]


def _insert(rng, data):
    start, _ = _span(rng, data)
    return data[:start] + rng.randbytes(rng.choice((1, 4, 40))) + data[start:]


def _number(rng, data):
    """Four bytes that say something large, as a length or a side."""
    start, _ = _span(rng, data)
    big = rng.choice((0x7FFFFFFF, 0xFFFFFFFF, 65000, 0x80000000, 0))
    order = rng.choice(("big", "little"))
    return data[:start] + big.to_bytes(4, order) + data[start + 4 :]


_BYTE_MUTATIONS = (
    _flip, _flip, _flip_early, _truncate, _delete, _repeat, _overwrite, _insert,
    _number,
)  # fmt: skip


def spoil_json(rng: random.Random, content) -> bytes:
    """A JSON document as a file with damaged values, keys or text."""
    if rng.random() < 0.7:
        content = copy.deepcopy(content)
        for _ in range(rng.choice((1, 1, 2))):
            content = _spoil_value(rng, content)
        return json.dumps(content).encode()
    text = json.dumps(content).encode()
    special = rng.random()
    if special < 0.05:
        return b"[" * 100_000 + b"]" * 100_000
    if special < 0.1:
        return text.decode().encode(rng.choice(("utf-16", "utf-8-sig", "utf-32")))
    if special < 0.15:
        return text[:-1] + b', "' + b"\xff\xfe" + b'": 1}'
    return spoil_bytes(rng, text)


def _spoil_value(rng, content):
    holders = [(None, None), *_places(content)]
    holder, key = rng.choice(holders)
    value = copy.deepcopy(rng.choice(VALUES))
    if holder is None:
        return value if rng.random() < 0.2 else content
    how = rng.random()
    if how < 0.15:
        del holder[key]
    elif how < 0.25 and isinstance(holder, dict):
        holder[rng.choice(("extra", key.upper(), ""))] = holder.pop(key)
    elif how < 0.35 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif how < 0.5 and type(holder[key]) is int:
        holder[key] += rng.choice((-1, 1, 7))
    else:
        holder[key] = value
    return content


def _places(content):
    if isinstance(content, dict):
        pairs = list(content.items())
    else:
        pairs = list(enumerate(content)) if isinstance(content, list) else []
    for key, value in pairs:
        yield content, key
        yield from _places(value)
