"""Which exports may be requested, checked before any work is done."""

import subprocess
import sys
from pathlib import Path

import pytest

from picanet_tf.core.errors import PicanetError
from picanet_tf.serving.request import ExportRequest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"formats": ("tflit",)}, "`formats` must be some of .*Received: tflit"),
        ({"formats": ()}, "`formats` must be some of"),
        ({"formats": ("onnx", "onnx")}, "each once. Received: onnx,onnx"),
        ({"quantize": ("int4",)}, "`quantize` must be .*none,float16,dynamic,int8"),
        ({"quantize": ("dynamic",)}, "`quantize` goes with `formats` tflite only"),
        ({"overwrite": True}, "`overwrite` goes with `version`: without it"),
        ({"version": 0}, "`version` must be 1 or more. Received: version=0"),
    ],
)
def test_invalid_requests_are_rejected(wrong, message):
    with pytest.raises(PicanetError, match=message):
        ExportRequest(Path("out"), **wrong)


def test_int8_needs_calibration_images(tmp_path):
    request = ExportRequest(tmp_path, formats=("tflite",), quantize=("none", "int8"))
    with pytest.raises(PicanetError, match="int8 needs real images"):
        request.check(calibrated=False)
    request.check(calibrated=True)


def test_folder_of_tf_serving_gets_no_version_without_a_saved_model(tmp_path):
    request = ExportRequest(tmp_path, formats=("tflite",))
    (tmp_path / "1").mkdir()
    request.check(calibrated=False)
    (tmp_path / "1" / "saved_model.pb").write_text("")
    with pytest.raises(PicanetError, match="holds versions for TF Serving"):
        request.check(calibrated=False)
    ExportRequest(tmp_path, formats=("tflite", "saved_model")).check(calibrated=False)


def test_imports_no_tensorflow():
    """So that invalid arguments are reported at once."""
    code = (
        "import sys, picanet_tf.serving.request\n"
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert run.stdout.strip() == "[]", run.stderr
