# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages that are open, and what they are told: server-sent events (HTML standard, 9.2).

News of a moment go out together, encoded once for all pages of a visitor: that is most of what an open page costs.
"""

import asyncio
import json
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any

from ..jobs import Job, Task, TaskState
from .access import Visitor
from .views import job_view

NEWS_S = 0.1
"""News are collected so long; the first after a quiet time go out at once."""

PAGE_S = 0.001
"""So much longer for each open page: to send something to one takes the node 0.1 ms."""

ALIVE_S = 15.0
"""A comment is sent after so long without news, as the standard advises: proxies end connections that are silent."""

MOST_BYTES = 4 << 20
"""Of news that a page has not taken: it is cut off, comes back, and begins with what is true then."""

LETTERS = {TaskState.PENDING: "q", TaskState.RENDERING: "r", TaskState.DONE: "d", TaskState.FAILED: "f"}
"""How a frame's state is told."""


def event(name: str, data: object) -> bytes:
    """Return one event as it goes over the wire. Its data is one line: JSON escapes line breaks."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


class Page:
    """One open page."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self.closed = False

    def tell(self, piece: bytes) -> None:
        """Queue events."""
        self._waiting.append(piece)
        self._bytes += len(piece)
        if self._bytes > MOST_BYTES:
            self.close()
        self._news.set()

    def close(self) -> None:
        """Let its connection end."""
        self.closed = True
        self._news.set()

    async def events(self) -> AsyncIterator[bytes]:
        """Yield what goes to the browser, until it is closed."""
        while not self.closed:
            try:
                async with asyncio.timeout(ALIVE_S):
                    await self._news.wait()
            except TimeoutError:
                yield b": still here\n\n"
                continue
            self._news.clear()
            if self._waiting and not self.closed:
                piece = b"".join(self._waiting)
                self._waiting.clear()
                self._bytes = 0
                yield piece


class News:
    """All open pages; an Audience of the node's books."""

    def __init__(self, hello: Callable[[Visitor], dict[str, Any]]) -> None:
        """`hello`: all there is to say to a page that has just come."""
        self._hello = hello
        self._pages: set[Page] = set()
        self._changed: dict[str, Job] = {}
        self._frames: defaultdict[str, dict[int, str]] = defaultdict(dict)
        self._previews: Counter[str] = Counter()
        self._previewed: dict[str, Job] = {}
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None

    @property
    def pages(self) -> int:
        """How many are open."""
        return len(self._pages)

    def preview_version(self, job: str) -> int:
        """How many small pictures of a job there were since the node's start."""
        return self._previews[job]

    async def follow(self, visitor: Visitor) -> AsyncIterator[bytes]:
        """Yield everything, and then every change, until the page goes or the node ends."""
        page = Page(visitor)
        page.tell(b"retry: 1000\n\n" + event("hello", self._hello(visitor)))
        self._pages.add(page)
        try:
            async for piece in page.events():
                yield piece
        finally:
            self._pages.discard(page)

    def close(self) -> None:
        """The node ends."""
        if self._timer is not None:
            self._timer.cancel()
        for page in self._pages:
            page.close()

    def part(self, is_current: Callable[[Visitor], bool]) -> None:
        """End the connections of those who are let in no more, or as somebody else: these come back by themselves."""
        for page in self._pages:
            if not is_current(page.visitor):
                page.close()

    def tell(self, name: str, data: object, owner: str | None = None) -> None:
        """Tell something to all who may know about an owner's jobs; without one, to all who manage."""
        piece: bytes | None = None
        for page in self._pages:
            if page.visitor.manages or (owner is not None and page.visitor.may_see(owner)):
                piece = piece or event(name, data)
                page.tell(piece)

    # Audience

    def job_changed(self, job: Job) -> None:
        self._changed[job.id] = job
        self._soon()

    def job_gone(self, job: Job) -> None:
        self._changed.pop(job.id, None)
        self._frames.pop(job.id, None)
        self._previews.pop(job.id, None)
        self._previewed.pop(job.id, None)
        self.tell("gone", {"job": job.id}, job.owner)

    def preview_made(self, job: Job) -> None:
        self._previews[job.id] += 1
        if job.preview is not None:
            self._previewed[job.id] = job
            self._soon()

    def outputs_ready(self, job: Job) -> None:
        """Its frames tell of that."""

    def task_changed(self, job: Job, task: Task, state: TaskState) -> None:
        if task.frame is not None and task.part is None:
            self._frames[job.id][task.frame] = LETTERS[state]
            self._changed[job.id] = job
            self._soon()

    # Inside

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        """Send what has changed, and go on collecting for a moment."""
        changed, self._changed = self._changed, {}
        frames, self._frames = self._frames, defaultdict(dict)
        previewed, self._previewed = self._previewed, {}
        now = time.monotonic()
        for visitor, pages in self._by_visitor().items():
            piece = b"".join([*self._news_for(visitor, changed, frames, now), *self._pictures_for(visitor, previewed)])
            if piece:
                for page in pages:
                    page.tell(piece)
        wait = NEWS_S + PAGE_S * len(self._pages)
        self._timer = asyncio.get_running_loop().call_later(wait, self._send) if changed or previewed else None

    def _by_visitor(self) -> dict[Visitor, list[Page]]:
        found: defaultdict[Visitor, list[Page]] = defaultdict(list)
        for page in self._pages:
            found[page.visitor].append(page)
        return found

    def _news_for(
        self, visitor: Visitor, changed: dict[str, Job], frames: dict[str, dict[int, str]], now: float
    ) -> list[bytes]:
        seen = [job for job in changed.values() if visitor.may_see(job.owner)]
        told = [
            event("frames", {"job": job.id, "changes": list(frames[job.id].items())})
            for job in seen
            if job.id in frames
        ]
        return told + [event("job", asdict(job_view(job, now, self._previews[job.id], visitor))) for job in seen]

    def _pictures_for(self, visitor: Visitor, previewed: dict[str, Job]) -> list[bytes]:
        """Of each job the newest small picture: who shows an older one in between shows it for a tenth of a second."""
        return [
            event("preview", {"job": job.id, "frame": job.preview[0], "version": self._previews[job.id]})
            for job in previewed.values()
            if job.preview is not None and visitor.may_see(job.owner)
        ]
