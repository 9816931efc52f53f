# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairing by numeric comparison: two machines that have never met agree on their keys, and people compare six digits.

As in Bluetooth Secure Simple Pairing (Core Specification 5.4, volume 3, part H, 2.3.5.6.2): the node commits itself to
its nonce before it sees the client's, and the client sends its own before it sees the node's. Whoever stands between
the two has to choose without knowing what the digits will be, and is found out by comparing them but once in a million
times. What is exchanged is not secret, so the conversation needs no encryption; its lines are JSON.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TypeVar

from .codec import build
from .errors import RemoteProtocolError

PAIRING_VERSION = 1

PORT_OFFSET = 1
"""Pairing is done on the port behind the node's own: the node's own takes only keys that it knows."""

MAX_LINE_BYTES = 1024

EXPIRES_S = 300.0
"""People have this long to compare and to allow."""

NONCE_BYTES = 32
_COMMITMENT = b"relay commitment"
_DIGITS = b"relay six digits"
_KEY_CHARACTERS = 40
_MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Request:
    """From the client: who wants to be let in."""

    pairing: int
    key: str
    """Public, in Z85."""
    name: str
    """Account and machine, for people."""

    def __post_init__(self) -> None:
        _check_key(self.key)
        _check_name(self.name)


@dataclass(frozen=True, slots=True)
class Commitment:
    """From the node: its key, and what it is bound to by."""

    key: str
    name: str
    commitment: str
    """64 hexadecimal digits."""

    def __post_init__(self) -> None:
        _check_key(self.key)
        _check_name(self.name)
        _check_hex(self.commitment)


@dataclass(frozen=True, slots=True)
class Nonce:
    """From the client, and then from the node."""

    nonce: str
    """64 hexadecimal digits, random."""

    def __post_init__(self) -> None:
        _check_hex(self.nonce)


@dataclass(frozen=True, slots=True)
class Compared:
    """From the client: the artist says that both show the same digits."""

    same: bool


@dataclass(frozen=True, slots=True)
class Decided:
    """From the node: whether it lets the client in, or why there will be no pairing."""

    allowed: bool
    text: str = ""

    def __post_init__(self) -> None:
        _check(len(self.text) <= MAX_LINE_BYTES // 2)


T = TypeVar("T", Request, Commitment, Nonce, Compared, Decided)
Line = Request | Commitment | Nonce | Compared | Decided


def encode(line: Line) -> bytes:
    """Return a line with its end."""
    return json.dumps(asdict(line)).encode() + b"\n"


def decode(kind: type[T], text: bytes) -> T:
    """Read the next line, which has to be of one kind. Raises RemoteProtocolError."""
    if not text.endswith(b"\n"):
        raise RemoteProtocolError("The other side ended the conversation.")
    try:
        line = build(kind, json.loads(text))
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"Not a line of a pairing: {error}") from None
    assert isinstance(line, kind)
    return line


def commitment(node_key: str, client_key: str, node_nonce: str) -> str:
    """Return what the node is bound to: 64 hexadecimal digits."""
    return _hash(_COMMITMENT, node_key, client_key, node_nonce).hexdigest()


def digits(node_key: str, client_key: str, node_nonce: str, client_nonce: str) -> str:
    """Return the six digits that both sides show."""
    found = _hash(_DIGITS, node_key, client_key, node_nonce, client_nonce).digest()
    return f"{int.from_bytes(found[:8], 'big') % 1_000_000:06}"


def spaced(code: str) -> str:
    """Digits as people read them: "123 456"."""
    return f"{code[:3]} {code[3:]}"


def _hash(purpose: bytes, *parts: str) -> hashlib.blake2b:
    """All parts have fixed lengths, so that nothing can be moved from one to the next."""
    return hashlib.blake2b("".join(parts).encode(), digest_size=32, person=purpose)


def _check(holds: bool) -> None:
    if not holds:
        raise ValueError("a field is out of bounds")


def _check_key(key: str) -> None:
    _check(len(key) == _KEY_CHARACTERS and key.isascii() and key.isprintable() and " " not in key)


def _check_name(name: str) -> None:
    _check(0 < len(name) <= _MAX_NAME and name.isprintable())


def _check_hex(text: str) -> None:
    _check(len(text) == 2 * NONCE_BYTES and set(text) <= set("0123456789abcdef"))
