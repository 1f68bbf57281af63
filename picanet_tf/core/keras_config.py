"""Checks the configuration of Keras before it is imported. Imports no TensorFlow."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from picanet_tf.core.errors import PicanetError

_BACKEND, _FLOATX = "tensorflow", "float32"


def check_keras() -> None:
    """Raises `PicanetError` if Keras is configured for another backend or floatx.

    Raises:
        PicanetError: as above, or if keras.json holds no JSON object, in which case
            Keras cannot be imported. The message names the environment variable or
            file to change.
    """
    if "keras" not in sys.modules and not isinstance(_config(), dict):
        raise PicanetError(
            f"{_config_file()} must hold a JSON object, Keras' settings: correct or "
            "delete it"
        )
    backend, where = _setting("backend", _BACKEND)
    if backend != _BACKEND:
        raise PicanetError(
            f"picanet_tf needs Keras' backend {_BACKEND}. Received: {where}; unset it, "
            f"or set it to {_BACKEND} before Keras is imported"
        )
    floatx, where = _setting("floatx", _FLOATX)
    if floatx != _FLOATX:
        raise PicanetError(
            f"picanet_tf needs Keras' floatx {_FLOATX}; other precisions are dtype "
            f"policies. Received: {where}; unset it, or set it to {_FLOATX}"
        )


def use_tensorflow_backend() -> str:
    """Selects Keras' TensorFlow backend for this process and those that it starts.

    For commands only: where this project is used as a library, the user chooses.

    Returns:
        A message to the user that names the setting that is ignored; "" if none is.
    """
    if "keras" in sys.modules:  # Too late; `check_keras` reports what is wrong.
        return ""
    backend, where = _setting("backend", _BACKEND)
    os.environ["KERAS_BACKEND"] = _BACKEND
    return "" if backend == _BACKEND else f"{where} is ignored: using {_BACKEND}"


def _setting(name: str, default: str) -> tuple[str, str]:
    """Returns a setting of Keras, and a description of where it is set."""
    keras = sys.modules.get("keras")
    if keras is not None:
        value = getattr(keras.config, name)()
        return value, f"keras.config.{name}() = {value!r}"
    if name == "backend" and os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "KERAS_BACKEND=" + os.environ[
            "KERAS_BACKEND"
        ]
    config = _config()
    value = config.get(name, default) if isinstance(config, dict) else default
    return value, f'"{name}": "{value}" in {_config_file()}'


def _config():
    """Returns the contents of Keras' file; {} if it is missing or not JSON."""
    try:
        return json.loads(_config_file().read_text())
    except (OSError, ValueError):
        return {}


def _config_file() -> Path:
    """Returns the file that Keras reads its settings from."""
    home = os.path.expanduser("~")
    base = home if os.access(home, os.W_OK) else "/tmp"
    folder = os.environ.get("KERAS_HOME", os.path.join(base, ".keras"))
    return Path(folder, "keras.json").expanduser()
