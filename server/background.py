# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that goes on beside the loop's callbacks, held until it ends and never failing unseen."""

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


class Background:
    """A set of running coroutines."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run `work` on the current loop; what it raises goes to the log."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Cancel what still runs, and wait for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("unexpected: %s", error, exc_info=error)


async def in_thread(function: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
    """Call in a thread; when cancelled meanwhile, return only after it has ended: no two may work on one file.

    What has not begun by then is not done: else clients that come and go could keep the threads busy for minutes.
    """
    given_up = threading.Event()

    def call() -> T:
        if given_up.is_set():
            raise concurrent.futures.CancelledError
        return function(*arguments, **more)

    return await _to_its_end(call, given_up.set)


async def surely_in_thread(function: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
    """The same for what puts in order: when cancelled, it is done nevertheless."""
    return await _to_its_end(partial(function, *arguments, **more), lambda: None)


async def _to_its_end(call: Callable[[], T], on_cancelled: Callable[[], object]) -> T:
    work = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        on_cancelled()
        while not work.done():
            with contextlib.suppress(asyncio.CancelledError):  # Once more, by a node that ends: the thread goes on.
                await asyncio.wait({work})
        if not work.cancelled():
            work.exception()  # Seen: whoever cancelled does not want to know.
        raise
