# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that talk to a node: the same client as in Blender, without the window."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, TypeVar

import typer

from addon.client.observer import Declined, Observer, Unreachable
from addon.protocol.address import InvalidAddress, parse_address
from addon.protocol.messages import FINISHED, AskStore, AskWorkers, Cancel, JobStatus

from . import app, called, console, fail, fail_for, output, run, size
from .completion import complete_job
from .exits import Exit
from .options import DEFAULT_TO, JOB_HELP, Job, To
from .output import Json
from .tables import details_table, job_table, store_table, worker_table

Look = TypeVar("Look", bound=Observer)


@app.command()
def status(
    job: Annotated[
        str | None, typer.Argument(help=f"Show this one alone. {JOB_HELP}", autocompletion=complete_job)
    ] = None,
    to: To = DEFAULT_TO,
    json: Json = False,
) -> None:
    """Show a node's jobs and what its Blenders cost, or all there is to say about one job."""

    async def show_one(start: str) -> None:
        async with observing(to) as observer:
            wanted = pick(start, observer.jobs)
            if json:
                output.document(wanted)
            else:
                console.print(details_table(wanted))

    async def show_all() -> None:
        async with observing(to) as observer:
            observer.send(AskWorkers())
            with contextlib.suppress(Declined):  # Who is not trusted sees the own jobs only.
                await observer.until(lambda: observer.workers is not None)
            if json:
                jobs = list(observer.jobs.values())
                output.document({"sandboxed": observer.sandboxed, "jobs": jobs, "workers": observer.workers})
                return
            console.print(observer.welcome_text, markup=False)
            console.print("Its Blenders are sandboxed." if observer.sandboxed else "Its Blenders are not sandboxed.")
            console.print(job_table(observer.jobs.values()))
            if observer.workers is not None:
                console.print(worker_table(observer.workers))

    run(show_all() if job is None else show_one(job))


@app.command()
def cancel(
    job: Job,
    to: To = DEFAULT_TO,
) -> None:
    """Stop a job. Frames that are rendered already still come back."""

    async def stop() -> None:
        async with observing(to) as observer:
            wanted = pick(job, observer.jobs)
            if wanted.state in FINISHED:
                raise fail(f"Job {wanted.job[:8]} ({wanted.title}) has ended already: {wanted.state}.")
            observer.send(Cancel(wanted.job))
            await observer.until(lambda: wanted.job in observer.jobs and observer.jobs[wanted.job].state in FINISHED)
            console.print(f"Cancelled {wanted.title} ({wanted.job[:8]}).", markup=False)

    run(stop())


@app.command()
def store(
    to: To = DEFAULT_TO,
    shrink_to: Annotated[
        int | None,
        typer.Option(
            metavar="SIZE",
            parser=size,
            help="First evict what no job needs, until so much is left: 20GB; 0: all of it.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show what a node keeps of artists' files, so that only what changes has to travel."""

    async def ask() -> None:
        async with observing(to) as observer:
            observer.send(AskStore(shrink_to))
            await observer.until(lambda: observer.store is not None)
            assert observer.store is not None
            if json:
                output.document(observer.store)
            else:
                console.print(store_table(observer.store))

    run(ask())


@contextlib.asynccontextmanager
async def observing_as(kind: type[Look], to: str) -> AsyncIterator[Look]:
    """A look at a node's jobs of this kind; says why when there is none."""
    try:
        async with kind.at(parse_address(to)) as observer:
            yield observer
    except (InvalidAddress, Unreachable, Declined) as error:
        raise fail_for(error) from error


def observing(to: str) -> contextlib.AbstractAsyncContextManager[Observer]:
    """A look at all jobs of a node."""
    return observing_as(Observer, to)


def pick(start: str, jobs: dict[str, JobStatus]) -> JobStatus:
    """Return the job whose ID begins so; ends the program with a sentence when there is none, or more than one."""
    found = [status for name, status in jobs.items() if name.startswith(start.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        raise fail(f"{len(found)} jobs begin with {start}: write more digits.", Exit.USAGE)
    raise fail(f"No job begins with {start}: `{called()} status` lists them.", Exit.NO_JOB)
