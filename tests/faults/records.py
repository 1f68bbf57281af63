"""TFRecord files: damaged frames, and intact frames with a wrong record."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import random
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from data_pipeline.kinds import MASK
from data_pipeline.manifest import Manifest, Shard, save_manifest
from data_pipeline.tfrecord import masked_crc32c
from picanet_tf.core.files import sha256_of
from tests.faults.mutations import spoil_bytes
from tests.faults.outcomes import ERROR, READ, Attempt, result_or_error, rule

HEIGHT, WIDTH = 12, 16
COUNT = 3
HOSTILE_KEYS = (
    b"", b".", b"..", b"../../outside", b"/etc/hostname", b"a/b", b"a\0b", b"a\nb",
    b"\xff\xfe", "é".encode(), b"x" * 5000, b"im0",
)  # fmt: skip


def encoded(array: np.ndarray | Image.Image, form: str = "PNG", **options) -> bytes:
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def frame(payload: bytes) -> bytes:
    """A TFRecord frame with the right checksums."""
    length = struct.pack("<Q", len(payload))
    checks = (struct.pack("<I", masked_crc32c(part)) for part in (length, payload))
    return length + next(checks) + payload + next(checks)


def good_fields(number: int) -> dict:
    """What a good record holds; the mask is dark left of a column of its own."""
    rng = np.random.default_rng(number)
    image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, number + 2 :] = 255
    form = "JPEG" if number % 2 else "PNG"
    return {
        "key": b"im%d" % number,
        "image/encoded": encoded(image, form),
        "mask/encoded": encoded(mask),
        "image/height": HEIGHT,
        "image/width": WIDTH,
    }


def payload_of(fields: dict) -> bytes:
    import tensorflow as tf

    features = {}
    for name, values in fields.items():
        values = values if isinstance(values, list) else [values]
        if values and isinstance(values[0], float):
            feature = tf.train.Feature(float_list=tf.train.FloatList(value=values))
        elif values and isinstance(values[0], int):
            feature = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        else:
            feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        features[name] = feature
    return tf.train.Example(
        features=tf.train.Features(feature=features)
    ).SerializeToString(deterministic=True)


# Of frames: each takes the file's frames and the index of one; what none may read.


def _flipped(start, end):
    def flip(rng, frames, index):
        spoilt = bytearray(frames[index])
        first, last = (place % (len(spoilt) + 1) for place in (start, end))
        spoilt[rng.randrange(first, last)] ^= 1 << rng.randrange(8)
        frames[index] = bytes(spoilt)
        return b"".join(frames)

    return flip


def _cut(rng, frames, index):
    whole = b"".join(frames)
    return whole[: rng.randrange(len(whole))]


def _zipped(rng, frames, index):
    return gzip.compress(b"".join(frames))


def _lost(rng, frames, index):
    del frames[index]
    return b"".join(frames)


def _doubled(rng, frames, index):
    frames.insert(index, frames[index])
    return b"".join(frames)


def _noise(rng, frames, index):
    return b"".join(frames) + rng.randbytes(rng.choice((1, 11, 12, 100)))


def _anything(rng, frames, index):
    # Once in a while the mutations undo one another.
    whole = b"".join(frames)
    spoilt = spoil_bytes(rng, whole)
    return spoilt if spoilt != whole else whole[:-1]


FRAMES = {
    "length": _flipped(0, 8),
    "length's checksum": _flipped(8, 12),
    "payload": _flipped(12, -5),
    "payload's checksum": _flipped(-5, -1),
    "cut": _cut,
    "empty": lambda rng, frames, index: b"",
    "gzip": _zipped,
    "lost": _lost,
    "doubled": _doubled,
    "noise behind": _noise,
    "anything": _anything,
}


# Of records: each changes the fields; whether it may still be read is said beside it.


def _swapped(rng, fields):
    parts = fields["image/encoded"], fields["mask/encoded"]
    fields["mask/encoded"], fields["image/encoded"] = parts


def _missing(rng, fields):
    del fields[rng.choice(sorted(fields))]


def _other_type(rng, fields):
    name = rng.choice(sorted(fields))
    other = ([b"1"], [1.0], [1.0, 2.0]) if isinstance(fields[name], int) else ([1],)
    fields[name] = rng.choice((*other, [], [fields[name]] * 2))


def _lying_size(rng, fields):
    name = rng.choice(("image/height", "image/width"))
    lies = (0, -1, 1, fields[name] + 1, 2**31, 2**63 - 1, -(2**63))
    fields[name] = rng.choice([lie for lie in lies if lie != fields[name]])


def _swapped_sizes(rng, fields):
    fields["image/height"], fields["image/width"] = WIDTH, HEIGHT


def _other_mask_size(rng, fields):
    size = rng.choice(((1, 1), (WIDTH, HEIGHT), (HEIGHT - 1, WIDTH), (200, 300)))
    fields["mask/encoded"] = encoded(np.zeros(size, np.uint8))


def _other_mask_kind(rng, fields):
    mask = Image.open(io.BytesIO(fields["mask/encoded"]))
    form = rng.choice(("RGB", "LA", "RGBA", "P", "1", "I;16", "JPEG", "BMP", "GIF"))
    if form == "I;16":
        fields["mask/encoded"] = encoded(np.asarray(mask).astype(np.uint16) * 257)
    elif form in ("JPEG", "BMP", "GIF"):
        fields["mask/encoded"] = encoded(mask, form)
    else:
        fields["mask/encoded"] = encoded(mask.convert(form))


def _bomb(rng, fields):
    name = rng.choice(("image/encoded", "mask/encoded"))
    data = bytearray(encoded(np.zeros((HEIGHT, WIDTH), np.uint8)))
    side = rng.choice((65_000, 2**31 - 1, 20_000))
    data[16:24] = struct.pack(">II", side, side)
    fields[name] = with_png_checksums(bytes(data))


def _spoilt_picture(rng, fields):
    name = rng.choice(("image/encoded", "mask/encoded"))
    spoilt = spoil_bytes(rng, fields[name])
    fields[name] = with_png_checksums(spoilt) if rng.random() < 0.5 else spoilt


def _hostile_key(rng, fields):
    fields["key"] = rng.choice(HOSTILE_KEYS)


def _extra(rng, fields):
    fields[rng.choice(("extra", "mask", ""))] = rng.choice((b"x", 1, 1.0))


RECORDS = {
    "swapped": (_swapped, False),
    "missing": (_missing, False),
    "other type": (_other_type, False),
    "lying size": (_lying_size, False),
    "swapped sizes": (_swapped_sizes, False),
    "other mask size": (_other_mask_size, False),
    "other kind of mask": (_other_mask_kind, False),
    "bomb": (_bomb, False),
    "spoilt picture": (_spoilt_picture, True),
    "hostile key": (_hostile_key, True),
    "extra": (_extra, True),
}


def with_png_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what they hold now."""
    import zlib

    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    parts, position = [data[:8]], 8
    while position + 12 <= len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        end = position + 8 + length
        if end + 4 > len(data):
            break
        body = data[position + 4 : end]
        parts += [data[position : position + 4], body]
        parts.append(struct.pack(">I", zlib.crc32(body)))
        position = end + 4
    return b"".join(parts) + data[position:]


