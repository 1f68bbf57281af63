"""Visits the page of `picanet visualize --serve` as a browser does, without one."""

import http.client
import io
import json

import numpy as np
from PIL import Image

from picanet_tf.serving.page.server import HOST


class Visitor:
    """One tab of a browser, over gradio's own protocol.

    Args:
        port: of the page.
        session: the tab's name to the server.
    """

    def __init__(self, port: int, session: str = "visitor"):
        self._port = port
        self._session = session
        self._config = json.loads(self.get("/config"))
        props = {part["id"]: part["props"] for part in self._config["components"]}
        self._names = {
            number: found.get("label") or found.get("value") or ""
            for number, found in props.items()
        }

    def get(self, path: str) -> bytes:
        return self._request("GET", path)

    def upload(self, name: str, content: bytes) -> dict:
        """The value of a file component that holds the uploaded file."""
        head = f'Content-Disposition: form-data; name="files"; filename="{name}"'
        body = b"--x\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n--x--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = self._request("POST", "/gradio_api/upload", body, headers)
        (path,) = json.loads(answer)
        return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    def trigger(
        self, label: str, event: str, values=(), event_data=None
    ) -> tuple[dict, list[str]]:
        """Makes an event happen to the part whose label begins so.

        Args:
            label, event: such as "Threshold", "change"; "", "load" of the page itself.
            values: of the event's inputs; None for what the server remembers itself.
            event_data: such as of a click its {"index": [x, y]}.

        Returns:
            {output's label, as it is then: new value}, and the messages that popped up.
        """
        dependency, part = self._find(label, event)
        return self._run(dependency, part, values, event_data)

    def follow(self, label: str, event: str) -> tuple[dict, list[str]]:
        """What a browser asks for when that event's answer has come; as `trigger`."""
        first, part = self._find(label, event)
        (dependency,) = [
            dependency
            for dependency in self._config["dependencies"]
            if dependency["trigger_after"] == first["id"]
        ]
        return self._run(dependency, part)

    def _find(self, label, event):
        return next(
            (dependency, part)
            for dependency in self._config["dependencies"]
            for part, name in dependency["targets"]
            if name == event and self._names.get(part, "").startswith(label)
        )

    def _run(self, dependency, part, values=(), event_data=None):
        body = {
            "data": list(values) or [None] * len(dependency["inputs"]),
            "fn_index": dependency["id"],
            "event_data": event_data,
            "session_hash": self._session,
            "trigger_id": part,
        }
        headers = {"Content-Type": "application/json"}
        self._request("POST", "/gradio_api/queue/join", json.dumps(body), headers)
        stream = self.get(f"/gradio_api/queue/data?session_hash={self._session}")
        events = [json.loads(line[6:]) for line in stream.splitlines() if line]
        (done,) = [event for event in events if event["msg"] == "process_completed"]
        messages = [event["log"] for event in events if event["msg"] == "log"]
        if not done["success"]:
            return {}, [*messages, done["output"]["error"]]
        values = done["output"]["data"]
        outputs = {}
        for number, value in zip(dependency["outputs"], values, strict=True):
            name = self._names[number]
            if isinstance(value, dict):
                name = value.get("label", name)
            outputs[name] = value
        return outputs, messages

    def picture(self, value: dict) -> np.ndarray:
        """The pixels of an image or file component's value."""
        value = value.get("value", value)
        path = value["url"].removeprefix(f"http://{HOST}:{self._port}")
        return np.asarray(Image.open(io.BytesIO(self.get(path))))

    def status(self, path: str, headers: dict) -> int:
        """Of the answer to a GET with these headers."""
        return self._answer("GET", path, None, headers)[0]

    def _request(self, method: str, path: str, body=None, headers=None) -> bytes:
        status, content = self._answer(method, path, body, headers or {})
        assert status == 200, (path, status, content)
        return content

    def _answer(self, method, path, body, headers) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=60)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
