"""The metadata of TFLite files, read by the schema's slot numbers.

The numbers are those of tensorflow_lite_support's metadata_schema.fbs. Version 0.4.4 of
the package tflite-support reads the same values, and 1.0.0 as the least parser version.
"""

import zipfile

import numpy as np
import pytest
from flatbuffers import number_types, table

from picanet_tf.core.voc import VOC_CLASSES
from picanet_tf.segmentation import build_model as build_segmenter
from picanet_tf.serving.tflite import runner, write_tflite
from tests.serving.networks import pixels, varied


class Table:
    """A table of a flatbuffer; slots are counted from 0."""

    def __init__(self, data, position):
        self._table = table.Table(data, position)

    def _position(self, slot):
        offset = self._table.Offset(4 + 2 * slot)
        return offset and self._table.Pos + offset

    def string(self, slot):
        return self._table.String(self._position(slot)).decode()

    def number(self, slot, flags):
        return self._table.Get(flags, self._position(slot))

    def table(self, slot):
        return Table(self._table.Bytes, self._table.Indirect(self._position(slot)))

    def vector(self, slot):
        """[table]; empty if there is none."""
        if not self._position(slot):
            return []
        offset = self._position(slot) - self._table.Pos
        first = self._table.Vector(offset)
        return [
            Table(self._table.Bytes, self._table.Indirect(first + 4 * n))
            for n in range(self._table.VectorLen(offset))
        ]

    def floats(self, slot):
        offset = self._position(slot) - self._table.Pos
        flags = number_types.Float32Flags
        return self._table.GetVectorAsNumpy(flags, offset).tolist()


def metadata_of(path):
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    (entry,) = (e for e in model.metadata if e.name == b"TFLITE_METADATA")
    data = bytearray(model.buffers[entry.buffer].data)
    assert data[4:8] == b"M001"
    return Table(data, int.from_bytes(data[:4], "little"))


@pytest.mark.parametrize("quantization", ["none", "int8"])
def test_metadata_of_a_saliency_network(network, tmp_path, quantization):
    path = tmp_path / "a.tflite"
    write_tflite(network, path, quantization, calibration=pixels(2))
    model = metadata_of(path)
    assert model.string(0) == "picanet_6GAP_5AC" and model.string(7) == "1.0.0"
    (subgraph,) = model.vector(3)
    ((image,), (output,)) = subgraph.vector(2), subgraph.vector(3)
    assert image.string(0) == "image" and "RGB 0..255" in image.string(1)
    content = image.table(3)
    assert content.number(0, number_types.Uint8Flags) == 2  # ImageProperties
    properties = content.table(1)
    assert properties.number(0, number_types.Int8Flags) == 1  # RGB
    size = properties.table(1)
    flags = number_types.Uint32Flags
    assert (size.number(0, flags), size.number(1, flags)) == (64, 64)
    (unit,) = image.vector(4)
    assert unit.number(0, number_types.Uint8Flags) == 1  # NormalizationOptions
    options = unit.table(1)
    assert (options.floats(0), options.floats(1)) == ([0], [1])  # mean, std
    assert (image.table(5).floats(0), image.table(5).floats(1)) == ([255], [0])
    assert output.string(0) == "saliency"
    assert (output.table(5).floats(0), output.table(5).floats(1)) == ([1], [0])
    assert output.vector(6) == [] and not zipfile.is_zipfile(path)


def labels_of(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read("labels.txt").decode().splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(("task", "kind"), [("segmentation", 2), ("detection", None)])
def test_class_names_are_attached(tiny_network, tmp_path, task, kind):
    network = tiny_network(task=task)
    for name in ("a.tflite", "b.tflite"):
        write_tflite(network, tmp_path / name)
    path = tmp_path / "a.tflite"
    assert path.read_bytes() == (tmp_path / "b.tflite").read_bytes()
    assert labels_of(path) == list(VOC_CLASSES)
    (subgraph,) = metadata_of(path).vector(3)
    (file,) = subgraph.vector(3)[0].vector(6)
    assert file.string(0) == "labels.txt"
    if kind:  # labels of the output's last axis
        assert file.number(2, number_types.Int8Flags) == kind
    else:
        assert file._position(2) == 0


def test_names_of_other_classes_are_not_invented(tmp_path):
    network = varied(build_segmenter("DeepLab", 64, width=1 / 32, classes=4))
    path = tmp_path / "a.tflite"
    write_tflite(network, path)
    assert not zipfile.is_zipfile(path)
    assert runner(path)(pixels(1)).shape == (1, 64, 64, 4)
    assert np.isfinite(runner(path)(pixels(1))).all()
