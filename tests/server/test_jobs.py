# SPDX-License-Identifier: GPL-3.0-or-later
"""The states of a job, what it tells, and the book that is kept of it."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from addon.protocol.messages import FINISHED, JobSpec, JobState
from server.errors import IllegalTransition, StoreTooNew
from server.forecast import Costs
from server.job_store import PICTURE, RESULT, JobStore, NewOutput
from server.jobs import TRANSITIONS, Job, Running, Task, TaskState
from server.progress import eta_of, fraction_of, status_of

DIGEST = "1" * 32


def job_of(number: int = 0, frames: str = "1-4", total: int = 4) -> Job:
    spec = JobSpec(f"{number:032x}", "shot.blend", DIGEST, None, frames, "", 0.0)
    job = Job(spec, owner="2" * 32, total=total)
    job.frames[TaskState.PENDING] = total
    return job


def written(name: str, kind: str = RESULT) -> NewOutput:
    return NewOutput("", name, 10, DIGEST, name, kind)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = JobStore(tmp_path / "node.sqlite3")
    yield store
    store.close()


def test_only_the_tables_steps_can_be_taken() -> None:
    for before in JobState:
        for after in JobState:
            job = job_of()
            job.state = before
            if after in TRANSITIONS[before]:
                job.move(after)
                assert job.state == after
            else:
                with pytest.raises(IllegalTransition):
                    job.move(after)
    assert [state for state in FINISHED if TRANSITIONS[state]] == [JobState.FAILED]


def test_a_running_frame_counts_in_part() -> None:
    job = job_of()
    job.frames = Counter({TaskState.DONE: 1, TaskState.RENDERING: 1, TaskState.PENDING: 2})
    running = job.running[1] = Running(Task(job.id, 1, 2), started=0.0, sample=64, samples=128)
    running.report(now=10.0, remaining_s=None)
    assert fraction_of(job, now=10.0) == pytest.approx(1.5 / 4)


def test_the_time_left_follows_from_the_frames_that_are_done() -> None:
    job = job_of()
    job.frames = Counter({TaskState.DONE: 2, TaskState.RENDERING: 1, TaskState.PENDING: 1})
    job.costs = Costs([1, 2, 3, 4])
    job.costs.add(1, 10.0)
    job.costs.add(2, 10.0)
    job.running[2] = Running(Task(job.id, 2, 3), started=100.0)
    assert eta_of(job, now=104.0) == pytest.approx(6.0 + 10.0)
    assert eta_of(job, now=150.0) == pytest.approx(10.0)


def test_before_the_first_frame_is_done_its_own_estimate_counts() -> None:
    job = job_of()
    job.frames = Counter({TaskState.RENDERING: 1, TaskState.PENDING: 3})
    job.costs = Costs([1, 2, 3, 4])
    running = job.running[0] = Running(Task(job.id, 0, 1), started=0.0)
    assert eta_of(job, now=5.0) is None
    running.sample, running.samples = 25, 100
    running.report(now=5.0, remaining_s=None)
    assert eta_of(job, now=5.0) == pytest.approx(15.0 + 3 * 20.0)
    running.report(now=5.0, remaining_s=5.0)
    assert eta_of(job, now=5.0) == pytest.approx(5.0 + 3 * 10.0)
    assert eta_of(job, now=8.0) == pytest.approx(2.0 + 3 * 10.0)


def test_the_last_frames_do_not_fill_all_slots() -> None:
    # GIVEN two slots, each a second into a frame of two seconds, and one frame or very many to come
    job = job_of()
    for position in (1, 2):
        job.running[position] = Running(Task(job.id, position, position + 1), started=0.0)
    for pending, seconds in ((1, 1.0 + 2.0), (2, 1.0 + 2.0), (3, 1.0 + 4.0), (99_996, 1.0 + 99_996.0)):
        job.frames = Counter({TaskState.RENDERING: 2, TaskState.PENDING: pending})
        job.costs = Costs([1, 2, 3, *range(4, 4 + pending)])
        job.costs.add(1, 2.0)
        # THEN the last one to end is waited for
        assert eta_of(job, now=1.0) == pytest.approx(seconds)


def test_nobody_knows_how_long_a_movie_takes_to_encode() -> None:
    job = job_of()
    job.frames = Counter({TaskState.DONE: 4})
    job.costs = Costs([1, 2, 3, 4])
    job.costs.add(1, 2.0)
    job.running[4] = Running(Task(job.id, 4, None), started=0.0)
    assert eta_of(job, now=1.0) is None


def test_a_job_is_found_again_after_a_restart(store: JobStore, tmp_path: Path) -> None:
    # GIVEN a job of which one frame is done, one is being rendered and one has failed
    job = job_of()
    store.add(job, (1, 2, 3, 4))
    done, running, failed, _ = store.pending(job.id, 10)
    store.finish(done, 2.5, [written("a.png"), written("b.png")])
    store.set_task(running, TaskState.RENDERING)
    store.set_task(failed, TaskState.FAILED, "It is too dark.")
    job.move(JobState.RENDERING)
    store.update(job)
    store.close()
    # WHEN the server starts again
    again = JobStore(tmp_path / "node.sqlite3")
    (loaded,) = again.load()
    # THEN what was being rendered waits, and the rest is as it was
    assert loaded.spec == job.spec
    assert loaded.state == JobState.QUEUED
    assert loaded.frames == {TaskState.DONE: 1, TaskState.PENDING: 2, TaskState.FAILED: 1}
    assert loaded.seconds == 2.5
    assert loaded.undelivered == 1
    assert [task.frame for task in again.pending(job.id, 10)] == [2, 4]
    assert again.first_reason(job.id) == "It is too dark."
    assert status_of(loaded, now=0.0).fraction == pytest.approx(0.25)
    # AND that is on disk, too: another start finds nothing to put back
    again.close()
    rows = sqlite3.connect(tmp_path / "node.sqlite3")
    assert rows.execute("SELECT state FROM jobs").fetchall() == [("queued",)]
    rows.close()


def test_outputs_wait_until_they_are_acknowledged(store: JobStore) -> None:
    job = job_of()
    store.add(job, (1, 2))
    for task in store.pending(job.id, 2):
        store.finish(task, 1.0, [written(f"{task.frame}.png")])
    first, second = store.waiting_outputs(job.id, after=0, limit=10)
    assert (first.name, first.frame, second.name) == ("1.png", 1, "2.png")
    assert store.waiting_outputs(job.id, after=int(first.output), limit=10) == [second]
    assert store.delivered(first.output) == -1
    assert store.stored_output(first.output) is None
    assert store.stored_output(second.output) == (job.id, "2.png", 10)
    assert store.stored_output("1; DROP TABLE outputs") is None
    store.refresh(job)
    assert job.undelivered == 1


def test_a_second_attempt_replaces_the_first_ones_outputs(store: JobStore) -> None:
    job = job_of()
    store.add(job, (1,))
    (task,) = store.pending(job.id, 1)
    store.finish(task, 1.0, [written("old.png")])
    store.finish(task, 1.0, [written("new.png")])
    assert [output.name for output in store.waiting_outputs(job.id, 0, 10)] == ["new.png"]


def test_the_movie_comes_behind_all_frames_and_is_made_of_their_pictures(store: JobStore) -> None:
    job = job_of(frames="3-4", total=2)
    store.add(job, (4, 3))  # The order in which they are rendered is not that of the movie.
    store.add_movie(job)
    store.add_movie(job)
    *frames, movie = store.pending(job.id, 10)
    assert movie.frame is None
    for task in frames:
        store.finish(task, 1.0, [written(f"{task.frame}.png", PICTURE), written(f"pass{task.frame}.exr")])
    assert store.pictures(job.id) == [(3, "3.png"), (4, "4.png")]
    backwards = job_of(2, frames="3-4", total=2)
    store.add(backwards, (4, 3))
    for task in store.pending(backwards.id, 10):
        store.finish(task, 1.0, [written(f"{task.frame}.png", PICTURE)])
    assert [frame for frame, _ in store.pictures(backwards.id)] == [3, 4]
    assert [output.name for output in store.waiting_outputs(job.id, 0, 10)] == ["pass4.exr", "pass3.exr"]
    store.finish(movie, 1.0, [written("0003-0004.mp4")])
    assert store.waiting_outputs(job.id, 0, 10)[-1].frame is None
    store.refresh(job)
    assert job.movie == TaskState.DONE


def test_retrying_gives_failed_frames_fresh_attempts(store: JobStore) -> None:
    job = job_of()
    store.add(job, (1,))
    store.set_task(Task(job.id, 0, 1, attempts=3), TaskState.FAILED, "no")
    assert store.pending(job.id, 1) == []
    assert store.retry_failed(job.id) == 1
    assert store.pending(job.id, 1) == [Task(job.id, 0, 1, attempts=0)]


def test_frames_are_rendered_in_the_order_in_which_they_were_entered(store: JobStore) -> None:
    job = job_of()
    store.add(job, (3, 1, 4, 2))
    assert [task.frame for task in store.pending(job.id, 10)] == [3, 1, 4, 2]
    for task in store.pending(job.id, 2):
        store.set_task(task, TaskState.FAILED, f"Frame {task.frame} is too dark.")
    assert store.first_reason(job.id) == "Frame 1 is too dark."


def test_jobs_keep_the_order_in_which_they_came(store: JobStore) -> None:
    for number in (5, 3, 9):
        store.add(job_of(number), (1,))
    assert [int(job.id, 16) for job in store.load()] == [5, 3, 9]


def test_files_are_needed_while_a_job_may_still_read_them(store: JobStore) -> None:
    job = job_of()
    store.add(job, (1,))
    assert store.needed_manifests() == {DIGEST}
    job.move(JobState.FAILED)
    store.update(job)
    assert store.needed_manifests() == {DIGEST}
    store.forget(job.id)
    assert store.needed_manifests() == set()


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "node.sqlite3"
    JobStore(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(StoreTooNew, match="update this one"):
        JobStore(path)
