"""Validates Host and Origin headers.

The service has no authentication. It is protected from web pages that its user visits
by these two headers, which browsers set truthfully: Host reveals a foreign name that
resolves to 127.0.0.1 (DNS rebinding), Origin a page of another site.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple

from picanet_tf.core.errors import PicanetError

ANY = "*"
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_SCHEMES = {"http": 80, "https": 443}


class Authority(NamedTuple):
    """A host and port; None stands for any port or the scheme's default."""

    host: str
    port: int | None


class HostPolicy:
    """Accepts or rejects requests by their Host and Origin headers.

    Loopback names with the service's own port are always accepted, in Host also without
    a port. So is an Origin that equals the request's Host: the service's own page.

    Args:
        allowed_hosts: additional host names, with any port (`example.com`) or one port
            (`example.com:8080`); IPv6 in brackets. `"*"`: any host.
        allowed_origins: additional origins, such as `https://example.com`. `"*"`: any
            origin.

    Raises:
        PicanetError: if a host or origin is not of this form.
    """

    def __init__(
        self, allowed_hosts: Iterable[str] = (), allowed_origins: Iterable[str] = ()
    ):
        allowed_hosts = list(allowed_hosts)
        self._any_host = ANY in allowed_hosts
        self._hosts = {_host(word) for word in allowed_hosts if word != ANY}
        self.origins = [_origin(word) for word in allowed_origins]

    def answers_to(self, host: str | None, own_port: int | None) -> bool:
        """Whether a Host header is accepted.

        Args:
            host: the header.
            own_port: the service's port.
        """
        found = parse_authority(host)
        if found is None:
            return False
        # Reverse proxies may send no port. No page of another site has these names.
        if is_loopback(found.host) and found.port is None:
            return True
        return self._any_host or self._named(found, 80, own_port)

    def accepts(self, origin: str, host: str | None, own_port: int | None) -> bool:
        """Whether an Origin header is accepted, given an accepted Host header."""
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
        if is_loopback(found.host) and port == own_port:
            return True
        return not {
            found,
            Authority(found.host, port),
            Authority(found.host, None),
        }.isdisjoint(self._hosts)


def parse_authority(text: str | None) -> Authority | None:
    """Parses `"Example.com:80"` to ("example.com", 80); None if it is not a host."""
    match = _AUTHORITY.fullmatch((text or "").lower())
    if match is None:
        return None
    host, port = match.groups()
    return Authority(host, None if port is None else int(port))


def is_loopback(host: str) -> bool:
    """Whether a name or address, IPv6 also in brackets, is this machine's alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _host(word: str) -> Authority:
    found = parse_authority(word)
    if found is None:
        raise PicanetError(
            "`allowed_hosts` must be names like example.com or example.com:8080, IPv6 "
            f"in brackets, or *. Received: {word!r}"
        )
    return found


def _origin(word: str) -> str:
    scheme, _, rest = word.lower().partition("://")
    found = parse_authority(rest)
    if word == ANY:
        return word
    if scheme not in _SCHEMES or found is None:
        raise PicanetError(
            "`allowed_origins` must be origins like https://example.com, without a "
            f"path, or *. Received: {word!r}"
        )
    # Browsers leave out the default port.
    default = found.port == _SCHEMES[scheme]
    return f"{scheme}://{found.host if default else rest}"
