# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of jobs after accidents: damaged, half brought up to date, or in somebody else's hands."""

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from addon.protocol.messages import JobState
from server.books import Books
from server.databases import MigrationFailed, kept_aside
from server.errors import StoreUnusable
from server.job_folders import JobFolders
from server.job_store import DATABASE, MIGRATIONS, RESULT, JobStore, NewOutput
from server.jobs import Task, TaskState
from tests.conftest import SmallDisk
from tests.server.test_books import Nobody
from tests.server.test_jobs import job_of

PAGE = 4096
JOBS = 12
FRAMES = 100


def filled(path: Path) -> str:
    """A database with jobs of which the first half is done and waits for the artist; returns the node's id."""
    store = JobStore(path)
    for number in range(1, JOBS + 1):
        job = job_of(number, frames=f"1-{FRAMES}", total=FRAMES)
        store.add(job, range(1, FRAMES + 1))
        for task in store.pending(job.id, FRAMES // 2):
            store.finish(task, 1.0, [NewOutput("", f"{task.frame}.png", 1, "1" * 32, f"{task.position}.png", RESULT)])
    node = store.node_id
    store.close()
    return node


def root_page(path: Path, name: str) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT rootpage FROM sqlite_schema WHERE name=?", (name,)).fetchone()[0])


def spoil(path: Path, page: int, pages: int = 1) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(os.urandom(pages * PAGE))


def leaf_of_tasks(path: Path) -> None:
    """One of the many pages with tasks: the last child of the tree's root (SQLite's file format, 1.6)."""
    root = path.read_bytes()[(root_page(path, "tasks") - 1) * PAGE :][:PAGE]
    assert root[0] == 2, "not an inner page of an index"
    spoil(path, int.from_bytes(root[8:12], "big"))


def all_outputs(path: Path) -> None:
    spoil(path, root_page(path, "outputs"))


def index_of_tasks(path: Path) -> None:
    spoil(path, root_page(path, "tasks_by_state"))


@pytest.mark.parametrize("harm", [leaf_of_tasks, all_outputs, index_of_tasks])
def test_what_can_be_read_of_a_damaged_list_goes_on_and_no_frame_is_left_out(
    tmp_path: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    # GIVEN a list of jobs with a damaged page
    path = tmp_path / DATABASE
    node = filled(path)
    harm(path)
    damaged = path.read_bytes()
    # WHEN the node starts
    with caplog.at_level(logging.ERROR):
        store = JobStore(path)
    # THEN it is the same node with the same jobs, and each frame is done with its result, or waits
    assert store.node_id == node
    jobs = store.load()
    assert len(jobs) == JOBS
    for job in jobs:
        assert job.frames.total() == FRAMES
        assert job.frames[TaskState.DONE] == job.undelivered
        assert job.frames[TaskState.PENDING] == len(store.pending(job.id, 2 * FRAMES))
    done = sum(job.undelivered for job in jobs)
    assert done == (0 if harm is all_outputs else JOBS * FRAMES // 2)
    store.close()
    # AND the owner has one sentence, and the damaged file as it was
    (sentence,) = [record.getMessage() for record in caplog.records]
    (aside,) = kept_aside(path)
    assert f"{JOBS} of its jobs" in sentence and str(aside) in sentence
    assert aside.read_bytes() == damaged
    # AND the next start finds nothing wrong
    JobStore(path).close()
    assert kept_aside(path) == [aside]


def test_a_list_of_which_nothing_can_be_read_is_begun_anew_and_frames_are_not_cleared_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # GIVEN a list that is noise, and the folder of one of its jobs
    path = tmp_path / DATABASE
    filled(path)
    spoil(path, 1, path.stat().st_size // PAGE)
    frame = tmp_path / "jobs" / job_of().id / "outputs" / "0.png"
    frame.parent.mkdir(parents=True)
    frame.touch()
    # WHEN the node starts
    books = Books(JobStore(path), JobFolders(tmp_path), Nobody())
    JobFolders(tmp_path).sweep(set())
    # THEN it has no jobs, takes new ones, says so, and has thrown nothing away
    assert list(books) == []
    books.add(job_of(), (1,))
    assert "none of its jobs can be read" in caplog.text
    assert frame.exists()
    books.store.close()
    # WHEN the owner has deleted the damaged file, THEN what belongs to no job goes
    (aside,) = kept_aside(path)
    aside.unlink()
    JobFolders(tmp_path).sweep(set())
    assert not frame.exists()


@pytest.mark.parametrize("room", ["400k", "700k"], ids=["for no copy", "for a copy and no new list"])
def test_a_disk_without_room_to_mend_a_damaged_list_is_not_filled_with_copies(
    tmp_path: Path, small_disk: SmallDisk, room: str
) -> None:
    # GIVEN a damaged list on a disk that is almost full
    filled(tmp_path / DATABASE)
    all_outputs(tmp_path / DATABASE)
    folder = small_disk(room)
    path = folder / DATABASE
    path.write_bytes((tmp_path / DATABASE).read_bytes())
    # WHEN the node is started again and again
    for _ in range(2):
        with pytest.raises((OSError, StoreUnusable), match=r"No space|full"):
            JobStore(path)
        # THEN the list alone is there
        assert list(folder.iterdir()) == [path]
    # AND with room it is mended
    small_disk("8M")
    store = JobStore(path)
    assert len(store.load()) == JOBS and len(kept_aside(path)) == 1
    store.close()


def test_frames_that_a_damaged_list_has_lost_stay_until_it_is_deleted(tmp_path: Path) -> None:
    # GIVEN a job that is done, with a frame that the artist has not fetched
    path, folders = tmp_path / DATABASE, JobFolders(tmp_path)
    books = Books(JobStore(path), folders, Nobody())
    job = job_of(frames="1", total=1)
    books.add(job, (1,))
    folders.prepare(job.id)
    frame = folders.output(job.id, "0-0.png")
    frame.write_bytes(b"pixels")
    folders.source(job.id).mkdir()
    (task,) = books.store.pending(job.id, 1)
    books.begin(job, task)
    books.finish(job, task, 1.0, [NewOutput("", "1.png", 6, "1" * 32, frame.name, RESULT)])
    books.store.close()
    # WHEN the list of jobs loses its outputs, and the node starts
    all_outputs(path)
    books = Books(JobStore(path), folders, Nobody())
    (job,) = books
    assert job.state == JobState.DONE and not job.undelivered
    books.release(job)
    # THEN the frame is there, and what it was made of is not
    assert frame.read_bytes() == b"pixels"
    assert not folders.source(job.id).exists()
    # AND when the owner has deleted the damaged list it goes, too
    (aside,) = kept_aside(path)
    aside.unlink()
    books.release(job)
    assert not folders.job_folder(job.id).exists()
    books.store.close()


def test_a_list_that_the_disk_does_not_give_is_not_taken_for_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / DATABASE).mkdir()
    with pytest.raises(StoreUnusable, match=r"node\.sqlite3 cannot be used: unable to open"):
        JobStore(tmp_path / DATABASE)


NEWER = (
    *MIGRATIONS,
    "ALTER TABLE jobs ADD COLUMN rank INTEGER NOT NULL DEFAULT 5;",
    "CREATE TABLE notes (job TEXT, note TEXT); INSERT INTO notes SELECT job, 'from before' FROM jobs;",
)


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def test_an_older_version_s_jobs_are_there_after_a_migration_and_a_copy_of_them_too(tmp_path: Path) -> None:
    # GIVEN the database of this version, one job rendering
    path = tmp_path / DATABASE
    filled(path)
    before = rows(path, "SELECT * FROM tasks")
    # WHEN a version that is two steps newer opens it
    store = JobStore(path, NEWER)
    # THEN all is there, in the new form
    assert [job.state for job in store.load()] == [JobState.QUEUED] * JOBS
    store.close()
    assert rows(path, "SELECT DISTINCT rank FROM jobs") == [(5,)]
    assert rows(path, "SELECT COUNT(*) FROM notes WHERE note='from before'") == [(JOBS,)]
    # AND the copy is what this version has written, and can go on with
    copy = tmp_path / f"{DATABASE}.before-3"
    assert rows(copy, "SELECT * FROM tasks") == before
    again = JobStore(copy)
    assert len(again.load()) == JOBS
    again.close()


def test_a_migration_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    # GIVEN a second step that fails halfway, behind a first one that does not
    path = tmp_path / DATABASE
    filled(path)
    before = rows(path, "SELECT * FROM jobs"), rows(path, "SELECT sql FROM sqlite_schema")
    wrong = (*NEWER[:2], "DELETE FROM jobs; INSERT INTO nowhere VALUES (1);")
    # WHEN it runs
    with pytest.raises(MigrationFailed, match=r"from version 1 to 3 \(no such table: nowhere\), and is as it was"):
        JobStore(path, wrong)
    # THEN neither has been done, and this version goes on
    assert (rows(path, "SELECT * FROM jobs"), rows(path, "SELECT sql FROM sqlite_schema")) == before
    store = JobStore(path)
    store.set_task(Task(job_of().id, FRAMES - 1, FRAMES), TaskState.PENDING)
    store.close()
