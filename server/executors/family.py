# SPDX-License-Identifier: GPL-3.0-or-later
"""A process and all its children: what the system says of them, and their end."""

import contextlib
from pathlib import Path

import psutil

from .watch import Look

CLOCK_S = 1.0
"""By so much the beginning of a process may be told differently later: the system counts from its own start."""


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


def kill_tree(pid: int) -> None:
    """End a process and all its descendants; those that are gone already are no error."""
    try:
        root = psutil.Process(pid)
        family = [*root.children(recursive=True), root]
    except psutil.NoSuchProcess:
        return
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def note(pid: int, path: Path) -> None:
    """Write down which process this is, for `end_noted`. Raises OSError."""
    with contextlib.suppress(psutil.NoSuchProcess):  # It has ended already.
        path.write_text(f"{pid} {psutil.Process(pid).create_time()}", encoding="ascii")


def end_noted(path: Path) -> None:
    """End the process that was written down, with its children, if it still runs: the number may be another's now."""
    try:
        pid, began = path.read_text("ascii").split()
        same = abs(psutil.Process(int(pid)).create_time() - float(began)) < CLOCK_S
    except (OSError, ValueError, psutil.Error):
        return
    if same:
        kill_tree(int(pid))
