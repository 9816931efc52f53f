# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

from addon.protocol.messages import JobState
from server.books import Books
from server.job_folders import JobFolders
from server.job_store import RESULT, JobStore, NewOutput
from server.jobs import Job
from tests.server.test_jobs import job_of


class Nobody:
    """An audience that is not there."""

    def job_changed(self, job: Job) -> None: ...

    def job_gone(self, job: Job) -> None: ...

    def preview_made(self, job: Job) -> None: ...

    def outputs_ready(self, job: Job) -> None: ...


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
