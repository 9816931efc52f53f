# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be saved of a damaged list of jobs: every row that can still be read and makes sense.

A row that is lost must not make a job look done: frames that have no row wait again, and so do those whose results
are not known any more. To render a frame twice costs time; to leave it out costs a night.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from addon.protocol.codec import build
from addon.protocol.errors import ProtocolError
from addon.protocol.frame_order import in_order
from addon.protocol.frame_range import parse_frames
from addon.protocol.messages import JobSpec, JobState

from .databases import version_of
from .jobs import TaskState

_KEYS = {"node": ("rowid",), "jobs": ("rowid",), "tasks": ("job", "position"), "outputs": ("id",)}
"""The tables in the order in which they need each other, and what each is kept sorted by."""

_OPEN = (JobState.QUEUED, JobState.RENDERING, JobState.ENCODING, JobState.FAILED)
"""Jobs that may still be rendered."""

_Row = dict[str, Any]


@dataclass(slots=True)
class Saved:
    """How much could be read."""

    jobs: int = 0
    complete: bool = True
    """Whether every table could be read from its first row to its last."""


def salvage(damaged: Path, fresh: sqlite3.Connection, migrations: Sequence[str]) -> Saved:
    """Fill `fresh`, which is empty, from a damaged database, in that one's version. Raises sqlite3.Error."""
    saved = Saved()
    with closing(sqlite3.connect(f"{damaged.absolute().as_uri()}?mode=ro", uri=True)) as old:
        version = _version(old, len(migrations))
        fresh.executescript("\n".join(migrations[:version]))
        fresh.execute(f"PRAGMA user_version={version}")
        fresh.execute("PRAGMA foreign_keys=ON")
        fresh.execute("BEGIN")
        for table in _KEYS:
            for row in _rows(old, table, saved):
                if _makes_sense(table, row):
                    _take(fresh, table, row)
    for job, spec, state in fresh.execute("SELECT job, spec, state FROM jobs").fetchall():
        saved.jobs += 1
        if state in _OPEN:
            _complete(fresh, job, build(JobSpec, json.loads(spec)), saved.complete)
    fresh.execute("COMMIT")
    return saved


def _version(old: sqlite3.Connection, newest: int) -> int:
    try:
        version = version_of(old)
    except sqlite3.DatabaseError:
        return newest
    return version if 0 < version <= newest else newest


def _rows(old: sqlite3.Connection, table: str, saved: Saved) -> Iterator[_Row]:
    """Yield what can be read from the table's beginning and, where that does not lead to its end, from there back."""
    for direction in ("ASC", "DESC"):
        order = ", ".join(f"{key} {direction}" for key in _KEYS[table])
        try:
            cursor = old.execute(f"SELECT * FROM {table} NOT INDEXED ORDER BY {order}")  # noqa: S608 - our own words
            names = [column[0] for column in cursor.description]
            for row in cursor:
                yield dict(zip(names, row, strict=True))
        except sqlite3.DatabaseError:
            saved.complete = False
        else:
            return


def _take(fresh: sqlite3.Connection, table: str, row: _Row) -> None:
    if table == "node":
        fresh.execute("DELETE FROM node")  # The one that was made up with the table.
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    with suppress(sqlite3.IntegrityError):  # A task of a job that is lost.
        fresh.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", list(row.values()))  # noqa: S608


def _makes_sense(table: str, row: _Row) -> bool:
    """Whether the node could work with a row; what damage has left need not be what was written."""
    try:
        match table:
            case "node":
                return len(bytes.fromhex(row["id"])) == 16
            case "jobs":
                spec = build(JobSpec, json.loads(row["spec"]))
                json.loads(row["notices"])
                usable = row["state"] in set(JobState) and isinstance(row["fps"], float | None)
                usable = usable and all(isinstance(row[name], int | float) for name in ("paused", "priority", "place"))
                return spec.job == row["job"] and bool(parse_frames(spec.frames)) and usable
            case "tasks":
                return isinstance(row["position"], int) and row["state"] in set(TaskState)
            case _:
                return isinstance(row["size"], int) and isinstance(row["stored"], str)
    except (ValueError, TypeError, KeyError, ProtocolError):
        return False


def _complete(fresh: sqlite3.Connection, job: str, spec: JobSpec, outputs_known: bool) -> None:
    """Have everything rendered that is not known to be there."""
    for table in ("outputs", "tasks"):  # Whether all parts of a frame are known cannot be told.
        fresh.execute(f"DELETE FROM {table} WHERE job=? AND position<0", (job,))  # noqa: S608 - two words
    frames = in_order(parse_frames(spec.frames), spec.order, spec.current)
    fresh.executemany(
        "INSERT OR IGNORE INTO tasks (job, position, frame, state) VALUES (?, ?, ?, 'pending')",
        [(job, position, frame) for position, frame in enumerate(frames)],
    )
    its_outputs = "(SELECT 1 FROM outputs WHERE outputs.job=tasks.job AND outputs.position=tasks.position)"
    fresh.execute(f"UPDATE tasks SET state='done' WHERE job=? AND EXISTS {its_outputs}", (job,))  # noqa: S608
    if not outputs_known:
        again = f"UPDATE tasks SET state='pending' WHERE job=? AND state='done' AND NOT EXISTS {its_outputs}"  # noqa: S608
        fresh.execute(again, (job,))
