# SPDX-License-Identifier: GPL-3.0-or-later
"""How the list of jobs is opened: by one node at a time, whole, and in this version's form."""

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from . import databases
from .errors import StoreInUse, StoreTooNew, StoreUnusable
from .salvage import salvage

log = logging.getLogger(__name__)


def open_jobs(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    """Open or create the database; a damaged one is kept aside, and what can be read of it is used.

    Raises StoreInUse, StoreTooNew, StoreUnusable, databases.MigrationFailed, or OSError.
    """
    try:
        try:
            return _open(path, migrations)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            _mend(path, migrations, str(error))
        return _open(path, migrations)
    except sqlite3.Error as error:
        raise StoreUnusable(f"{path} cannot be used: {error}.") from error


def _open(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    """Raises sqlite3.DatabaseError for one that is damaged, OperationalError for what is no fault of the database."""
    db = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        _lock(db)
        _check(db, migrations)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA fullfsync=ON")  # On macOS, as in durable.py; nothing elsewhere.
        db.execute("PRAGMA foreign_keys=ON")
        databases.migrate(db, path, migrations)
    except BaseException:
        db.close()
        raise
    return db


def _lock(db: sqlite3.Connection) -> None:
    """Keep every other node out of this data folder until we end, however that is."""
    try:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        db.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:  # The rest says why more closely.
            raise StoreInUse(StoreInUse.__doc__) from error
        raise


def _check(db: sqlite3.Connection, migrations: Sequence[str]) -> None:
    if databases.version_of(db) > len(migrations):
        raise StoreTooNew(StoreTooNew.__doc__)
    if not databases.is_sound(db):
        raise sqlite3.DatabaseError("its pages do not hold together")


def _mend(path: Path, migrations: Sequence[str], what: str) -> None:
    """Put a database with what can be read of a damaged one in its place, and tell the owner."""
    aside = databases.keep_aside(path)
    fresh = path.with_name(f"{path.name}.new")
    databases.discard(fresh)
    try:
        with closing(sqlite3.connect(fresh, isolation_level=None)) as db:
            saved = salvage(aside, db, migrations)
    except (sqlite3.Error, OSError):  # The damaged one is where it was. Each start would leave one more copy.
        databases.discard(fresh)
        databases.discard(aside)
        raise
    databases.put_in_place(fresh, path)
    again = "" if saved.complete else ", some frames of which may be rendered again"
    kept = f"{saved.jobs} of its jobs could be read and go on{again}" if saved.jobs else "none of its jobs can be read"
    log.error(
        "The list of jobs was damaged (%s): %s. The damaged file is kept as %s; until you delete it, no frames "
        "in the folder of jobs are cleared away.", what, kept, aside,
    )  # fmt: skip
