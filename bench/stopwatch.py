# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a window's Blender, beside the extension: notes what the extension does on the main thread, and when.

Leaves a list of [what, began, ended] (seconds, one clock) in `builtins.relay_marks`:
"save" of Blender's own writing, "handler" of the extension's save_post, "poll" of its timer, "thumbnail" of the event.
"""

import builtins
import functools
import time
from collections.abc import Callable
from typing import Any

import bpy  # noqa: TID251 - runs inside Blender
from bl_ext.user_default.relay_render.addon.blender import handlers, live  # type: ignore[import-not-found]

marks: list[tuple[str, float, float]] = []
builtins.relay_marks = marks  # type: ignore[attr-defined]


def timed(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` with a stopwatch; whatever Blender has marked on it stays marked."""

    @functools.wraps(function)
    def measured(*arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            marks.append((what, began, time.perf_counter()))

    return measured


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]  # the stubs give it no types
def begin_save(*_: object) -> None:
    """Note when Blender begins to save."""
    marks.append(("save", time.perf_counter(), 0.0))


def watch() -> None:
    """Put a stopwatch on everything."""
    bpy.app.handlers.save_pre.append(begin_save)
    save_post: Any = bpy.app.handlers.save_post
    save_post[save_post.index(handlers.on_save_post)] = timed("handler", handlers.on_save_post)
    live.Live.poll = timed("poll", live.Live.poll)
    jobs = live.live().jobs
    apply = jobs.apply

    def applied(event: dict[str, Any]) -> None:
        apply(event)
        if event.get("event") == "thumbnail":
            now = time.perf_counter()
            marks.append(("thumbnail", now, now))

    jobs.apply = applied


watch()
