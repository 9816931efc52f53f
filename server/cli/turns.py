# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands about whose turn it is: jobs that wait because somebody says so, and the order of work."""

from collections.abc import Callable
from typing import Annotated

import typer

from addon.protocol.limits import HIGHEST_PRIORITY, LOWEST_PRIORITY
from addon.protocol.messages import FINISHED, ClientMessage, JobStatus, Move, Pause, Prioritize, Resume

from . import app, console, fail, run
from .options import DEFAULT_TO, Job, To
from .remote import observing, pick

Number = Annotated[
    int, typer.Argument(help="From -10 to 10; a job has 0 by itself.", min=LOWEST_PRIORITY, max=HIGHEST_PRIORITY)
]
Before = Annotated[str | None, typer.Option("--before", metavar="JOB", help="The job that is to come next.")]


@app.command()
def pause(job: Job, to: To = DEFAULT_TO) -> None:
    """Begin nothing more of a job; frames that are being rendered come to their end."""
    _change(job, to, Pause, lambda status: status.paused, "Paused")


@app.command()
def resume(job: Job, to: To = DEFAULT_TO) -> None:
    """Go on with a paused job."""
    _change(job, to, Resume, lambda status: not status.paused, "Goes on with")


@app.command(context_settings={"ignore_unknown_options": True})  # A number below 0 looks like an option.
def priority(job: Job, number: Number, to: To = DEFAULT_TO) -> None:
    """Have jobs of a higher number come first. Only the node's owner gives more than 0."""
    _change(
        job, to, lambda name: Prioritize(name, number), lambda status: status.priority == number, f"Priority {number}:"
    )


@app.command()
def move(job: Job, before: Before = None, to: To = DEFAULT_TO) -> None:
    """Have a job rendered right before another one, or last."""

    async def ask() -> None:
        async with observing(to) as observer:
            wanted = _unfinished(pick(job, observer.jobs))
            other = None if before is None else _unfinished(pick(before, observer.jobs))
            if other is not None and other.job == wanted.job:
                raise fail("A job cannot come before itself: name another one.")
            observer.send(Move(wanted.job, other.job if other is not None else None))

            def done() -> bool:
                waiting = [each for each in observer.jobs.values() if each.state not in FINISHED]
                names = [each.job for each in sorted(waiting, key=lambda each: (-each.priority, each.place))]
                at = names.index(wanted.job) + 1
                return (names[at] if at < len(names) else None) == (other.job if other is not None else None)

            await observer.until(done)
            where = "last" if other is None else f"before {other.title} ({other.job[:8]})"
            console.print(f"{wanted.title} ({wanted.job[:8]}) comes {where}.", markup=False)

    run(ask())


def _change(
    job: str, to: str, message: Callable[[str], ClientMessage], holds: Callable[[JobStatus], bool], word: str
) -> None:
    async def ask() -> None:
        async with observing(to) as observer:
            wanted = _unfinished(pick(job, observer.jobs))
            observer.send(message(wanted.job))
            await observer.until(lambda: wanted.job in observer.jobs and holds(observer.jobs[wanted.job]))
            console.print(f"{word} {wanted.title} ({wanted.job[:8]}).", markup=False)

    run(ask())


def _unfinished(status: JobStatus) -> JobStatus:
    if status.state in FINISHED:
        raise fail(f"Job {status.job[:8]} ({status.title}) has ended already: {status.state}.")
    return status
