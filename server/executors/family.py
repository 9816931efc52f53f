# SPDX-License-Identifier: GPL-3.0-or-later
"""What the system says of a process and all its children."""

import contextlib

import psutil

from .watch import Look


def look_at(pid: int) -> Look:
    """Return what they compute and hold. Raises psutil.Error when the process itself is gone."""
    root = psutil.Process(pid)
    cpu_s, memory = 0.0, 0
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # A child that has ended meanwhile.
            times = process.cpu_times()
            cpu_s += times.user + times.system
            memory += process.memory_info().rss
    return Look(cpu_s, memory)
