"""Tasks: what a network can be trained for, looked up by name.

`get_spec(name)` returns the TensorFlow-free description of a task, `get_task(name)` the
object that builds, trains and exports its networks, and
`register(name, "module:class")` adds a task.
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
