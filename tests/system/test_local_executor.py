# SPDX-License-Identifier: GPL-3.0-or-later
"""A slot's Blender that ends: each attempt at a task is told of to its end, and closed once."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from server.blenders import Blender
from server.executors.base import (
    AttemptClosed,
    BlenderDied,
    Event,
    Opened,
    PreviewMade,
    Progressed,
    Written,
)
from server.executors.family import kill_tree
from server.executors.local import LocalExecutor
from server.executors.watch import Limits
from server.executors.workplace import Workshop
from tests.system.executor_kit import Listener, assignment, run
from tests.system.harness import Scene


def kill(executor: LocalExecutor) -> None:
    """kill -9 of the Blender in the only slot."""
    pid = executor.worker_pid(0)
    assert pid is not None
    kill_tree(pid)


def stop(executor: LocalExecutor) -> None:
    executor.stop(0)


@pytest.mark.parametrize(
    ("moment", "end", "heard"),
    [
        (None, kill, [BlenderDied, AttemptClosed]),
        (Progressed, kill, [Opened, BlenderDied, AttemptClosed]),
        (AttemptClosed, kill, [Opened, Written, PreviewMade, AttemptClosed]),
        (None, stop, [AttemptClosed]),
        (Progressed, stop, [Opened, AttemptClosed]),
        (AttemptClosed, stop, [Opened, Written, PreviewMade, AttemptClosed]),
    ],
    ids=[
        "killed before it has the file open",
        "killed in a frame",
        "killed between frames",
        "stopped before it has the file open",
        "stopped in a frame",
        "stopped between frames",
    ],
)
def test_an_attempt_is_closed_once_however_its_blender_ends(
    any_blender: Blender, scene: Scene, tmp_path: Path, moment: type[Event] | None,
    end: Callable[[LocalExecutor], None], heard: list[type[Event]],
) -> None:  # fmt: skip
    blend = scene(SAMPLES="4096") if moment is Progressed else scene()

    async def use() -> None:
        # GIVEN a slot whose Blender has come so far with a frame
        listener = Listener()
        executor = LocalExecutor(1, Limits(1 << 40, spares=0), Workshop(tmp_path / "workers"), listener)
        first, second = assignment(tmp_path, any_blender, blend), assignment(tmp_path, any_blender, scene(), 1)
        executor.run(0, first)
        if moment is not None:
            await listener.until(first, moment)
        # WHEN it ends, and another frame is rendered
        end(executor)
        await listener.until(first, AttemptClosed)
        while executor.worker_pid(0) is not None:  # Nobody is told of the end of a Blender that had nothing to do.
            await asyncio.sleep(0)
        executor.run(0, second)
        await listener.until(second, AttemptClosed)
        await executor.close()
        # THEN everything was told of each, once, and that it is closed last of all
        assert listener.heard_of(first) == heard
        assert listener.heard_of(second) == [Opened, Written, PreviewMade, AttemptClosed]

    run(use())
