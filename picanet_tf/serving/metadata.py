"""Standard metadata in TFLite files, which Android's tools read.

It is a flatbuffer of tensorflow_lite_support's `metadata_schema.fbs`, in the model's
buffer "TFLITE_METADATA". The names of the classes are a text file in a ZIP archive that
follows the model.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import flatbuffers
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

LABELS = "labels.txt"
_NAME, _IDENTIFIER, _PARSER_VERSION = b"TFLITE_METADATA", b"M001", "1.0.0"
# Values of the schema's enums and unions.
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2
_RGB, _NORMALIZATION_OPTIONS = 1, 1
_UNKNOWN, _TENSOR_AXIS_LABELS = 0, 2


def add_metadata(
    path: Path, name: str, described: Mapping, labels: Sequence[str] = ()
) -> None:
    """Adds metadata to a TFLite file.

    Args:
        path: the file.
        name: name of the model.
        described: its description, from `tflite.describe`.
        labels: names of the classes, if any.
    """
    model = flatbuffer_utils.read_model(str(path))
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = _NAME, len(model.buffers)
    buffer.data = _metadata(name, described, labels)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    if labels:
        # With a fixed date, so that the same network gives the same file.
        member = zipfile.ZipInfo(LABELS, date_time=(1980, 1, 1, 0, 0, 0))
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(member, "\n".join(labels) + "\n")


def _metadata(name: str, described: Mapping, labels: Sequence[str]) -> bytes:
    """Returns the flatbuffer; the comments name the schema's tables."""
    image, output = described["input"], described["output"]
    side = image["shape"][1]
    builder = flatbuffers.Builder()
    string = builder.CreateString

    def table(**fields):
        return _write_table(builder, fields)

    # ImageProperties of an ImageSize; NormalizationOptions: the network takes 0..255.
    size = table(u0=side, u1=side)
    pixels = table(b0=_RGB, o1=size)
    unchanged = table(o0=_floats(builder, 0.0), o1=_floats(builder, 1.0))
    unit = table(b0=_NORMALIZATION_OPTIONS, o1=unchanged)
    inputs = table(  # TensorMetadata
        o0=string(image["name"]),
        o1=string(f"{image['content']}, {image['resize']}"),
        o3=table(b0=_IMAGE_PROPERTIES, o1=pixels),
        o4=_offsets(builder, unit),
        o5=table(o0=_floats(builder, 255.0), o1=_floats(builder, 0.0)),
    )
    fields = {
        "o0": string(output["name"]),
        "o1": string(output["content"]),
        "o3": table(b0=_FEATURE_PROPERTIES, o1=table()),
    }
    if output["name"] == "saliency":
        fields["o5"] = table(o0=_floats(builder, 1.0), o1=_floats(builder, 0.0))
    if labels:  # AssociatedFile
        axis = len(labels) == output["shape"][-1]
        file = table(
            o0=string(LABELS),
            o1=string("names of the classes, one per line"),
            b2=_TENSOR_AXIS_LABELS if axis else _UNKNOWN,
        )
        fields["o6"] = _offsets(builder, file)
    outputs = table(**fields)
    subgraph = table(o2=_offsets(builder, inputs), o3=_offsets(builder, outputs))
    root = table(  # ModelMetadata
        o0=string(name),
        o1=string(described["quantization"]),
        o3=_offsets(builder, subgraph),
        o7=string(_PARSER_VERSION),
    )
    builder.Finish(root, _IDENTIFIER)
    return bytes(builder.Output())


def _write_table(builder: flatbuffers.Builder, fields: Mapping[str, int]) -> int:
    """Writes a table.

    Args:
        builder: the builder.
        fields: {kind and slot: value}; the kind is `o` for an offset, `u` for an
            unsigned integer, or `b` for a byte.

    Returns:
        The table's offset.
    """
    slots = [int(field[1:]) for field in fields]
    builder.StartObject(max(slots, default=-1) + 1)
    for slot, (field, value) in zip(slots, fields.items(), strict=True):
        write = {
            "o": builder.PrependUOffsetTRelativeSlot,
            "u": builder.PrependUint32Slot,
            "b": builder.PrependUint8Slot,
        }[field[0]]
        write(slot, value, 0)
    return builder.EndObject()


def _floats(builder: flatbuffers.Builder, value: float) -> int:
    """Writes a vector of one float; returns its offset."""
    builder.StartVector(4, 1, 4)
    builder.PrependFloat32(value)
    return builder.EndVector()


def _offsets(builder: flatbuffers.Builder, offset: int) -> int:
    """Writes a vector of one table, given its offset; returns the vector's offset."""
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
