# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker does not outlive the node that has started it."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""prctl(2)."""


def end_with_parent() -> None:
    """Have the kernel end this process with its parent, however that ends.

    The end of stdin says the same (see lines.py), but needs a thread that runs: a Blender that hangs, or that reads a
    file for minutes, has none. Linux alone; where a wrapper has started Blender, that is the parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
