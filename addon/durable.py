# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for the disk: what has returned from here survives a power cut. Shared by both sides."""

import errno
import os
import sys
from pathlib import Path

_CANNOT = (errno.EINVAL, errno.ENOTSUP)
"""From file systems, of networks mostly, on which folders cannot be flushed."""

if sys.platform == "darwin":
    import fcntl

    def _flush(descriptor: int) -> None:
        """Past the drive's own memory, which fsync(2) on macOS does not reach: see its manual page."""
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError:  # Not every file system has it.
            os.fsync(descriptor)

else:

    def _flush(descriptor: int) -> None:
        os.fsync(descriptor)


def sync(path: Path) -> None:
    """Wait until a file's bytes are on disk."""
    # Windows' FlushFileBuffers wants a handle that may write, and a file that is read-only gives none.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        _flush(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk. Windows cannot open folders; NTFS keeps a journal of names."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _flush(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    finally:
        os.close(descriptor)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder, and those above it that are lacking, names on disk included; one that is there costs nothing.

    `mode` is for the folder itself, as in Path.mkdir. What is flushed within a folder is lost all the same if the
    folder's own name is.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(mode, parents=True, exist_ok=True)
    for each in reversed(new):
        sync_folder(each.parent)
