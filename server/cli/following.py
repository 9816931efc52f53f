# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server watch`: a node's jobs as they go on."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import rich.live
import typer

from addon.client.beside import run_beside
from addon.client.observer import Observer
from addon.client.service import Client
from addon.protocol.messages import FINISHED, JobState, JobStatus

from . import app, console, errors, fail, output, run
from .completion import complete_job
from .exits import Exit
from .options import CLIENT_DATA, DEFAULT_TO, JOB_HELP, OVER, ClientData, To, to_go_on
from .output import JsonLines
from .remote import observing, pick
from .tables import job_table


@app.command()
def watch(
    to: To = DEFAULT_TO,
    job: Annotated[
        str | None,
        typer.Option(metavar="ID", help=f"Watch one until it ends. {JOB_HELP}", autocompletion=complete_job),
    ] = None,
    json: JsonLines = False,
    data: ClientData = CLIENT_DATA,
) -> None:
    """Watch a node's jobs until Ctrl+C, and bring home the frames of those submitted from this machine.

    With --job: until that one has ended; the exit code then says how.
    """
    try:
        run(_watch(to, data, job, _Lines() if json else _Table()))
    except KeyboardInterrupt:
        words = ["watch", *(["--job", job] if job else [])]
        errors.print(f"The jobs go on. To watch again: {to_go_on(*words, to=to, data=data)}", soft_wrap=True)
        raise typer.Exit(Exit.INTERRUPTED) from None


class _Table:
    """For people: a table, and above it what was brought home."""

    def __init__(self) -> None:
        self._live = rich.live.Live(console=console, auto_refresh=False)

    def __enter__(self) -> None:
        self._live.start()

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, jobs: dict[str, JobStatus]) -> None:
        self._live.update(job_table(jobs.values()), refresh=True)

    def delivered(self, line: dict[str, Any]) -> None:
        self._live.console.print(line["path"], markup=False, soft_wrap=True)

    def say(self, text: str) -> None:
        self._live.console.print(text, style="yellow", markup=False)


class _Lines:
    """For programs: a line for each job that has changed, and for each output that has come home."""

    def __init__(self) -> None:
        self._shown: dict[str, JobStatus] = {}

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        return

    def show(self, jobs: dict[str, JobStatus]) -> None:
        for name, status in jobs.items():
            if self._shown.get(name) != status:
                output.line("status", status)
        for name in self._shown.keys() - jobs.keys():
            output.line("gone", {"job": name})
        self._shown = dict(jobs)

    def delivered(self, line: dict[str, Any]) -> None:
        output.raw_line(line)

    def say(self, text: str) -> None:
        errors.print(text, style="yellow", markup=False)


async def _watch(to: str, data: Path, only: str | None, view: _Table | _Lines) -> None:
    data.mkdir(parents=True, exist_ok=True)
    heard = asyncio.Event()

    def hear(line: dict[str, Any]) -> None:
        if line["event"] == "delivered":
            view.delivered(line)
        elif line["event"] == "job" and line["state"] in OVER:
            client.let_go(line["job"])
        heard.set()

    client = Client(data, hear)
    client.configure(to)
    with view:
        async with observing(to) as observer:
            name = pick(only, observer.jobs).job if only is not None else None
            client.adopt()
            end = await run_beside(client.run(adopt=False), _until_over(observer, name, client, heard, view))
    if end.state != JobState.DONE:
        raise fail(end.text or f"{end.title} has ended: {end.state}.")


async def _until_over(
    observer: Observer, only: str | None, client: Client, heard: asyncio.Event, view: _Table | _Lines
) -> JobStatus:
    """Show jobs; return the status of the one that is watched alone when it has ended and its frames are here."""
    said = ""
    while True:
        view.show({name: status for name, status in observer.jobs.items() if only in (None, name)})
        if only is not None:
            status = observer.jobs.get(only)
            if status is None:
                raise fail(f"The node does not know job {only[:8]} any more.", Exit.NO_JOB)
            if status.state in FINISHED and client.is_home(only):
                return status
        await _news(observer, heard)
        if observer.failure not in ("", said):
            view.say(observer.failure)
        said = observer.failure


async def _news(observer: Observer, heard: asyncio.Event) -> None:
    """Return when the node or this machine's client has something new."""
    waiting = {asyncio.create_task(observer.news(patient=True)), asyncio.create_task(_wait(heard))}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
    event.clear()
