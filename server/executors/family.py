# SPDX-License-Identifier: GPL-3.0-or-later
"""What the system says of a process and all its children."""

import contextlib

import psutil

from .watch import Look


def look_at(pid: int) -> Look | None:
    """Return what they compute and hold; None when the process itself is gone."""
    try:
        root = psutil.Process(pid)
        family = (root, *root.children(recursive=True))
    except psutil.NoSuchProcess:
        return None
    cpu_s, memory = 0.0, 0
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):  # A child that has ended meanwhile.
            times = process.cpu_times()
            cpu_s += times.user + times.system
            memory += process.memory_info().rss
    return Look(cpu_s, memory)
