# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest small picture of each job, as an icon. The node sends JPEGs of 320 pixels: about 5 ms each."""

from collections.abc import Iterable

import bpy.utils.previews


class Thumbnails:
    """Pictures by job."""

    def __init__(self) -> None:
        self._previews = bpy.utils.previews.new()
        self._paths: dict[str, str] = {}

    def icon(self, job: str, path: str) -> int:
        """Return the icon of the picture at `path`; loads it if another one stood for this job so far."""
        if self._paths.get(job) != path:
            self._previews.pop(job, None)  # load() refuses a name it has
            self._previews.load(job, path, "IMAGE")
            self._paths[job] = path
        return int(self._previews[job].icon_id)

    def keep(self, jobs: Iterable[str]) -> None:
        """Forget the pictures of all other jobs."""
        for job in self._paths.keys() - set(jobs):
            self._previews.pop(job, None)
            del self._paths[job]

    def close(self) -> None:
        """Free them all."""
        bpy.utils.previews.remove(self._previews)
