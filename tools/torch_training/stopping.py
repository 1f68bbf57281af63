"""Ctrl-C and SIGTERM as a request, so that a step ends and its result is saved."""

from __future__ import annotations

import signal


class Stopping:
    """Within it, `asked` becomes true at the first signal; a second one interrupts."""

    def __init__(self):
        self.asked = False

    def __enter__(self):
        signals = (signal.SIGINT, signal.SIGTERM)
        self._before = {each: signal.signal(each, self._ask) for each in signals}
        return self

    def __exit__(self, *_):
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _ask(self, number, frame):
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print("stopping after this step", flush=True)
