# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that has just started and the artist's client, connected: the same programs as everywhere, on this machine."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.blenders import Blender
from tests.system.harness import ClientProcess, Line, NodeProcess


@contextmanager
def fresh_node(blender: Blender, folder: Path, slots: str = "auto") -> Iterator[NodeProcess]:
    """A node with nothing warm and what it takes as `--slots`; `folder` must be new."""
    folder.mkdir(parents=True)
    node = NodeProcess(folder / "node", blender, "--spares=2", f"--slots={slots}")  # The tests' nodes keep none.
    try:
        yield node
    finally:
        node.close()


class Artist:
    """A client as Blender starts it, and a clock."""

    def __init__(self, client: ClientProcess, blender: Blender) -> None:
        self.client = client
        self.blender = blender

    def thumbnail(self, blend: Path, folder: Path) -> float:
        """Hand a saved file over; return the seconds until its thumbnail is there. Returns when all of it is done."""
        began = time.perf_counter()
        job = self.client.render(blend, folder, trigger="save")
        self.client.until(lambda line: line["event"] == "thumbnail" and line["job"] == job)
        seconds = time.perf_counter() - began
        self._finish(job)
        return seconds

    def frames(self, blend: Path, folder: Path, frames: str, count: int) -> float:
        """Have frames rendered; return the seconds until the last one lies in the folder."""
        began = time.perf_counter()
        job = self.client.render(blend, folder, frames)
        for _ in range(count):
            self.client.until(lambda line: line["event"] == "delivered" and line["job"] == job)
        seconds = time.perf_counter() - began
        assert len(list(folder.iterdir())) == count
        self._finish(job)
        return seconds

    def _finish(self, job: str) -> None:
        seen = (line for line in self.client.seen if _ended(line, job))
        done = next(seen, None) or self.client.until(lambda line: _ended(line, job))
        assert done["state"] == "done", done["text"]
        assert done["blender"] == self.blender.name, f"rendered by Blender {done['blender']}, not {self.blender.name}"


@contextmanager
def artist_at(node: NodeProcess, blender: Blender, folder: Path) -> Iterator[Artist]:
    """An artist's client that has just connected to `node`."""
    folder.mkdir(parents=True, exist_ok=True)
    client = ClientProcess(folder / "client")
    try:
        client.send(command="configure", address=node.address)
        client.until(lambda line: line["event"] == "connection" and line["state"] == "connected")
        yield Artist(client, blender)
    finally:
        client.close()


def _ended(line: Line, job: str) -> bool:
    return line["event"] == "job" and line["job"] == job and line["state"] in ("done", "failed", "cancelled")
