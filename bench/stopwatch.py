# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a window's Blender, beside the extension: notes what happens on the main thread, and when.

Leaves itself in `builtins.relay_stopwatch`. `take()` returns the marks since the last time, as [what, began, ended]
(seconds, one clock):

- "save": Blender begins to save; "save_post": it has written the file and calls its handlers
- "handler", "poll", "draw": a call of the extension's save_post, of its timer's poll, of its panel
- "left": the job is no longer on its way to the node; "thumbnail": its picture is there
- "gap", once `start_heartbeat()` was called: the main thread did not come to its timers for at least FINE_S

`ring(path, ...)` makes a file when it is over: whoever asks Blender meanwhile holds its main thread up himself.
"""

import builtins
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy  # noqa: TID251 - runs inside Blender
from bl_ext.user_default.relay_render.addon.blender import (  # type: ignore[import-not-found]
    handlers,
    live,
    panels,
)

FINE_S = 0.001
"""Far above what lies between two beats, a fifth of a millisecond."""

AWAKE_S = 0.0005
"""Blender sleeps 5 ms when it has nothing to do; with a timer of its own as short as this it comes round as often."""


class Stopwatch:
    """Its marks, and what can be switched while it runs."""

    def __init__(self) -> None:
        self._marks: list[tuple[str, float, float]] = []
        self._last_beat = 0.0
        self._bell = Path()
        self._rings_after: float | None = None
        self._handler = self._timed("handler", handlers.on_save_post)
        handlers_after: Any = bpy.app.handlers.save_post
        handlers_after[handlers_after.index(handlers.on_save_post)] = self._handler
        handlers_after.insert(0, self._noting("save_post", self._ring_later))
        bpy.app.handlers.save_pre.append(self._noting("save"))
        live.Live.poll = self._timed("poll", live.Live.poll)
        panels.View3dPanel.draw = self._timed_draw(panels.View3dPanel.draw)
        self._apply = live.live().jobs.apply
        live.live().jobs.apply = self._applied

    def take(self) -> list[tuple[str, float, float]]:
        """Return the marks since the last time."""
        taken, self._marks = self._marks, []
        return taken

    def listen(self, *, on: bool) -> None:
        """Have the extension hear of saves, or not."""
        handlers_after: Any = bpy.app.handlers.save_post
        if on != (self._handler in handlers_after):
            (handlers_after.append if on else handlers_after.remove)(self._handler)

    def ring(self, path: str, *, seconds: float | None = None) -> None:
        """Make the file `path` when the next thumbnail is there, or so many seconds after the next save_post."""
        self._bell, self._rings_after = Path(path), seconds

    def start_heartbeat(self) -> None:
        """Note from now on when the main thread is held up."""
        manager: Any = bpy.context.window_manager
        manager.event_timer_add(AWAKE_S, window=bpy.context.window)
        self._last_beat = time.perf_counter()
        bpy.app.timers.register(self._beat, persistent=True)

    def _beat(self) -> float:
        now = time.perf_counter()
        if now - self._last_beat >= FINE_S:
            self._marks.append(("gap", self._last_beat, now))
        self._last_beat = time.perf_counter()
        return 0.0

    def _note(self, what: str) -> None:
        now = time.perf_counter()
        self._marks.append((what, now, now))

    def _ring_later(self) -> None:
        if self._rings_after is not None:
            bpy.app.timers.register(self._bell.touch, first_interval=self._rings_after)

    def _noting(self, what: str, then: Callable[[], None] = lambda: None) -> Callable[..., None]:
        @bpy.app.handlers.persistent  # type: ignore[untyped-decorator]  # the stubs give it no types
        def note(*_: object) -> None:
            self._note(what)
            then()

        return note  # type: ignore[no-any-return]  # as above

    def _timed(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` with a stopwatch; whatever Blender has marked on it stays marked."""

        @functools.wraps(function)
        def measured(*arguments: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self._marks.append((what, began, time.perf_counter()))

        return measured

    def _timed_draw(self, function: Callable[..., None]) -> Callable[..., None]:
        timed = self._timed("draw", function)

        def draw(panel: object, context: object) -> None:  # Blender counts a draw's arguments, and passes as many
            timed(panel, context)

        return draw

    def _applied(self, event: dict[str, Any]) -> None:
        self._apply(event)
        if event.get("event") == "thumbnail":
            self._note("thumbnail")
            self._bell.touch()
        elif event.get("event") == "job" and event.get("state") not in ("waiting", "uploading"):
            self._note("left")


builtins.relay_stopwatch = Stopwatch()  # type: ignore[attr-defined]
