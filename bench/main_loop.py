# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a window's Blender, beside the extension: a loop on the main thread that should turn every millisecond.

Ten times a second it does what the extension's own timer would do, which cannot run meanwhile. Whatever keeps it from
turning would keep the artist's window from drawing: the interpreter's lock, a busy core, the extension itself.
"""

import time
from collections.abc import Callable
from typing import Any

import bpy  # noqa: TID251 - runs inside Blender
import numpy as np
from bl_ext.user_default.relay_render.addon.blender import live  # type: ignore[import-not-found]

TURN_S = 0.001
ON_ITS_WAY = frozenset({"waiting", "uploading"})
data: Any = bpy.data
ops: Any = bpy.ops


def gaps(over: Callable[[], bool]) -> list[float]:
    """Return the seconds between one turn and the next, until `over()`."""
    found = []
    last = polled = time.perf_counter()
    while not over():
        time.sleep(TURN_S)
        if last - polled >= live.POLL_INTERVAL_S:
            live.live().poll()
            polled = last
        now = time.perf_counter()
        found.append(now - last)
        last = now
    return found


def gaps_at_rest(seconds: float) -> list[float]:
    """While nothing happens."""
    end = time.perf_counter() + seconds
    return gaps(lambda: time.perf_counter() > end)


def gaps_while_sending(size: int, seed: int) -> list[float]:
    """From the end of a save until the node has the file, of which `size` bytes are new."""
    noise = data.images.get("Noise") or data.images.new("Noise", 1, 1)
    noise.pack(data=np.random.default_rng(seed).bytes(size), data_len=size)
    noise.use_fake_user = True
    ops.wm.save_mainfile()
    jobs = live.live().jobs
    return gaps(lambda: jobs.rows()[0].state not in ON_ITS_WAY)
