"""Every task of the library fulfils the contract."""

import pytest

from picanet_tf.tasks import task_names
from tests.tasks.contract import TaskContract


@pytest.mark.parametrize("name", task_names(), scope="class")
class TestTasks(TaskContract):
    pass


def test_the_first_task_is_the_papers():
    assert task_names()[0] == "saliency"
