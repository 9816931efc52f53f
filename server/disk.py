# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist is told when the node's disk does not take something."""

import errno
import shutil
from pathlib import Path

from addon.protocol.messages import Refusal

from .errors import RequestRefused


def is_full(error: Exception) -> bool:
    """Whether there was no room, on the disk or in somebody's quota."""
    if isinstance(error, RequestRefused):
        return error.reason == Refusal.DISK_FULL
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def refusal(error: OSError, folder: Path, size: int) -> RequestRefused:
    """Return the sentence for files of `size` bytes that could not be stored in `folder`."""
    if is_full(error):
        return full(folder, size)
    return RequestRefused(Refusal.STORAGE, f"The node cannot store the file: {error.strerror}.")


def full(folder: Path, size: int) -> RequestRefused:
    """Return the sentence for a disk that has no room for `size` bytes."""
    free = shutil.disk_usage(folder).free
    return RequestRefused(
        Refusal.DISK_FULL,
        f"The node's disk is full: {free / 1e6:,.0f} MB free, {size / 1e6:,.0f} MB needed. "
        "Make room there; the upload goes on by itself.",
    )
