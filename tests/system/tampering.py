# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody in between who changes what passes, within a connection that stands."""

import contextlib
import enum
import socket
import threading

from tests.system.harness import PATIENCE_S, Link
from tests.system.zmtp import Reader, Unit


class Kind(enum.StrEnum):
    """What is done to one message."""

    CHANGED = "changed"
    DOUBLED = "doubled"
    DROPPED = "dropped"
    EXCHANGED = "exchanged"
    """With the one behind it."""
    FOREIGN = "foreign"
    """One of an earlier connection comes before it."""


class Tampering(Link):
    """A relay that tampers with one message, once it is told to; what comes after that passes as it is."""

    def __init__(self, port: int) -> None:
        self._wanted: tuple[Kind, bool, int] | None = None
        self._connections = 0
        """That have got as far as a message to the node."""
        self._spoilt = 0
        """Which of them was tampered with."""
        self._changed = threading.Condition()
        self._newest: dict[bool, Unit] = {}
        """The last message of each direction, towards the node or not."""
        self._earlier: dict[bool, Unit] = {}
        """The same of the connections that were cut."""
        super().__init__(port, 1e9)

    def tamper(self, kind: Kind, towards: bool, number: int) -> None:
        """End what there is, and do this to the message of that number, from 1, of the next connection that has it."""
        self._earlier = dict(self._newest)
        self._wanted = kind, towards, number
        self.cut()

    def wait_for_another(self) -> None:
        """Return when there is a connection behind the one that was tampered with."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._spoilt, PATIENCE_S), "no such message came"
            assert self._changed.wait_for(lambda: self._connections > self._spoilt, PATIENCE_S), "nobody minded"

    def _copy(self, source: socket.socket, target: socket.socket, towards: bool) -> None:
        reader, count = Reader(), 0
        held: list[Unit] = []
        try:
            while block := source.recv(65536):
                for unit in reader.feed(block):
                    passing = [unit]
                    if unit.is_message:
                        count += 1
                        passing, held = [*self._meet(unit, towards, count), *held], []
                        if not passing and self._kind == Kind.EXCHANGED:
                            held = [unit]
                    target.sendall(b"".join(each.wire for each in passing))
        except OSError:
            return
        finally:
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)  # Wakes the other direction.
                end.close()

    def _meet(self, unit: Unit, towards: bool, number: int) -> list[Unit]:
        """Return what passes in place of a message."""
        with self._changed:
            self._newest[towards] = unit
            self._connections += towards and number == 1
            passing = [unit]
            if self._wanted is not None and self._wanted[1:] == (towards, number):
                (self._kind, _, _), self._wanted = self._wanted, None
                self._spoilt = self._connections
                passing = _done_to(self._kind, unit, self._earlier[towards])
            self._changed.notify_all()
        return passing


def _done_to(kind: Kind, unit: Unit, earlier: Unit) -> list[Unit]:
    match kind:
        case Kind.CHANGED:
            return [unit.spoilt()]
        case Kind.DOUBLED:
            return [unit, unit]
        case Kind.FOREIGN:
            assert earlier.nonce > unit.nonce, "its number alone would give it away"
            return [earlier, unit]
        case Kind.DROPPED | Kind.EXCHANGED:
            return []
