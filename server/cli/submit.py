# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server submit`: what a save in Blender does, without the window."""

import asyncio
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import rich.console
import rich.progress
import typer
from rich.markup import escape

from addon.client.beside import run_beside
from addon.client.gather import Dependency
from addon.client.ledger import Order
from addon.client.service import Client
from addon.protocol import blendfile
from addon.protocol.address import InvalidAddress, parse_address
from addon.protocol.errors import InvalidFrames
from addon.protocol.frame_order import FrameOrder
from addon.protocol.frame_range import parse_frames

from . import app, console, errors, fail, run
from .needs import CannotAsk, NobodyToAsk, dependencies_of
from .options import CLIENT_DATA, DEFAULT_TO, OVER, ClientData, To
from .tables import short_time


@app.command()
def submit(  # noqa: PLR0913, PLR0917 - each is an option
    file: Annotated[Path, typer.Argument(help="The .blend to render.")],
    to: To = DEFAULT_TO,
    frames: Annotated[str, typer.Option(help="Frames to render: 1-48, 1-10,20 or 1-100x2.")] = "1",
    output: Annotated[Path, typer.Option(help="Folder for the frames; made if missing.")] = Path(),
    scene: Annotated[str | None, typer.Option(help="Scene to render, if not the one the file opens with.")] = None,
    without_missing: Annotated[
        bool, typer.Option("--without-missing", help="Render although files that the scene uses cannot be found.")
    ] = False,
    draft: Annotated[
        bool,
        typer.Option("--draft/--no-draft", help="Begin with a small picture of few samples, where it costs little."),
    ] = True,
    order: Annotated[
        FrameOrder, typer.Option(help="One frame after the other, or spread out so that all can be judged early.")
    ] = FrameOrder.SEQUENCE,
    split: Annotated[
        bool,
        typer.Option(
            "--split/--no-split", help="Render a single frame on all slots, where that gives the same picture."
        ),
    ] = True,
    blender: Annotated[
        list[Path] | None,
        typer.Option(help="A Blender to ask what the file uses, beside those found: program or folder."),
    ] = None,
    data: ClientData = CLIENT_DATA,
) -> None:
    """Render a .blend on a node and bring the frames here.

    The files that it uses (textures, caches, libraries) are sent along; a Blender of this machine says which these are.
    Ends when all frames lie in the output folder. Ctrl+C leaves the job running; `watch` brings its frames later.
    """
    blend = _checked(file, frames, to)
    uses, warning = _dependencies(blend, blender or ())
    wanted = Order(
        uuid.uuid4().hex, str(blend), blend.name, scene, frames, str(output.absolute()),
        draft=draft, order=order, split=split, dependencies=uses,
    )  # fmt: skip
    try:
        run(_submit(wanted, to, data, warning, without_missing))
    except KeyboardInterrupt:
        errors.print(f"The job stays. Go on with it, and bring its frames, with: python -m server watch --to {to}")
        raise typer.Exit(130) from None


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


def _dependencies(blend: Path, extra: Sequence[Path]) -> tuple[tuple[Dependency, ...], str]:
    """Return what the file uses; or nothing, and what to say of that should the node take the file."""
    alone = f"{blend.name} is sent without the files that it uses. To have them there, pack them first (File > External"
    with console.status(f"Asking Blender what {escape(blend.name)} uses"):
        try:
            return dependencies_of(blend, extra), ""
        except NobodyToAsk as error:
            errors.print(f"{error}: {alone} Data > Pack Resources).", style="yellow", markup=False)
            return (), ""
        except CannotAsk as error:  # Most likely the node cannot open it either, and says why.
            return (), f"{error}: {alone} Data > Pack Resources)."


async def _submit(order: Order, to: str, data: Path, warning: str, without_missing: bool) -> None:
    data.mkdir(parents=True, exist_ok=True)
    lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    client = Client(data, lines.put_nowait)
    client.configure(to)
    client.render(order)
    show = _Progress(order.job, client, warning, without_missing)
    end = await run_beside(client.run(adopt=False), show.until_over(lines))
    if end["state"] in OVER:
        client.let_go(order.job)
    if end["state"] != "done":
        raise fail(end["text"])


class _Progress:
    """A bar, and below it what the artist should know."""

    def __init__(self, job: str, client: Client, warning: str, without_missing: bool) -> None:
        """`warning` is for a file that the node takes: of one that it does not, it says all there is to say."""
        self._job = job
        self._client = client
        self._warning = warning
        self._without_missing = without_missing
        self._said: set[str] = set()
        self._progress = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TaskProgressColumn(),
            rich.progress.TextColumn("{task.fields[note]}", markup=False),
            console=console,
        )
        self._bar = self._progress.add_task("Connecting", total=1.0, note="")

    async def until_over(self, lines: "asyncio.Queue[dict[str, Any]]") -> dict[str, Any]:
        """Draw until the job has ended; return its last line. Raises typer.Exit when there is no job."""
        with self._progress:
            while True:
                line = await lines.get()
                if line["event"] == "connection" and line["state"] in ("lost", "refused"):
                    self._progress.update(self._bar, description="Waiting", note=line["text"])
                if line.get("job") != self._job:
                    continue
                if line["event"] == "problem":
                    raise fail(line["text"])
                if line["event"] == "delivered":
                    self._print(line["path"])
                if line["event"] == "job" and self._show(line):
                    return line

    def _show(self, line: dict[str, Any]) -> bool:
        """Whether the job is over."""
        if self._warning and line["blender"]:  # The node has taken it.
            self._print(self._warning, style="yellow")
            self._warning = ""
        held_up = {line["text"]} if line["state"] == "queued" and line["text"] else set()
        for notice in (held_up | set(line["notices"])) - self._said:
            self._print(notice, style="yellow")
        self._said.update(line["notices"], held_up)
        self._progress.update(self._bar, **_bar(line))
        if line["missing"]:
            self._miss(line["missing"])
        return line["state"] in (*OVER, "failed")

    def _miss(self, missing: Sequence[dict[str, str]]) -> None:
        for each in missing:
            self._print(f"{each['owner']} {each['reason']}: {each['path']}", style="yellow")
        if not self._without_missing:
            self._client.let_go(self._job)
            raise fail("Put this right, or add --without-missing to render without.")
        self._client.go_on(self._job)

    def _print(self, text: str, style: str | None = None) -> None:
        self._progress.console.print(text, style=style, markup=False)


def _bar(line: dict[str, Any]) -> dict[str, Any]:
    if line["state"] == "uploading":
        fraction = line["sent_bytes"] / max(1, line["total_bytes"])
        return {"description": "Sending", "completed": fraction, "note": f"{line['rate'] / 1e6:.0f} MB/s"}
    eta = "" if line["eta_s"] is None else f"  {short_time(line['eta_s'])} left"
    frame = "" if line["frame"] is None else f"frame {line['frame']}, "
    waits = line["state"] in ("waiting", "queued") and line["text"]
    note = waits or f"{frame}{line['done']} of {line['total']} done{eta}"
    return {"description": line["state"].capitalize(), "completed": line["fraction"], "note": note}
