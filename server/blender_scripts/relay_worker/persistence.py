# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Cycles keeps its scene from one frame to the next: Blender's "Persistent Data", where that saves time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy

WORTH_S = 0.2
"""Preparing a frame takes at least so long, seconds, before keeping it is thought of: that costs memory."""

WORTH_SHARE = 0.15
"""And at least this part of the frame: otherwise nobody would notice what it saves."""


class Persistence:
    """Watches how long frames are prepared before their first sample, and switches the setting on.

    It stays on as long as the file is open, since Blender throws away what it keeps when it finds it off. Whoever
    switched it on in the scene gets what they asked for.
    """

    def __init__(self) -> None:
        self._began: float | None = None
        self._prepared_s = 0.0

    @contextmanager
    def frame(self, scene: bpy.types.Scene) -> Iterator[None]:
        """One frame of a scene is rendered within."""
        self._began, self._prepared_s = time.monotonic(), 0.0
        began = self._began
        try:
            yield
        finally:
            self._began = None
        seconds = time.monotonic() - began
        if self._prepared_s >= max(WORTH_S, WORTH_SHARE * seconds):
            self.keep(scene)

    def sampling(self) -> None:
        """Samples are being taken: the frame is prepared."""
        if self._began is not None and not self._prepared_s:
            self._prepared_s = time.monotonic() - self._began

    @staticmethod
    def keep(scene: Any) -> None:
        """Keep what is prepared from now on; engines other than Cycles gain nothing by it."""
        if scene.render.engine == "CYCLES":
            scene.render.use_persistent_data = True
