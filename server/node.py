# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's heart: takes jobs in, runs their tasks on the executor's slots, and keeps the books.

Nothing here knows of sockets; an `Audience` is how the rest of the program hears of what happens. All methods run on
the server's loop; what reads whole files goes to a thread.
"""

import asyncio
import dataclasses
import errno
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from addon.protocol.blendfile import NotABlend, TruncatedBlend
from addon.protocol.errors import UnsafePath
from addon.protocol.frame_range import parse_frames
from addon.protocol.limits import PREVIEW_BYTES
from addon.protocol.messages import JobSpec, JobState, Refusal

from .attempts import OpenAttempts
from .background import Background
from .blenders import Blender, NoBlender, choose_blender
from .errors import RequestRefused
from .executors.base import (
    Assignment,
    AttemptClosed,
    BlenderDied,
    Event,
    Executor,
    Listener,
    Opened,
    PreviewMade,
    Progressed,
    TaskFailed,
    Written,
)
from .file_store import FileStore
from .job_store import JobStore, NewOutput
from .jobs import MAX_ATTEMPTS, Job, Running, Task, TaskState
from .pictures import IncompletePicture
from .scheduler import IdleSlot, plan

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


class Node:
    """One render node. `make_executor` is given the listener that its executor reports to."""

    def __init__(
        self,
        store: JobStore,
        files: FileStore,
        blenders: Sequence[Blender],
        audience: Audience,
        make_executor: Callable[[Listener], Executor],
    ) -> None:
        self.store = store
        self.files = files
        self.blenders = blenders
        self._audience = audience
        self._executor = make_executor(self._on_event)
        self._jobs = {job.id: job for job in store.load()}
        self._assigned: dict[int, Assignment] = {}
        self._open_jobs: dict[int, str] = {}
        self._chosen: dict[str, Blender] = {}
        self._attempts = OpenAttempts()
        self._background = Background()

    async def start(self) -> None:
        """Tidy up after the last run and go on with what is queued."""
        self._drop_old()
        for job in list(self._jobs.values()):
            self._release(job)
        await asyncio.to_thread(self.files.sweep, set(self._jobs), self.store.needed_digests(), time.time())
        self._schedule()

    async def close(self) -> None:
        """End all Blenders; frames that they had begun are rendered after the next start."""
        await self._executor.close()
        await self._background.close()
        self.store.close()

    # What clients ask for

    def jobs(self) -> list[Job]:
        """All jobs, in order of arrival."""
        return list(self._jobs.values())

    def job(self, job: str) -> Job:
        """Return one job. Raises RequestRefused."""
        try:
            return self._jobs[job]
        except KeyError:
            raise RequestRefused(Refusal.UNKNOWN_JOB, "The node does not know this job (any more).") from None

    async def submit(self, owner: str, spec: JobSpec) -> Job:
        """Queue a job whose file is stored; a job that is known already is returned as it is. Raises RequestRefused."""
        if spec.job in self._jobs:
            return self._jobs[spec.job]
        if not self.files.has(spec.digest):
            raise RequestRefused(Refusal.FILE_MISSING, "The node does not have the file yet.")
        self._drop_old()
        blender = await self._blender_for(spec)
        await asyncio.to_thread(self.files.prepare_job, spec)
        if spec.job in self._jobs:  # The same submission, said twice, while we were reading.
            return self._jobs[spec.job]
        frames = parse_frames(spec.frames)
        job = Job(spec, owner, total=len(frames), blender=blender.name)
        job.frames[TaskState.PENDING] = len(frames)
        self._add(job, frames)
        self._jobs[job.id] = job
        self._chosen[job.id] = blender
        self._supersede(job)  # After the newer one is in the books: its file may be the same.
        log.info("job %s: %s, frames %s, Blender %s", job.id[:8], spec.title, spec.frames, job.blender)
        self._audience.job_changed(job)
        self._schedule()
        return job

    def cancel(self, job: Job) -> None:
        """Stop a job now; what it has rendered still travels back."""
        if not job.finished:
            self._end(job, JobState.CANCELLED, "Cancelled.")
            self._schedule()

    def retry(self, job: Job) -> None:
        """Render what failed again."""
        if job.state != JobState.FAILED:
            return
        self.store.retry_failed(job.id)
        self.store.refresh(job)
        self._move(job, JobState.QUEUED)
        self._schedule()

    def forget(self, job: Job) -> None:
        """Drop a finished job with all that the node holds of it."""
        if job.finished:
            self._drop(job)

    def delivered(self, output: str) -> Job | None:
        """Forget an output that the artist has. Returns its job, or None for an output that is not known (any more)."""
        known = self.store.stored_output(output)
        if known is None:
            return None
        job = self._jobs[known[0]]
        self.store.delivered(output)
        self.files.output(job.id, known[1]).unlink(missing_ok=True)
        job.undelivered = self.store.undelivered(job.id)
        self._audience.job_changed(job)
        self._release(job)
        return job

    def _drop_old(self) -> None:
        for old in self.store.finished_before(time.time() - KEEP_FINISHED_S):
            self._drop(self._jobs[old])

    def _add(self, job: Job, frames: Sequence[int]) -> None:
        """Book a job. Raises RequestRefused when the disk has no room for that."""
        try:
            self.store.add(job, frames)
        except sqlite3.OperationalError as error:
            raise self.files.refusal(OSError(errno.ENOSPC, str(error)), job.spec.size) from error

    # Running

    def _schedule(self) -> None:
        """Start what can start now."""
        while pairs := plan(self._idle_slots(), self._candidates()):
            self._run(*pairs[0])  # One at a time: a task that cannot start may end its job, or make room for another's.

    def _idle_slots(self) -> list[IdleSlot]:
        slots = range(self._executor.slots)
        return [IdleSlot(slot, self._open_jobs.get(slot)) for slot in slots if slot not in self._assigned]

    def _candidates(self) -> Iterator[Task]:
        for job in self._jobs.values():
            if job.finished or not (job.frames[TaskState.PENDING] or job.movie == TaskState.PENDING):
                continue
            for task in self.store.pending(job.id, self._executor.slots):
                if task.frame is not None or job.frames[TaskState.DONE] == job.total:
                    yield task

    def _run(self, slot: int, task: Task) -> None:
        job = self._jobs[task.job]
        try:
            assignment = self._assignment(job, task)
        except (NoBlender, OSError) as error:
            self._end(job, JobState.FAILED, _sentence(error))
            return
        self._count(job, task, TaskState.PENDING, TaskState.RENDERING)
        self.store.set_task(task, TaskState.RENDERING)
        job.running[task.position] = Running(task, time.monotonic())
        self._assigned[slot] = assignment
        self._attempts.use(assignment.folder, job.id)
        self._open_jobs[slot] = job.id
        state = JobState.RENDERING if task.frame is not None else JobState.ENCODING
        if job.state != state:
            self._move(job, state)
        self._executor.run(slot, assignment)

    def _assignment(self, job: Job, task: Task) -> Assignment:
        assignment = Assignment(
            task=task,
            blender=self._chosen.get(job.id) or self._choose_again(job),
            blend=self.files.blend(job.spec),
            scene=job.spec.scene,
            folder=self.files.begin_attempt(task),
            log=self.files.log(job.id),
        )
        if task.frame is not None:
            return assignment
        pictures = self.store.pictures(job.id)
        return dataclasses.replace(
            assignment,
            frames=tuple(dict.fromkeys(frame for frame, _ in pictures)),
            pictures=tuple(self.files.output(job.id, stored) for _, stored in pictures),
        )

    def _on_event(self, assignment: Assignment, event: Event) -> None:
        if isinstance(event, AttemptClosed):
            self._leave(assignment)
            return
        job = self._jobs.get(assignment.task.job)
        if job is None:
            return
        match event:
            case Opened():
                self._on_opened(job, event)
            case Progressed():
                self._on_progress(job, assignment.task, event)
            case PreviewMade():
                self._on_preview(job, assignment.task, event.path)
            case Written():
                self._free_slot(assignment)
                self._attempts.use(assignment.folder, job.id)
                self._background.start(self._keep(job, assignment, event))
                self._schedule()
            case TaskFailed():
                self._free_slot(assignment)
                self._fail(job, assignment.task, event.reason, event.fatal)
                self._schedule()
            case BlenderDied():
                self._free_slot(assignment)
                self._try_again(job, assignment.task, _death(assignment.task, event.last_words))
                self._schedule()

    def _on_opened(self, job: Job, event: Opened) -> None:
        if event.notices != job.notices:
            job.notices = event.notices
            self.store.update(job)
        if event.movie and job.total > 1 and job.movie is None:
            job.movie = TaskState.PENDING
            self.store.add_movie(job)
        self._audience.job_changed(job)

    def _on_progress(self, job: Job, task: Task, event: Progressed) -> None:
        running = job.running.get(task.position)
        if running is not None:
            running.sample, running.samples = event.sample, event.samples
            running.tile, running.tiles = event.tile, event.tiles
            running.remaining_s = event.remaining_s
            self._audience.job_changed(job)

    def _on_preview(self, job: Job, task: Task, path: Path) -> None:
        try:
            jpeg = path.read_bytes()
        except OSError as error:
            log.warning("a preview could not be read: %s", error)
            return
        if task.frame is not None and len(jpeg) <= PREVIEW_BYTES:
            job.preview = task.frame, jpeg
            self._audience.preview_made(job)

    async def _keep(self, job: Job, assignment: Assignment, event: Written) -> None:
        """Take a task's files over; the slot renders the next frame meanwhile."""
        task = assignment.task
        for_movie = job.movie is not None and task.frame is not None
        try:
            outputs = await asyncio.to_thread(self.files.keep_outputs, task, event.files, for_movie)
        except (IncompletePicture, UnsafePath, OSError) as error:
            self._on_not_kept(job, task, error)
        else:
            self._on_kept(job, task, event.seconds, outputs)
        finally:
            self._leave(assignment)
        self._schedule()

    def _on_kept(self, job: Job, task: Task, seconds: float, outputs: Sequence[NewOutput]) -> None:
        """Book a task's results; also for a job that was cancelled or failed meanwhile: what is rendered comes home."""
        if job.id not in self._jobs or job.state == JobState.SUPERSEDED:
            return
        job.running.pop(task.position, None)
        self.store.finish(task, seconds, outputs)
        self.store.refresh(job)
        self._settle(job)
        self._audience.outputs_ready(job)

    def _on_not_kept(self, job: Job, task: Task, error: Exception) -> None:
        if job.id not in self._jobs:
            return
        if isinstance(error, UnsafePath):
            self._fail(job, task, f"{error} Change the output's name in the scene.", fatal=True)
        elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            self._fail(job, task, "The node's disk is full: make room there and press Retry.", fatal=True)
        else:
            self._try_again(job, task, _sentence(error))

    def _try_again(self, job: Job, task: Task, reason: str) -> None:
        """Put a task back that came to nothing through no fault it is known to have, or give it up."""
        task = dataclasses.replace(task, attempts=task.attempts + 1)
        log.warning("job %s, frame %s, attempt %d: %s", job.id[:8], task.frame, task.attempts, reason)
        if task.attempts >= MAX_ATTEMPTS:
            self._fail(job, task, reason, fatal=False)
            return
        job.running.pop(task.position, None)
        self._count(job, task, TaskState.RENDERING, TaskState.PENDING)
        self.store.set_task(task, TaskState.PENDING)
        self._audience.job_changed(job)

    def _fail(self, job: Job, task: Task, reason: str, fatal: bool) -> None:
        job.running.pop(task.position, None)
        self._count(job, task, TaskState.RENDERING, TaskState.FAILED)
        self.store.set_task(task, TaskState.FAILED, reason)
        if fatal and not job.finished:
            self._end(job, JobState.FAILED, reason)
        else:
            self._settle(job)

    def _settle(self, job: Job) -> None:
        """Close a job that has nothing left to do."""
        failed = job.frames[TaskState.FAILED]
        if job.finished or job.frames[TaskState.PENDING] or job.frames[TaskState.RENDERING]:
            self._audience.job_changed(job)
        elif failed:
            first = self.store.first_reason(job.id)
            text = first if job.total == 1 else f"{failed} of {job.total} frames failed. The first one: {first}"
            self._end(job, JobState.FAILED, text)
        elif job.movie == TaskState.FAILED:
            text = f"The frames are rendered, but not the movie: {self.store.first_reason(job.id)}"
            self._end(job, JobState.FAILED, text)
        elif job.movie in (None, TaskState.DONE):
            self._end(job, JobState.DONE, "")
        else:
            self._audience.job_changed(job)

    def _end(self, job: Job, state: JobState, text: str) -> None:
        """Stop what runs of a job, and close it."""
        for slot, assignment in list(self._assigned.items()):
            if assignment.task.job == job.id:
                self._executor.stop(slot)
                del self._assigned[slot]
                self._open_jobs.pop(slot, None)
                self._count(job, assignment.task, TaskState.RENDERING, TaskState.PENDING)
                self.store.set_task(assignment.task, TaskState.PENDING)
        job.running.clear()
        self._chosen.pop(job.id, None)
        self._move(job, state, text)
        self._release(job)

    def _supersede(self, newer: Job) -> None:
        for job in list(self._jobs.values()):
            same = newer.spec.group and (job.owner, job.spec.group) == (newer.owner, newer.spec.group)
            if same and job is not newer and not job.finished:
                self._end(job, JobState.SUPERSEDED, "A newer save took its place.")

    # Books

    def _move(self, job: Job, state: JobState, text: str = "") -> None:
        job.move(state, text)
        self.store.update(job, finished=time.time() if job.finished else None)
        log.info("job %s: %s %s", job.id[:8], state, text)
        self._audience.job_changed(job)

    def _count(self, job: Job, task: Task, before: TaskState, after: TaskState) -> None:
        if task.frame is None:
            job.movie = after
        else:
            job.frames[before] -= 1
            job.frames[after] += 1

    def _leave(self, assignment: Assignment) -> None:
        """Blender, or we, have finished with an attempt's folder; after the last of us it goes."""
        if self._attempts.leave(assignment.folder):
            self.files.drop_attempt(assignment.folder)
            job = self._jobs.get(assignment.task.job)
            if job is None:
                self.files.drop_job(assignment.task.job)
            else:
                self._release(job)

    def _free_slot(self, assignment: Assignment) -> None:
        for slot, assigned in list(self._assigned.items()):
            if assigned is assignment:
                del self._assigned[slot]

    def _release(self, job: Job) -> None:
        """Free the disk of what nobody will ask for: everything, once a job has ended well and its results are home."""
        if self._attempts.any_of(job.id):
            return  # Who leaves last calls this again.
        if job.state == JobState.SUPERSEDED or (job.finished and job.state != JobState.FAILED and job.undelivered == 0):
            self.files.drop_job(job.id)
            self._release_file(job.spec.digest)

    def _release_file(self, digest: str) -> None:
        if digest not in self.store.needed_digests():
            self.files.drop_file(digest)

    def _drop(self, job: Job) -> None:
        self.store.forget(job.id)
        del self._jobs[job.id]
        if not self._attempts.any_of(job.id):
            self.files.drop_job(job.id)
        self._release_file(job.spec.digest)
        self._audience.job_gone(job)

    # Blenders

    async def _blender_for(self, spec: JobSpec) -> Blender:
        """Check a file and choose what renders it. Raises RequestRefused with the artist's sentence."""
        try:
            header = await asyncio.to_thread(self.files.inspect, spec.digest)
            return choose_blender(header.version, self.blenders)
        except NoBlender as error:
            self._release_file(spec.digest)
            raise RequestRefused(Refusal.NO_BLENDER, _sentence(error)) from error
        except (NotABlend, TruncatedBlend) as error:
            self._release_file(spec.digest)
            raise RequestRefused(Refusal.BAD_FILE, _sentence(error)) from error

    def _choose_again(self, job: Job) -> Blender:
        """After a restart: the file has been checked, but the Blenders may be others."""
        blender = choose_blender(self.files.inspect(job.spec.digest).version, self.blenders)
        if job.blender != blender.name:
            job.blender = blender.name
            self.store.update(job)
        self.files.prepare_job(job.spec)
        self._chosen[job.id] = blender
        return blender


def _sentence(error: Exception) -> str:
    """What an error says to people."""
    if isinstance(error, OSError):
        return f"The node could not use {error.filename or 'a file'}: {error.strerror}."
    return str(error)


def _death(task: Task, last_words: str) -> str:
    what = "making the movie" if task.frame is None else f"rendering frame {task.frame}"
    words = " ".join(last_words.split())[-300:]
    return f"Blender ended by itself while {what}." + (f" Its last words: {words}" if words else "")
