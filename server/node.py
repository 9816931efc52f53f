# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's heart: takes jobs in, and runs their tasks on the executor's slots.

Nothing here knows of sockets. All methods run on the server's loop; what reads whole files goes to a thread.
"""

import asyncio
import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from addon.protocol.errors import UnsafePath
from addon.protocol.frame_order import in_order
from addon.protocol.frame_range import parse_frames
from addon.protocol.limits import PREVIEW_BYTES
from addon.protocol.messages import JobSpec, JobState, Refusal, Workers

from .admission import Admission
from .background import Background, in_thread
from .blenders import Blender
from .books import Books
from .disk import is_full
from .drafts import Drafts
from .errors import RequestRefused
from .executors.base import (
    Assignment,
    AttemptClosed,
    BlenderDied,
    Event,
    Executor,
    Listener,
    NotSplit,
    Opened,
    PreviewMade,
    Progressed,
    TaskFailed,
    Written,
)
from .job_folders import JobFolders
from .job_store import NewOutput
from .jobs import CPU, MAX_ATTEMPTS, Job, Task, TaskState
from .order import moved, swapped
from .pictures import IncompletePicture
from .quotas import Quota
from .room import Pause, Room
from .scheduler import IdleSlot, is_ready, parts_of, plan
from .sources import Source, Sources
from .store import Store
from .storekeeper import Storekeeper

log = logging.getLogger(__name__)


class Node:
    """One render node.

    `make_executor` is given the listener that its executor reports to, `quota` says what an owner of jobs may take,
    `scripts` whether the Python in an owner's files runs.
    """

    def __init__(
        self,
        books: Books,
        folders: JobFolders,
        store: Store,
        blenders: Sequence[Blender],
        make_executor: Callable[[Listener], Executor],
        quota: Callable[[str], Quota],
        scripts: Callable[[str], bool],
    ) -> None:
        self.books = books
        self.folders = folders
        self.store = store
        self.blenders = blenders
        self._sources = Sources(store, folders, blenders)
        self._executor = make_executor(self._on_event)
        self.admission = Admission(books, store, quota)
        self._scripts = scripts
        self._assigned: dict[int, Assignment] = {}
        self._open_jobs: dict[int, str] = {}
        self._prepared: dict[str, Source] = {}
        self._drafts = Drafts()
        self._arriving: Counter[str] = Counter()
        """Manifests of jobs that are about to be entered."""
        self._background = Background()
        self.storekeeper = Storekeeper(
            store, self._needed_manifests, self._executor.let_go, folders.gallery, self._background
        )
        self._ending = False
        self._idle = asyncio.Event()
        """Set once the node is ending and nothing is being rendered, or kept, any more."""
        room = Room(folders.root)
        self._pause = Pause(room, books, self._background, folders.gallery.make_way, self._schedule)

    async def start(self) -> None:
        """Tidy up after the last run and go on with what is queued."""
        self.books.drop_old()
        for job in self.books:
            self.books.settle(job)  # A kill may have come between its last frame and its end.
            self.books.release(job)
        await asyncio.to_thread(self.folders.sweep, {job.id for job in self.books})
        self._schedule()
        self._background.start(self._start_executor())
        self._background.start(in_thread(self.store.recover))

    async def _start_executor(self) -> None:
        await self._executor.start(self.blenders[-1])
        self._schedule()  # There may be more slots now.

    async def finish(self, patience_s: float, hurried: asyncio.Event) -> None:
        """Begin nothing more; return when what is under way is done and kept, or when that takes too long.

        A frame that by Blender's own account takes twice as long is not waited for, nor anything when `hurried` is set.
        """
        self._ending = True
        now = time.monotonic()
        running = [each.left_s(now) for job in self.books for each in job.running.values()]
        if any(left is None or left <= 2 * patience_s for left in running):
            waits = [asyncio.create_task(event.wait()) for event in (self._idle, hurried)]
            await asyncio.wait(waits, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def close(self) -> None:
        """End all Blenders; frames that they had begun wait for the next start."""
        self._ending = True
        for assignment in self._assigned.values():
            job = self.books.job(assignment.task.job)
            if not self.books.is_over(job, assignment.task):
                self.books.put_back(job, assignment.task)
        await self._executor.close()
        self.store.stop()
        await self._background.close()
        self.books.store.close()
        self.store.close()

    # What clients ask for

    def slots_changed(self) -> None:
        """Somebody may have more slots than before."""
        self._schedule()

    def expect_job(self) -> None:
        """A file is on its way: a Blender that starts now is ready when it has come."""
        self._executor.expect()

    @property
    def slots(self) -> int:
        """Frames that can be rendered at once."""
        return self._executor.slots

    async def workers(self) -> Workers:
        """Say which Blenders there are, and what they cost."""
        return Workers(self._executor.slots, tuple(await self._executor.workers()))

    async def submit(self, owner: str, spec: JobSpec, raises: bool) -> Job:
        """Queue a job whose files are stored; one that is known already is returned as it is. Raises RequestRefused.

        `raises`: whether it may come before others' by its priority.
        """
        if spec.job in self.books:
            return self._known(owner, spec)
        _check_turn(spec.priority, 0, raises)
        self.books.drop_old()
        self._arriving[spec.manifest] += 1
        try:
            source = await in_thread(self._sources.prepare, spec)
            if spec.job not in self.books:  # Else the same submission, said twice, was quicker.
                self._enter(owner, spec, source)
        finally:
            self._arriving[spec.manifest] -= 1
        return self._known(owner, spec)

    def _needed_manifests(self) -> set[str]:
        return self.books.store.needed_manifests() | set(+self._arriving)

    def _known(self, owner: str, spec: JobSpec) -> Job:
        job = self.books.job(spec.job)
        if job.owner != owner:
            raise RequestRefused(Refusal.UNKNOWN_JOB, "This job's identifier is somebody else's.")
        return job

    def _enter(self, owner: str, spec: JobSpec, source: Source) -> None:
        frames = in_order(parse_frames(spec.frames), spec.order, spec.current)
        job = Job(spec, owner, total=len(frames), blender=source.blender.name, priority=spec.priority)
        self.admission.check_job(job, len(frames))
        slots = self._executor.slots if self._executor.has_gpus else self._executor.cpu_slots
        self.books.add(job, frames, parts_of(spec.split, len(frames), slots))
        self._prepared[job.id] = source
        self._supersede(job)
        name = job.id[:8]
        log.info("job %s: %s, frames %s, Blender %s", name, spec.title, spec.frames, job.blender, extra={"job": job.id})
        self._schedule()

    def cancel(self, job: Job) -> None:
        """Stop a job now; what it has rendered still travels back."""
        if not job.finished:
            self._stop(job, JobState.CANCELLED, "Cancelled.")
            self._schedule()

    def pause(self, job: Job) -> None:
        """Begin nothing more of a job; what is being rendered comes to its end. A finished one stays as it is."""
        if not job.finished:
            self.books.pause(job, True)

    def resume(self, job: Job) -> None:
        """Go on with a paused job."""
        if job.paused:
            self.books.pause(job, False)
            self._schedule()

    def prioritize(self, job: Job, priority: int, raises: bool) -> None:
        """Give a job another priority; `raises`: whether it may come before others' by that. Raises RequestRefused."""
        _check_turn(priority, job.priority, raises)
        self.books.turn([(job, (priority, job.place))])
        self._schedule()

    def move(self, job: Job, before: Job | None, anywhere: bool) -> None:
        """Have a job rendered right before another one, or last (None); of those that are finished nothing changes.

        `anywhere`: among everybody's jobs; else the owner's jobs change places with each other.
        """
        waiting = self.books.in_order()
        if job not in waiting or before is job or (before is not None and before not in waiting):
            return
        if anywhere:
            self.books.turn(moved(job, before, waiting))
        elif before is None or before.owner == job.owner:
            self.books.turn(swapped(job, before, [each for each in waiting if each.owner == job.owner]))
        self._schedule()

    def retry(self, job: Job) -> None:
        """Render what failed again. Raises RequestRefused."""
        if job.state == JobState.FAILED:
            self.admission.check_job(job, job.frames[TaskState.FAILED])
            self.books.retry(job)
            self._schedule()

    def forget(self, job: Job) -> None:
        """Drop a finished job with all that the node holds of it."""
        if job.finished:
            self.books.drop(job)

    # Running

    def _schedule(self) -> None:
        """Start what can start now."""
        while pairs := plan(self._idle_slots(), self._candidates()):
            self._run(*pairs[0])  # One at a time: a task that cannot start may end its job, or make room for another's.

        if self._pause.room.lacking:
            self._pause.tell()
        if self._ending and not any(job.running for job in self.books):
            self._idle.set()

    def _idle_slots(self) -> list[IdleSlot]:
        """The slots that may take a task: none while the disk is full, and when the node is about to end."""
        if self._pause.room.lacking or self._ending:
            return []
        slots = range(self._executor.slots)
        return [IdleSlot(slot, self._open_jobs.get(slot)) for slot in slots if slot not in self._assigned]

    def _candidates(self) -> Iterator[Task]:
        running = [assignment.task.job for assignment in self._assigned.values()]
        on_cpu = sum(self._is_for_cpu(self.books.job(job)) for job in running if job in self.books)
        busy = Counter(assignment.owner for assignment in self._assigned.values())
        for job in self.books.in_order():
            if job.paused or not (job.frames[TaskState.PENDING] or job.movie == TaskState.PENDING):
                continue
            slots = self.admission.slots(job.owner)
            for_cpu = self._is_for_cpu(job)
            room = self._at_once(job) - on_cpu if for_cpu else self._executor.slots - len(job.running)
            for task in self.books.store.pending(job.id, max(0, room)):
                if is_ready(job, task) and (slots is None or busy[job.owner] < slots):
                    on_cpu += for_cpu
                    busy[job.owner] += 1
                    yield task

    def _is_for_cpu(self, job: Job) -> bool:
        return job.device == CPU or not self._executor.has_gpus

    def _at_once(self, job: Job) -> int:
        """Frames of a job for the processor that are rendered side by side, if there is nothing else to do."""
        return max(self._executor.cpu_slots, job.scaling.slots)

    def _run(self, slot: int, task: Task) -> None:
        job = self.books.job(task.job)
        if not self.books.store.has_room:
            self._pause.begin()
            return
        try:
            assignment = self._assignment(job, task)
            self.books.begin(job, task)
        except (RequestRefused, OSError) as error:
            if is_full(error):
                self._pause.begin()
                return
            self._stop(job, JobState.FAILED, _sentence(error))
            return
        self._pause.room.begin()
        self._assigned[slot] = assignment
        self._open_jobs[slot] = job.id
        self.books.attempts.use(assignment.folder, job.id)
        self._executor.run(slot, assignment)

    def _assignment(self, job: Job, task: Task) -> Assignment:
        source = self._prepared.get(job.id) or self._prepare_again(job)
        assignment = Assignment(
            task=task,
            owner=job.owner,
            blender=source.blender,
            blend=source.blend,
            tree=source.tree,
            roots=source.roots,
            scene=job.spec.scene,
            engine=job.spec.engine,
            folder=self.folders.begin_attempt(task),
            log=self.folders.log(job.id),
            scripts=self._scripts(job.owner),
            draft=self._drafts.wanted(job),
        )
        job.drafted = True
        if task.part is not None:
            on_cpu = self._executor.cpu_slots > 1
            return dataclasses.replace(assignment, parts=job.parts.total(), parts_on_cpu=on_cpu)
        if task.frame is not None:
            parts = self.books.store.parts(job.id) if job.parts else ()
            return dataclasses.replace(
                assignment, pictures=tuple(self.folders.output(job.id, stored) for stored in parts)
            )
        pictures = self.books.store.pictures(job.id)
        return dataclasses.replace(
            assignment,
            frames=tuple(dict.fromkeys(frame for frame, _ in pictures)),
            pictures=tuple(self.folders.output(job.id, stored) for _, stored in pictures),
        )

    def _on_event(self, assignment: Assignment, event: Event) -> None:
        task = assignment.task
        if isinstance(event, AttemptClosed):
            self._leave(assignment)
        elif task.job in self.books:
            job = self.books.job(task.job)
            if self.books.is_over(job, task):
                self._on_late_news(assignment, event)
            else:
                self._on_news(job, assignment, event)

    def _on_late_news(self, assignment: Assignment, event: Event) -> None:
        """A slot that was rendering part of a frame finds out as well that it is rendered whole."""
        if isinstance(event, Written | NotSplit | TaskFailed | BlenderDied):
            self._free_slot(assignment)
            self._schedule()

    def _on_news(self, job: Job, assignment: Assignment, event: Event) -> None:
        task = assignment.task
        match event:
            case Opened():
                self._on_opened(job, task, event)
            case Progressed():
                self._on_progress(job, task, event)
            case PreviewMade():
                self._on_preview(job, assignment, event.path)
            case Written():
                self._learn_scaling(job, task, event)
                self._learn(job, task, event)
                self._free_slot(assignment)
                self.books.attempts.use(assignment.folder, job.id)
                self._background.start(self._keep(job, assignment, event))
                self._schedule()
            case NotSplit():
                self._free_slot(assignment)
                job.drafted = False  # A part's was not made.
                self.books.make_whole(job, event.reason)
                self._schedule()
            case TaskFailed():
                self._free_slot(assignment)
                if event.disk_full:
                    self._put_off(job, assignment)
                else:
                    self._fail(job, task, event.reason, event.fatal)
                self._schedule()
            case BlenderDied():
                self._free_slot(assignment)
                if self.books.store.has_room:
                    self._try_again(job, task, _death(task, event))
                else:
                    self._put_off(job, assignment)
                self._schedule()

    def _learn_scaling(self, job: Job, task: Task, event: Written) -> None:
        """Whole frames tell how many fit side by side, but for the first, which may have prepared things for all."""
        running = job.running.get(task.position)
        if task.frame is None or job.parts or running is None or running.first or not self._is_for_cpu(job):
            return
        left_s = job.costs.left(job.shape) if job.costs is not None and job.costs.known else 0.0
        most = self._executor.most_slots()
        job.scaling.add(event.seconds, event.load, left_s=left_s, ready_s=job.opened_s, most=most)

    def _learn(self, job: Job, task: Task, event: Written) -> None:
        """What a split frame would have cost in one piece is what a part cost, times their number."""
        if task.part is not None:
            self._drafts.learn(job, event.draft_s, event.seconds * job.parts.total())
        elif not job.parts:
            self._drafts.learn(job, event.draft_s, event.seconds)

    def _on_opened(self, job: Job, task: Task, event: Opened) -> None:
        job.device = event.device
        if (running := job.running.get(task.position)) is not None:
            job.opened_s = time.monotonic() - running.started
        notices = tuple(dict.fromkeys((*job.notices, *event.notices)))  # The node's own are among the first.
        if (notices, event.fps) != (job.notices, job.fps):
            job.notices, job.fps = notices, event.fps
            self.books.store.update(job)
        if event.movie and job.total > 1 and job.movie is None:
            job.movie = TaskState.PENDING
            self.books.store.add_movie(job)
        self.books.audience.job_changed(job)

    def _on_progress(self, job: Job, task: Task, event: Progressed) -> None:
        running = job.running.get(task.position)
        if running is not None:
            running.sample, running.samples = event.sample, event.samples
            running.tile, running.tiles = event.tile, event.tiles
            running.report(time.monotonic(), event.remaining_s)
            self.books.audience.job_changed(job)

    def _on_preview(self, job: Job, assignment: Assignment, path: Path) -> None:
        task = assignment.task
        try:
            jpeg = path.read_bytes()
        except OSError as error:
            log.warning("a preview could not be read: %s", error)
            return
        if task.frame is not None and len(jpeg) <= PREVIEW_BYTES:
            job.preview = task.frame, jpeg
            if assignment not in self._assigned.values():  # It is rendered: this is not a draft.
                self.folders.gallery.keep_small(job.id, task.frame, jpeg)
            self.books.audience.preview_made(job)

    async def _keep(self, job: Job, assignment: Assignment, event: Written) -> None:
        """Take a task's files over; the slot renders the next frame meanwhile.

        Also for a job that was cancelled or failed meanwhile: what is rendered comes home.
        """
        task = assignment.task
        for_movie = job.movie is not None and task.frame is not None
        failure: Exception | None = None
        outputs: list[NewOutput] = []
        try:
            outputs = await asyncio.to_thread(self.folders.keep_outputs, task, event.files, for_movie)
        except (IncompletePicture, UnsafePath, OSError) as error:
            failure = error
        try:
            if job.id in self.books and job.state != JobState.SUPERSEDED and not self.books.is_over(job, task):
                if failure is None:
                    failure = self._enter_outputs(job, task, event.seconds, outputs)
                if failure is not None:
                    self._on_not_kept(job, assignment, failure)
        finally:
            self._leave(assignment)
            self._schedule()

    def _enter_outputs(self, job: Job, task: Task, seconds: float, outputs: Sequence[NewOutput]) -> OSError | None:
        """Write down what a task has made; return why the books did not take it."""
        try:
            self.books.finish(job, task, seconds, outputs)
        except OSError as error:
            if task.position not in job.running:
                raise  # They took it, and not that the job has ended: the next start finds that out.
            self.folders.drop_outputs(job.id, outputs)
            return error
        self._pause.room.kept()
        return None

    def _on_not_kept(self, job: Job, assignment: Assignment, error: Exception) -> None:
        if isinstance(error, UnsafePath):
            self._fail(job, assignment.task, f"{error} Change the output's name in the scene.", fatal=True)
        elif is_full(error) or not self.books.store.has_room:
            self._put_off(job, assignment)
        else:
            self._try_again(job, assignment.task, _sentence(error))

    def _put_off(self, job: Job, assignment: Assignment) -> None:
        """What a task wrote found no room on the disk: it waits, with all others, until there is."""
        self.folders.drop_attempt(assignment.folder)  # First, or there is none for the books either.
        self.books.put_back(job, assignment.task)
        self._pause.begin()

    def _try_again(self, job: Job, task: Task, reason: str) -> None:
        """Put a task back that came to nothing through no fault it is known to have, or give it up."""
        task = dataclasses.replace(task, attempts=task.attempts + 1)
        log.warning(
            "job %s, frame %s, attempt %d: %s", job.id[:8], task.frame, task.attempts, reason, extra={"job": job.id}
        )
        if task.attempts < MAX_ATTEMPTS:
            self.books.put_back(job, task)
        else:
            self._fail(job, task, reason, fatal=False)

    def _fail(self, job: Job, task: Task, reason: str, fatal: bool) -> None:
        if job.parts and task.part is None and not fatal:
            log.warning(
                "job %s: the parts of its frame do not fit together: %s", job.id[:8], reason, extra={"job": job.id}
            )
            self.books.put_back(job, dataclasses.replace(task, attempts=0))
            self.books.make_whole(job, "")
            return
        self.books.fail(job, task, reason)
        if (fatal or task.part is not None) and not job.finished:
            self._stop(job, JobState.FAILED, reason)

    def _stop(self, job: Job, state: JobState, text: str) -> None:
        """End what runs of a job, and close it."""
        for slot, assignment in list(self._assigned.items()):
            if assignment.task.job == job.id:
                self._executor.stop(slot)
                del self._assigned[slot]
                self._open_jobs.pop(slot, None)
                if not self.books.is_over(job, assignment.task):
                    self.books.put_back(job, assignment.task)
        self._prepared.pop(job.id, None)
        self.books.move(job, state, text)

    def _supersede(self, newer: Job) -> None:
        for job in self.books:
            if newer.replaces(job) and not job.finished:
                self._stop(job, JobState.SUPERSEDED, "A newer save took its place.")

    def _leave(self, assignment: Assignment) -> None:
        """Blender, or we, have finished with an attempt's folder; after the last of us it goes."""
        if not self.books.attempts.leave(assignment.folder):
            return
        self.folders.drop_attempt(assignment.folder)
        if assignment.task.job in self.books:
            self.books.release(self.books.job(assignment.task.job))
        else:
            self.folders.drop_job(assignment.task.job)

    def _free_slot(self, assignment: Assignment) -> None:
        for slot, assigned in list(self._assigned.items()):
            if assigned is assignment:
                del self._assigned[slot]

    def _prepare_again(self, job: Job) -> Source:
        """After a restart: the files have been checked, but the Blenders may be others."""
        source = self._prepared[job.id] = self._sources.prepare(job.spec)
        if job.blender != source.blender.name:
            job.blender = source.blender.name
            self.books.store.update(job)
        return source


def _check_turn(priority: int, before: int, raises: bool) -> None:
    if priority > max(0, before) and not raises:
        raise RequestRefused(
            Refusal.NOT_ALLOWED, "Only the node's owner can put a job before others': 0 is the highest you can give."
        )


def _sentence(error: Exception) -> str:
    """What an error says to people."""
    if isinstance(error, OSError):
        return f"The node could not use {error.filename or 'a file'}: {error.strerror}."
    return str(error)


def _death(task: Task, event: BlenderDied) -> str:
    if event.reason:
        return event.reason
    what = "making the movie" if task.frame is None else f"rendering frame {task.frame}"
    words = " ".join(event.last_words.split())[-300:]
    return f"Blender ended by itself while {what}." + (f" Its last words: {words}" if words else "")
