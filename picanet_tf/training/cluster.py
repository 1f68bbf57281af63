"""Which worker of a training this process is. Imports no TensorFlow.

Several workers are told of each other in the environment, as TensorFlow has it:

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
    """A worker's place.

    Attributes:
        index: of this worker; 0 is the chief, who writes the run directory.
        addresses: of all workers, the chief's first; empty when there is but one.
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
        """Reads `TF_CONFIG`; without it, or with one worker in it, there is but one.

        Raises:
            PicanetError: it is no JSON, or names no worker for this process.
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
            job[int(task["index"])]
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise PicanetError(
                'TF_CONFIG must be like {"cluster": {"worker": ["host:port", ...]}, '
                '"task": {"type": "worker", "index": 0}}, with the task among the '
                f"workers. Received: {text}"
            ) from error
        addresses = (*chiefs, *workers)
        if len(addresses) == 1:
            return cls()
        return cls(before + int(task["index"]), addresses)

    def __str__(self) -> str:
        return f"worker {self.index} of {self.size}"


ALONE = Cluster()
