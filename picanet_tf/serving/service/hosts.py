"""Which Host and Origin headers the service answers to.

The service has no passwords: what keeps a web page that its user happens to visit from
using it is that a browser tells the truth in these two headers. A page's own name that
was made to point to 127.0.0.1 (DNS rebinding) shows in Host, a page of another site in
Origin.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple

from picanet_tf.core.errors import PicanetError

ANY = "*"
# By these names a machine calls itself.
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_SCHEMES = {"http": 80, "https": 443}


class Authority(NamedTuple):
    """A host with its port; None stands for any port, or for the scheme's own."""

    host: str
    port: int | None


class HostPolicy:
    """Decides by the Host and Origin headers.

    The machine's own names with the service's own port are always good, and so is the
    origin that equals the request's host: the service's own page.

    Args:
        allowed_hosts: further names, with any port (`example.com`) or one port
            (`example.com:8080`); IPv6 in brackets. `"*"`: whatever host.
        allowed_origins: further origins, as `https://example.com`. `"*"`: whatever
            origin.

    Raises:
        PicanetError: one that is not of this form.
    """

    def __init__(
        self, allowed_hosts: Iterable[str] = (), allowed_origins: Iterable[str] = ()
    ):
        allowed_hosts = list(allowed_hosts)
        self._any_host = ANY in allowed_hosts
        self._hosts = {_host(word) for word in allowed_hosts if word != ANY}
        self.origins = [_origin(word) for word in allowed_origins]

    def answers_to(self, host: str | None, own_port: int | None) -> bool:
        """Whether a Host header is good.

        Args:
            host: the header.
            own_port: of the service.
        """
        found = parse_authority(host)
        if found is None:
            return False
        return self._any_host or self._named(found, 80, own_port)

    def accepts(self, origin: str, host: str | None, own_port: int | None) -> bool:
        """Whether an Origin header is good beside a Host header that is."""
        if ANY in self.origins or origin.lower() in self.origins:
            return True
        scheme, _, rest = origin.lower().partition("://")
        found = parse_authority(rest)
        if scheme not in _SCHEMES or found is None:
            return False
        default = _SCHEMES[scheme]
        asked = parse_authority(host)
        same = asked is not None and (
            (found.host, found.port or default) == (asked.host, asked.port or default)
        )
        return same or self._named(found, default, own_port)

    def _named(self, found: Authority, default: int, own_port: int | None) -> bool:
        port = found.port or default
        if found.host in _LOOPBACK and port == own_port:
            return True
        return not {
            found,
            Authority(found.host, port),
            Authority(found.host, None),
        }.isdisjoint(self._hosts)


def parse_authority(text: str | None) -> Authority | None:
    """`"Example.com:80"` -> ("example.com", 80); None of what is no host."""
    match = _AUTHORITY.fullmatch((text or "").lower())
    if match is None:
        return None
    host, port = match.groups()
    return Authority(host, None if port is None else int(port))


def is_loopback(host: str) -> bool:
    """Whether an address to listen at can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(word: str) -> Authority:
    found = parse_authority(word)
    if found is None:
        raise PicanetError(
            "`allowed_hosts` takes names as example.com or example.com:8080, IPv6 in "
            f"brackets, or *. Received: {word!r}"
        )
    return found


def _origin(word: str) -> str:
    scheme, _, rest = word.lower().partition("://")
    if word != ANY and (scheme not in _SCHEMES or parse_authority(rest) is None):
        raise PicanetError(
            "`allowed_origins` takes origins as https://example.com, without a path, "
            f"or *. Received: {word!r}"
        )
    return word.lower()
