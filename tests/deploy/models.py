"""SavedModels under a name, with labels and batching, as TF Serving holds them."""

from __future__ import annotations

import queue
import threading
import time
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

WARMUP = "assets.extra/tf_serving_warmup_requests"
Code = grpc.StatusCode


class Status(Exception):
    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


class Version:
    """One SavedModel, warmed up by the requests that its export brought along.

    As in TF Serving, before the first caller. Here it is needed: in Python, 8 threads
    that call a freshly loaded signature for the first time wait for each other for
    ever (TensorFlow 2.21).
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._loaded = tf.saved_model.load(str(folder))
        self._functions = dict(self._loaded.signatures)
        saved = saved_model_pb2.SavedModel()
        saved.ParseFromString((folder / "saved_model.pb").read_bytes())
        self.signatures = {
            name: signature
            for name, signature in saved.meta_graphs[0].signature_def.items()
            if name != "__saved_model_init_op"
        }

        for record in tf.data.TFRecordDataset(str(folder / WARMUP)):
            log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
            request = log.predict_log.request
            inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
            self.run(request.model_spec.signature_name, inputs)

    def run(self, signature: str, inputs: dict) -> dict:
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        try:
            outputs = self._functions[signature](**tensors)
        except tf.errors.OpError as error:
            # Python puts the places of the source ahead; a server has none.
            message = error.message.split("<stack traces unavailable>\n")[-1]
            message = message.split(" [Op:")[0]
            raise Status(Code.INVALID_ARGUMENT, message) from error
        return {name: value.numpy() for name, value in outputs.items()}


def load_versions(base: Path) -> dict[int, Version]:
    return {
        int(folder.name): Version(folder)
        for folder in Path(base).iterdir()
        if folder.name.isdecimal()
    }


class Batcher:
    """Merges concurrent requests into one batch, along dimension 0, and cuts it again.

    A batch is complete after `timeout` seconds or with `most` rows. An error is
    everybody's in the batch.
    """

    def __init__(self, run, most: int, timeout: float):
        self._run = run
        self._most = most
        self._timeout = timeout
        self._waiting: queue.Queue = queue.Queue()
        threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, inputs: dict) -> dict:
        future: futures.Future = futures.Future()
        self._waiting.put((inputs, future))
        return future.result()

    def _work(self):
        while True:
            batch = [self._waiting.get()]
            end = time.monotonic() + self._timeout
            while len(batch) < self._most:
                try:
                    batch.append(
                        self._waiting.get(timeout=max(0, end - time.monotonic()))
                    )
                except queue.Empty:
                    break
            self._answer(batch)

    def _answer(self, batch):
        requests = [inputs for inputs, _ in batch]
        rows = [len(next(iter(inputs.values()))) for inputs in requests]
        try:
            merged = {
                name: tf.concat([inputs[name] for inputs in requests], 0)
                for name in requests[0]
            }
            outputs = self._run(merged)
        except Exception as error:
            for _, future in batch:
                future.set_exception(error)
            return
        cuts = np.cumsum(rows)[:-1]
        parts = {name: np.split(value, cuts) for name, value in outputs.items()}
        for n, (_, future) in enumerate(batch):
            future.set_result({name: part[n] for name, part in parts.items()})


class Model:
    """Versions under a name.

    Args:
        name: that.
        versions: as `load_versions` gives them.
        labels: {label: version}.
        batching: (most rows, seconds), or None.

    Attributes:
        delay: seconds before each answer to Predict.
        unavailable: how many of the next requests are turned away.
        served: version of each answered request.
        batches: rows of each batch that ran.
        most_at_once: requests that were answered at the same time.
    """

    def __init__(self, name, versions, labels=None, batching=None):
        self.name = name
        self.versions = versions
        self.labels = labels or {}
        self.delay = 0.0
        self.unavailable = 0
        self.served: list[int] = []
        self.batches: list[int] = []
        self.most_at_once = 0
        self._at_once = 0
        self._batching = batching
        self._batchers: dict = {}
        self._lock = threading.Lock()

    def find(self, name, version=None, label=None) -> int:
        if name != self.name:
            raise Status(
                Code.NOT_FOUND, f"Servable not found for request: Latest({name})"
            )
        if label:
            if label not in self.labels:
                raise Status(
                    Code.INVALID_ARGUMENT,
                    f"Unrecognized servable version label: {label}",
                )
            version = self.labels[label]
        version = max(self.versions) if version is None else version
        if version not in self.versions:
            raise Status(
                Code.NOT_FOUND,
                f"Servable not found for request: Specific({name}, {version})",
            )
        return version

    def predict(self, version, signature, inputs, wanted=()) -> dict:
        with self._lock:
            if self.unavailable:
                self.unavailable -= 1
                raise Status(Code.UNAVAILABLE, "The batch scheduling queue is full")
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            time.sleep(self.delay)
            return self._predict(version, signature, inputs, wanted)
        finally:
            with self._lock:
                self._at_once -= 1

    def _predict(self, version, signature, inputs, wanted):
        known = self.signature(version, signature)
        self._check_inputs(known, inputs)
        for name in wanted:
            if name not in known.outputs:
                raise Status(
                    Code.INVALID_ARGUMENT,
                    f"output tensor alias not found in signature: {name} Outputs "
                    f"expected to be in the set {{{','.join(sorted(known.outputs))}}}.",
                )
        outputs = self._run(version, signature, inputs)
        self.served.append(version)
        return {name: outputs[name] for name in wanted or outputs}

    def signature(self, version, signature):
        signatures = self.versions[version].signatures
        if signature not in signatures:
            raise Status(
                Code.INVALID_ARGUMENT,
                f'Serving signature name: "{signature}" not found in signature def',
            )
        return signatures[signature]

    @staticmethod
    def _check_inputs(signature, inputs):
        missing = sorted(set(signature.inputs) - set(inputs))
        extra = sorted(set(inputs) - set(signature.inputs))
        if missing or extra:
            raise Status(
                Code.INVALID_ARGUMENT,
                "input size does not match signature. Sent extra: "
                f"{{{','.join(extra)}}}. Missing but required: "
                f"{{{','.join(missing)}}}.",
            )
        for n, (name, value) in enumerate(inputs.items()):
            dtype = tf.as_dtype(signature.inputs[name].dtype)
            if value.dtype != dtype:
                raise Status(
                    Code.INVALID_ARGUMENT,
                    f"Expects arg[{n}] to be {dtype.name} but {value.dtype.name} is "
                    "provided",
                )

    def _run(self, version, signature, inputs):
        def run(inputs):
            self.batches.append(len(next(iter(inputs.values()))))
            return self.versions[version].run(signature, inputs)

        if not self._batching:
            return run(inputs)
        with self._lock:
            key = version, signature
            if key not in self._batchers:
                self._batchers[key] = Batcher(run, *self._batching)
        return self._batchers[key](inputs)