class _Folder:
    """A data set of one shard, and its readers, built once and read again and again."""

    def __init__(self, folder: Path):
        from data_pipeline import readers

        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.shard = folder, folder / "00000.tfrecord"
        self.fields = [good_fields(number) for number in range(COUNT)]
        self.write(b"".join(frame(payload_of(fields)) for fields in self.fields))
        size = {"image_size": 16, "batch_size": 1, "with_keys": True}
        self.evaluation = readers.read_masks(folder, training=False, **size)
        self.training = readers.read_masks(folder, training=True, **size)
        self.originals = readers.read_originals(folder, MASK)
        self.good = list(self.originals.as_numpy_iterator())

    def write(self, content: bytes) -> None:
        self.shard.write_bytes(content)
        shard = Shard(self.shard.name, COUNT, len(content), sha256_of(self.shard))
        save_manifest(Manifest(self.folder, "spoilt", MASK, COUNT, (shard,)))

    def read(self, dataset, count: int):
        """Up to `count` elements, or the text of the error."""
        from data_pipeline import readers

        def action():
            with readers.translate_errors(str(self.folder)):
                return list(itertools.islice(dataset.as_numpy_iterator(), count))

        return result_or_error(action, self.folder)


def make_records(folder: Path) -> Attempt:
    from data_pipeline import readers
    from data_pipeline.verify import verify

    data = _Folder(folder)

    def attempt(rng: random.Random) -> str:
        may_read = _spoil(rng, data)
        problems = verify(folder)[1]
        for problem in problems:
            rule(str(data.shard) in problem, "names no file:", problem)
        whole = not [line for line in problems if "is already at" not in line]
        reading = [data.originals, rng.choice((data.evaluation, data.training))]
        if rng.random() < 0.05:  # From the beginning, as a command does it.
            reading = [readers.read_originals(folder, MASK), *reading[1:]]
        found = [data.read(dataset, COUNT + 1) for dataset in reading]
        errors = [error for _, error in found if error]
        rule(len(errors) in (0, len(found)), "readers disagree:", *errors)
        rule(not (whole and errors), "verify says nothing, readers say", errors)
        keys, key_error = result_or_error(lambda: _keys(folder), folder)
        rule(key_error is None or bool(errors), "read_keys alone:", key_error)
        if errors:
            return ERROR
        same = _check_pairs(data, found[0][0], keys)
        # TensorFlow ignores less than a header after the records; verify does not.
        rule(whole or same == COUNT, "only verify says", problems)
        rule(may_read or same == COUNT, "a spoilt record was read")
        return READ

    return attempt


