# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock on a file that ends with the process that holds it, however that ends."""

import contextlib
import os
import sys
from pathlib import Path


class FileLock:
    """Held from a successful `acquire` to `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock if nobody has it."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(descriptor)
            if not os.path.samestat(os.fstat(descriptor), self._path.stat()):
                raise FileNotFoundError  # Whoever had it removed it after we had opened it: it keeps nobody out.
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Give the lock back, and delete its file."""
        if os.name == "posix":  # While it is held: else somebody could take it before it is deleted.
            self._path.unlink(missing_ok=True)
        self.release()
        if os.name != "posix":  # Windows deletes nothing that is open; nor this, where another process has taken it.
            with contextlib.suppress(PermissionError):
                self._path.unlink(missing_ok=True)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
