"""The registry of tasks by name. A task is imported only when it is requested."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.keras_config import check_keras

if TYPE_CHECKING:
    from picanet_tf.tasks.base import Task
    from picanet_tf.tasks.spec import TaskSpec

# name: "module:class" of its `TaskSpec`; the module must not import TensorFlow
_SPECS = {
    "saliency": "picanet_tf.saliency.spec:SaliencySpec",
    "segmentation": "picanet_tf.segmentation.spec:SegmentationSpec",
    "detection": "picanet_tf.detection.spec:DetectionSpec",
}


def task_names() -> tuple[str, ...]:
    """Returns the names of all tasks; the first is the default of every command."""
    return tuple(_SPECS)


def register(name: str, spec: str) -> None:
    """Registers a task for the current process.

    Args:
        name: name of the task in `--task` and `experiment.json`.
        spec: `"module:class"` of its `TaskSpec`, which refers to its `Task` class.

    Raises:
        PicanetError: if another task is registered under this name.
    """
    if _SPECS.get(name, spec) != spec:
        raise PicanetError(
            f"Task {name!r} already exists: {_SPECS[name]}. Give another name"
        )
    _SPECS[name] = spec


def get_spec(name: str) -> TaskSpec:
    """Returns the `TaskSpec` of a task, without importing TensorFlow.

    Raises:
        PicanetError: if there is no such task.
    """
    if name not in _SPECS:
        raise PicanetError(f"Unknown task {name!r}. Available: {', '.join(_SPECS)}")
    return load(_SPECS[name])


def get_task(name: str) -> Task:
    """Returns a `Task`, which imports TensorFlow.

    Raises:
        PicanetError: as `get_spec`, or as `core.keras_config.check_keras`.
    """
    spec = get_spec(name)
    check_keras()
    return load(spec.task_class)


def specs_of_kind(record_kind: str) -> list[TaskSpec]:
    """Returns the specs of the tasks that train on a kind of data set, in order."""
    specs = map(get_spec, _SPECS)
    return [spec for spec in specs if spec.record_kind == record_kind]


@functools.cache
def load(reference: str):
    """Returns the cached instance of a class given as `"module:class"`."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)()
