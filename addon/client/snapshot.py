# SPDX-License-Identifier: GPL-3.0-or-later
"""The saved file as it is now, whatever Blender does to its name meanwhile.

Blender saves into a new file and renames it into place, so an open file stays the save it was when it was opened.
"""

import mmap
import os
import time
from pathlib import Path
from typing import BinaryIO

from ..protocol.digest import new_digest
from .errors import CannotRead

REPLACING_S = 5.0
"""How long Blender may take from one rename to the next."""
BETWEEN_LOOKS_S = 0.25
"""How long a file must be out of sight, with no sign of a save, before it is believed to be gone: looking for the file
and looking for the save that replaces it are two steps, and that save may end, and the next begin, between them."""


class Snapshot:
    """One save, readable until it is garbage: pieces that ZeroMQ still sends keep the memory map alive."""

    def __init__(self, path: Path) -> None:
        """Open `path`. Raises CannotRead."""
        try:
            file = _open_when_there(path)
        except FileNotFoundError:
            raise CannotRead(f"{path} is not there any more: save it again.") from None
        except OSError as error:
            raise CannotRead(f"{path} cannot be read: {error.strerror}.") from error
        with file:
            self.size = os.fstat(file.fileno()).st_size
            if self.size == 0:
                raise CannotRead(f"{path} is empty: save it again in Blender.")
            self.bytes = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def digest(self) -> str:
        """BLAKE2b-128 of all bytes, in hex. Reads the whole file: call it in a thread."""
        digest = new_digest()
        digest.update(self.bytes)
        return digest.hexdigest()


def _open_when_there(path: Path) -> BinaryIO:
    """Open the file, waiting for the end of a save that is just replacing it.

    Blender renames X.blend to X.blend1 and then X.blend@ to X.blend: for some microseconds, longer on a network drive,
    there is no X.blend. No system tells of the end of that, so it is looked at. Raises FileNotFoundError.
    """
    missed = time.monotonic()
    while True:
        try:
            return _open_shared(path)
        except FileNotFoundError:
            patience = REPLACING_S if path.with_name(f"{path.name}@").exists() else BETWEEN_LOOKS_S
            if time.monotonic() - missed > patience:
                raise
            time.sleep(0.005)


def _open_shared(path: Path) -> BinaryIO:
    """Open for reading without standing in the way of Blender's next save."""
    if os.name != "nt":
        return path.open("rb")
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
    create_file = ctypes.windll.kernel32.CreateFileW  # type: ignore[attr-defined, unused-ignore]
    create_file.restype = ctypes.c_void_p
    handle = create_file(str(path), generic_read, share_read_write_delete, None, open_existing, attribute_normal, None)
    if handle in (None, ctypes.c_void_p(-1).value):
        raise ctypes.WinError()  # type: ignore[attr-defined, unused-ignore]
    descriptor = msvcrt.open_osfhandle(handle, os.O_RDONLY)  # type: ignore[attr-defined, unused-ignore]
    return os.fdopen(descriptor, "rb")
