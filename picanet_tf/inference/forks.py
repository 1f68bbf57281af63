"""Detects processes that were forked from one that has used TensorFlow.

TensorFlow's threads do not exist in such a process, and it waits for them forever.
Imports no TensorFlow.
"""

from __future__ import annotations

import os

from picanet_tf.core.errors import PicanetError

_first_process: int | None = None


def tensorflow_is_used() -> None:
    """Records that this process uses TensorFlow from now on."""
    global _first_process
    _first_process = _first_process or os.getpid()


def check_not_forked() -> None:
    """Raises `PicanetError` if TensorFlow was used in a process that forked this one.

    Raises:
        PicanetError: as above.
    """
    if _first_process not in (None, os.getpid()):
        raise PicanetError(
            "This process was forked from one that has used TensorFlow, which would "
            "wait forever here. Start processes with "
            'multiprocessing.get_context("spawn"), or load the Keras model only in the '
            "processes that use it"
        )
