# SPDX-License-Identifier: GPL-3.0-or-later
"""What the shell is told when somebody presses Tab behind a job."""

import asyncio
from collections.abc import Iterable

import typer

from addon.client.observer import Observer
from addon.protocol.address import parse_address
from addon.protocol.messages import JobStatus

PATIENCE_S = 0.5
"""A shell that waits longer for a Tab seems to hang."""


def complete_job(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the IDs of the node's jobs that begin so, the newest first; none where it is not there at once."""
    try:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            jobs = runner.run(asyncio.wait_for(_jobs(ctx.params.get("to")), PATIENCE_S))
    except Exception:  # noqa: BLE001 - whatever it is, a line on the prompt that is being written helps nobody
        return []
    newest = sorted(jobs, key=lambda status: -status.created)
    return [(each.job[:8], f"{each.title} {each.state}") for each in newest if each.job.startswith(incomplete.lower())]


async def _jobs(to: str | None) -> Iterable[JobStatus]:
    from .options import DEFAULT_TO  # noqa: PLC0415 - which names this module

    async with Observer.at(parse_address(to or DEFAULT_TO)) as observer:
        return list(observer.jobs.values())
