# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server fetch`: brings home what waits on a node, with or without a record of the job on this machine."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import rich.progress
import typer

from addon.client.fetcher import Fetcher, is_home
from addon.protocol.messages import JobState, JobStatus, Output

from . import app, console, errors, fail, output, run
from .exits import Exit
from .options import DEFAULT_TO, Job, To, to_go_on
from .output import JsonLines
from .remote import observing_as, pick


@app.command()
def fetch(
    job: Job,
    to: To = DEFAULT_TO,
    folder: Annotated[Path, typer.Option("--output", help="Folder for the frames; made if missing.")] = Path(),
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for frames still to come, or only bring what is there now.")
    ] = True,
    json: JsonLines = False,
) -> None:
    """Bring home the frames of a job of this account's, on any of its machines.

    Ends when the job is over and all is here. The node keeps no frame that has come home: of two programs that wait for
    the same job each frame goes to one.
    """
    try:
        run(bring_home(job, to, folder, wait=wait, json=json))
    except KeyboardInterrupt:
        again = to_go_on("fetch", job, "--output", str(folder), to=to)
        errors.print(f"The rest waits on the node. To go on: {again}", soft_wrap=True, markup=False)
        raise typer.Exit(Exit.INTERRUPTED) from None


async def bring_home(job: str, to: str, folder: Path, *, wait: bool = True, json: bool = False) -> None:
    """Bring a job's frames into `folder`; ends the program with a sentence when they will not all come."""
    view = errors if json else console
    progress = rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"), rich.progress.BarColumn(), rich.progress.TaskProgressColumn(),
        rich.progress.TextColumn("{task.completed:.0f} of {task.total:.0f}"), console=view, disable=json,
    )  # fmt: skip

    def delivered(one: Output, path: Path) -> None:
        if json:
            output.raw_line({"event": "delivered", "job": one.job, "frame": one.frame, "path": str(path)})
        else:
            view.print(str(path), markup=False, soft_wrap=True)

    def trouble(text: str) -> None:
        if text:
            errors.print(text, style="yellow", markup=False)

    async with observing_as(Fetcher, to) as fetcher:
        name = pick(job, fetcher.jobs).job
        fetcher.begin(name, folder.absolute(), delivered, trouble)
        try:
            with progress:
                bar = progress.add_task(fetcher.jobs[name].title, total=fetcher.jobs[name].total)
                async for status in _until_home(fetcher, name, wait=wait):
                    progress.update(bar, total=status.total, completed=max(0, status.done - status.undelivered))
        finally:
            fetcher.end()
    if wait and status.state != JobState.DONE:
        raise fail(status.text or f"{status.title} has ended: {status.state}.")


async def _until_home(fetcher: Fetcher, job: str, *, wait: bool) -> AsyncIterator[JobStatus]:
    """Yield what is new of the job, until all that is wanted has come home."""
    rendered = None if wait else fetcher.jobs[job].done
    said = ""
    while True:
        status = fetcher.jobs.get(job)
        if status is None:
            raise fail(f"The node does not know job {job[:8]} any more.", Exit.NO_JOB)
        yield status
        if is_home(status, rendered=rendered) or status.state == JobState.SUPERSEDED:
            return
        await fetcher.news(patient=True)
        if fetcher.failure not in ("", said):
            errors.print(fetcher.failure, style="yellow", markup=False)
        said = fetcher.failure
