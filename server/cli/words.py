# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server logs`: what Blender said about a job."""

import codecs
import sys
from collections.abc import AsyncIterator
from typing import Annotated

import typer

from addon.client.observer import Observer
from addon.protocol.messages import FINISHED, AskLog

from . import app, errors, fail, run
from .exits import Exit
from .options import DEFAULT_TO, Job, To, to_go_on
from .remote import observing, pick


@app.command()
def logs(
    job: Job,
    to: To = DEFAULT_TO,
    frame: Annotated[
        int | None, typer.Option(min=0, help="Only what was printed while this frame was rendered.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
) -> None:
    """Show what Blender has said about a job, as long as the node has it."""
    try:
        run(_show(job, to, frame, follow))
    except KeyboardInterrupt:
        again = to_go_on("logs", job, "--follow", to=to)
        errors.print(f"The job goes on. To see more: {again}", soft_wrap=True, markup=False)
        raise typer.Exit(Exit.INTERRUPTED) from None


async def _show(start: str, to: str, frame: int | None, follow: bool) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    size = 0
    async with observing(to) as observer:
        job = pick(start, observer.jobs).job
        async for piece in _pieces(observer, job, frame, follow):
            size += len(piece)
            sys.stdout.write(decoder.decode(piece))
            sys.stdout.flush()
    if not size:
        what = f"job {job[:8]}" if frame is None else f"frame {frame} of job {job[:8]}"
        raise fail(f"The node has no log of {what}: none yet, or none any more since all its frames are home.")


async def _pieces(observer: Observer, job: str, frame: int | None, follow: bool) -> AsyncIterator[bytes]:
    """Yield the log from its beginning to its end, or to the job's if it is followed."""
    after = 0
    while True:
        is_last = not follow or job not in observer.jobs or observer.jobs[job].state in FINISHED
        observer.forget_answers()
        observer.send(AskLog(job, frame, after))
        await observer.until(lambda: observer.log is not None)
        assert observer.log is not None
        about, text = observer.log
        yield text
        after = about.offset + len(text)
        if after < about.size:
            continue
        if is_last:
            return
        await observer.news()  # While a frame is rendered there are some at least every second.
