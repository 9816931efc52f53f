# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from server.background import in_thread


def test_what_is_cancelled_before_its_turn_is_never_done() -> None:
    async def run() -> None:
        # GIVEN one thread, which is busy
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        busy, go_on, done = threading.Event(), threading.Event(), threading.Event()

        def work() -> None:
            busy.set()
            go_on.wait()

        first = asyncio.create_task(in_thread(work))
        while not busy.is_set():
            await asyncio.sleep(0)
        # WHEN what waits behind it is cancelled
        second = asyncio.create_task(in_thread(done.set))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        go_on.set()
        # THEN it is not done any more
        with pytest.raises(asyncio.CancelledError):
            await second
        await first
        assert not done.is_set()

    asyncio.run(run())
