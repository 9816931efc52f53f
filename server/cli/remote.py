# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that talk to a node: the same client as in Blender, without the window."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import platformdirs
import rich.live
import rich.progress
import typer

from addon.client.beside import run_beside
from addon.client.ledger import Order
from addon.client.observer import Observer, Unreachable
from addon.client.service import Client
from addon.protocol import blendfile
from addon.protocol.address import InvalidAddress, parse_address
from addon.protocol.errors import InvalidFrames
from addon.protocol.frame_range import parse_frames
from addon.protocol.messages import FINISHED, AskStore, Cancel, JobStatus
from addon.protocol.version import DEFAULT_PORT

from . import app, console, errors, fail, run, size
from .tables import job_table, short_time, store_table

CLIENT_DATA = platformdirs.user_data_path("relay-render", appauthor=False) / "client"

To = Annotated[str, typer.Option("--to", metavar="HOST[:PORT]", help="The node.")]
DEFAULT_TO = f"127.0.0.1:{DEFAULT_PORT}"

_OVER = ("done", "cancelled", "superseded")
"""States after which no frame comes any more; one that failed may be tried again."""


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="The .blend to render.")],
    to: To = DEFAULT_TO,
    frames: Annotated[str, typer.Option(help="Frames to render: 1-48, 1-10,20 or 1-100x2.")] = "1",
    output: Annotated[Path, typer.Option(help="Folder for the frames; made if missing.")] = Path(),
    scene: Annotated[str | None, typer.Option(help="Scene to render, if not the one the file opens with.")] = None,
    data: Annotated[Path, typer.Option(help="Folder of this client's own records.", show_default=False)] = CLIENT_DATA,
) -> None:
    """Render a .blend on a node and bring the frames here.

    Ends when all frames lie in the output folder. Ctrl+C leaves the job running; `watch` brings its frames later.
    """
    blend = _checked(file, frames, to)
    order = Order(uuid.uuid4().hex, str(blend), blend.name, scene, frames, str(output.absolute()))
    try:
        run(_submit(order, to, data))
    except KeyboardInterrupt:
        errors.print(f"The job stays. Go on with it, and bring its frames, with: python -m server watch --to {to}")
        raise typer.Exit(130) from None


@app.command()
def status(to: To = DEFAULT_TO) -> None:
    """Show a node's jobs."""

    async def show() -> None:
        async with _observer(to) as observer:
            console.print(observer.welcome_text, markup=False)
            console.print(job_table(observer.jobs.values()))

    run(show())


@app.command()
def watch(
    to: To = DEFAULT_TO,
    data: Annotated[Path, typer.Option(help="Folder of this client's own records.", show_default=False)] = CLIENT_DATA,
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
        async with _observer(to) as observer:
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
        async with _observer(to) as observer:
            observer.send(AskStore(shrink_to))
            await observer.until(lambda: observer.store is not None)
            assert observer.store is not None
            console.print(store_table(observer.store))

    run(ask())


def _checked(file: Path, frames: str, to: str) -> Path:
    """Say what is wrong before anything is sent; the absolute path when nothing is."""
    try:
        parse_frames(frames)
        parse_address(to)
        with file.open("rb") as opened:
            blendfile.read_header(opened.read(blendfile.HEAD_BYTES))
    except (InvalidFrames, InvalidAddress) as error:
        raise fail(str(error)) from error
    except blendfile.NotABlend as error:
        raise fail(f"{file}: {error}") from error
    except OSError as error:
        raise fail(f"{file} cannot be read: {error.strerror}.") from error
    return file.absolute()


async def _submit(order: Order, to: str, data: Path) -> None:
    data.mkdir(parents=True, exist_ok=True)
    lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    client = Client(data, lines.put_nowait)
    client.configure(to)
    client.render(order)
    end = await run_beside(client.run(adopt=False), _show_progress(order.job, lines))
    if end["state"] in _OVER:
        client.let_go(order.job)
    if end["state"] != "done":
        raise fail(end["text"])


async def _show_progress(job: str, lines: "asyncio.Queue[dict[str, Any]]") -> dict[str, Any]:
    """Draw a bar until the job has ended; return its last line. Raises typer.Exit when there is no job."""
    progress = rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TextColumn("{task.fields[note]}", markup=False),
        console=console,
    )
    said: set[str] = set()
    with progress:
        bar = progress.add_task("Connecting", total=1.0, note="")
        while True:
            line = await lines.get()
            if line["event"] == "connection" and line["state"] in ("lost", "refused"):
                progress.update(bar, description="Waiting", note=line["text"])
            if line.get("job") != job:
                continue
            if line["event"] == "problem":
                raise fail(line["text"])
            if line["event"] == "delivered":
                progress.console.print(line["path"], markup=False)
            if line["event"] == "job":
                for notice in set(line["notices"]) - said:
                    progress.console.print(notice, style="yellow", markup=False)
                said.update(line["notices"])
                progress.update(bar, **_bar(line))
                if line["state"] in (*_OVER, "failed"):
                    return line


def _bar(line: dict[str, Any]) -> dict[str, Any]:
    if line["state"] == "uploading":
        fraction = line["sent_bytes"] / max(1, line["total_bytes"])
        return {"description": "Sending", "completed": fraction, "note": f"{line['rate'] / 1e6:.0f} MB/s"}
    eta = "" if line["eta_s"] is None else f"  {short_time(line['eta_s'])} left"
    frame = "" if line["frame"] is None else f"frame {line['frame']}, "
    note = f"{frame}{line['done']} of {line['total']} done{eta}" if line["state"] != "waiting" else line["text"]
    return {"description": line["state"].capitalize(), "completed": line["fraction"], "note": note}


async def _watch(to: str, data: Path) -> None:
    data.mkdir(parents=True, exist_ok=True)
    with rich.live.Live(console=console, auto_refresh=False) as live:

        def show(line: dict[str, Any]) -> None:
            if line["event"] == "delivered":
                live.console.print(line["path"], markup=False)
            elif line["event"] == "job" and line["state"] in _OVER:
                client.let_go(line["job"])

        async def show_jobs() -> None:
            said = ""
            async with _observer(to) as observer:
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
async def _observer(to: str) -> AsyncIterator[Observer]:
    """A look at all jobs of a node; says why when there is none."""
    try:
        async with Observer.at(parse_address(to)) as observer:
            yield observer
    except (InvalidAddress, Unreachable) as error:
        raise fail(str(error)) from error


def _pick(start: str, jobs: dict[str, JobStatus]) -> JobStatus:
    found = [status for name, status in jobs.items() if name.startswith(start.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        raise fail(f"{len(found)} jobs begin with {start}: write more digits.")
    raise fail(f"No job begins with {start}: `python -m server status` lists them.")
