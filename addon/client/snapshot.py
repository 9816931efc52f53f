# SPDX-License-Identifier: GPL-3.0-or-later
"""A file as it is now, whatever becomes of its name meanwhile.

Blender saves into a new file and renames it into place, so an open file stays the save it was when it was opened.

Files are read, not mapped. On two cores both hash a save of 320 MB in 60 to 75 ms, but a map would cost more than it
saves: where another program cuts a mapped file short, reading it ends the process (SIGBUS), and Windows neither deletes
nor replaces a file as long as somebody maps it, however it was opened.
"""

import os
import sys
import threading
import time
import weakref
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, BinaryIO

from .errors import CannotRead, SourceChanged

REPLACING_S = 5.0
"""How long Blender may take from one rename to the next."""
LOOK_S = 0.005
"""Between two looks for a file."""
LOOKS = 50
"""A file must be out of sight so often, with no sign of a save, before it is believed to be gone: looking for the file
and for the save that replaces it are two steps, and that save may end, and the next begin, between them. Looks are
counted, not seconds: on a busy machine a quarter of a second may go by between the two.
"""


class OpenFile(AbstractContextManager["OpenFile"]):
    """A source over a file that is open. Any thread may read; the file is closed with the object, at the latest."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        """Take the file over. `path` is what to call it."""
        self.path = path
        self._file = file
        self._turn = threading.Lock()
        self.close = weakref.finalize(self, file.close)
        """Let go of the file now."""
        self.size = os.fstat(file.fileno()).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes [offset, offset + length). Raises SourceChanged for a file that got shorter, OSError."""
        found = self._read_at(offset, length)
        while len(found) < length:  # One read gives 2 GiB at most.
            more = self._read_at(offset + len(found), length - len(found))
            if not more:
                raise SourceChanged(f"{self.path} was changed while it was read.")
            found += more
        return found

    def __exit__(self, *_: object) -> None:
        self.close()

    if sys.platform == "win32":

        def _read_at(self, offset: int, length: int) -> bytes:
            with self._turn:
                os.lseek(self._file.fileno(), offset, os.SEEK_SET)
                return os.read(self._file.fileno(), length)

    else:

        def _read_at(self, offset: int, length: int) -> bytes:
            return os.pread(self._file.fileno(), length, offset)


class Snapshot(OpenFile):
    """One file as it was when it was opened, as long as it is replaced and not written over."""

    def __init__(self, path: Path) -> None:
        """Open `path`. Raises CannotRead."""
        try:
            file = _open_when_there(path)
        except FileNotFoundError:
            raise CannotRead(f"{path} is not there any more: save it again.") from None
        except OSError as error:
            raise CannotRead(f"{path} cannot be read: {error.strerror}.") from error
        super().__init__(file, path)
        if self.size == 0:
            self.close()
            raise CannotRead(f"{path} is empty: save it again in Blender.")


def _open_when_there(path: Path) -> BinaryIO:
    """Open the file, waiting for the end of a save that is just replacing it.

    Blender renames X.blend to X.blend1 and then X.blend@ to X.blend: for some microseconds, longer on a network drive,
    there is no X.blend. No system tells of the end of that, so it is looked at. Raises FileNotFoundError.
    """
    missed = time.monotonic()
    unseen = 0
    while True:
        try:
            return _open_shared(path)
        except FileNotFoundError:
            if path.with_name(f"{path.name}@").exists():
                if time.monotonic() - missed > REPLACING_S:
                    raise
            elif (unseen := unseen + 1) >= LOOKS:
                raise
            time.sleep(LOOK_S)


def _open_shared(path: Path) -> BinaryIO:
    """Open for reading without standing in the way of Blender's next save."""
    if os.name != "nt":
        return path.open("rb", buffering=0)
    return _open_share_delete(path)


def _open_share_delete(path: Path) -> BinaryIO:
    """Windows: Python's own open() lacks FILE_SHARE_DELETE, so that Blender could not rename the file while it is open.

    CreateFileW with all three share flags allows renaming and deleting (Microsoft's documentation of CreateFileW,
    "dwShareMode"); untested here.
    """
    import ctypes  # noqa: PLC0415  (only Windows has what is used of it)
    import msvcrt  # noqa: PLC0415

    generic_read, open_existing, attribute_normal = 0x80000000, 3, 0x80
    share_read_write_delete = 0x1 | 0x2 | 0x4
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined, unused-ignore]
    create_file = kernel.CreateFileW
    create_file.restype = ctypes.c_void_p
    handle = create_file(str(path), generic_read, share_read_write_delete, None, open_existing, attribute_normal, None)
    if handle in (None, ctypes.c_void_p(-1).value):
        raise ctypes.WinError(ctypes.get_last_error())  # type: ignore[attr-defined, unused-ignore]
    descriptor = msvcrt.open_osfhandle(handle, os.O_RDONLY)  # type: ignore[attr-defined, unused-ignore]
    return os.fdopen(descriptor, "rb")
