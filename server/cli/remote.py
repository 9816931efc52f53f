# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that talk to a node: the same client as in Blender, without the window."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import rich.live
import typer

from addon.client.beside import run_beside
from addon.client.observer import Declined, Observer, Unreachable
from addon.client.service import Client
from addon.protocol.address import InvalidAddress, parse_address
from addon.protocol.messages import FINISHED, AskStore, AskWorkers, Cancel, JobStatus

from . import app, console, fail, run, size
from .options import CLIENT_DATA, DEFAULT_TO, OVER, ClientData, To
from .tables import job_table, store_table, worker_table


@app.command()
def status(to: To = DEFAULT_TO) -> None:
    """Show a node's jobs, and what its Blenders cost."""

    async def show() -> None:
        async with observing(to) as observer:
            observer.send(AskWorkers())
            with contextlib.suppress(Declined):  # Who is not trusted sees the own jobs only.
                await observer.until(lambda: observer.workers is not None)
            console.print(observer.welcome_text, markup=False)
            console.print("Its Blenders are sandboxed." if observer.sandboxed else "Its Blenders are not sandboxed.")
            console.print(job_table(observer.jobs.values()))
            if observer.workers is not None:
                console.print(worker_table(observer.workers))

    run(show())


@app.command()
def watch(
    to: To = DEFAULT_TO,
    data: ClientData = CLIENT_DATA,
) -> None:
    """Watch a node's jobs until Ctrl+C, and bring home the frames of those submitted from this machine."""
    try:
        run(_watch(to, data))
    except KeyboardInterrupt:
        return


@app.command()
def cancel(
    job: Annotated[str, typer.Argument(help="The job's ID as `status` shows it, or its first digits.")],
    to: To = DEFAULT_TO,
) -> None:
    """Stop a job. Frames that are rendered already still come back."""

    async def stop() -> None:
        async with observing(to) as observer:
            wanted = _pick(job, observer.jobs)
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
) -> None:
    """Show what a node keeps of artists' files, so that only what changes has to travel."""

    async def ask() -> None:
        async with observing(to) as observer:
            observer.send(AskStore(shrink_to))
            await observer.until(lambda: observer.store is not None)
            assert observer.store is not None
            console.print(store_table(observer.store))

    run(ask())


async def _watch(to: str, data: Path) -> None:
    data.mkdir(parents=True, exist_ok=True)
    with rich.live.Live(console=console, auto_refresh=False) as live:

        def show(line: dict[str, Any]) -> None:
            if line["event"] == "delivered":
                live.console.print(line["path"], markup=False)
            elif line["event"] == "job" and line["state"] in OVER:
                client.let_go(line["job"])

        async def show_jobs() -> None:
            said = ""
            async with observing(to) as observer:
                while True:
                    live.update(job_table(observer.jobs.values()), refresh=True)
                    await observer.news(patient=True)
                    if observer.failure not in ("", said):
                        live.console.print(observer.failure, style="yellow", markup=False)
                    said = observer.failure

        client = Client(data, show)
        client.configure(to)
        await run_beside(client.run(), show_jobs())


@contextlib.asynccontextmanager
async def observing(to: str) -> AsyncIterator[Observer]:
    """A look at all jobs of a node; says why when there is none."""
    try:
        async with Observer.at(parse_address(to)) as observer:
            yield observer
    except (InvalidAddress, Unreachable, Declined) as error:
        raise fail(str(error)) from error


def _pick(start: str, jobs: dict[str, JobStatus]) -> JobStatus:
    found = [status for name, status in jobs.items() if name.startswith(start.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        raise fail(f"{len(found)} jobs begin with {start}: write more digits.")
    raise fail(f"No job begins with {start}: `python -m server status` lists them.")
