# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node's databases have in common: checked at every start, copied before they change, kept when damaged."""

import errno
import shutil
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from addon.durable import sync, sync_folder

from .errors import ServerError


class MigrationFailed(ServerError):
    """A database could not be brought up to date; it is as it was."""


def version_of(db: sqlite3.Connection) -> int:
    """Return how many migrations have run on a database. Raises sqlite3.DatabaseError for what is none."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def is_sound(db: sqlite3.Connection) -> bool:
    """Whether its pages hold together: 65 ms for 100,000 frames with their outputs, so that every start looks."""
    try:
        return bool(db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.OperationalError:
        raise  # The disk, or somebody else's lock; says nothing of the database.
    except sqlite3.DatabaseError:
        return False


def as_os_error(error: sqlite3.Error, what: str) -> OSError:
    """What the disk did to a database, in terms of files."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    full = code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
    return OSError(errno.ENOSPC if full else errno.EIO, f"{what}: {error}")


def migrate(db: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    """Bring the database at `path` up to date: all steps that are lacking, or none of them.

    `migrations` are scripts, numbered by position from 1. What an older version has written is copied to
    <name>.before-<new version> first. Raises MigrationFailed.
    """
    version = version_of(db)
    if version >= len(migrations):
        return
    steps = "\n".join(migrations[version:])
    try:
        if version:
            _copy(db, path.with_name(f"{path.name}.before-{len(migrations)}"))
        db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version={len(migrations)}; COMMIT;")
    except (sqlite3.Error, OSError) as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise MigrationFailed(
            f"{path} could not be brought from version {version} to {len(migrations)} ({error}), and is as it was: "
            "make room if the disk is full, or go back to the Relay Render that wrote it."
        ) from error


def _copy(db: sqlite3.Connection, target: Path) -> None:
    """Copy a database, whole or not at all, and onto the disk."""
    fresh = target.with_name(f"{target.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        copy = sqlite3.connect(fresh)
        try:
            db.backup(copy)
        finally:
            copy.close()
        sync(fresh)
        fresh.replace(target)
        sync_folder(target.parent)
    finally:
        fresh.unlink(missing_ok=True)


def keep_aside(path: Path) -> Path:
    """Copy a damaged database, and the log that belongs to it, to <name>.damaged-<date>: whole, or not at all.

    Raises OSError.
    """
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    fresh = path.with_name(f"{path.name}.damaged.new")  # Always this one: what a kill leaves is written over.
    try:
        for suffix in ("-wal", ""):
            if (source := Path(f"{path}{suffix}")).exists():
                shutil.copyfile(source, fresh)
                sync(fresh)
                fresh.replace(f"{aside}{suffix}")
    except OSError:
        fresh.unlink(missing_ok=True)
        discard(aside)
        raise
    sync_folder(aside.parent)
    return aside


def kept_aside(path: Path) -> list[Path]:
    """Return the damaged databases that were once at `path`, the oldest first."""
    return sorted(each for each in path.parent.glob(f"{path.name}.damaged-*") if each.name[-1].isdigit())


def put_in_place(fresh: Path, path: Path) -> None:
    """Let a closed database take the place of a damaged one; a kill leaves one of the two there."""
    sync(fresh)
    remove_log(path)
    fresh.replace(path)
    sync_folder(path.parent)


def discard(path: Path) -> None:
    """Delete a database, if there is one, and what belongs to it."""
    remove_log(path)
    path.unlink(missing_ok=True)


def remove_log(path: Path) -> None:
    """Delete what belongs to a database that is not used any more: to the next one it would be nonsense."""
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
