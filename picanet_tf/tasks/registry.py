"""Which tasks there are, by name. Nothing is imported before it is asked for."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING

from picanet_tf.core.errors import PicanetError

if TYPE_CHECKING:
    from picanet_tf.tasks.base import Task
    from picanet_tf.tasks.spec import TaskSpec

# name: "module:class" of its `TaskSpec`, a module that imports no TensorFlow
_SPECS = {
    "saliency": "picanet_tf.saliency.spec:SaliencySpec",
    "segmentation": "picanet_tf.segmentation.spec:SegmentationSpec",
    "detection": "picanet_tf.detection.spec:DetectionSpec",
}


def task_names() -> tuple[str, ...]:
    """The names of all tasks; the first is the default of every command."""
    return tuple(_SPECS)


def register(name: str, spec: str) -> None:
    """Adds a task, for this process.

    Args:
        name: what `--task` and `experiment.json` call it.
        spec: `"module:class"` of its `TaskSpec`, which names the class of its `Task`.

    Raises:
        PicanetError: another task has the name.
    """
    if _SPECS.get(name, spec) != spec:
        raise PicanetError(f"There is a task {name!r} already: {_SPECS[name]}")
    _SPECS[name] = spec


def get_spec(name: str) -> TaskSpec:
    """What can be known of a task before TensorFlow is imported.

    Raises:
        PicanetError: there is no such task.
    """
    if name not in _SPECS:
        raise PicanetError(f"There is no task {name!r}. There are: {', '.join(_SPECS)}")
    return load(_SPECS[name])


def get_task(name: str) -> Task:
    """A task, which imports TensorFlow; `PicanetError` where there is no such task."""
    return load(get_spec(name).task_class)


def specs_of_kind(record_kind: str) -> list[TaskSpec]:
    """The tasks that learn from data sets of a kind, in the order of `task_names`."""
    specs = map(get_spec, _SPECS)
    return [spec for spec in specs if spec.record_kind == record_kind]


@functools.cache
def load(reference: str):
    """The one instance of a class, given as `"module:class"`."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)()
