"""What a network may learn: each task as a class, found by its name.

`get_spec(name)` says what can be known without TensorFlow, `get_task(name)` builds,
trains and exports networks, `register(name, "module:class")` adds another task.
"""

from picanet_tf.tasks.base import Task
from picanet_tf.tasks.registry import get_spec, get_task, register, task_names
from picanet_tf.tasks.serving_spec import ServingSpec
from picanet_tf.tasks.spec import TaskSpec

__all__ = [
    "ServingSpec",
    "Task",
    "TaskSpec",
    "get_spec",
    "get_task",
    "register",
    "task_names",
]
