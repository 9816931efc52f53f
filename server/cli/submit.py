# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server submit`: what a save in Blender does, without the window."""

import uuid
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from addon.blender.shot import NotReady, frames_text
from addon.client.contents import Contents
from addon.client.ledger import Entry, Order, entries
from addon.protocol import blendfile
from addon.protocol.address import InvalidAddress, parse_address
from addon.protocol.engine import Engine
from addon.protocol.errors import InvalidFrames
from addon.protocol.frame_order import FrameOrder
from addon.protocol.frame_range import parse_frames
from addon.protocol.limits import HIGHEST_PRIORITY, LOWEST_PRIORITY

from . import app, called, errors, fail, fail_for, run
from .bringing import Wishes, bring
from .exits import Exit
from .needs import CannotAsk, NobodyToAsk, contents_of
from .options import CLIENT_DATA, DEFAULT_TO, ClientData, To, to_go_on
from .output import JsonLines


@app.command()
def submit(  # noqa: PLR0913, PLR0917 - each is an option
    file: Annotated[
        Path | None, typer.Argument(help="The .blend to render; with --resume a job's ID.", show_default=False)
    ] = None,
    to: To = DEFAULT_TO,
    frames: Annotated[
        str | None,
        typer.Option(metavar="FRAMES", help="Frames to render: 1-48, 1-10,20 or 1-100x2.", show_default="1"),
    ] = None,
    animation: Annotated[bool, typer.Option("--animation", help="Render the scene's own range of frames.")] = False,
    output: Annotated[Path, typer.Option(help="Folder for the frames; made if missing.")] = Path(),
    scene: Annotated[str | None, typer.Option(help="Scene to render, if not the one the file opens with.")] = None,
    engine: Annotated[Engine | None, typer.Option(help="Render with this engine instead of the scene's own.")] = None,
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
    priority: Annotated[
        int,
        typer.Option(
            help="Jobs of a higher number come first; only the node's owner gives more than 0.",
            min=LOWEST_PRIORITY,
            max=HIGHEST_PRIORITY,
        ),
    ] = 0,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the frames, or only until the node has the job.")
    ] = True,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a job that was interrupted: the one named, or the newest."),
    ] = False,
    json: JsonLines = False,
    blender: Annotated[
        list[Path] | None,
        typer.Option(help="A Blender to ask what the file uses, beside those found: program or folder."),
    ] = None,
    data: ClientData = CLIENT_DATA,
) -> None:
    """Render a .blend on a node and bring the frames here.

    The files that it uses (textures, caches, libraries) are sent along; a Blender of this machine says which these are.
    Ends when all frames lie in the output folder. Ctrl+C leaves the job running and says how to return to it. With
    --no-wait it ends as soon as the node has the job, and prints the job's ID; `fetch` or `watch` bring the frames.
    """
    _check_address(to)
    warning = ""
    if resume:
        wanted = _interrupted(file, data).order
    else:
        if file is None:
            raise fail(f"Say which .blend to render: {called()} submit shot.blend", Exit.USAGE)
        if animation and frames is not None:
            raise fail("Give either --frames or --animation.", Exit.USAGE)
        _check(file, frames or "1")
        contents, warning = _contents(file.absolute(), blender or [])
        chosen = _range(contents, scene, warning) if animation else frames or "1"
        wanted = Order(
            uuid.uuid4().hex, str(file.absolute()), file.name, scene, chosen, str(output.absolute()),
            draft=draft, order=order, split=split, priority=priority, engine=engine,
            dependencies=contents.files if contents else (),
        )  # fmt: skip
    try:
        run(bring(wanted, to, data, Wishes(resume, wait, json, without_missing, warning)))
    except KeyboardInterrupt:
        again = to_go_on("submit", "--resume", wanted.job[:8], to=to, data=data)
        errors.print(f"The job stays. Go on with it, and bring its frames: {again}", soft_wrap=True, markup=False)
        raise typer.Exit(Exit.INTERRUPTED) from None


def _check_address(to: str) -> None:
    try:
        parse_address(to)
    except InvalidAddress as error:
        raise fail_for(error) from error


def _check(file: Path, frames: str) -> None:
    """Say what is wrong before anything is sent."""
    try:
        parse_frames(frames)
        with file.open("rb") as opened:
            blendfile.read_header(opened.read(blendfile.HEAD_BYTES))
    except InvalidFrames as error:
        raise fail_for(error) from error
    except blendfile.NotABlend as error:
        raise fail(f"{file}: {error}") from error
    except OSError as error:
        raise fail(f"{file} cannot be read: {error.strerror}.", Exit.FILES_MISSING) from error


def _contents(blend: Path, extra: list[Path]) -> tuple[Contents | None, str]:
    """Return what is in the file; or nothing, and what to say of that should the node take the file."""
    alone = f"{blend.name} is sent without the files that it uses. To have them there, pack them first (File > External"
    with errors.status(f"Asking Blender what {escape(blend.name)} uses"):
        try:
            return contents_of(blend, extra), ""
        except NobodyToAsk as error:
            errors.print(f"{error}: {alone} Data > Pack Resources).", style="yellow", markup=False)
            return None, ""
        except CannotAsk as error:  # Most likely the node cannot open it either, and says why.
            return None, f"{error}: {alone} Data > Pack Resources)."


def _range(contents: Contents | None, scene: str | None, warning: str) -> str:
    """Return the frames of the scene that is to be rendered."""
    if contents is None:
        raise fail(f"{warning} Without a Blender here the scene's range is not known: give --frames.".strip())
    wanted = next((each for each in contents.scenes if each.name == scene or (scene is None and each.active)), None)
    if wanted is None:
        names = ", ".join(each.name for each in contents.scenes)
        raise fail(f"The file has no scene called {scene}, but {names}.", Exit.USAGE)
    try:
        return frames_text(wanted.frame_start, wanted.frame_end, wanted.frame_step)
    except NotReady as error:
        raise fail(str(error)) from error


def _interrupted(which: Path | None, data: Path) -> Entry:
    """Return the job to go on with: that whose ID begins so, or the newest that was not brought to its end."""
    start = "" if which is None else str(which).lower()
    ends = ("",) if which is None else ("", "failed")  # One that the node refused is sent again by its name only.
    found = [entry for entry in entries(data / "jobs") if entry.job.startswith(start) and entry.end in ends]
    if which is not None and len(found) > 1:
        raise fail(f"{len(found)} jobs begin with {which}: write more digits.", Exit.USAGE)
    if found:
        return found[0]
    if which is None:
        raise fail("No job was interrupted on this machine.", Exit.NO_JOB)
    raise fail(
        f"No job that was interrupted on this machine begins with {which}: `{called()} fetch {which}` brings the "
        "frames that a node holds.",
        Exit.NO_JOB,
    )
