# SPDX-License-Identifier: GPL-3.0-or-later
"""The node by itself, with an executor that does what it is told."""

import asyncio
import errno
import os
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from addon.protocol.messages import JobState, WorkerStatus
from server.blenders import Blender
from server.books import Books
from server.executors.base import Assignment, AttemptClosed, Executor, Listener, PreviewMade, Written, WrittenFile
from server.job_folders import JobFolders
from server.job_store import JobStore, NewOutput
from server.jobs import Job, Task, TaskState
from server.node import Node
from server.quotas import Quota
from server.sources import Source
from server.store import Store
from tests.server.store_kit import PLENTY
from tests.server.test_jobs import job_of

BLENDER = Blender((5, 2, 0), ("no program",), "none")
HDR = b"#?RADIANCE\nits length stands nowhere in it"
UNDRAWN = 3
"""The frame of which there is no small picture but the draft."""


class Watching:
    """An audience that waits for a job's end."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    def job_changed(self, job: Job) -> None:
        if job.finished:
            self.over.set()

    def job_gone(self, job: Job) -> None: ...

    def preview_made(self, job: Job) -> None: ...

    def outputs_ready(self, job: Job) -> None: ...

    def task_changed(self, job: Job, task: Task, state: TaskState) -> None: ...


class Prompt(Executor):
    """Has every frame done at once."""

    slots = 1

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.tasks = 0
        self.draws = False
        """Whether there are small pictures: one before a frame, and one of it."""

    async def start(self, blender: Blender) -> None: ...

    def expect(self) -> None: ...

    async def workers(self) -> list[WorkerStatus]:
        return []

    async def let_go(self) -> None: ...

    def stop(self, slot: int) -> None: ...

    async def close(self) -> None: ...

    def run(self, slot: int, assignment: Assignment) -> None:  # noqa: ARG002 - there is one
        self.tasks += 1
        asyncio.get_running_loop().call_soon(self._render, assignment)

    def _render(self, assignment: Assignment) -> None:
        name = f"{assignment.task.frame}.hdr"
        path = assignment.folder / name
        path.write_bytes(HDR)
        if self.draws:
            self._draw(assignment, b"draft")
        self._listener(assignment, Written(1.0, 1.0, None, (WrittenFile("", name, path),)))
        if self.draws and assignment.task.frame != UNDRAWN:
            self._draw(assignment, b"small")
        self._listener(assignment, AttemptClosed())

    def _draw(self, assignment: Assignment, jpeg: bytes) -> None:
        path = assignment.folder / "preview.jpg"
        path.write_bytes(jpeg)
        self._listener(assignment, PreviewMade(path))


class Bench:
    """A node, and what belongs to it."""

    def __init__(self, folder: Path) -> None:
        self.audience = Watching()
        self.jobs = JobStore(folder / "node.sqlite3")
        self.folders = JobFolders(folder, PLENTY)
        books = Books(self.jobs, self.folders, self.audience)
        self.executors: list[Prompt] = []
        self.node = Node(
            books, self.folders, Store(folder / "store", PLENTY), [BLENDER], self._executor,
            lambda _: Quota(), lambda _: False,
        )  # fmt: skip

    def _executor(self, listener: Listener) -> Executor:
        self.executors.append(Prompt(listener))
        return self.executors[0]

    def add(self, job: Job) -> None:
        self.node.books.add(job, range(1, job.total + 1))
        self.folders.prepare(job.id)
        self.node._prepared[job.id] = Source(BLENDER, Path("shot.blend"), Path(), ())
        self.node._schedule()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20.0))


def test_a_frame_that_the_list_of_jobs_did_not_take_is_rendered_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        # GIVEN a node whose list of jobs cannot grow when the first frame is to be written down
        bench = Bench(tmp_path)
        finish, errors = JobStore.finish, list[OSError]()

        def cramped(store: JobStore, task: Task, seconds: float, outputs: Sequence[NewOutput]) -> tuple[TaskState, int]:
            (pages,) = store._db.execute("PRAGMA page_count").fetchone()
            store._db.execute(f"PRAGMA max_page_count={1 << 30 if errors else pages}")
            try:
                return finish(store, task, seconds, [replace(output, name="n" * 5000) for output in outputs])
            except OSError as error:
                errors.append(error)
                raise

        monkeypatch.setattr(JobStore, "finish", cramped)
        # WHEN it renders
        await bench.node.start()
        job = job_of(frames="1-2", total=2)
        bench.add(job)
        await bench.audience.over.wait()
        # THEN the frame is rendered once more, and the job is done
        assert [error.errno for error in errors] == [errno.ENOSPC]
        assert job.state == JobState.DONE and job.frames[TaskState.DONE] == 2
        assert bench.executors[0].tasks == 3
        assert bench.folders.output(job.id, "0-0.hdr").is_file()
        await bench.node.close()

    run(work())


def test_the_gallery_gets_the_small_picture_of_a_frame_and_not_that_of_its_draft(tmp_path: Path) -> None:
    async def work() -> None:
        bench = Bench(tmp_path)
        bench.executors[0].draws = True
        await bench.node.start()
        job = job_of(frames=f"1-{UNDRAWN}", total=UNDRAWN)
        bench.add(job)
        await bench.audience.over.wait()
        small = [bench.folders.gallery.find_small(job.id, frame) for frame in range(1, UNDRAWN + 1)]
        assert [path and path.read_bytes() for path in small] == [b"small", b"small", None]
        await bench.node.close()

    run(work())


def test_a_save_whose_place_is_taken_leaves_its_frames_to_the_gallery(tmp_path: Path) -> None:
    async def work() -> None:
        # GIVEN a job with a frame that waits for the artist
        bench = Bench(tmp_path)
        await bench.node.start()
        job = job_of(frames="1", total=1)
        bench.add(job)
        await bench.audience.over.wait()
        assert job.undelivered == 1
        # WHEN a newer save takes its place
        job.state = JobState.RENDERING
        bench.node.books.move(job, JobState.SUPERSEDED)
        # THEN the frame is no longer among what is sent, but can be looked at
        assert not bench.folders.job_folder(job.id).exists()
        kept = bench.folders.still_here(job.id, "0-0.hdr")
        assert kept is not None and kept.read_bytes() == HDR
        # AND goes with the job
        bench.node.forget(job)
        assert bench.folders.gallery.size == 0
        await bench.node.close()

    run(work())


def test_a_frame_that_could_not_be_begun_for_want_of_room_is_begun_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        # GIVEN a node whose list of jobs does not take that its first frame is begun
        bench = Bench(tmp_path)
        set_task, errors = JobStore.set_task, list[OSError]()

        def cramped(store: JobStore, *arguments: Any) -> None:
            if not errors:
                errors.append(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
                raise errors[0]
            set_task(store, *arguments)

        monkeypatch.setattr(JobStore, "set_task", cramped)
        # WHEN it renders, THEN all frames are done
        await bench.node.start()
        job = job_of(frames="1-2", total=2)
        bench.add(job)
        await bench.audience.over.wait()
        assert job.state == JobState.DONE and job.frames[TaskState.DONE] == bench.executors[0].tasks == 2
        await bench.node.close()

    run(work())
