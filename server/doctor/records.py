# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node has written down: whether its databases are sound, and its clock can be right."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from ..databases import is_sound, kept_aside, version_of
from ..job_store import DATABASE, MIGRATIONS
from .finding import Finding, State

BACK_S = 86400.0
"""A clock that is further behind than this was set wrong, and not just put right."""


def database(folder: Path) -> list[Finding]:
    """Whether the list of jobs can be read, and whether there is a damaged one that the owner should know of."""
    path = folder / DATABASE
    try:
        there, damaged = path.is_file(), kept_aside(path)
    except OSError as error:  # In a folder that is not this account's.
        return [_closed(path, error.strerror)]
    findings = [_database(path) if there else Finding("Database", State.OK, "There is no list of jobs yet.")]
    for aside in damaged:
        text = f"A damaged list of jobs is kept as {aside}, and no frames in the folder of jobs are cleared away."
        findings.append(Finding("Database", State.WARNING, text, "Delete it when you do not miss any frames."))
    return findings


def _database(path: Path) -> Finding:
    # Without its log, if there is none: to look at one would make files beside it.
    how = "mode=ro" if Path(f"{path}-wal").exists() else "immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=0)) as db:
            version, sound = version_of(db), is_sound(db)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            return Finding("Database", State.OK, "A node that runs now has the list of jobs, and has checked it.")
        return _closed(path, error)
    except sqlite3.DatabaseError:
        version, sound = 0, False
    if not sound:
        remedy = "Start the node: it keeps the damaged file, and goes on with what can be read of it."
        return Finding("Database", State.WARNING, "The list of jobs is damaged.", remedy)
    if version > len(MIGRATIONS):
        text = "The list of jobs was written by a newer version of Relay Render."
        return Finding("Database", State.MISSING, text, "Update this one, or choose another folder with --data.")
    return Finding("Database", State.OK, "The list of jobs is sound.")


def _closed(path: Path, why: object) -> Finding:
    text = f"{path} cannot be read ({why})."
    return Finding("Database", State.MISSING, text, "See to it that this account may read and write it.")


def clock(folder: Path, now: float | None = None) -> Finding:
    """Whether the clock is behind what was written by it; `now` in seconds since the epoch."""
    now = time.time() if now is None else now
    newest = max((Path(__file__), folder / DATABASE), key=_written)
    if _written(newest) - now > BACK_S:
        text = f"The clock says {_day(now)}, but {newest} was written on {_day(_written(newest))}."
        return Finding("Clock", State.WARNING, text, "Set the clock, best by the network's time.")
    return Finding("Clock", State.OK, f"The clock says {_day(now)}.")


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # Not there, or not for this account.
        return 0.0


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(moment))
