# SPDX-License-Identifier: GPL-3.0-or-later
"""An executor by itself, without a node: what it is given, and what is heard of it."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from server.blenders import Blender
from server.executors.base import Assignment, Event, Progressed
from server.jobs import Task
from tests.system.harness import PATIENCE_S

E = TypeVar("E", bound=Event)


class Listener:
    """Keeps what it hears, by assignment."""

    def __init__(self) -> None:
        self._heard: dict[int, list[Event]] = {}
        self._news = asyncio.Event()

    def __call__(self, assignment: Assignment, event: Event) -> None:
        self._heard.setdefault(assignment.task.position, []).append(event)
        self._news.set()

    def heard_of(self, assignment: Assignment) -> list[type[Event]]:
        return [type(event) for event in self._heard.get(assignment.task.position, []) if type(event) is not Progressed]

    async def until(self, assignment: Assignment, kind: type[E]) -> E:
        """Return the first event of this kind."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for event in self._heard.get(assignment.task.position, []):
                    if isinstance(event, kind):
                        return event
                self._news.clear()
                await self._news.wait()


def assignment(folder: Path, blender: Blender, blend: Path, position: int = 0, owner: str = "ada") -> Assignment:
    """Frame 1 of a file in a folder of its own, to be written below `folder`."""
    own = folder / str(position)
    own.mkdir()
    return Assignment(
        task=Task("1" * 32, position, 1), owner=owner, blender=blender, blend=blend, tree=blend.parent, roots=("/",),
        scene=None, folder=own, log=folder / "log",
    )  # fmt: skip


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run it on the kind of loop that the node has."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(work)
