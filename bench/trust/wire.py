# SPDX-License-Identifier: GPL-3.0-or-later
"""A link to a node that can be cut, be down, and be slow, and that tells of every block it carries."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from tests.system.harness import introduce

from .faults import Event

_BLOCK_BYTES = 32 << 10


class Wire:
    """A TCP relay to `target`, a port of this machine; `tell` is called from its threads."""

    def __init__(self, target: int, tell: Callable[[Event], None]) -> None:
        self._target = target
        self._tell = tell
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        introduce(target, self.port)
        self._down = False
        self._rate: int | None = None
        self._restored = threading.Event()
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection; new ones are taken."""
        with self._lock:
            for end in self._ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def down(self) -> None:
        """End every connection, and those that are attempted from now on."""
        self._down = True
        self.cut()

    def slow(self, rate: int) -> None:
        """Carry no more than so many bytes a second, each way of each connection."""
        self._restored.clear()
        self._rate = rate

    def restore(self) -> None:
        """Be as fast as the machine again."""
        self._down, self._rate = False, None
        self._restored.set()

    def close(self) -> None:
        """Take no more connections."""
        self.down()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            down = self._down
            self._tell(Event.DIALLED)
            try:
                if down:
                    raise ConnectionRefusedError
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            threading.Thread(target=self._connect, args=(near, far), daemon=True).start()

    def _connect(self, near: socket.socket, far: socket.socket) -> None:
        with self._noted(near, far):
            back = threading.Thread(target=self._copy, args=(far, near, Event.DOWN), daemon=True)
            back.start()
            self._copy(near, far, Event.UP)
            back.join()

    @contextlib.contextmanager
    def _noted(self, *ends: socket.socket) -> Iterator[None]:
        with self._lock:
            self._ends.update(ends)
        try:
            yield
        finally:
            with self._lock:
                self._ends.difference_update(ends)
                for end in ends:
                    end.close()

    def _copy(self, source: socket.socket, target: socket.socket, way: Event) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(_BLOCK_BYTES):
                rate = self._rate
                if rate is not None:  # What a slow link does; restored, it carries on at once.
                    self._restored.wait(len(block) / rate)
                target.sendall(block)
                self._tell(way)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
