# SPDX-License-Identifier: GPL-3.0-or-later
"""Who works on which file: two threads never change one at a time."""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager


class Claims:
    """Files by their name in the store.

    A receipt holds its files until it is closed; another receipt is refused them. The store itself holds a file only
    while it reads or deletes it, so that whoever wants it then waits. It never waits for a receipt: there is no way
    to a deadlock.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._receipts: set[str] = set()
        self._store: set[str] = set()

    def take(self, name: str) -> bool:
        """Claim a file for a receipt; False when another receipt has it."""
        with self._changed:
            self._changed.wait_for(lambda: name not in self._store)
            if name in self._receipts:
                return False
            self._receipts.add(name)
            return True

    def give_back(self, name: str) -> None:
        """A receipt has done with a file."""
        with self._changed:
            self._receipts.discard(name)

    def wait(self, names: Collection[str]) -> None:
        """Return when the store works on none of these."""
        with self._changed:
            self._changed.wait_for(lambda: self._store.isdisjoint(names))

    @contextmanager
    def working(self, names: Collection[str]) -> Iterator[set[str]]:
        """The store works on these files, without those that a receipt has; waits for other work on them."""
        with self._changed:
            self._changed.wait_for(lambda: self._store.isdisjoint(names))
            mine = self.start(names)
        try:
            yield mine
        finally:
            self.end(mine)

    def start(self, names: Collection[str]) -> set[str]:
        """The store works on those of these files that nobody has. Returns them, for `end`."""
        with self._changed:
            mine = set(names) - self._receipts - self._store
            self._store |= mine
            return mine

    def end(self, names: Collection[str]) -> None:
        """The store has done with these files."""
        with self._changed:
            self._store.difference_update(names)
            self._changed.notify_all()
