# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs, tasks and outputs in SQLite: the truth that survives every crash.

Every method is one transaction, on disk when it returns (WAL with synchronous=FULL: one fsync each, some milliseconds
on a spinning disk, less than one on a solid-state one). What the disk does not take is an OSError, and was not done.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from addon.protocol.codec import build
from addon.protocol.frame_range import parse_frames
from addon.protocol.messages import JobSpec, JobState, Output

from .databases import as_os_error
from .jobs import PAUSED, Job, Task, TaskState
from .opening import open_jobs
from .reserve import Reserve

MIGRATIONS = (
    """
    CREATE TABLE node (id TEXT NOT NULL);
    INSERT INTO node VALUES (lower(hex(randomblob(16))));
    CREATE TABLE jobs (
        job TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        spec TEXT NOT NULL,              -- JobSpec as JSON
        manifest TEXT NOT NULL,
        state TEXT NOT NULL,
        text TEXT NOT NULL,
        notices TEXT NOT NULL,           -- JSON list
        blender TEXT,
        fps REAL,                        -- of the scene; NULL: not known yet
        paused INTEGER NOT NULL DEFAULT 0,
        priority INTEGER NOT NULL DEFAULT 0,
        place REAL NOT NULL DEFAULT 0,   -- among jobs of one priority
        arrived INTEGER NOT NULL,        -- order of arrival
        finished REAL                    -- seconds since the epoch, NULL while unfinished
    );
    CREATE TABLE tasks (
        job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
        position INTEGER NOT NULL,       -- below 0: part of a frame
        frame INTEGER,                   -- NULL: the movie
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        seconds REAL,
        reason TEXT,
        PRIMARY KEY (job, position)
    ) WITHOUT ROWID;
    CREATE INDEX tasks_by_state ON tasks (job, state, position);
    CREATE TABLE outputs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        job TEXT NOT NULL REFERENCES jobs ON DELETE CASCADE,
        position INTEGER NOT NULL,
        frame INTEGER,
        directory TEXT NOT NULL,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        digest TEXT NOT NULL,
        stored TEXT NOT NULL,            -- file name below the job's output folder
        kind TEXT NOT NULL,              -- 'result' travels to the artist, 'picture' becomes part of the movie,
                                         -- 'part' part of its frame
        delivered INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX outputs_by_job ON outputs (job, delivered, id);
    CREATE INDEX outputs_by_task ON outputs (job, position);
    """,
)
"""Numbered by position; PRAGMA user_version says how many have run."""

DATABASE = "node.sqlite3"
"""Its name in the data folder."""

RESULT, PICTURE, PART = "result", "picture", "part"
"""What an output is: something that travels to the artist, a frame that becomes part of a movie, or part of a frame."""


@dataclass(frozen=True, slots=True)
class NewOutput:
    """A file that a task has written, verified and already in the job's output folder."""

    directory: str
    name: str
    size: int
    digest: str
    stored: str
    kind: str
    """RESULT, PICTURE or PART."""


