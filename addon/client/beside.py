# SPDX-License-Identifier: GPL-3.0-or-later
"""Running one thing while another serves it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def run_beside(service: Coroutine[Any, Any, None], work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end and return its result, while `service` runs; ends `service` then.

    Should `service` fail first, `work` is cancelled and the failure raised.
    """
    serving, working = asyncio.create_task(service), asyncio.create_task(work)
    try:
        await asyncio.wait({serving, working}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done() and not serving.cancelled() and (error := serving.exception()) is not None:
            raise error
        return await working
    finally:
        for task in (serving, working):
            task.cancel()
        await asyncio.gather(serving, working, return_exceptions=True)
