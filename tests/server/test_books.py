# SPDX-License-Identifier: GPL-3.0-or-later
import itertools
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from copy import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from addon.protocol.messages import JobState
from server.books import Books
from server.job_folders import JobFolders
from server.job_store import PICTURE, RESULT, JobStore, NewOutput
from server.jobs import Job, Task, TaskState
from tests.server.test_jobs import job_of


class Nobody:
    """An audience that is not there."""

    def job_changed(self, job: Job) -> None: ...

    def job_gone(self, job: Job) -> None: ...

    def preview_made(self, job: Job) -> None: ...

    def outputs_ready(self, job: Job) -> None: ...

    def task_changed(self, job: Job, task: Task, state: TaskState) -> None: ...


def books_in(folder: Path) -> Books:
    return Books(JobStore(folder / "node.sqlite3"), JobFolders(folder), Nobody())


def test_a_kill_between_the_last_frame_and_the_jobs_end_leaves_no_job_hanging(tmp_path: Path) -> None:
    # GIVEN books in which the last frame is done and the job is not, as a kill between the two leaves them
    books = books_in(tmp_path)
    job = job_of(frames="1", total=1)
    books.add(job, (1,))
    (task,) = books.store.pending(job.id, 1)
    books.begin(job, task)
    books.store.finish(task, 1.0, [NewOutput("", "1.png", 1, "1" * 32, "0-0.png", RESULT)])
    books.store.close()
    # WHEN they are opened and settled
    again = books_in(tmp_path)
    (found,) = again
    again.settle(found)
    # THEN the job is done, and its frame still waits for the artist
    assert found.state == JobState.DONE
    assert found.undelivered == 1
    again.store.close()


def steps_of_a_frame(done: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many instructions SQLite runs for one frame, from its beginning to the artist, behind so many done ones."""
    folder.mkdir()
    # What is done waits for the artist, and lies in the books as if it had been rendered.
    books = books_in(folder)
    books.add(job_of(frames=f"1-{2 * done}", total=2 * done), range(1, 2 * done + 1))
    books.store.close()
    with closing(sqlite3.connect(folder / "node.sqlite3")) as database:
        database.execute("UPDATE tasks SET state='done', seconds=1 WHERE position<?", (done,))
        database.execute(
            "INSERT INTO outputs (job, position, frame, directory, name, size, digest, stored, kind)"
            " SELECT job, position, frame, '', frame, 1, '', frame, 'result' FROM tasks WHERE state='done'"
        )
        database.commit()
    steps = itertools.count()

    class Counted(sqlite3.Connection):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            self.set_progress_handler(lambda: next(steps) < 0, 1)

    monkeypatch.setattr(sqlite3, "connect", Counted)
    books = books_in(folder)
    monkeypatch.undo()
    (job,) = books
    before = next(steps)
    (task,) = books.store.pending(job.id, 1)
    books.begin(job, task)
    books.finish(job, task, 1.0, [NewOutput("", "new.png", 1, "1" * 32, "new.png", RESULT)])
    (output,) = books.store.waiting_outputs(job.id, after=done, limit=10)
    books.delivered(output.output)
    assert job.undelivered == done
    books.store.close()
    return next(steps) - before


def test_what_a_frame_costs_does_not_grow_with_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (steps_of_a_frame(done, tmp_path / str(done), monkeypatch) for done in (5, 4000))
    assert many < 2 * few


class BooksOfOneJob(RuleBasedStateMachine):
    """Whatever happens in whatever order: what is counted from step to step is what the database says."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.books = books_in(Path(self.folder.name))
        self.job = job_of(frames="1-5", total=5)
        self.books.add(self.job, range(1, 6))
        self.running: list[Task] = []
        self.ended: list[Task] = []
        self.names = (f"{number}.png" for number in itertools.count())

    def teardown(self) -> None:
        self.books.store.close()
        self.folder.cleanup()

    @rule()
    @precondition(lambda self: not self.job.finished)
    def begin(self) -> None:
        """As the node does: the movie waits for all frames."""
        for task in self.books.store.pending(self.job.id, 1):
            if task.frame is None and self.job.frames[TaskState.DONE] < self.job.total:
                return
            self.books.begin(self.job, task)
            self.running.append(task)

    @rule(data=st.data())
    @precondition(lambda self: self.running)
    def put_back(self, data: st.DataObject) -> None:
        self.books.put_back(self.job, self._take(data))

    @rule(data=st.data())
    @precondition(lambda self: self.running and not self.job.finished)
    def fail(self, data: st.DataObject) -> None:
        task = self._take(data)
        self.books.fail(self.job, task, "It is too dark.")
        self.ended.append(task)

    @rule(data=st.data(), kinds=st.lists(st.sampled_from([RESULT, PICTURE]), max_size=3))
    @precondition(lambda self: self.running)
    def finish(self, data: st.DataObject, kinds: Sequence[str]) -> None:
        task = self._take(data)
        self.books.finish(self.job, task, 1.5, self._outputs(kinds))
        self.ended.append(task)

    @rule(data=st.data(), kinds=st.lists(st.sampled_from([RESULT, PICTURE]), max_size=3))
    @precondition(lambda self: self.ended)
    def finish_late(self, data: st.DataObject, kinds: Sequence[str]) -> None:
        """What was given up, or is done already, comes after all."""
        self.books.finish(self.job, data.draw(st.sampled_from(self.ended)), 0.0, self._outputs(kinds))

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        waiting = self.books.store.waiting_outputs(self.job.id, 0, 100)
        if waiting:
            self.books.delivered(data.draw(st.sampled_from(waiting)).output)

    @rule()
    @precondition(lambda self: self.job.movie is None and not self.job.finished)
    def add_movie(self) -> None:
        self.job.movie = TaskState.PENDING
        self.books.store.add_movie(self.job)

    @rule()
    @precondition(lambda self: self.job.state == JobState.FAILED and not self.running)
    def retry(self) -> None:
        self.books.retry(self.job)

    @invariant()
    def counted_rightly(self) -> None:
        stored = copy(self.job)
        self.books.store.refresh(stored)
        assert +self.job.frames == stored.frames
        assert self.job.undelivered == stored.undelivered
        assert self.job.movie == stored.movie

    def _take(self, data: st.DataObject) -> Task:
        task = data.draw(st.sampled_from(self.running))
        self.running.remove(task)
        return task

    def _outputs(self, kinds: Sequence[str]) -> list[NewOutput]:
        return [NewOutput("", name, 1, "1" * 32, name, kind) for name, kind in zip(self.names, kinds, strict=False)]


TestBooksOfOneJob = BooksOfOneJob.TestCase
TestBooksOfOneJob.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
