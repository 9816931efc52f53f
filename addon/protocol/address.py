# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's address as people type it."""

import re
from dataclasses import dataclass

from .version import DEFAULT_PORT

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?\Z")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?\Z")


class InvalidAddress(ValueError):
    """The address is not one that can be connected to."""


@dataclass(frozen=True, slots=True)
class Address:
    """Host and TCP port."""

    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORT else f"{host}:{self.port}"

    @property
    def endpoint(self) -> str:
        """The address as ZeroMQ takes it: ``tcp://host:port``."""
        return f"tcp://[{self.host}]:{self.port}" if ":" in self.host else f"tcp://{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read ``host``, ``host:port``, ``[v6]:port`` or a bare IPv6 address. Raises InvalidAddress with a sentence."""
    text = text.strip()
    bracketed = re.fullmatch(r"\[(.*)\](?::(.*))?", text)
    if bracketed:
        host, port = bracketed[1], bracketed[2]
    elif text.count(":") > 1:
        host, port = text, None
    else:
        host, _, port = text.partition(":")
    if not (_IPV6.match(host) if ":" in host else _HOST.match(host)):
        raise InvalidAddress(
            f"{text!r} is not an address: write a name or an IP address, like render-box or 192.168.1.20."
        )
    return Address(host, _parse_port(port, text))


def _parse_port(port: str | None, text: str) -> int:
    if not port:
        return DEFAULT_PORT
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise InvalidAddress(f"{text!r} has no valid port: write a number from 1 to 65535 behind the colon.")
    return int(port)
