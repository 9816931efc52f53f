# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes of textures and the like, kept on disk: a thousand of them are not read again at every save."""

import contextlib
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

from ..protocol.errors import RemoteProtocolError
from ..protocol.recipe import Recipe

log = logging.getLogger(__name__)

MAX_ENTRIES = 20_000
"""Of files; beyond that, those that were not asked for the longest go. 20 bytes for each MiB of a file."""
_UNSETTLED_NS = 2_000_000_000
"""A file that was written so recently may be written again without a new time: FAT counts in steps of two seconds."""
_USED_STEP_S = 86400
"""How exactly it is noted when an entry was last asked for: reading writes once a day at most."""
_BUSY_S = 5.0
"""How long to wait for the client of another Blender."""

_VERSION = 1
_SCHEMA = """
    DROP TABLE IF EXISTS recipes;
    CREATE TABLE recipes (
        path BLOB NOT NULL,
        algorithm TEXT NOT NULL,
        stamp TEXT NOT NULL,             -- what the file looked like before it was read
        skeleton INTEGER NOT NULL,
        runs INTEGER NOT NULL,
        chunks INTEGER NOT NULL,
        packed BLOB NOT NULL,
        used INTEGER NOT NULL,           -- seconds since the epoch
        PRIMARY KEY (path, algorithm)
    );
    CREATE INDEX recipes_by_use ON recipes (used);
"""


class RecipeCache:
    """The recipes of files that have not changed since; any thread may ask, and two processes may share one.

    It is only faster than reading the files: where its database fails, it knows nothing.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the database at `path`."""
        self._lock = threading.Lock()
        self._asked: dict[tuple[Path, str], str] = {}
        """What a file looked like when its recipe was asked for and not here."""
        self._db = _open(path)
        self.close = weakref.finalize(self, self._db.close)
        """Let go of the database now."""

    def get(self, path: Path, algorithm: str) -> Recipe | None:
        """Return the recipe of the file as it is now, None if it has to be read."""
        stamp = _stamp(path)
        with self._transaction() as db:
            row = db.execute(
                "SELECT skeleton, runs, chunks, packed, used FROM recipes WHERE (path, algorithm, stamp) = (?, ?, ?)",
                (os.fsencode(path), algorithm, stamp),
            ).fetchone()
            if row is not None:
                *recipe, used = row
                self._note_use(db, path, used)
                with contextlib.suppress(RemoteProtocolError):
                    return Recipe.unpack(algorithm, *recipe)
        self._asked[path, algorithm] = stamp
        return None

    def put(self, path: Path, recipe: Recipe) -> None:
        """Keep a recipe that was made since `get` did not have it, unless the file may have changed meanwhile."""
        before = self._asked.pop((path, recipe.algorithm), "")
        if not before or _stamp(path) != before:
            return
        with self._transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO recipes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (os.fsencode(path), recipe.algorithm, before, recipe.skeleton, len(recipe.runs), len(recipe),
                 recipe.pack(), int(time.time())),
            )  # fmt: skip
            self._drop_old(db)

    def forget(self, path: Path) -> None:
        """Drop what is known of a file: it has turned out to be wrong."""
        with self._transaction() as db:
            db.execute("DELETE FROM recipes WHERE path = ?", (os.fsencode(path),))

    def _note_use(self, db: sqlite3.Connection, path: Path, used: int) -> None:
        now = int(time.time())
        if now - used > _USED_STEP_S:
            db.execute("UPDATE recipes SET used = ? WHERE path = ?", (now, os.fsencode(path)))

    def _drop_old(self, db: sqlite3.Connection) -> None:
        (count,) = db.execute("SELECT count(*) FROM recipes").fetchone()
        if count > MAX_ENTRIES:
            some = "SELECT rowid FROM recipes ORDER BY used LIMIT ?"
            db.execute(f"DELETE FROM recipes WHERE rowid IN ({some})", (count - MAX_ENTRIES * 9 // 10,))  # noqa: S608

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One after the other; a failure is told to the log alone."""
        with self._lock:
            try:
                with self._db:
                    yield self._db
            except sqlite3.Error as error:
                log.warning("the list of known files cannot be used: %s", error)


def _open(path: Path) -> sqlite3.Connection:
    """A database at `path`, in memory where that cannot be."""
    try:
        return _connect(path)
    except sqlite3.OperationalError as error:  # The disk is full, or read-only.
        log.warning("the list of known files cannot be opened: %s", error)
    except sqlite3.DatabaseError as error:
        log.warning("the list of known files is damaged, and made anew: %s", error)
        with contextlib.suppress(OSError, sqlite3.Error):
            for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                path.with_name(name).unlink(missing_ok=True)
            return _connect(path)
    return _connect(":memory:")


def _connect(path: Path | str) -> sqlite3.Connection:
    """Raises sqlite3.Error."""
    db = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        if db.execute("PRAGMA user_version").fetchone() != (_VERSION,):
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
    except BaseException:
        db.close()
        raise
    return db


def _stamp(path: Path) -> str:
    """Return what changes when the file is written, "" when that cannot be told."""
    try:
        found = path.stat()
    except OSError:
        return ""
    if abs(time.time_ns() - found.st_mtime_ns) < _UNSETTLED_NS:
        return ""
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"
