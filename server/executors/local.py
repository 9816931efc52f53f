# SPDX-License-Identifier: GPL-3.0-or-later
"""Blenders on this machine: each slot keeps one open, so that the next frame starts without starting a program."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from ..blenders import Blender
from .base import (
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
    WrittenFile,
)
from .worker_process import Line, WorkerProcess

log = logging.getLogger(__name__)

IDLE_S = 300.0
"""A Blender with nothing to do is ended after this long: an artist's next save usually comes sooner, and a Blender that
holds a heavy scene's memory for longer is in the owner's way."""

WORKER_SCRIPT = Path(__file__).parents[1] / "blender_scripts" / "worker.py"


class LocalExecutor(Executor):
    """`slots` Blenders side by side on this machine."""

    def __init__(self, slots: int, listener: Listener) -> None:
        self.slots = slots
        self._slots = [_Slot(listener) for _ in range(slots)]

    def run(self, slot: int, assignment: Assignment) -> None:
        self._slots[slot].run(assignment)

    def stop(self, slot: int) -> None:
        self._slots[slot].end()

    async def close(self) -> None:
        workers = [slot.end() for slot in self._slots]
        await asyncio.gather(*(worker.wait() for worker in workers if worker is not None))

    def worker_pid(self, slot: int) -> int | None:
        """Process id of the slot's Blender, or None when it has none."""
        return self._slots[slot].pid


class _Slot:
    """At most one Blender, and at most one assignment that it works on."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._worker: WorkerProcess | None = None
        self._blender: Blender | None = None
        self._opened: tuple[Path, str | None] | None = None
        self._assignment: Assignment | None = None
        self._begun: dict[WorkerProcess, list[Assignment]] = {}
        """What each Blender has been told to do and may still write for, the oldest first."""
        self._idle_timer: asyncio.TimerHandle | None = None
        self._on_event: dict[str, Callable[[Line], None]] = {
            "opened": self._on_opened,
            "progress": self._on_progress,
            "written": self._on_written,
            "preview": self._on_preview,
            "closed": self._on_closed,
            "failed": self._on_failed,
        }

    @property
    def pid(self) -> int | None:
        return self._worker.pid if self._worker else None

    def run(self, assignment: Assignment) -> None:
        assert self._assignment is None, "the slot is busy"
        self._stop_idle_timer()
        if self._blender != assignment.blender:
            self.end()
        self._assignment = assignment
        if self._worker is None and not self._start(assignment.blender):
            return
        assert self._worker is not None
        self._worker.log_to(assignment.log)
        if self._opened == (assignment.blend, assignment.scene):
            self._send_task()
        else:
            self._opened = None
            self._worker.send({
                "command": "open", "path": str(assignment.blend), "tree": str(assignment.tree),
                "roots": list(assignment.roots), "scene": assignment.scene,
            })  # fmt: skip

    def end(self) -> WorkerProcess | None:
        """Kill the Blender; returns it, so that its end can be waited for."""
        self._stop_idle_timer()
        worker, assignment = self._worker, self._assignment
        self._worker = self._blender = self._opened = self._assignment = None
        if worker is not None:
            worker.kill()
        if assignment is not None and not self._has_begun(assignment):
            self._listener(assignment, AttemptClosed())
        return worker

    def _start(self, blender: Blender) -> bool:
        try:
            worker = WorkerProcess([*blender.command, str(WORKER_SCRIPT)], self._on_line, lambda: self._on_exit(worker))
        except OSError as error:
            failure = TaskFailed(f"{blender.source} cannot be started: {error.strerror}.", fatal=True)
            asyncio.get_running_loop().call_soon(self._finish, failure)  # Not while the caller still books the start.
            return False
        self._worker, self._blender = worker, blender
        self._begun[worker] = []
        return True

    def _send_task(self) -> None:
        assert self._assignment is not None and self._worker is not None
        self._begun[self._worker].append(self._assignment)
        task, folder = self._assignment.task, str(self._assignment.folder)
        if task.frame is not None:
            self._worker.send({"command": "render", "frame": task.frame, "folder": folder})
            return
        self._opened = None  # Encoding rearranges the open scene: the next task must read the file again.
        pictures = [str(path) for path in self._assignment.pictures]
        frames = list(self._assignment.frames)
        self._worker.send({"command": "encode", "frames": frames, "pictures": pictures, "folder": folder})

    def _on_line(self, line: Line) -> None:
        handler = self._on_event.get(str(line.get("event")))
        if handler is not None:
            handler(line)

    def _on_opened(self, line: Line) -> None:
        if self._assignment is None:
            return
        self._opened = (self._assignment.blend, self._assignment.scene)
        self._tell(Opened(line["engine"], line["movie"], tuple(line["notices"])))
        if self._assignment is not None:  # The listener may have stopped the slot.
            self._send_task()

    def _on_progress(self, line: Line) -> None:
        fields = (line.get(name) for name in ("sample", "samples", "tile", "tiles", "remaining_s"))
        self._tell(Progressed(*fields))

    def _on_written(self, line: Line) -> None:
        files = tuple(
            WrittenFile(output["directory"], output["name"], Path(output["path"])) for output in line["outputs"]
        )
        self._finish(Written(float(line["seconds"]), files))

    def _on_preview(self, line: Line) -> None:
        assert self._worker is not None
        self._listener(self._begun[self._worker][0], PreviewMade(Path(line["path"])))

    def _on_closed(self, _: Line) -> None:
        assert self._worker is not None
        self._listener(self._begun[self._worker].pop(0), AttemptClosed())

    def _on_failed(self, line: Line) -> None:
        self._finish(TaskFailed(str(line["reason"]), bool(line.get("fatal"))))

    def _on_exit(self, worker: WorkerProcess) -> None:
        begun = self._begun[worker]
        if worker is self._worker:  # Else it was killed.
            log.warning("a Blender ended by itself")
            self._worker = self._blender = self._opened = None
            self._finish(BlenderDied(worker.last_words))
        del self._begun[worker]
        for assignment in begun:
            self._listener(assignment, AttemptClosed())

    def _has_begun(self, assignment: Assignment) -> bool:
        return any(assignment in begun for begun in self._begun.values())

    def _tell(self, event: Event) -> None:
        if self._assignment is not None:
            self._listener(self._assignment, event)

    def _finish(self, event: Event) -> None:
        assignment, self._assignment = self._assignment, None
        self._stop_idle_timer()
        self._idle_timer = asyncio.get_running_loop().call_later(IDLE_S, self.end)
        if assignment is not None:
            self._listener(assignment, event)
            if not self._has_begun(assignment):
                self._listener(assignment, AttemptClosed())

    def _stop_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
