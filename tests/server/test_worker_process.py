# SPDX-License-Identifier: GPL-3.0-or-later
"""The process of one Blender, when it is gone."""

import asyncio
import os
import sys
from pathlib import Path

from server.executors.worker_process import WorkerProcess
from server.sandbox.base import Command


def test_a_command_for_a_blender_whose_end_was_told_is_dropped(tmp_path: Path) -> None:
    async def scenario() -> None:
        # GIVEN a program that has ended, as was told
        ended = asyncio.Event()
        argv = (sys.executable, "-c", "pass")
        process = WorkerProcess(Command(argv, dict(os.environ)), tmp_path, lambda _: None, ended.set)
        await ended.wait()
        # WHEN a command comes for it that was being prepared meanwhile, THEN nothing happens
        process.send({"command": "open"})

    asyncio.run(scenario())
