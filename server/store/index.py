# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each chunk lies: SQLite as a cache.

What counts is on the disk as files: complete ones named by their digest, and the manifests that say what is in them.
Whatever the index has lost or got wrong can cost time or traffic, never bytes: a file counts as complete only as long
as its stamp is the noted one, a recipe must have the digest that it is noted under, and a chunk is taken from a place
only if the recipe there names it so. That is why commits do not wait for the disk (synchronous=NORMAL).

A chunk has one row however many files share it, so that a save costs rows for its new chunks alone; when a file goes,
`rehome` finds its chunks in the files that stay. The key is half of the chunk's name: 20,000 chunks go in within 60 ms.
"""

import contextlib
import json
import logging
import sqlite3
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from addon.protocol.errors import RemoteProtocolError
from addon.protocol.recipe import Recipe

from .. import databases
from .copying import Stamp
from .plan import Pair

log = logging.getLogger(__name__)

MIGRATIONS = (
    """
    CREATE TABLE manifests (
        digest TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        blend TEXT NOT NULL,        -- where its .blend stands on the artist's disk
        files TEXT NOT NULL,        -- digests of its files, 32 digits each, the .blend's first
        size INTEGER NOT NULL,      -- packed
        state TEXT NOT NULL,
        used INTEGER NOT NULL,      -- order of use
        moment REAL NOT NULL        -- of the last use, seconds since the epoch, for people
    );
    CREATE INDEX manifests_by_blend ON manifests (owner, blend, used);
    CREATE TABLE files (
        id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given again: a chunk's row may outlive its file's
        name TEXT NOT NULL UNIQUE,  -- below the store's folder
        digest TEXT NOT NULL,
        state TEXT NOT NULL,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        origin TEXT NOT NULL        -- of a spare copy: "owner blend"
    );
    CREATE INDEX files_by_digest ON files (digest);
    CREATE TABLE recipes (
        file INTEGER PRIMARY KEY REFERENCES files ON DELETE CASCADE,
        algorithm TEXT NOT NULL,
        skeleton INTEGER NOT NULL,
        runs INTEGER NOT NULL,
        chunks INTEGER NOT NULL,
        packed BLOB NOT NULL
    );
    CREATE TABLE chunks (
        id INTEGER PRIMARY KEY,     -- half of its name
        file INTEGER NOT NULL,
        number INTEGER NOT NULL
    );
    """,
)
"""Numbered by position; PRAGMA user_version says how many have run."""

_KEPT_RECIPES = 2
"""In memory: several chunks in a row come from one file. One of 5 GB has 10 MB."""

_TOUCH = """
    INSERT INTO manifests SELECT ?, ?, ?, ?, ?, ?, COALESCE(MAX(used), 0) + 1, ? FROM manifests WHERE 1
    ON CONFLICT (digest) DO UPDATE SET owner=excluded.owner, blend=excluded.blend, used=excluded.used,
    moment=excluded.moment, state=CASE state WHEN 'stored' THEN state ELSE excluded.state END
"""
_LEARN = """
    INSERT INTO manifests SELECT ?, ?, ?, ?, ?, ?, COALESCE(MAX(used), 0) + 1, ? FROM manifests WHERE 1
    ON CONFLICT (digest) DO NOTHING
"""
_FIND_COMPLETE = """
    INSERT INTO chunks VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET file=excluded.file, number=excluded.number
"""
_FIND_PARTIAL = """
    INSERT INTO chunks VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET file=excluded.file, number=excluded.number
    WHERE NOT EXISTS (SELECT 1 FROM files WHERE files.id=chunks.file AND files.state='complete')
"""
"""A chunk of a complete file need not be verified again: a part does not take its row over."""


class State(StrEnum):
    """What a file of the store is."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    TWIN = "twin"


class Phase(StrEnum):
    """How far a manifest has come."""

    BEGUN = "begun"
    WITHDRAWN = "withdrawn"
    STORED = "stored"


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of the store as it was noted."""

    id: int
    name: str
    digest: str
    state: State
    stamp: Stamp
    origin: str


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A manifest as it was noted."""

    digest: str
    owner: str
    blend: str
    files: tuple[str, ...]
    size: int
    state: Phase
    used: int
    moment: float

    @property
    def origin(self) -> str:
        """Whose .blend, and which."""
        return f"{self.owner} {self.blend}"


