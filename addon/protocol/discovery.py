# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says of itself in the local network (DNS-SD, RFC 6763), and what of that others believe.

Anybody in the network can say anything here: it is a hint where a node may be. Pairing decides whether it is the one.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from .address import Address

SERVICE = "_relay-render._tcp.local."

LONGEST_NAME = 60
"""Characters of a node's name that are shown."""

FINGERPRINT_BYTES = 5
"""Of the key's BLAKE2b: enough to tell nodes apart. It proves nothing: pairing does."""

_IN_NAMES = 6
"""Digits of the fingerprint in the node's name in the network."""

_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,20}\Z")
_PROTOCOL = re.compile(r"[0-9]{1,4}\Z")
_FINGERPRINT = re.compile(rf"[0-9a-f]{{{2 * FINGERPRINT_BYTES}}}\Z")
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.local\Z")
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode's categories of what does not show, ends a line, or turns the direction of the text around it."""


@dataclass(frozen=True, slots=True)
class Advertisement:
    """A node's own word."""

    name: str
    """For people."""
    version: str
    """Of Relay Render."""
    protocol: int
    fingerprint: str
    """Of its public key, hexadecimal."""

    @property
    def label(self) -> str:
        """Its name in the network, such as `render-box-3f9a2c`: with a part of the fingerprint no other node has it.

        The system's own `render-box.local` is left to the system: two machines with one name would fight over it.
        """
        plain = unicodedata.normalize("NFKD", self.name).encode("ascii", "ignore").decode().lower()
        slug = re.sub(r"[^a-z0-9]+", "-", plain.partition(".")[0]).strip("-")[:40].strip("-")
        return f"{slug or 'node'}-{self.fingerprint[:_IN_NAMES]}"

    @property
    def instance(self) -> str:
        """The service's name in the network."""
        return f"{self.label}.{SERVICE}"

    @property
    def host(self) -> str:
        """The name that has the node's IP addresses, as DNS writes it."""
        return f"{self.label}.local."

    @property
    def records(self) -> dict[str, str]:
        """The service's TXT record. Nothing in it is secret."""
        return {
            "version": self.version,
            "protocol": str(self.protocol),
            "name": self.name.encode()[:200].decode("utf-8", "ignore"),
            "key": self.fingerprint,
        }


def fingerprint(key: bytes) -> str:
    """Return what tells a public key apart from others."""
    return hashlib.blake2b(key, digest_size=FINGERPRINT_BYTES).hexdigest()


def read_records(records: Mapping[bytes, bytes | None]) -> Advertisement | None:
    """Return what a TXT record says, its name made fit to show; None for one that no node writes."""
    texts = {key: (records.get(key) or b"").decode("utf-8", "replace") for key in (b"version", b"protocol", b"key")}
    version, protocol, key = texts.values()
    if not (_VERSION.match(version) and _PROTOCOL.match(protocol) and _FINGERPRINT.match(key)):
        return None
    name = as_name((records.get(b"name") or b"").decode("utf-8", "replace"))
    return Advertisement(name or "a node without a name", version, int(protocol), key)


def read_address(host: str | None, port: int | None) -> Address | None:
    """Return the address that a service record names; None for one that is not a plain name.local and a port."""
    plain = (host or "").lower().removesuffix(".")
    if not _HOST.match(plain) or port is None or not 0 < port < 65536:
        return None
    return Address(plain, port)


def as_name(text: str) -> str:
    """Return a stranger's text as it can stand in a line between others."""
    shown = "".join("?" if unicodedata.category(each) in _UNSEEN else each for each in text[: 4 * LONGEST_NAME])
    return " ".join(shown.split())[:LONGEST_NAME]
