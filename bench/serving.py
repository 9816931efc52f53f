# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node's own process costs, alone and with many who watch."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from addon.client.observer import Observer
from addon.protocol.address import parse_address
from addon.protocol.messages import AskWorkers, WorkerState

SPARE_S = 60.0
"""A Blender that is not started by then is broken."""

_WATCH = """
import asyncio, contextlib, sys
from addon.client.observer import Observer
from addon.protocol.address import parse_address

async def main(address, count):
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(count):
            await stack.enter_async_context(Observer.at(parse_address(address)))
        print("watching", flush=True)
        await asyncio.Event().wait()

with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
    runner.run(main(sys.argv[1], int(sys.argv[2])))
"""


def wait_for_spare(address: str, version: str) -> None:
    """Return when a Blender of this version waits on the node, started. Raises TimeoutError."""

    async def ask() -> None:
        async with asyncio.timeout(SPARE_S), Observer.at(parse_address(address)) as observer:
            while not _has_spare(observer, version):
                observer.workers = None
                observer.send(AskWorkers())
                await observer.until(lambda: observer.workers is not None)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(ask())


def _has_spare(observer: Observer, version: str) -> bool:
    found = observer.workers.workers if observer.workers is not None else ()
    return any((worker.state, worker.blender) == (WorkerState.SPARE, version) for worker in found)


def cpu_share(pid: int, seconds: float) -> float:
    """Return which part of one core a process takes over so many seconds; its children do not count."""
    process = psutil.Process(pid)
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / seconds


def memory(pid: int) -> int:
    """Return the resident bytes of one process."""
    return int(psutil.Process(pid).memory_info().rss)


@contextmanager
def watching(address: str, count: int) -> Iterator[None]:
    """So many sessions watch all jobs of a node, from a process of their own."""
    command = [sys.executable, "-c", _WATCH, address, str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as watchers:
        try:
            assert watchers.stdout is not None
            assert watchers.stdout.readline() == "watching\n"
            yield
        finally:
            watchers.kill()