class NewFile(NamedTuple):
    """A file to be noted."""

    name: str
    state: State
    stamp: Stamp
    recipe: Recipe
    numbers: Iterable[int]
    """Of the chunks that are to be found in it."""
    origin: str = ""


class Index:
    """The database of one store; every thread may use it. Every method raises OSError when the disk fails."""

    def __init__(self, path: Path) -> None:
        """Open or create; what is damaged or of another version is begun anew, empty."""
        self.drops = 0
        """How often files have gone: what was found before that may not be found any more."""
        self._lock = threading.RLock()
        self._path = path
        self._recipes: OrderedDict[int, Recipe] = OrderedDict()
        try:
            self._db = self._open()
        except (sqlite3.DatabaseError, databases.MigrationFailed) as error:
            if isinstance(error, sqlite3.OperationalError):
                raise databases.as_os_error(error, "the index of the store") from error
            self._begin_anew(str(error))
            self._db = self._open()

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    # Manifests

    def touch(self, manifest: ManifestRow) -> None:
        """Note a manifest, or that it was used again; `used` is found here. What is stored stays so."""
        self._note(_TOUCH, manifest)

    def learn(self, manifest: ManifestRow) -> None:
        """Note a manifest unless it is noted."""
        self._note(_LEARN, manifest)

    def _note(self, statement: str, row: ManifestRow) -> None:
        files = "".join(row.files)
        with self._transaction() as db:
            db.execute(statement, (row.digest, row.owner, row.blend, files, row.size, row.state, row.moment))

    def progress(self, manifest: str, state: Phase) -> None:
        """Note how far a manifest has come."""
        with self._transaction() as db:
            db.execute("UPDATE manifests SET state=? WHERE digest=?", (state, manifest))

    def manifest(self, digest: str) -> ManifestRow | None:
        """Return what is noted of a manifest."""
        rows = self._query("SELECT * FROM manifests WHERE digest=?", digest)
        return _manifest_row(rows[0]) if rows else None

    def manifests(self) -> list[ManifestRow]:
        """Return all, least recently used first."""
        return [_manifest_row(row) for row in self._query("SELECT * FROM manifests ORDER BY used")]

    def latest(self, owner: str, blend: str) -> FileRow | None:
        """Return the .blend of the newest stored manifest of that place on the artist's disk."""
        rows = self._query(
            "SELECT substr(files, 1, 32) FROM manifests WHERE owner=? AND blend=? AND state='stored'"
            " ORDER BY used DESC LIMIT 1",
            owner,
            blend,
        )
        found = [row for (digest,) in rows for row in self.files_of([digest]) if row.state == State.COMPLETE]
        return found[0] if found else None

    # Files

    def file(self, name: str) -> FileRow | None:
        """Return what is noted of a file."""
        found = self._files("SELECT * FROM files WHERE name=?", name)
        return found[0] if found else None

    def files(self) -> list[FileRow]:
        """Return all files, the oldest first."""
        return self._files("SELECT * FROM files ORDER BY id")

    def files_of(self, digests: Iterable[str]) -> list[FileRow]:
        """Return all files with these digests, in whatever state."""
        return self._files(
            "SELECT * FROM files WHERE digest IN (SELECT value FROM json_each(?))", json.dumps(list(digests))
        )

    def twins(self, owner: str) -> list[FileRow]:
        """Return the spare copies of an artist's files, the newest first."""
        twins = self._files("SELECT * FROM files WHERE state='twin' ORDER BY id DESC")
        return [row for row in twins if row.origin.startswith(f"{owner} ")]

    def _files(self, statement: str, *parameters: object) -> list[FileRow]:
        return [
            FileRow(file, name, digest, State(state), (size, mtime_ns), origin)
            for file, name, digest, state, size, mtime_ns, origin in self._query(statement, *parameters)
        ]

    def size(self) -> int:
        """Bytes of all files and manifests, sparse ones counted in full."""
        rows = self._query(
            "SELECT (SELECT COALESCE(SUM(size), 0) FROM files) + (SELECT COALESCE(SUM(size), 0) FROM manifests)"
        )
        return int(rows[0][0])

    def recipe(self, file: int) -> Recipe | None:
        """Return a file's recipe; None when it is damaged, or the file not noted (any more)."""
        with self._lock:
            recipe = self._recipes.get(file) or self._read_recipe(file)
            if recipe is not None:
                self._keep_recipe(file, recipe)
            return recipe

    def _keep_recipe(self, file: int, recipe: Recipe) -> None:
        self._recipes[file] = recipe
        self._recipes.move_to_end(file)
        while len(self._recipes) > _KEPT_RECIPES:
            self._recipes.popitem(last=False)

    def _read_recipe(self, file: int) -> Recipe | None:
        rows = self._query(
            "SELECT digest, algorithm, skeleton, runs, chunks, packed FROM recipes JOIN files ON files.id=file"
            " WHERE file=?",
            file,
        )
        if not rows:
            return None
        try:
            recipe = Recipe.unpack(*rows[0][1:])
        except RemoteProtocolError:
            return None
        return recipe if recipe.digest == rows[0][0] else None

    def add_all(self, files: Iterable[NewFile], gone: Iterable[str] = ()) -> None:
        """Note files, in place of what was noted under their names, and that others are `gone`, by their names."""
        with self._transaction() as db:
            db.executemany("DELETE FROM files WHERE name=?", [(name,) for name in gone])
            for file in files:
                recipe = file.recipe
                db.execute("DELETE FROM files WHERE name=?", (file.name,))
                row = db.execute(
                    "INSERT INTO files VALUES (NULL, ?, ?, ?, ?, ?, ?)",
                    (file.name, recipe.digest, file.state, *file.stamp, file.origin),
                ).lastrowid
                db.execute(
                    "INSERT INTO recipes VALUES (?, ?, ?, ?, ?, ?)",
                    (row, recipe.algorithm, recipe.skeleton, len(recipe.runs), len(recipe), recipe.pack()),
                )
                if file.state == State.TWIN:  # Asked for by the next save.
                    self._keep_recipe(row or 0, recipe)
                keys = _keys(recipe)
                db.executemany(
                    _FIND_COMPLETE if file.state == State.COMPLETE else _FIND_PARTIAL,
                    sorted((keys[number], row, number) for number in file.numbers),  # Each page is written once.
                )

    def forget_file(self, name: str) -> None:
        """A file that held no chunk which others want is gone."""
        self.add_all((), gone=[name])

    # Chunks

    def find(self, recipe: Recipe, numbers: Iterable[int]) -> list[tuple[FileRow, list[Pair]]]:
        """Return where these chunks of a recipe may lie: files, and pairs of their numbers here and there.

        Complete files come first. Whether they do, the recipe there says: see `plan.confirmed`.
        """
        keys = _keys(recipe)
        wanted: dict[int, list[int]] = {}
        for number in numbers:
            wanted.setdefault(keys[number], []).append(number)
        found: dict[int, list[Pair]] = {}
        for key, file, number in self._query(
            "SELECT * FROM chunks WHERE id IN (SELECT value FROM json_each(?))", json.dumps(list(wanted))
        ):
            found.setdefault(file, []).extend((mine, number) for mine in wanted[key])
        rows = self._with_ids(found)
        return [(row, found[row.id]) for row in sorted(rows, key=lambda row: (row.state != State.COMPLETE, row.id))]

    def find_one(self, chunk: bytes) -> tuple[FileRow, int] | None:
        """Return the file that a chunk may lie in, and its number there."""
        (key,) = array("q", chunk[:8])
        places = self._query("SELECT file, number FROM chunks WHERE id=?", key)
        rows = self._with_ids(file for file, _ in places)
        return (rows[0], int(places[0][1])) if rows else None

    def _with_ids(self, files: Iterable[int]) -> list[FileRow]:
        return self._files("SELECT * FROM files WHERE id IN (SELECT value FROM json_each(?))", json.dumps(list(files)))

    def drop(self, manifests: Iterable[str], files: Iterable[FileRow]) -> None:
        """Forget these. Chunks of such files are looked for in the files that stay: reads all recipes if need be."""
        files = list(files)
        orphans: dict[int, _Orphan] = {}
        for row in files:
            orphans |= self._found_in(row)
        gone = [(row.id,) for row in files]
        moved = self._rehome(orphans, {row.id for row in files})
        left = [(key, orphan.file) for key, orphan in orphans.items()]
        with self._transaction() as db:  # With the old file: another may have brought the chunk meanwhile.
            db.executemany("UPDATE chunks SET file=?, number=? WHERE id=? AND file=?", moved)
            db.executemany("DELETE FROM chunks WHERE id=? AND file=?", left)
            db.executemany("DELETE FROM files WHERE id=?", gone)
            db.executemany("DELETE FROM manifests WHERE digest=?", [(digest,) for digest in manifests])
        self.drops += 1  # Now: who has counted before may have found what is gone.

    def _found_in(self, row: FileRow) -> dict[int, "_Orphan"]:
        """The chunks that would be nowhere without this file, by their keys."""
        recipe = self.recipe(row.id) if row.state != State.TWIN else None
        if recipe is None:
            return {}
        keys = _keys(recipe)
        numbers = {key: number for number, key in enumerate(keys)}
        here = self._query(
            "SELECT id FROM chunks WHERE id IN (SELECT value FROM json_each(?)) AND file=?",
            json.dumps(list(numbers)),
            row.id,
        )
        return {key: _Orphan(recipe.algorithm, recipe.id(numbers[key]), row.id) for (key,) in here}

    def _rehome(self, orphans: dict[int, "_Orphan"], gone: set[int]) -> list[tuple[int, int, int, int]]:
        """Find orphans in the complete files that stay, the newest first: (file, number, key, old file)."""
        moved = []
        waiting = set(orphans)
        for row in reversed(self.files()):
            if not waiting:
                break
            recipe = self.recipe(row.id) if row.state == State.COMPLETE and row.id not in gone else None
            if recipe is None:
                continue
            keys = _keys(recipe)
            if waiting.isdisjoint(keys):
                continue
            for number, key in enumerate(keys):
                if key in waiting and orphans[key][:2] == (recipe.algorithm, recipe.id(number)):
                    waiting.remove(key)
                    moved.append((row.id, number, key, orphans[key].file))
        return moved

    # Inside

    def _begin_anew(self, why: str) -> None:
        """Keep the database aside, only the last one: nothing in it is lost, and it may be large."""
        for older in databases.kept_aside(self._path):
            for suffix in ("", "-wal"):
                Path(f"{older}{suffix}").unlink(missing_ok=True)
        aside = databases.keep_aside(self._path)
        databases.remove_log(self._path)
        self._path.unlink(missing_ok=True)
        log.warning(
            "The index of the artists' files is damaged (%s) and is made anew from the files; it is kept as %s.",
            why, aside,
        )  # fmt: skip

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, timeout=5, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute("PRAGMA foreign_keys=ON")
            _migrate(db, self._path)
        except BaseException:
            db.close()
            raise
        return db

    def _query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self._lock, _os_errors():
            return self._db.execute(statement, parameters).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All is noted or nothing."""
        with self._lock, _os_errors():
            self._db.execute("BEGIN IMMEDIATE")
            with self._db as db:
                yield db


class _Orphan(NamedTuple):
    algorithm: str
    chunk: bytes
    file: int


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the tables up to date. Raises DatabaseError for a database that is damaged, or newer than this program."""
    if databases.version_of(db) > len(MIGRATIONS) or not databases.is_sound(db):
        raise sqlite3.DatabaseError("it is not as this program has written it")  # The check: 0.2 s a million chunks.
    databases.migrate(db, path, MIGRATIONS)


def _manifest_row(row: tuple[Any, ...]) -> ManifestRow:
    digest, owner, blend, files, size, state, used, moment = row
    digests = tuple(files[at : at + 32] for at in range(0, len(files), 32))
    return ManifestRow(digest, owner, blend, digests, size, Phase(state), used, moment)


def _keys(recipe: Recipe) -> "array[int]":
    """The chunks' keys: the first halves of their names, in the order of this machine, where the index stays."""
    return array("q", recipe.ids)[::2]


@contextlib.contextmanager
def _os_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise databases.as_os_error(error, "the index of the store") from error
