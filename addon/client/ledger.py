# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client has promised the artist, on disk: which jobs, from which file, and where their frames go.

One JSON file a job. A job belongs to one process at a time, by a lock beside it: two Blenders share the folder, and
when one of them ends, frames that come later are taken by the next that starts.
"""

import dataclasses
import enum
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..durable import make_folder, sync_folder
from ..protocol.codec import build
from ..protocol.engine import Engine
from ..protocol.errors import RemoteProtocolError
from ..protocol.frame_order import FrameOrder
from .gather import Dependency
from .locks import FileLock


class Trigger(enum.StrEnum):
    """What made the artist's Blender order a render."""

    SAVE = "save"
    NOW = "now"


@dataclass(frozen=True, slots=True)
class Order:
    """What the artist wants rendered; the fields of the "render" command."""

    job: str
    """32 hexadecimal digits, made up by whoever orders: an order said twice is one job."""
    blend: str
    """Absolute path of the .blend on this machine."""
    title: str
    scene: str | None
    """None: the scene that was active when the file was saved."""
    frames: str
    folder: str
    """Absolute; where the scene's own outputs go."""
    trigger: Trigger = Trigger.NOW
    keep_older: bool = False
    """A save leaves the unfinished jobs of earlier saves alone."""
    draft: bool = True
    """A small picture of few samples comes first, where that costs little."""
    order: FrameOrder = FrameOrder.SEQUENCE
    current: int | None = None
    """The frame that the artist was at."""
    split: bool = True
    """A single frame is rendered in parts on several slots, where that gives the same picture."""
    priority: int = 0
    """-10 to 10, higher ones first; only the node's owner gives more than 0."""
    engine: Engine | None = None
    """Instead of the scene's own."""
    targets: dict[str, str] = field(default_factory=dict)
    """Absolute folder for each directory of the scene's File Output nodes, named as in the .blend."""
    dependencies: tuple[Dependency, ...] = ()
    """What the scene uses beside the .blend."""
    without: tuple[str, ...] = ()
    """Paths that the artist knows to be missing."""

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{32}", self.job):
            raise ValueError(f"{self.job!r} is not 32 hexadecimal digits")
        for path in (self.blend, self.folder, *self.targets.values()):
            if not Path(path).is_absolute():
                raise ValueError(f"{path!r} is not absolute")

    @property
    def group(self) -> str:
        """Orders of one group supersede each other; empty: this one does not take part."""
        return f"save {self.blend}"[:1000] if self.trigger == Trigger.SAVE and not self.keep_older else ""


@dataclass(slots=True)
class Entry:
    """One order, and what became of it."""

    order: Order
    created: float
    """Seconds since the epoch."""
    node: str = ""
    """Identifier of the node that has accepted it; empty until one has."""
    address: str = ""
    """Where that node was, for people."""
    end: str = ""
    """Why it is not asked for any more: "failed", "cancelled", "superseded" or "cleared"; empty while it is."""
    text: str = ""
    """One sentence about that."""

    @property
    def job(self) -> str:
        """The job's identifier."""
        return self.order.job

    @property
    def accepted(self) -> bool:
        """Whether a node has it."""
        return bool(self.node)


class Ledger:
    """The entries of one folder that belong to this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._locks: dict[str, FileLock] = {}
        make_folder(folder)

    def adopt(self) -> Iterator[Entry]:
        """Yield the entries that no other process holds, and hold them from now on."""
        for path in sorted(self._folder.glob("*.json")):
            if path.stem not in self._locks and self._hold(path.stem):
                entry = _read(path)
                if entry is None:
                    self.remove(path.stem)
                else:
                    yield entry

    def take(self, job: str) -> Entry | None:
        """Return one entry and hold it from now on; None when there is none, or another process holds it."""
        if job in self._locks or not self._path(job).exists() or not self._hold(job):
            return None
        entry = _read(self._path(job))
        if entry is None:
            self.remove(job)
        return entry

    def save(self, entry: Entry) -> None:
        """Put an entry on disk, whole or not at all; a new one is held from now on."""
        self._hold(entry.job)
        temporary = self._path(entry.job).with_suffix(".new")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(dataclasses.asdict(entry), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path(entry.job))
        sync_folder(self._folder)

    def remove(self, job: str) -> None:
        """Delete an entry."""
        for suffix in (".json", ".new"):  # The second one is left by a kill.
            self._path(job).with_suffix(suffix).unlink(missing_ok=True)
        lock = self._locks.pop(job, None)
        if lock is not None:
            lock.remove()

    def close(self) -> None:
        """Let go of all entries, for another process to adopt."""
        for lock in self._locks.values():
            lock.release()
        self._locks.clear()

    def _hold(self, job: str) -> bool:
        lock = self._locks.get(job) or FileLock(self._path(job).with_suffix(".lock"))
        if not lock.acquire():
            return False
        self._locks[job] = lock
        return True

    def _path(self, job: str) -> Path:
        return self._folder / f"{job}.json"


def entries(folder: Path) -> list[Entry]:
    """Return what a ledger's folder holds, whoever holds it now, the newest first."""
    found = filter(None, map(_read, folder.glob("*.json")))
    return sorted(found, key=lambda entry: -entry.created)


def _read(path: Path) -> Entry | None:
    """An entry, or None for a file that is none, or that another process has just removed."""
    try:
        entry = build(Entry, json.loads(path.read_text("utf-8")))
    except (FileNotFoundError, ValueError, RemoteProtocolError):
        return None
    assert isinstance(entry, Entry)
    return entry