def _keys(folder):
    from data_pipeline import readers

    with readers.translate_errors(str(folder)):
        return list(readers.read_keys(folder))


def _spoil(rng: random.Random, data: _Folder) -> bool:
    """Writes a damaged shard; returns whether it may still be readable."""
    index = rng.randrange(COUNT)
    fields = [dict(fields) for fields in data.fields]
    if rng.random() < 0.5:
        frames = [frame(payload_of(each)) for each in fields]
        name = rng.choice(sorted(FRAMES))
        data.write(FRAMES[name](rng, frames, index))
        return False
    change, may_read = RECORDS[rng.choice(sorted(RECORDS))]
    change(rng, fields[index])
    payloads = [payload_of(each) for each in fields]
    if rng.random() < 0.15:
        payloads[index] = spoil_bytes(rng, payloads[index])
        may_read = True  # It cannot be known: the bytes may mean anything now.
    data.write(b"".join(map(frame, payloads)))
    return may_read


def _check_pairs(data: _Folder, records: list[dict], keys: list[str]) -> int:
    rule(len(records) == COUNT == len(keys), len(records), "records,", len(keys))
    same = 0
    for record, key, good in zip(records, keys, data.good, strict=True):
        rule(os.fsencode(key) == record["key"], "keys disagree")
        size = (record["height"], record["width"])
        for part in ("image", "mask"):
            rule(record[part].shape[:2] == size, part, record[part].shape, size)
        same += all(np.array_equal(record[part], good[part]) for part in good)
    rule(same >= COUNT - 1, "other records changed:", COUNT - same)
    return same


def make_payloads(folder: Path) -> Attempt:
    """Single records as readers and verify decode them, without files."""
    import tensorflow as tf

    from data_pipeline import schema
    from data_pipeline.verify import check_record

    data = _Folder(folder)
    spec = [tf.TensorSpec([], tf.string)]
    decode = tf.function(
        lambda record: schema.check_sizes(schema.decode_mask_record(record)),
        input_signature=spec,
        autograph=False,
    )
    decode_key = tf.function(schema.decode_key, input_signature=spec, autograph=False)

    def error_of(action, payload):
        try:
            return action(payload), None
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            reason = schema.describe_error(error)
            rule(reason and reason.isprintable(), "not one line:", repr(reason))
            return None, reason

    def attempt(rng: random.Random) -> str:
        fields = dict(data.fields[rng.randrange(COUNT)])
        change, may_read = RECORDS[rng.choice(sorted(RECORDS))]
        change(rng, fields)
        payload = payload_of(fields)
        if rng.random() < 0.4:
            payload, may_read = spoil_bytes(rng, payload), True
        record, error = error_of(decode, tf.constant(payload))
        key, key_error = error_of(decode_key, tf.constant(payload))
        rule(error or not key_error, "only read_keys says", key_error)
        try:
            check_record(payload, MASK)
            problem = ""
        except ValueError as told:
            problem = str(told)
        rule(bool(problem) == bool(error), "verify:", problem, "readers:", error)
        if error:
            return ERROR
        rule(may_read, "a spoilt record was read")
        size = (int(record["height"]), int(record["width"]))
        for part, channels in (("image", 3), ("mask", 1)):
            rule(record[part].shape == (*size, channels), part, record[part].shape)
        rule(bytes(key.numpy()) == record["key"].numpy(), "keys disagree")
        return READ

    return attempt


KINDS = {"records": make_records, "payloads": make_payloads}
