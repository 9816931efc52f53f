# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs, a piece at a time."""

from pathlib import Path

from addon.protocol.limits import LOG_BYTES

from .executors.chatter import of_frame


def read(path: Path, after: int, limit: int = LOG_BYTES) -> tuple[int, int, bytes]:
    """Return (offset, size of the file, at most `limit` bytes of it from `offset` on).

    The offset is `after`, or 0 when the file is shorter than that: it has been begun anew. All is empty without a file.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            offset = after if after <= size else 0
            file.seek(offset)
            return offset, size, file.read(limit)
    except FileNotFoundError:
        return 0, 0, b""


def read_frame(path: Path, frame: int, after: int, limit: int = LOG_BYTES) -> tuple[int, int, bytes]:
    """As `read`, of those lines alone that are about a frame. Reads all of the log."""
    try:
        about = of_frame(path.read_bytes(), frame)
    except FileNotFoundError:
        about = b""
    offset = after if after <= len(about) else 0
    return offset, len(about), about[offset : offset + limit]
