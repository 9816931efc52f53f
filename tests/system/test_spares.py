# SPDX-License-Identifier: GPL-3.0-or-later
"""Blenders that wait, and those that are of no use any more: real ones, in an executor by itself."""

import asyncio
import signal
import sys
from pathlib import Path

import psutil
import pytest

from addon.protocol.messages import WorkerState
from server.blenders import Blender
from server.executors import local, spares
from server.executors.base import AttemptClosed, BlenderDied, Opened, Progressed, Written
from server.executors.local import LocalExecutor
from server.executors.watch import Limits
from server.executors.workplace import Workshop
from tests.system.executor_kit import Listener, assignment, run
from tests.system.harness import PATIENCE_S, Scene

PLENTY = 1 << 40
"""Bytes."""


async def spare_of(executor: LocalExecutor) -> int:
    """Process id of a spare that is ready, other than the slot's Blender."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for worker in await executor.workers():
                if worker.state == WorkerState.SPARE:
                    return worker.pid
            await asyncio.sleep(0.01)  # Nobody is told of a spare.


def test_the_next_save_renders_in_the_blender_that_waits(
    any_blender: Blender, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spares, "REFILL_S", 0.0)

    async def use() -> None:
        # GIVEN an executor with a spare
        listener = Listener()
        executor = LocalExecutor(1, Limits(PLENTY, spares=1), Workshop(tmp_path / "workers"), listener)
        await executor.start(any_blender)
        first_spare = await spare_of(executor)
        # WHEN a save is rendered, and a newer one takes its place
        executor.run(0, older := assignment(tmp_path, any_blender, scene(SAMPLES="4096")))
        await listener.until(older, Progressed)
        first = executor.worker_pid(0)
        second_spare = await spare_of(executor)
        executor.stop(0)
        executor.run(0, newer := assignment(tmp_path, any_blender, scene(), 1))
        second = executor.worker_pid(0)
        await listener.until(newer, Written)
        await executor.close()
        # THEN each was rendered in the Blender that had waited
        assert (first, second) == (first_spare, second_spare)
        assert first_spare != second_spare
        assert not any(psutil.pid_exists(pid) for pid in (first_spare, second_spare))

    run(use())


def test_a_spare_that_is_not_wanted_any_more_is_ended(any_blender: Blender, tmp_path: Path) -> None:
    async def use() -> None:
        # GIVEN a spare that is kept for no time at all
        executor = LocalExecutor(1, Limits(PLENTY, spares=1, idle_s=0.2), Workshop(tmp_path / "workers"), Listener())
        await executor.start(any_blender)
        assert len(await executor.workers()) == 1
        # WHEN that has passed
        await asyncio.sleep(0.2)
        executor._spares.tend()
        # THEN there is none
        assert await executor.workers() == []
        await executor.close()

    run(use())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process without ending it")
def test_a_blender_that_hangs_is_ended_and_the_reason_told(
    any_blender: Blender, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LOOK_S", 0.1)

    async def use() -> None:
        # GIVEN a Blender in the middle of a frame
        listener = Listener()
        executor = LocalExecutor(1, Limits(PLENTY, spares=0), Workshop(tmp_path / "workers"), listener)
        await executor.start(any_blender)
        executor.run(0, task := assignment(tmp_path, any_blender, scene(SAMPLES="4096")))
        await listener.until(task, Progressed)
        # WHEN it stops
        pid = executor.worker_pid(0)
        assert pid is not None
        psutil.Process(pid).send_signal(signal.SIGSTOP)
        # THEN it is ended
        died = await listener.until(task, BlenderDied)
        assert "hung" in died.last_words
        await executor.close()

    run(use())


def test_a_blender_that_grows_out_of_its_memory_is_ended_and_the_reason_told(
    any_blender: Blender, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LOOK_S", 0.1)

    async def use() -> None:
        # GIVEN Blenders that may have a megabyte
        listener = Listener()
        executor = LocalExecutor(1, Limits(1 << 20, spares=0), Workshop(tmp_path / "workers"), listener)
        await executor.start(any_blender)
        # WHEN one renders
        executor.run(0, task := assignment(tmp_path, any_blender, scene(SAMPLES="4096")))
        # THEN it is ended
        died = await listener.until(task, BlenderDied)
        assert "more memory than" in died.last_words
        await listener.until(task, AttemptClosed)
        await executor.close()

    run(use())


def test_a_blender_that_has_rendered_enough_is_replaced_between_frames(
    any_blender: Blender, scene: Scene, tmp_path: Path
) -> None:
    async def use() -> None:
        # GIVEN Blenders that render one frame each
        listener = Listener()
        executor = LocalExecutor(1, Limits(PLENTY, frames=1, spares=0), Workshop(tmp_path / "workers"), listener)
        blend = scene()
        pids = set()
        # WHEN two frames of a file are rendered
        for position in range(2):
            executor.run(0, task := assignment(tmp_path, any_blender, blend, position))
            pids.add(executor.worker_pid(0))
            await listener.until(task, AttemptClosed)
            # THEN each has a Blender that opens the file, and its preview is still made
            assert [kind.__name__ for kind in listener.heard_of(task)] == [
                Opened.__name__, Written.__name__, "PreviewMade", AttemptClosed.__name__,
            ]  # fmt: skip
        assert len(pids) == 2
        await executor.close()

    run(use())
