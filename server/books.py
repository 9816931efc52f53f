# SPDX-License-Identifier: GPL-3.0-or-later
"""What the node knows of its jobs, in memory and on disk alike, and what it keeps on disk for them.

Every change goes through here: it is stored first, and then told to the `Audience`.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from addon.protocol.frame_range import parse_frames
from addon.protocol.messages import JobState

from . import disk
from .attempts import OpenAttempts
from .errors import UNKNOWN_JOB
from .forecast import Costs
from .job_folders import JobFolders
from .job_store import JobStore, NewOutput
from .jobs import PAUSED, Job, Running, Task, TaskState
from .order import Turn, in_order
from .reserve import FLOOR_BYTES, RESERVE_BYTES

log = logging.getLogger(__name__)

KEEP_FINISHED_S = 30 * 86400.0
"""A finished job stays on the lists for a month, unless it is cleared before."""


class Audience(Protocol):
    """Who hears of what happens."""

    def job_changed(self, job: Job) -> None:
        """Something about the job is new."""

    def job_gone(self, job: Job) -> None:
        """The node holds nothing of the job any more."""

    def preview_made(self, job: Job) -> None:
        """The job has a new `preview`."""

    def outputs_ready(self, job: Job) -> None:
        """The job has results that wait for the artist."""

    def task_changed(self, job: Job, task: Task, state: TaskState) -> None:
        """One of its tasks is in another state."""


class Books:
    """All jobs of a node."""

    def __init__(self, store: JobStore, folders: JobFolders, audience: Audience) -> None:
        self.store = store
        self.audience = audience
        self.attempts = OpenAttempts()
        self._folders = folders
        self._jobs = {job.id: job for job in store.load()}
        for job in self._jobs.values():
            if not job.finished:
                self._begin_costs(job)

    def __contains__(self, job: str) -> bool:
        return job in self._jobs

    def __iter__(self) -> Iterator[Job]:
        """All jobs, in order of arrival; the books may change meanwhile."""
        return iter(list(self._jobs.values()))

    def job(self, job: str) -> Job:
        """Return one job. Raises RequestRefused."""
        try:
            return self._jobs[job]
        except KeyError:
            raise UNKNOWN_JOB from None

    def in_order(self) -> list[Job]:
        """Return the jobs that are not finished, in the order of work."""
        return in_order(job for job in self._jobs.values() if not job.finished)

    def drop_old(self) -> None:
        """Strike out what has been finished for a month and is home."""
        for old in self.store.finished_before(time.time() - KEEP_FINISHED_S):
            if not self._jobs[old].undelivered:
                self.drop(self._jobs[old])

    # Jobs

    def add(self, job: Job, frames: Sequence[int], parts: int = 0) -> None:
        """Enter a job whose files are laid out. Raises RequestRefused when the disk has no room for that.

        `parts`: into so many its only frame is split.
        """
        if not self.store.has_room and not (self._folders.gallery.make_way(FLOOR_BYTES) and self.store.has_room):
            raise disk.full(self._folders.job_folder(job.id).parent, RESERVE_BYTES)
        job.place = max((other.place for other in self._jobs.values()), default=0.0) + 1
        job.frames[TaskState.PENDING] = len(frames)
        if parts:
            job.parts[TaskState.PENDING] = parts
        self.store.add(job, frames, parts)
        self._begin_costs(job)
        self._jobs[job.id] = job
        self.audience.job_changed(job)

    def move(self, job: Job, state: JobState, text: str = "") -> None:
        """Take one step. Raises IllegalTransition."""
        job.move(state, text)
        self.store.update(job, finished=time.time() if job.finished else None)
        log.info("job %s: %s %s", job.id[:8], state, text, extra={"job": job.id})
        self.audience.job_changed(job)
        self.release(job)

    def hold(self, job: Job, text: str) -> None:
        """The job waits, and `text` says what for; empty: it does not (any more). Not kept over a restart."""
        if job.under_way:
            self.move(job, JobState.QUEUED)
        if job.text != text:
            job.text = text
            self.audience.job_changed(job)

    def pause(self, job: Job, paused: bool) -> None:
        """Nothing more of the job is begun, or it goes on. What is being rendered comes to its end."""
        job.paused = paused
        self.store.update(job)
        if paused:
            self._rest(job)
        elif job.text == PAUSED:
            job.text = ""
        self.audience.job_changed(job)

    def _rest(self, job: Job) -> None:
        """A paused job of which nothing is being rendered any more says that it is."""
        if not job.paused or job.running or job.finished:
            return
        if job.under_way:
            self.move(job, JobState.QUEUED, PAUSED)
        elif job.text != PAUSED:
            job.text = PAUSED
            self.audience.job_changed(job)

    def turn(self, turns: Iterable[tuple[Job, Turn]]) -> None:
        """Give jobs their turns."""
        changed = []
        for job, (priority, place) in turns:
            job.priority, job.place = priority, place
            changed.append(job)
        self.store.set_turns(changed)
        for job in changed:
            self.audience.job_changed(job)

    def retry(self, job: Job) -> None:
        """Make what has failed pending again."""
        failed = [task for task, seconds in self.store.costs(job.id) if seconds is None]
        self.store.retry_failed(job.id)
        self.store.refresh(job)
        self._begin_costs(job)
        self.move(job, JobState.QUEUED)
        for task in failed:
            self.audience.task_changed(job, task, TaskState.PENDING)

    def drop(self, job: Job) -> None:
        """Strike a job out, with all that is held of it."""
        self.store.forget(job.id)
        del self._jobs[job.id]
        if not self.attempts.any_of(job.id):
            self._folders.drop_job(job.id)
        self.audience.job_gone(job)

    # Tasks

    def begin(self, job: Job, task: Task) -> None:
        """A Blender has the task. What raises OSError has changed nothing about it."""
        state = JobState.RENDERING if task.frame is not None else JobState.ENCODING
        if job.state != state:
            self.move(job, state)
        self.store.set_task(task, TaskState.RENDERING)
        self._count(job, task, TaskState.PENDING, TaskState.RENDERING)
        known = job.costs is not None and job.costs.known
        running = job.running[task.position] = Running(task, time.monotonic(), first=not known)
        self.audience.task_changed(job, task, TaskState.RENDERING)
        if (step := job.step(task)) is not None and job.costs is not None and known:
            running.expect(job.costs.expect(step, job.shape))

    def make_whole(self, job: Job, reason: str) -> None:
        """The frame is not split any more: from now on its own task renders it. A `reason` is for the artist."""
        self.store.drop_parts(job.id)
        self.store.refresh(job)
        self._begin_costs(job)
        job.running.clear()
        job.notices += (reason,) if reason else ()
        self.store.update(job)
        self.audience.job_changed(job)

    def is_over(self, job: Job, task: Task) -> bool:
        """Whether the task is part of a frame that meanwhile is rendered whole."""
        return task.part is not None and not job.parts

    def put_back(self, job: Job, task: Task) -> None:
        """The task waits again."""
        self._count(job, task, TaskState.RENDERING, TaskState.PENDING)
        self.store.set_task(task, TaskState.PENDING)
        self.audience.task_changed(job, task, TaskState.PENDING)
        self.audience.job_changed(job)
        self._rest(job)

    def fail(self, job: Job, task: Task, reason: str) -> None:
        """The task is given up."""
        self._count(job, task, TaskState.RENDERING, TaskState.FAILED)
        self.store.set_task(task, TaskState.FAILED, reason)
        self.audience.task_changed(job, task, TaskState.FAILED)
        if (step := job.step(task)) is not None and job.costs is not None:
            job.costs.give_up(step)
        self.settle(job)

    def finish(self, job: Job, task: Task, seconds: float, outputs: Sequence[NewOutput]) -> None:
        """The task is done, and its results lie among the job's outputs."""
        running = job.running.get(task.position)
        before, change = self.store.finish(task, seconds, outputs)
        self._count(job, task, before, TaskState.DONE)
        job.undelivered += change
        if task.frame is not None:
            job.seconds += seconds
        if (step := job.step(task)) is not None and job.costs is not None:
            job.costs.add(step, seconds, first=running is not None and running.first)
        self.settle(job)
        self.audience.task_changed(job, task, TaskState.DONE)
        self.audience.outputs_ready(job)

    def delivered(self, output: str) -> Job | None:
        """Forget an output that the artist has. Returns its job, or None for an output that is not known (any more)."""
        known = self.store.stored_output(output)
        if known is None:
            return None
        job = self._jobs[known[0]]
        job.undelivered += self.store.delivered(output)
        self._folders.retire(job.id, known[1])
        self.audience.job_changed(job)
        self.release(job)
        return job

    def settle(self, job: Job) -> None:
        """Close a job that has nothing left to do."""
        self.audience.job_changed(job)
        failed = job.frames[TaskState.FAILED]
        if job.finished or job.frames[TaskState.PENDING] or job.frames[TaskState.RENDERING]:
            self._rest(job)
            return
        if failed:
            first = self.store.first_reason(job.id)
            text = first if job.total == 1 else f"{failed} of {job.total} frames failed. The first one: {first}"
            self.move(job, JobState.FAILED, text)
        elif job.movie == TaskState.FAILED:
            text = f"The frames are rendered, but not the movie: {self.store.first_reason(job.id)}"
            self.move(job, JobState.FAILED, text)
        elif job.movie in (None, TaskState.DONE):
            self.move(job, JobState.DONE)

    def _begin_costs(self, job: Job) -> None:
        """Be ready to learn what frames cost, from those on that are done, and from an earlier save."""
        job.costs = Costs(range(job.parts.total()) if job.parts else parse_frames(job.spec.frames))
        for task, seconds in self.store.costs(job.id):
            step = job.step(task)
            if step is not None and seconds is None:
                job.costs.give_up(step)
            elif step is not None and seconds is not None:
                job.costs.add(step, seconds, first=not job.costs.known)
        for earlier in reversed(self._jobs.values()):
            same = job.spec.group and (earlier.owner, earlier.spec.group) == (job.owner, job.spec.group)
            if same and earlier is not job and earlier.costs is not None and earlier.costs.known:
                job.shape = earlier.costs
                job.scaling.proven = earlier.scaling.slots if earlier.scaling.settled else 1
                return

    # Disk

    def release(self, job: Job) -> None:
        """Free the disk of what nobody needs: everything, once a job has ended well and its results are home."""
        if self.attempts.any_of(job.id):
            return  # Who leaves last calls this again.
        home = job.finished and job.state != JobState.FAILED and job.undelivered == 0
        if home or job.state == JobState.SUPERSEDED:
            self._folders.retire_job(job.id, self.store.waiting_files(job.id) if job.undelivered else ())

    def _count(self, job: Job, task: Task, before: TaskState, after: TaskState) -> None:
        job.running.pop(task.position, None)
        if task.frame is None:
            job.movie = after
            return
        counted = job.frames if task.part is None else job.parts
        counted[before] -= 1
        counted[after] += 1
