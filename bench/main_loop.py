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
from bl_ext.user_default.relay_render.addon.blender import live, panels  # type: ignore[import-not-found]

TURN_S = 0.001
DRAWS = 20
ON_ITS_WAY = frozenset({"waiting", "uploading"})
data: Any = bpy.data
ops: Any = bpy.ops


def gaps(over: Callable[[], bool], polls: list[float] | None = None) -> list[float]:
    """Return the seconds between one turn and the next, until `over()`; put those of the extension into `polls`."""
    found = []
    last = polled = time.perf_counter()
    while not over():
        time.sleep(TURN_S)
        if last - polled >= live.POLL_INTERVAL_S:
            began = time.perf_counter()
            live.live().poll()
            polled = last
            if polls is not None:
                polls.append(time.perf_counter() - began)
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


def gaps_with_many_frames(frames: int, seconds: float) -> dict[str, list[float]]:
    """Save, such that so many frames are to be rendered; from then until that has gone on for `seconds`.

    Returns the seconds of "gaps", of the extension's "polls" among them, and of the "draws" of its panel afterwards.
    """
    data.scenes[0].frame_end = frames
    live.preferences(bpy.context).save_renders = "ANIMATION"
    ops.wm.save_mainfile()
    jobs = live.live().jobs
    polls: list[float] = []
    begun: list[float] = []

    def over() -> bool:
        if jobs.rows()[0].state == "rendering" and not begun:
            begun.append(time.perf_counter())
        return bool(begun) and time.perf_counter() - begun[0] > seconds

    found = gaps(over, polls)
    assert jobs.rows()[0].total == frames
    drawn = draws(DRAWS)
    live.live().command("cancel", jobs.rows()[0])
    return {"gaps": found, "polls": polls, "draws": drawn}


def draws(count: int) -> list[float]:
    """Have the window drawn so many times; return the seconds that the panel's own code took of each."""
    found = []
    original = panels.View3dPanel.draw

    def timed(panel: object, context: object) -> None:
        began = time.perf_counter()
        original(panel, context)
        found.append(time.perf_counter() - began)

    panels.View3dPanel.draw = timed
    try:
        for _ in range(count):
            _tag_all()
            ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)
    finally:
        panels.View3dPanel.draw = original
    return found


def _tag_all() -> None:
    screen: Any = bpy.context.screen
    for area in screen.areas:
        area.tag_redraw()
