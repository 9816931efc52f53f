# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk that the data folder is on: rights, room and speed."""

import errno
import os
import shutil
import stat
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from .finding import Finding, State

FREE_NEEDED = 1 << 30
"""Bytes below which a single scene with its textures may not fit."""

FREE_WANTED = 10 << 30
"""Bytes that hold some jobs with their frames until the artists have fetched them."""

SLOWEST_MS = 100.0
"""Every frame waits for the disk half a dozen times, the list of jobs included."""

SLOWEST_MB_S = 20.0
"""A save of 300 MB takes 15 s then."""

_PROBE_BYTES = 16 << 20
_PROBE_WRITES = 9


def data_folder(folder: Path) -> list[Finding]:
    """Whether the folder, or the one it will be made in, can be written to, and how much fits."""
    remedy = "Choose another folder with --data."
    try:
        existing = _nearest(folder.absolute())
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        text = f"{folder} cannot be written to ({error.strerror})."
        return [Finding("Data folder", State.MISSING, text, remedy)]
    free = shutil.disk_usage(existing).free
    state = State.MISSING if free < FREE_NEEDED else State.WARNING if free < FREE_WANTED else State.OK
    text = f"{free / (1 << 30):.1f} GB are free for jobs and frames."
    return [
        Finding("Data folder", State.OK, f"{folder} can be written to."),
        Finding(
            "Disk space", state, text, "" if state is State.OK else f"Free some, or: {remedy[0].lower()}{remedy[1:]}"
        ),
        speed(existing),
    ]


def _nearest(folder: Path) -> Path:
    """Return the folder or, as long as that is not there, the one above it. Raises OSError where that is none."""
    for path in (folder, *folder.parents):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        return path
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))  # Windows: no such drive.


class Speed(NamedTuple):
    """Of a disk."""

    mb_s: float
    flush_ms: float
    """From a small write until it is on the disk."""


def speed(folder: Path) -> Finding:
    """Whether the disk of an existing folder is as quick as disks are; writes 16 MB, and deletes them."""
    try:
        found = measure(folder)
    except OSError as error:
        return Finding("Disk speed", State.WARNING, f"The disk could not be measured ({error.strerror}).", "Free some.")
    text = f"The disk takes {found.mb_s:,.0f} MB/s, and {found.flush_ms:.1f} ms until a change is safe on it."
    if found.mb_s < SLOWEST_MB_S or found.flush_ms > SLOWEST_MS:
        return Finding("Disk speed", State.WARNING, text, "Choose a folder on a local, quicker disk with --data.")
    return Finding("Disk speed", State.OK, text)


def measure(folder: Path) -> Speed:
    """Write to the disk of `folder` and wait for it. Raises OSError."""
    flushes = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        began = time.perf_counter()
        file.write(os.urandom(_PROBE_BYTES))
        os.fsync(file.fileno())
        seconds = time.perf_counter() - began
        for _ in range(_PROBE_WRITES):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            flushes.append(time.perf_counter() - began)
    return Speed(_PROBE_BYTES / 1e6 / max(seconds, 1e-9), statistics.median(flushes) * 1000)
