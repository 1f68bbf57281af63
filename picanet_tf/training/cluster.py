"""The role of this process in distributed training. Does not import TensorFlow.

Multiple workers are configured by the environment variable that TensorFlow defines:

    TF_CONFIG='{"cluster": {"worker": ["a:2222", "b:2222"]},
                "task": {"type": "worker", "index": 0}}'
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from picanet_tf.core.errors import PicanetError


@dataclass(frozen=True)
class Cluster:
    """The workers of a training and the index of this one.

    Attributes:
        index: index of this worker. Worker 0 is the chief, which writes the run
            directory.
        addresses: addresses of all workers, the chief's first; empty for one worker.
    """

    index: int = 0
    addresses: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return max(len(self.addresses), 1)

    @property
    def chief(self) -> bool:
        return self.index == 0

    @classmethod
    def from_environment(cls) -> Cluster:
        """Reads `TF_CONFIG`; returns a single worker if it is unset or has only one.

        Raises:
            PicanetError: if it is not JSON or does not define this process's worker.
        """
        text = os.environ.get("TF_CONFIG", "")
        if not text:
            return cls()
        try:
            config = json.loads(text)
            jobs, task = config["cluster"], config["task"]
            chiefs, workers = list(jobs.get("chief", ())), list(jobs.get("worker", ()))
            before = {"chief": 0, "worker": len(chiefs)}[task["type"]]
            job = {"chief": chiefs, "worker": workers}[task["type"]]
            if not 0 <= int(task["index"]) < len(job):
                raise IndexError
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise PicanetError(
                'TF_CONFIG must have the form {"cluster": {"worker": ["host:port", '
                '...]}, "task": {"type": "worker", "index": 0}}, with the task among '
                f"the workers. Received: {text}"
            ) from error
        addresses = (*chiefs, *workers)
        if len(addresses) == 1:
            return cls()
        return cls(before + int(task["index"]), addresses)

    def __str__(self) -> str:
        return f"worker {self.index} of {self.size}"


ALONE = Cluster()
