# SPDX-License-Identifier: GPL-3.0-or-later
"""An artist's session over one link: the first upload and every re-save, by us, by rsync and as a whole-file POST."""

import contextlib
import os
import shutil
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import rich.table

from server.blenders import Blender

from .links import Link, Relay
from .rivals import Post, Rival, Rsync
from .studio import EDITS
from .uploads import Upload, sender

FIRST = "first"


@dataclass
class Session:
    """What one file format cost over one link, by edit; FIRST is the first upload of all."""

    ours: dict[str, list[Upload]] = field(default_factory=lambda: defaultdict(list))
    rsync: dict[str, list[Upload]] = field(default_factory=lambda: defaultdict(list))
    """Empty where there is no rsync."""
    whole_file_s: float = 0.0
    """As one POST: the same after every edit."""


def seconds(uploads: list[Upload]) -> float:
    """Return the median."""
    return statistics.median(upload.seconds for upload in uploads)


def wire_bytes(uploads: list[Upload]) -> float:
    """Return the median, both ways together."""
    return statistics.median(upload.traffic.both for upload in uploads)


def measure_session(blender: Blender, link: Link, saves: Mapping[str, Path], folder: Path, rounds: int) -> Session:
    """Bring the saves to their receivers one after the other, `rounds` times over; each save first by us, then by them.

    The whole file goes as a POST once, and to an empty rsync once: in further rounds rsync begins with a copy.
    """
    session = Session()
    for number in range(rounds):
        here = folder / str(number)
        with sender(blender, here / "ours", link) as ours, _rsync(link, here / "rsync") as rsync:
            shot = here / "shot.blend"
            save_as(saves[FIRST], shot)
            session.ours[FIRST].append(ours.upload(shot))
            if number == 0:
                session.whole_file_s = _post(shot, link, here / "post")
            if rsync and number == 0:
                session.rsync[FIRST].append(rsync.upload(shot))
            elif rsync:
                rsync.copy(shot)
            for edit in EDITS:
                save_as(saves[edit], shot)
                session.ours[edit].append(ours.upload(shot))
                if rsync:
                    session.rsync[edit].append(rsync.upload(shot))
        shutil.rmtree(here)
    return session


def session_table(title: str, sessions: Mapping[Link, Session]) -> rich.table.Table:
    """Draw what one file format cost; every cell is ours / rsync's."""
    table = rich.table.Table("Edit", "KB on the wire", *(f"s, {link}" for link in sessions), title=title)
    every = list(sessions.values())
    for edit, words in {FIRST: "the first upload", **EDITS}.items():
        theirs = [wire_bytes(session.rsync[edit]) / 1e3 for session in every if session.rsync]
        sent = _beside(max(wire_bytes(session.ours[edit]) / 1e3 for session in every), min(theirs, default=None))
        table.add_row(words, sent, *(_beside_s(session, edit) for session in every))
    table.add_row("the whole file as an HTTP POST", "", *(f"{session.whole_file_s:.2f}" for session in every))
    return table


def _beside_s(session: Session, edit: str) -> str:
    return _beside(seconds(session.ours[edit]), seconds(session.rsync[edit]) if session.rsync else None)


def _beside(ours: float, theirs: float | None) -> str:
    return f"{_short(ours)} / {'-' if theirs is None else _short(theirs)}"


def _short(number: float) -> str:
    return f"{number:.2f}" if number < 10 else f"{number:,.0f}"


def save_as(save: Path, path: Path) -> None:
    """Put a save where it was made, as Blender does: the one before becomes .blend1, another file takes its name."""
    draft = path.with_name(f"{path.name}@")
    os.link(save, draft)
    if path.exists():
        path.replace(path.with_name(f"{path.name}1"))
    draft.replace(path)


class _Away:
    """A rival at the other end of a link."""

    def __init__(self, rival: Rival, relay: Relay) -> None:
        self._rival = rival
        self._relay = relay

    def upload(self, path: Path) -> Upload:
        """Bring a save there."""
        before = self._relay.traffic()
        taken = self._rival.seconds(path, self._relay.port)
        traffic = self._relay.traffic() - before
        os.sync()  # What it leaves to the system to write would slow down whoever comes next.
        return Upload(taken, traffic)

    def copy(self, path: Path) -> None:
        """Have the save there without sending it."""
        shutil.copyfile(path, self._rival.received / path.name)
        os.sync()


@contextlib.contextmanager
def _rsync(link: Link, folder: Path) -> Iterator[_Away | None]:
    if Rsync.why_not():
        yield None
        return
    with Rsync(folder) as rsync, Relay(link, rsync.port) as relay:
        yield _Away(rsync, relay)


def _post(path: Path, link: Link, folder: Path) -> float:
    with Post(folder) as post, Relay(link, post.port) as relay:
        return _Away(post, relay).upload(path).seconds
