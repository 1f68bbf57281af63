"""What the service lets its clients ask for."""

from __future__ import annotations

from dataclasses import dataclass

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import MAX_PIXELS as LARGEST


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one client, and all of them together, may ask of the service.

    Attributes:
        max_bytes: of a request's body. All bodies and answers together are held to
            `held_bytes`.
        max_pixels: width x height of an image, known from its header; also of all
            images that are worked on at the same time.
        timeout: seconds; each for a body to arrive, for a request to get its turn, and
            for a client to take a mebibyte of its answer.
        queue: requests that may wait while others are worked on.

    Raises:
        PicanetError: one that is out of range.
    """

    max_bytes: int = 32_000_000
    max_pixels: int = 50_000_000
    timeout: float = 30.0
    queue: int = 32

    def __post_init__(self):
        for name, least in (("max_bytes", 1), ("max_pixels", 1), ("queue", 0)):
            if getattr(self, name) < least:
                raise PicanetError(
                    f"`{name}` must be at least {least}. Received: "
                    f"{getattr(self, name)}"
                )
        if self.max_pixels > LARGEST:
            raise PicanetError(
                f"`max_pixels` must be at most {LARGEST}, which is what Pillow opens. "
                f"Received: {self.max_pixels}"
            )
        if not 0 < self.timeout < float("inf"):
            raise PicanetError(
                f"`timeout` must be a number of seconds above 0. Received: "
                f"{self.timeout}"
            )

    @property
    def held_bytes(self) -> int:
        """Of all bodies and answers at once; beyond it requests are refused."""
        return 8 * self.max_bytes

    def __str__(self) -> str:
        return (
            f"{self.max_bytes:,} bytes and {self.max_pixels:,} pixels an image, "
            f"{self.timeout:g} s, {self.queue} waiting"
        )
