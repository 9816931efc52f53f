# SPDX-License-Identifier: GPL-3.0-or-later
"""What the node's owner wants to have done when a job ends: a request to a web address, a command, or both.

At most once for each end: what a node that is killed had not told by then is not told later.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Protocol

from addon.protocol.messages import JobState
from addon.protocol.messages.checks import as_line

from ..background import in_thread
from ..jobs import Job, Task, TaskState

log = logging.getLogger(__name__)

CLOSE_S = 2.0
"""A node that ends gives what is under way so long, all together."""

EVENTS = {JobState.DONE: "finished", JobState.FAILED: "failed", JobState.CANCELLED: "cancelled"}
"""Ends that are told of; a job that a newer save has replaced has not ended for anybody."""


@dataclass(frozen=True, slots=True)
class JobEnd:
    """What is told of a job that has ended."""

    event: str
    """finished | failed | cancelled"""
    job: str
    title: str
    owner: str
    """Name of the account that ordered it, as `clients` shows it."""
    frames: int
    """Asked for."""
    done: int
    failed: int
    text: str
    """Why it failed; empty for most others."""
    seconds: float
    """Render time of its frames, summed."""
    node: str


class Hook(Protocol):
    """One thing that is done."""

    def tell(self, end: JobEnd) -> None:
        """Do it soon; never blocks, never raises."""

    def close(self, deadline: float) -> None:
        """Return when all is done, or at the deadline (on the monotonic clock), with the rest given up."""


class Hooks:
    """Hears what happens to jobs (an Audience, see books.py), and tells the hooks of their ends."""

    def __init__(self, hooks: Iterable[Hook], node: str, name_of: Callable[[str], str]) -> None:
        """`name_of`: the name for a job's owner."""
        self._hooks = tuple(hooks)
        self._node = node
        self._name_of = name_of
        self._over: set[str] = set()
        """Jobs whose end is no news."""

    def know(self, jobs: Iterable[Job]) -> None:
        """These were there when the node started."""
        self._over.update(job.id for job in jobs if job.finished)

    def job_changed(self, job: Job) -> None:
        """Tell of it if it has just ended; one that is tried again ends once more."""
        if not job.finished:
            self._over.discard(job.id)
        elif job.id not in self._over:
            self._over.add(job.id)
            if event := EVENTS.get(job.state):
                self._tell(event, job)

    def job_gone(self, job: Job) -> None:
        """Forget it."""
        self._over.discard(job.id)

    def preview_made(self, job: Job) -> None:
        """Nothing to do."""

    def outputs_ready(self, job: Job) -> None:
        """Nothing to do."""

    def task_changed(self, job: Job, task: Task, state: TaskState) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Give them a moment to come to their end."""
        deadline = time.monotonic() + CLOSE_S
        for hook in self._hooks:
            await in_thread(hook.close, deadline)

    def _tell(self, event: str, job: Job) -> None:
        end = JobEnd(
            event=event,
            job=job.id,
            title=as_line(job.spec.title),
            owner=as_line(self._name_of(job.owner)),
            frames=job.total,
            done=job.frames[TaskState.DONE],
            failed=job.frames[TaskState.FAILED],
            text=as_line(job.text),
            seconds=round(job.seconds, 3),
            node=self._node,
        )
        for hook in self._hooks:
            hook.tell(end)


def as_object(end: JobEnd) -> dict[str, object]:
    """Return it as it becomes JSON."""
    return asdict(end)
