# SPDX-License-Identifier: GPL-3.0-or-later
"""ZMTP 3.1 (ZeroMQ RFC 37) as somebody in between can read it, with CURVE (RFC 26): where messages begin and end.

It knows the greeting of 64 bytes, frames (a byte of flags, a length of 1 or 8 bytes, a body), and which of them are
MESSAGEs of CURVE: a number of 8 bytes that counts up, and a box. Each holds one frame of ZeroMQ; whether another
belongs to it is said inside of the box. libzmq flags the handshake's frames as commands, but not MESSAGEs.
Not known here: other mechanisms, ZMTP 2 and 1, and anything that is in a box.
"""

from dataclasses import dataclass

GREETING_BYTES = 64
NONCE_BYTES = 8

LONG = 0x02
"""Flag of a frame whose length has 8 bytes."""

_MESSAGE = b"\x07MESSAGE"


@dataclass(frozen=True)
class Unit:
    """What the stream is cut into: a frame, or a part of the greeting, which does not come as one."""

    wire: bytes
    """All of it."""
    head: int
    """Bytes before the body; 0 in a greeting."""

    @property
    def body(self) -> bytes:
        return self.wire[self.head :]

    @property
    def is_message(self) -> bool:
        return self.head > 0 and self.body.startswith(_MESSAGE)

    @property
    def nonce(self) -> int:
        """Of a MESSAGE."""
        return int.from_bytes(self.body[len(_MESSAGE) : len(_MESSAGE) + NONCE_BYTES], "big")

    @property
    def name(self) -> str:
        """Of the command, such as HELLO; of the greeting, GREETING."""
        return self.body[1 : 1 + self.body[0]].decode("ascii") if self.head else "GREETING"

    def spoilt(self) -> "Unit":
        """The same with the last bit turned over, which is in the box."""
        return Unit(self.wire[:-1] + bytes([self.wire[-1] ^ 1]), self.head)


class Reader:
    """One direction of one connection."""

    def __init__(self) -> None:
        self._waiting = b""
        self._greeting_left = GREETING_BYTES

    def feed(self, block: bytes) -> list[Unit]:
        """Take in what has come; return what is complete by now."""
        self._waiting += block
        units = []
        while (unit := self._next()) is not None:
            self._waiting = self._waiting[len(unit.wire) :]
            units.append(unit)
        return units

    def _next(self) -> Unit | None:
        if not self._waiting:
            return None
        if self._greeting_left:
            part = self._waiting[: self._greeting_left]
            self._greeting_left -= len(part)
            return Unit(part, 0)
        head = 9 if self._waiting[0] & LONG else 2
        end = head + int.from_bytes(self._waiting[1:head], "big")
        if len(self._waiting) < max(head, end):
            return None
        return Unit(self._waiting[:end], head)
