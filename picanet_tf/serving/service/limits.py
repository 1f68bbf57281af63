"""Limits of the service."""

from __future__ import annotations

from dataclasses import dataclass

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.images import MAX_PIXELS as LARGEST


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits per request and for all requests together.

    Attributes:
        max_bytes: largest request body. All bodies and responses together are limited
            to `held_bytes`.
        max_pixels: largest width x height of an image, checked from its header, and of
            all images processed at the same time.
        timeout: seconds allowed for each of: receiving a body, waiting in the queue,
            and the client reading a mebibyte of the response.
        queue: largest number of waiting requests.

    Raises:
        PicanetError: if a limit is out of range.
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
                f"`max_pixels` must be at most {LARGEST}, Pillow's limit. Received: "
                f"{self.max_pixels}"
            )
        if not 0 < self.timeout < float("inf"):
            raise PicanetError(
                f"`timeout` must be a number of seconds above 0. Received: "
                f"{self.timeout}"
            )

    @property
    def held_bytes(self) -> int:
        """Largest total of all bodies and responses; beyond it requests get 503."""
        return 8 * self.max_bytes

    def __str__(self) -> str:
        return (
            f"{self.max_bytes:,} bytes and {self.max_pixels:,} pixels per image, "
            f"{self.timeout:g} s timeout, {self.queue} requests waiting"
        )
