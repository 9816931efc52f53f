# SPDX-License-Identifier: GPL-3.0-or-later
"""Blenders on this machine: each slot keeps one open, and beside them wait some that are started and warm."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Sequence

import psutil

from addon.protocol.messages import WorkerState, WorkerStatus

from ..blenders import Blender
from .base import (
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
from .family import look_at
from .spares import LOW_MEMORY, Kind, Spares
from .takeover import NotTaken
from .watch import COST_LOOK_S, LOOK_S, SLEPT_S, Limits, Look, too_costly
from .worker import Gpu, Opening, Worker
from .worker_process import Line
from .workplace import Workshop

log = logging.getLogger(__name__)

HELD_S = 300.0
"""A Blender with a file open and nothing to do is ended after this long, seconds: an artist's next save usually comes
sooner, and the memory of a heavy scene is in the owner's way.
"""

CORES = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count() or 1
"""Those that this process, and the Blenders that it starts, may use; macOS has no such limits."""

MOST_CPU_SLOTS = 8
"""Of one job on the processor: each holds the scene in memory, and they share what the cores share."""

FIRST_START_S = 60.0
"""A Blender that is not ready after this long tells nothing of GPUs: the node goes on with one slot."""


class LocalExecutor(Executor):
    """Blenders side by side on this machine."""

    def __init__(self, slots: int | None, limits: Limits, workshop: Workshop, listener: Listener) -> None:
        """`slots` None: one for each GPU, which `start` finds out; where there is none, as many as a job may ever gain
        from.
        """
        self._count = slots
        self._limits = limits
        self._workshop = workshop
        self._listener = listener
        self._first_ready = asyncio.Event()
        self._gpus: Sequence[Gpu] = ()
        self._spares = Spares(limits, workshop, self._idle, self._on_ready)
        self._slots = [self._new_slot() for _ in range(1 if slots is None else slots)]
        self._watching: list[asyncio.Task[None]] = []
        self._scout: Worker | None = None
        """A Blender that only tells which GPUs there are, for a node that keeps no spares."""

    @property
    def slots(self) -> int:
        return len(self._slots)

    async def start(self, blender: Blender) -> None:
        """Have a first Blender wait, and learn from it which GPUs there are."""
        loop = asyncio.get_running_loop()
        self._watching = [loop.create_task(self._watch()), loop.create_task(self._watch_costs())]
        if not self._slots:
            return
        if self._limits.spares:
            self._spares.expect(Kind(blender, None))
        elif self._count is None:
            self._scout = self._start_scout(blender)
        else:
            return  # Nothing to get ready, and nothing to find out.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._first_ready.wait(), FIRST_START_S)
        if self._scout is not None:
            self._scout.kill()
        if len(self._gpus) > 1:
            self._share_gpus(blender)
        elif not self._gpus and self._count is None and self._first_ready.is_set():
            self._add_slots(min(CORES, MOST_CPU_SLOTS))

    @property
    def cpu_slots(self) -> int:
        """Unless the owner says how many: one, since Cycles uses all cores for one frame."""
        return 1 if self._count is None else len(self._slots)

    @property
    def has_gpus(self) -> bool:
        return bool(self._gpus)

    def most_slots(self) -> int:
        if self._count is not None:
            return len(self._slots)
        largest = max((slot.worker.watch.memory for slot in self._slots if slot.worker is not None), default=0)
        if not largest:
            return 1  # Nobody has looked yet.
        memory = psutil.virtual_memory()
        busy = sum(slot.busy for slot in self._slots)
        return min(len(self._slots), busy + max(0, int((memory.available - LOW_MEMORY * memory.total) / largest)))

    def expect(self) -> None:
        self._spares.expect()

    async def let_go(self) -> None:
        idle = [(slot, slot.worker) for slot in self._slots if slot.worker is not None and not slot.busy]
        for slot, _ in idle:
            slot.end()
        await asyncio.gather(*(worker.wait() for _, worker in idle))

    def run(self, slot: int, assignment: Assignment) -> None:
        self._slots[slot].run(assignment)

    def stop(self, slot: int) -> None:
        self._slots[slot].end()

    async def workers(self) -> list[WorkerStatus]:
        for worker, look in await self._looks():
            worker.watch.memory = look.memory
        now = asyncio.get_running_loop().time()
        of_slots = [slot.status(number, now) for number, slot in enumerate(self._slots)]
        spares = [_status(worker, None, WorkerState.SPARE, now) for worker in self._spares.workers]
        return [status for status in of_slots if status is not None] + spares

    async def close(self) -> None:
        for watching in self._watching:
            watching.cancel()
        workers = self._spares.close()
        for slot in self._slots:
            slot.end()
            workers += slot.ending
        if self._scout is not None:
            self._scout.kill()
            workers.append(self._scout)
        await asyncio.gather(*(worker.wait() for worker in workers))

    def worker_pid(self, slot: int) -> int | None:
        """Process id of the slot's Blender, or None when it has none."""
        worker = self._slots[slot].worker
        return worker.pid if worker else None

    def _start_scout(self, blender: Blender) -> Worker | None:
        try:
            scout = Worker(blender, None, self._workshop)
        except OSError:  # A slot will say so to the artist.
            self._first_ready.set()
            return None
        scout.on_line = lambda line: self._on_ready(scout) if line["event"] == "ready" else None
        scout.on_exit = self._first_ready.set
        return scout

    def _share_gpus(self, blender: Blender) -> None:
        """One GPU for each slot; those that run already keep all until their next Blender."""
        if self._count is None:
            self._add_slots(len(self._gpus))
        for number, slot in enumerate(self._slots):
            slot.gpu = self._gpus[number % len(self._gpus)].id
        if self._limits.spares:
            self._spares.forget(Kind(blender, None))
            for slot in self._slots:
                self._spares.expect(Kind(blender, slot.gpu))
        log.info("%d slots on %s", len(self._slots), ", ".join(gpu.name for gpu in self._gpus))

    def _add_slots(self, count: int) -> None:
        self._slots += [self._new_slot() for _ in range(count - len(self._slots))]

    def _new_slot(self) -> "_Slot":
        return _Slot(self._listener, self._limits, self._workshop, self._spares)

    def _idle(self) -> bool:
        return not any(slot.busy for slot in self._slots)

    def _on_ready(self, worker: Worker) -> None:
        self._gpus = worker.gpus
        self._first_ready.set()

    async def _watch(self) -> None:
        """See from time to time whether Blenders hang, have grown too large, or have nothing to do."""
        while True:
            await asyncio.sleep(LOOK_S)
            for worker, look in await self._looks():
                if (reason := worker.watch.look(look, self._limits)) is not None:
                    self._put_down(worker, reason)
            now = asyncio.get_running_loop().time()
            for slot in self._slots:
                slot.end_if_idle(now)
            self._spares.tend()

    async def _watch_costs(self) -> None:
        """See more often whether a frame takes too long, or too much of the disk."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(COST_LOOK_S)
            late = time.monotonic() - looked - COST_LOOK_S
            looked += late + COST_LOOK_S
            for slot in self._slots:
                if (worker := slot.worker) is None or not slot.busy:
                    continue
                if late > SLEPT_S:
                    worker.slept(late)
                written = await asyncio.to_thread(worker.bytes_written)
                if worker is slot.worker and (reason := too_costly(worker.frame_s, written, self._limits)):
                    worker.put_down(reason, is_final=True)

    async def _looks(self) -> list[tuple[Worker, Look]]:
        workers = [slot.worker for slot in self._slots if slot.worker is not None] + self._spares.workers
        looks = await asyncio.to_thread(lambda: [look_at(worker.pid) for worker in workers])
        return [(worker, look) for worker, look in zip(workers, looks, strict=True) if look is not None]

    def _put_down(self, worker: Worker, reason: str) -> None:
        if worker in self._spares.workers:
            self._spares.drop(worker)
        else:
            worker.put_down(reason)


class _Slot:
    """At most one Blender, and at most one assignment that it works on."""

    def __init__(self, listener: Listener, limits: Limits, workshop: Workshop, spares: Spares) -> None:
        self.gpu: str | None = None
        """The one that this slot's next Blender renders with; None: all."""
        self.worker: Worker | None = None
        self._listener = listener
        self._limits = limits
        self._workshop = workshop
        self._spares = spares
        self._assignment: Assignment | None = None
        self.ending: list[Worker] = []
        """Blenders that were this slot's and have not ended yet."""
        self._idle_since = 0.0
        self._on_event: dict[str, Callable[[Worker, Line], None]] = {
            "opened": self._on_opened,
            "progress": self._on_progress,
            "written": self._on_written,
            "preview": self._on_preview,
            "closed": self._on_closed,
            "failed": self._on_failed,
            "whole": self._on_whole,
        }

    @property
    def busy(self) -> bool:
        return self._assignment is not None

    def run(self, assignment: Assignment) -> None:
        assert self._assignment is None, "the slot is busy"
        if self.worker is not None and not self._fits(self.worker, assignment):
            self.end()
        self._assignment = assignment
        if self.worker is None and not self._get_worker(assignment.blender):
            return
        assert self.worker is not None
        self.worker.log_to(assignment.log)
        if self.worker.opened == Opening.of(assignment):
            self._send_task()
        else:
            self.worker.open(assignment)

    def end(self) -> None:
        """Kill the Blender, if there is one."""
        worker, assignment = self.worker, self._assignment
        self.worker = self._assignment = None
        if worker is not None:
            self.ending.append(worker)
            worker.kill()
        if assignment is not None and not self._is_unfinished(assignment):
            self._listener(assignment, AttemptClosed())

    def end_if_idle(self, now: float) -> None:
        """End a Blender that has had nothing to do for long."""
        if self.worker is not None and self._assignment is None and now - self._idle_since >= HELD_S:
            self.end()

    def status(self, number: int, now: float) -> WorkerStatus | None:
        """What there is to say of the slot's Blender."""
        if self.worker is None:
            return None
        return _status(self.worker, number, WorkerState.RENDERING if self.busy else WorkerState.IDLE, now)

    def _fits(self, worker: Worker, assignment: Assignment) -> bool:
        """A file may have got hold of the Blender that opened it: the next artist's gets another. What a file's own
        Python has left behind must not show in another file's pictures.
        """
        same_owner = worker.owner in (None, assignment.owner)
        usable = not worker.scripted or worker.opened == Opening.of(assignment)
        return same_owner and usable and (worker.blender, worker.gpu) == (assignment.blender, self.gpu)

    def _get_worker(self, blender: Blender) -> bool:
        """Take a spare, or start a Blender."""
        worker = self._spares.take(Kind(blender, self.gpu))
        if worker is None:
            try:
                worker = Worker(blender, self.gpu, self._workshop)
            except OSError as error:
                failure = TaskFailed(f"{blender.source} cannot be started: {error.strerror}.", fatal=True)
                asyncio.get_running_loop().call_soon(self._finish, failure)  # Not while the caller books the start.
                return False
        self.worker = taken = worker
        taken.on_line = lambda line: self._on_line(taken, line)
        taken.on_exit = lambda: self._on_exit(taken)
        return True

    def _send_task(self) -> None:
        assert self._assignment is not None and self.worker is not None
        if self._assignment.task.frame is None:
            self.worker.encode(self._assignment)
        elif self._assignment.task.part is not None:
            self.worker.render_part(self._assignment)
        elif self._assignment.pictures:
            self.worker.merge(self._assignment)
        else:
            self.worker.render(self._assignment)

    def _on_line(self, worker: Worker, line: Line) -> None:
        handler = self._on_event.get(str(line.get("event")))
        if handler is not None:
            handler(worker, line)

    def _on_opened(self, worker: Worker, line: Line) -> None:
        if self._assignment is None:
            return
        worker.opened = Opening.of(self._assignment)
        worker.watch.opened()
        worker.warm.add(line["engine"])
        self._spares.use(Kind(worker.blender, worker.gpu), line["engine"])
        self._tell(Opened(line["engine"], line["movie"], tuple(line["notices"]), line["device"], float(line["fps"])))
        if self._assignment is not None:  # The listener may have stopped the slot.
            self._send_task()

    def _on_progress(self, _: Worker, line: Line) -> None:
        fields = (line.get(name) for name in ("sample", "samples", "tile", "tiles", "remaining_s"))
        self._tell(Progressed(*fields))

    def _on_written(self, worker: Worker, line: Line) -> None:
        if self._assignment is None:
            return
        try:
            files = worker.take(self._assignment, line)
        except (NotTaken, OSError) as error:
            worker.put_down(f"What it wrote could not be taken over: {error}", deaf=True)
            return
        if worker.watch.worn_out(worker.frames, self._limits):
            log.info(
                "Blender %d is replaced after %d frames, %d MB", worker.pid, worker.frames, worker.watch.memory >> 20
            )
            worker.retire()  # After what is left to do: the preview of this frame.
            self.ending.append(worker)
            self.worker = None
        seconds = float(line["seconds"])
        load = min(1.0, line["cpu_s"] / (seconds * CORES)) if seconds else 0.0
        self._finish(Written(seconds, load, line["draft_s"], files))

    def _on_preview(self, worker: Worker, line: Line) -> None:
        try:
            preview = worker.take_preview(worker.unfinished[0], line)
        except (NotTaken, OSError) as error:
            log.warning("a preview could not be taken over: %s", error)
        else:
            self._listener(worker.unfinished[0], PreviewMade(preview))

    def _on_closed(self, worker: Worker, _: Line) -> None:
        if worker is self.worker and worker.unfinished[0] is self._assignment:
            raise ValueError("closed before its end")
        self._listener(worker.finished(), AttemptClosed())

    def _on_failed(self, _: Worker, line: Line) -> None:
        self._finish(TaskFailed(str(line["reason"]), bool(line.get("fatal")), bool(line.get("disk_full"))))

    def _on_whole(self, _: Worker, line: Line) -> None:
        self._finish(NotSplit(str(line["reason"])))

    def _on_exit(self, worker: Worker) -> None:
        if worker is self.worker:  # Else it was killed or retired.
            log.warning("a Blender ended by itself")
            self.worker = None
            self.ending.append(worker)
            if worker.is_final:
                self._finish(TaskFailed(worker.reason, fatal=False))
            else:
                self._finish(BlenderDied(worker.last_words, worker.reason))
        self.ending.remove(worker)
        for assignment in worker.unfinished:
            self._listener(assignment, AttemptClosed())

    def _is_unfinished(self, assignment: Assignment) -> bool:
        workers = [*self.ending, *([self.worker] if self.worker else [])]
        return any(assignment in worker.unfinished for worker in workers)

    def _tell(self, event: Event) -> None:
        if self._assignment is not None:
            self._listener(self._assignment, event)

    def _finish(self, event: Event) -> None:
        assignment, self._assignment = self._assignment, None
        self._idle_since = asyncio.get_running_loop().time()
        if assignment is not None:
            self._listener(assignment, event)
            if not self._is_unfinished(assignment):
                self._listener(assignment, AttemptClosed())


def _status(worker: Worker, slot: int | None, state: WorkerState, now: float) -> WorkerStatus:
    return WorkerStatus(
        pid=worker.pid,
        blender=worker.blender.name,
        slot=slot,
        state=state if worker.ready else WorkerState.STARTING,
        memory=worker.watch.memory,
        rendered=worker.frames,
        age_s=round(now - worker.began, 1),
    )