class JobStore:
    """The database of one node. Not thread-safe: the server's loop is its only user."""

    def __init__(self, path: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
        """Open or create the database; a damaged one is kept aside, and what can be read of it is used.

        Raises StoreInUse, StoreTooNew, StoreUnusable, databases.MigrationFailed, or OSError.
        """
        self._db = open_jobs(path, migrations)
        self._reserve = Reserve(path.with_name("reserve"))

    @property
    def node_id(self) -> str:
        """32 hexadecimal digits, made up once: how clients know this node again under another address."""
        return str(self._db.execute("SELECT id FROM node").fetchone()[0])

    @property
    def has_room(self) -> bool:
        """Whether the disk has room for more than what is under way."""
        self._reserve.balance()
        return self._reserve.held

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    # Jobs

    def add(self, job: Job, frames: Sequence[int], parts: int = 0) -> None:
        """Store a new job with one pending task for each frame, and for each of the first one's `parts`.

        `frames` come in the order to render them in.
        """
        of_parts = [(job.id, -1 - part, frames[0], TaskState.PENDING) for part in range(parts)]
        with self._transaction():
            self._db.execute(
                "INSERT INTO jobs SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, COALESCE(MAX(arrived), 0) + 1, NULL"
                " FROM jobs",
                (job.id, job.owner, json.dumps(asdict(job.spec)), job.spec.manifest, job.state, job.text,
                 json.dumps(job.notices), job.blender, job.fps, job.paused, job.priority, job.place),
            )  # fmt: skip
            # One statement: 100,000 frames take 0.2 s, and twice as long one by one.
            self._db.execute(
                "INSERT INTO tasks (job, position, frame, state) SELECT ?, key, value, 'pending' FROM json_each(?)",
                (job.id, json.dumps(list(frames))),
            )
            self._db.executemany("INSERT INTO tasks (job, position, frame, state) VALUES (?, ?, ?, ?)", of_parts)

    def update(self, job: Job, finished: float | None = None) -> None:
        """Store what may change about a job; `finished` is the time, in seconds since the epoch, when it ended."""
        with self._transaction():
            self._db.execute(
                "UPDATE jobs SET state=?, text=?, notices=?, blender=?, fps=?, paused=?, finished=? WHERE job=?",
                (job.state, job.text, json.dumps(job.notices), job.blender, job.fps, job.paused, finished, job.id),
            )

    def load(self) -> list[Job]:
        """Return all jobs in order of arrival. What was rendering when the server ended is pending again."""
        with self._transaction():
            self._db.execute("UPDATE tasks SET state='pending' WHERE state='rendering'")
        rows = self._db.execute(
            "SELECT owner, spec, state, text, notices, blender, fps, paused, priority, place FROM jobs ORDER BY arrived"
        )
        jobs = [self._job(*row) for row in rows.fetchall()]
        for job in jobs:
            if not job.finished:
                # It may have waited for room on the disk; whether it has to is found out anew.
                job.text = PAUSED if job.paused else ""
            if job.under_way:  # A crash among these leaves the others for the next start.
                job.move(JobState.QUEUED, job.text)
                self.update(job)
        return jobs

    def set_turns(self, jobs: Iterable[Job]) -> None:
        """Store the priorities and places of jobs."""
        with self._transaction():
            self._db.executemany(
                "UPDATE jobs SET priority=?, place=? WHERE job=?", [(job.priority, job.place, job.id) for job in jobs]
            )

    def forget(self, job: str) -> None:
        """Remove a job with its tasks and outputs."""
        with self._transaction():
            self._db.execute("DELETE FROM jobs WHERE job=?", (job,))

    def needed_manifests(self, owner: str | None = None) -> set[str]:
        """Return the manifests whose files unfinished or failed jobs, of one owner or of all, may still read."""
        query = (
            "SELECT DISTINCT manifest FROM jobs WHERE state IN ('queued', 'rendering', 'encoding', 'failed')"
            " AND owner=COALESCE(?, owner)"
        )
        return {str(row[0]) for row in self._db.execute(query, (owner,))}

    def finished_before(self, moment: float) -> list[str]:
        """Return the jobs that ended before `moment`, in seconds since the epoch."""
        rows = self._db.execute("SELECT job FROM jobs WHERE finished < ?", (moment,))
        return [str(row[0]) for row in rows]

    # Tasks

    def pending(self, job: str, limit: int) -> list[Task]:
        """Return up to `limit` tasks that wait, lowest position first."""
        rows = self._db.execute(
            # Left to itself, SQLite reads over all that is done to find the first one that is not.
            "SELECT job, position, frame, attempts FROM tasks INDEXED BY tasks_by_state"
            " WHERE job=? AND state='pending' ORDER BY position LIMIT ?",
            (job, limit),
        )
        return [Task(*row) for row in rows]

    def add_movie(self, job: Job) -> None:
        """Add the task that makes the movie, behind all frames; once is enough."""
        with self._transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO tasks (job, position, frame, state) VALUES (?, ?, NULL, 'pending')",
                (job.id, job.total),
            )

    def drop_parts(self, job: str) -> None:
        """Remove the parts of a job's frame, with what is rendered of them."""
        with self._transaction():
            for table in ("outputs", "tasks"):
                self._db.execute(f"DELETE FROM {table} WHERE job=? AND position<0", (job,))  # noqa: S608 - two words

    def set_task(self, task: Task, state: TaskState, reason: str | None = None) -> None:
        """Store a task's new state and its number of attempts."""
        with self._transaction():
            self._db.execute(
                "UPDATE tasks SET state=?, attempts=?, reason=? WHERE job=? AND position=?",
                (state, task.attempts, reason, task.job, task.position),
            )

    def retry_failed(self, job: str) -> int:
        """Make a job's failed tasks pending, with fresh attempts. Returns how many."""
        with self._transaction():
            cursor = self._db.execute(
                "UPDATE tasks SET state='pending', attempts=0, reason=NULL WHERE job=? AND state='failed'", (job,)
            )
        return cursor.rowcount

    def first_reason(self, job: str) -> str:
        """Return why the first failed frame of a job failed."""
        query = "SELECT frame, reason FROM tasks WHERE job=? AND state='failed' ORDER BY frame LIMIT 1"
        row = self._db.execute(query, (job,)).fetchone()
        return "" if row is None else str(row[1])

    # Outputs

    def finish(self, task: Task, seconds: float, outputs: Iterable[NewOutput]) -> tuple[TaskState, int]:
        """Store that a task is done, together with what it wrote; replaces outputs of an earlier attempt.

        Returns the task's state before, and by how much the job's `undelivered` changes: -1, 0 or 1.
        """
        rows = [(task.job, task.position, task.frame, *_columns(output)) for output in outputs]
        with self._transaction():
            before = self._db.execute(
                "SELECT state FROM tasks WHERE job=? AND position=?", (task.job, task.position)
            ).fetchone()
            waited = self._waits(task.job, task.position)
            self._db.execute(
                "DELETE FROM outputs INDEXED BY outputs_by_task WHERE job=? AND position=?", (task.job, task.position)
            )
            self._db.executemany(
                "INSERT INTO outputs (job, position, frame, directory, name, size, digest, stored, kind)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            self._db.execute(
                "UPDATE tasks SET state='done', seconds=?, reason=NULL WHERE job=? AND position=?",
                (seconds, task.job, task.position),
            )
            change = self._waits(task.job, task.position) - waited
        return TaskState(before[0]), change

    def costs(self, job: str) -> list[tuple[Task, float | None]]:
        """Return the frames, and parts, that are done, with their seconds, and those that have failed with None."""
        rows = self._db.execute(
            "SELECT job, position, frame, attempts, CASE state WHEN 'done' THEN seconds END FROM tasks"
            " WHERE job=? AND state IN ('done', 'failed') AND frame IS NOT NULL ORDER BY position",
            (job,),
        )
        return [(Task(*row), seconds) for *row, seconds in rows]

    def waiting_outputs(self, job: str, after: int, limit: int) -> list[Output]:
        """Return up to `limit` results with a number above `after` that the artist has not acknowledged."""
        rows = self._db.execute(
            "SELECT id, job, frame, directory, name, size, digest FROM outputs"
            " WHERE job=? AND delivered=0 AND kind='result' AND id>? ORDER BY id LIMIT ?",
            (job, after, limit),
        )
        return [Output(str(row[0]), *row[1:]) for row in rows]

    def stored_output(self, output: str) -> tuple[str, str, int] | None:
        """Return (job, stored, size) of an output that still lies here, or None."""
        row = self._db.execute(
            "SELECT job, stored, size FROM outputs WHERE id=? AND delivered=0", (_number(output),)
        ).fetchone()
        return None if row is None else (str(row[0]), str(row[1]), int(row[2]))

    def delivered(self, output: str) -> int:
        """Store that the artist has an output; return by how much its job's `undelivered` changes: -1 or 0."""
        with self._transaction():
            row = self._db.execute("SELECT job, position FROM outputs WHERE id=?", (_number(output),)).fetchone()
            if row is None:
                return 0
            waited = self._waits(*row)
            self._db.execute("UPDATE outputs SET delivered=1 WHERE id=?", (_number(output),))
            return self._waits(*row) - waited

    def _waits(self, job: str, position: int) -> bool:
        """Whether a task has results that the artist has not acknowledged; its cost does not grow with the job."""
        query = (
            "SELECT EXISTS (SELECT 1 FROM outputs INDEXED BY outputs_by_task"
            " WHERE job=? AND position=? AND delivered=0 AND kind='result')"
        )
        return bool(self._db.execute(query, (job, position)).fetchone()[0])

    def waiting_files(self, job: str) -> list[str]:
        """Return where the results of a job are stored that the artist has not acknowledged."""
        query = "SELECT stored FROM outputs WHERE job=? AND delivered=0 AND kind='result' ORDER BY id"
        return [str(row[0]) for row in self._db.execute(query, (job,))]

    def pictures(self, job: str) -> list[tuple[int, str]]:
        """Return (frame, stored) of the pictures that a movie is made of, in order; several a frame if it has views."""
        rows = self._db.execute(
            "SELECT frame, stored FROM outputs WHERE job=? AND kind='picture' ORDER BY frame, id",
            (job,),
        )
        return [(int(row[0]), str(row[1])) for row in rows]

    def frames(self, job: str) -> list[tuple[int, TaskState, float | None]]:
        """Return (frame, state, seconds) of a job's frames, in the order of the shot."""
        rows = self._db.execute(
            "SELECT frame, state, seconds FROM tasks WHERE job=? AND position>=0 AND frame IS NOT NULL ORDER BY frame",
            (job,),
        )
        return [(int(frame), TaskState(state), seconds) for frame, state, seconds in rows]

    def frame(self, job: str, frame: int) -> tuple[TaskState, float | None, int, str] | None:
        """Return (state, seconds, attempts, reason) of one frame; None if the job has none such."""
        row = self._db.execute(
            "SELECT state, seconds, attempts, reason FROM tasks WHERE job=? AND frame=? AND position>=0", (job, frame)
        ).fetchone()
        if row is None:
            return None
        return TaskState(row[0]), row[1], int(row[2]), row[3] or ""

    def results(self, job: str, frame: int | None = None) -> list[tuple[Output, str]]:
        """Return (output, stored) of the results of a job, or of one frame, home or not, in the order of the shot."""
        rows = self._db.execute(
            f"{_RESULTS} AND job=? AND (? IS NULL OR frame=?) ORDER BY frame, id", (job, frame, frame)
        )
        return [_result(*row) for row in rows]

    def result(self, output: str) -> tuple[Output, str] | None:
        """Return (output, stored) of a result, home or not."""
        row = self._db.execute(f"{_RESULTS} AND id=?", (_number(output),)).fetchone()
        return None if row is None else _result(*row)

    def parts(self, job: str) -> list[str]:
        """Return where the parts of a job's frame are stored, the lowest first."""
        query = "SELECT stored FROM outputs WHERE job=? AND kind='part' ORDER BY position DESC"
        return [str(row[0]) for row in self._db.execute(query, (job,))]

    # Inside

    def _job(  # noqa: PLR0913, PLR0917 - each is a column
        self, owner: str, spec: str, state: str, text: str, notices: str, blender: str | None, fps: float | None,
        paused: int, priority: int, place: float,
    ) -> Job:  # fmt: skip
        job = Job(
            spec=build(JobSpec, json.loads(spec)), owner=owner, total=0, state=JobState(state), text=text,
            notices=tuple(json.loads(notices)), blender=blender, fps=fps, paused=bool(paused), priority=priority,
            place=place,
        )  # fmt: skip
        job.total = len(parse_frames(job.spec.frames))
        self.refresh(job)
        return job

    def refresh(self, job: Job) -> None:
        """Read a job's counts anew from its tasks and outputs: a tenth of a second for 100,000 frames."""
        counted = self._db.execute(
            "SELECT position < 0, state, COUNT(*), SUM(COALESCE(seconds, 0)) FROM tasks"
            " WHERE job=? AND frame IS NOT NULL GROUP BY position < 0, state",
            (job.id,),
        ).fetchall()
        job.frames = Counter({TaskState(state): count for part, state, count, _ in counted if not part})
        job.parts = Counter({TaskState(state): count for part, state, count, _ in counted if part})
        job.seconds = sum(seconds for *_, state, _, seconds in counted if state == TaskState.DONE)
        movie = self._db.execute("SELECT state FROM tasks WHERE job=? AND frame IS NULL", (job.id,)).fetchone()
        job.movie = None if movie is None else TaskState(movie[0])
        query = "SELECT COUNT(DISTINCT position) FROM outputs WHERE job=? AND delivered=0 AND kind='result'"
        job.undelivered = int(self._db.execute(query, (job.id,)).fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """A context in which all is stored or nothing. Raises OSError when the disk fails."""
        self._reserve.balance()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            with self._db:
                yield
        except sqlite3.OperationalError as error:
            raise as_os_error(error, "the list of jobs") from error


def _columns(output: NewOutput) -> tuple[str, str, int, str, str, str]:
    return output.directory, output.name, output.size, output.digest, output.stored, output.kind


_RESULTS = "SELECT stored, id, job, frame, directory, name, size, digest FROM outputs WHERE kind='result'"


def _result(stored: str, number: int, *rest: Any) -> tuple[Output, str]:
    return Output(str(number), *rest), stored


def _number(output: str) -> int:
    """The row of an output's identifier; what is none finds no row."""
    return int(output) if output.isascii() and output.isdigit() and len(output) < 19 else -1
