# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the artist of jobs that are done or have failed: few sentences for many jobs."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..protocol.discovery import as_name
from . import desktop

log = logging.getLogger(__name__)

FIRST_S = 1.5
"""A job's end is told of after so long, together with those that end meanwhile: stills are often sent in a bunch."""

GAP_S = 30.0
"""And again after so long at the earliest, with all that have ended since."""

LONGEST_REASON = 160
"""Characters of why a job failed; all of it is in the panel."""

_ALIVE = frozenset({"missing", "uploading", "queued", "rendering", "encoding", "returning"})
_ENDS = frozenset({"done", "failed"})
"""Who cancels a job, or saves anew, knows it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that is done or has failed."""

    title: str
    failed: bool
    total: int
    """Frames."""
    text: str


class Watched:
    """Which jobs are worth a word when they end: those that something happened to here. Pure."""

    def __init__(self) -> None:
        self._alive: set[str] = set()

    def expect(self, job: str) -> None:
        """The artist has just ordered it; a tiny one may be done when it is first heard of."""
        self._alive.add(job)

    def hear(self, line: dict[str, Any]) -> Ended | None:
        """Take a "job" event in; return the job's end if it has just come.

        One that was done before this program started is not news: it is listed until the artist clears it.
        """
        job, state = line["job"], line["state"]
        if state in _ALIVE:
            self._alive.add(job)
            return None
        if state not in _ENDS | {"cancelled", "superseded"} or job not in self._alive:
            return None
        self._alive.discard(job)
        if state not in _ENDS:
            return None
        return Ended(line["title"], state == "failed", line["total"], line["text"])

    def forget(self, job: str) -> None:
        """It is off the list."""
        self._alive.discard(job)


def sentence(ended: list[Ended]) -> str:
    """Return what is said of jobs that ended together. Titles and reasons are other people's texts, made fit to show.

    >>> sentence([Ended("shot.blend", False, 48, "")])
    'shot.blend is rendered: 48 frames.'
    """
    failed = [each for each in ended if each.failed]
    done = len(ended) - len(failed)
    if len(ended) == 1:
        (one,) = ended
        title = as_name(one.title) or "A job"
        if one.failed:
            return f"{title} failed: {_reason(one.text)}"
        return f"{title} is rendered: {'1 frame' if one.total == 1 else f'{one.total} frames'}."
    parts = [f"{done} {'job is' if done == 1 else 'jobs are'} rendered"] if done else []
    if failed:
        named = as_name(failed[-1].title)
        parts.append(f"{len(failed)} failed" + (f", the last of them {named}" if named else ""))
    return f"{', '.join(parts)}."


def _reason(text: str) -> str:
    line = " ".join(as_name(part) for part in text.split())
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}..."


class Herald:
    """Collects ends of jobs, and tells of them in "notice" events and, if wanted, on the desktop."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], show: Callable[[str], None] = desktop.show) -> None:
        self.desktop = False
        """Whether to show them on the desktop."""
        self._tell = tell
        self._show = show
        self._watched = Watched()
        self._ended: list[Ended] = []
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, job: str) -> None:
        """See Watched."""
        self._watched.expect(job)

    def forget(self, job: str) -> None:
        """See Watched."""
        self._watched.forget(job)

    def hear(self, line: dict[str, Any]) -> None:
        """Take a "job" event in."""
        ended = self._watched.hear(line)
        if ended is not None:
            self._ended.append(ended)
            if self._timer is None:
                self._later(FIRST_S)

    def close(self) -> None:
        """Say nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _later(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._say)

    def _say(self) -> None:
        ended, self._ended, self._timer = self._ended, [], None
        if not ended:
            return
        text = sentence(ended)
        self._tell({"event": "notice", "text": text, "failed": any(each.failed for each in ended)})
        if self.desktop:
            self._show(text)
        self._later(GAP_S)
