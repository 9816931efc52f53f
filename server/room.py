# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that is full holds jobs up; it fails none: they go on by themselves when there is room again."""

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from .background import Background
from .books import Books

log = logging.getLogger(__name__)

WAITS = "The node's disk is full: it goes on by itself when there is room."
"""What the artist reads."""

LOOK_S = 2.0
"""Between two looks whether there is room; one costs some microseconds."""

LEAST_BYTES = 4 << 20
"""With less nothing goes on: the database's reserve is taken out of it, and a small picture must fit beside that."""

ENOUGH_BYTES = 1 << 30
"""With so much free it is tried again, whatever filled the disk: few frames need more."""

MORE = 1.25
"""Times the room that a frame had and that was not enough."""


class Usage(Protocol):
    """As shutil.disk_usage returns it, in bytes."""

    @property
    def total(self) -> int:
        """Of the file system."""

    @property
    def free(self) -> int:
        """For this program."""


class Room:
    """Whether the disk has room for what Blender writes. Between full and not lies a gap, or each frame would fill it.

    A frame that has filled the disk leaves room when it is thrown away; to begin it again is of no use before there is
    more than it had. But what has filled it may have been another program, after which less will do: so it is tried
    again with ENOUGH_BYTES, or a tenth of a small disk, and if that fills the disk too, with twice as much.
    """

    def __init__(self, folder: Path, usage: Callable[[Path], Usage] = shutil.disk_usage) -> None:
        """`folder`: any on that disk."""
        self._folder = folder
        self._usage = usage
        self.lacking = False
        self._begun = 0
        """Free when the last task was begun."""
        self._needed = 0
        self._in_vain = 0
        """How often it was tried again since a frame could be kept."""

    def begin(self) -> None:
        """A task begins."""
        self._begun = self._usage(self._folder).free

    def kept(self) -> None:
        """What a task has written is kept."""
        self._in_vain = 0

    def run_out(self) -> None:
        """What a task has written found no room."""
        enough = min(ENOUGH_BYTES, self._usage(self._folder).total // 10) << self._in_vain
        self._needed = max(LEAST_BYTES, min(enough, int(self._begun * MORE)))
        self._in_vain += 1
        self.lacking = True

    def short_of(self) -> int:
        """Return how many bytes more have to be free."""
        return max(0, self._needed - self._usage(self._folder).free)

    def look(self) -> bool:
        """Whether there is room again."""
        if not self.short_of():
            self.lacking = False
        return not self.lacking


class Pause:
    """Holds all jobs up while there is no room. `go_on` is called when there is.

    `make_way` deletes so many bytes, at most, of what nobody needs.
    """

    def __init__(
        self,
        room: Room,
        books: Books,
        background: Background,
        make_way: Callable[[int], int],
        go_on: Callable[[], None],
    ) -> None:
        self.room = room
        self._make_way = make_way
        self._books = books
        self._background = background
        self._go_on = go_on

    def begin(self) -> None:
        """There is no room: nothing is to be begun until there is."""
        if not self.room.lacking:
            log.warning("the disk is full: jobs wait until there is room")
            self.room.run_out()
            self._background.start(self._watch())
        self.tell()

    def tell(self) -> None:
        """Every job that could go on says why it does not. One that renders yet may come to its end."""
        for job in self._books:
            if not (job.finished or job.running or job.paused):
                self._books.hold(job, WAITS)

    async def _watch(self) -> None:
        self._make_way(self.room.short_of())
        while not (self._books.store.has_room and self.room.look()):
            await asyncio.sleep(LOOK_S)
            self._make_way(self.room.short_of())
        log.info("there is room on the disk: jobs go on")
        for job in self._books:
            if job.text == WAITS:
                self._books.hold(job, "")
        self._go_on()
