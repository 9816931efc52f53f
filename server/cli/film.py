# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server video`: a video of a job's frames, made on this machine."""

import enum
import re
from pathlib import Path
from typing import Annotated

import rich.progress
import typer

from ..encoding import encode
from ..frame_files import Sequence, sequences
from ..video import CODECS, LINEAR, STILLS, CannotEncode, find_ffmpeg
from . import app, console, errors, fail, run
from .completion import complete_job
from .exits import Exit
from .fetching import bring_home
from .options import DEFAULT_TO, To


class CodecName(enum.StrEnum):
    """What `video.CODECS` has."""

    H264 = "h264"
    PRORES = "prores"


@app.command()
def video(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|JOB",
            help="A folder of frames, or a job's ID.",
            autocompletion=complete_job,
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="The file to make.", show_default="the folder's name with .mp4 or .mov")
    ] = None,
    codec: Annotated[CodecName, typer.Option(help="h264: for looking at; prores: for editing.")] = CodecName.H264,
    fps: Annotated[float, typer.Option(min=0.01, max=1000, help="Frames a second.")] = 24.0,
    folder: Annotated[
        Path | None, typer.Option(help="Where a job's frames go, and stay.", show_default="the job's ID, here")
    ] = None,
    to: To = DEFAULT_TO,
) -> None:
    """Make a video of rendered frames, with ffmpeg on this machine.

    Of a job the frames are fetched first, as by `fetch`. Gaps between frames are closed. OpenEXR frames get the sRGB
    curve in place of the scene's view transform.
    """
    kind = CODECS[codec]
    try:
        find_ffmpeg()
        frames_in = Path(source)
        if not frames_in.is_dir():
            frames_in = _fetched(source, to, folder)
        chosen = _chosen(frames_in)
        target = (output or Path(f"{frames_in.absolute().name}{kind.suffix}")).absolute()
        if target.suffix.lower() != kind.suffix:
            raise fail(f"A video of this kind is called *{kind.suffix}: {target.name} is not.", Exit.USAGE)
        with rich.progress.Progress(console=errors) as progress:
            bar = progress.add_task(target.name, total=len(chosen.frames))
            for done in encode(chosen.frames, fps, kind, target):
                progress.update(bar, completed=done)
    except (CannotEncode, OSError) as error:
        raise fail(str(error)) from error
    except KeyboardInterrupt:
        errors.print("No video was made; the frames stay.")
        raise typer.Exit(Exit.INTERRUPTED) from None
    console.print(str(target), markup=False, soft_wrap=True)


def _fetched(job: str, to: str, folder: Path | None) -> Path:
    if not re.fullmatch("[0-9a-fA-F]{1,32}", job):
        raise fail(f"{job} is neither a folder nor a job's ID.", Exit.USAGE)
    target = folder or Path(job.lower())
    run(bring_home(job, to, target))
    return target


def _chosen(folder: Path) -> Sequence:
    """Return the longest sequence in a folder, and say what is left out."""
    files = folder.iterdir() if folder.is_dir() else ()  # Of a job that was fetched elsewhere nothing has come.
    found = [each for each in sequences(files) if each.suffix.lower() in STILLS]
    if not found:
        raise fail(f"{folder} has no numbered frames that a video can be made of.", Exit.FILES_MISSING)
    if len(found) > 1:
        others = ", ".join(each.name for each in found[1:])
        errors.print(f"The video is made of {found[0].name}, without {others}.", style="yellow", markup=False)
    if found[0].suffix.lower() in LINEAR:
        errors.print(
            "OpenEXR has no view transform: the sRGB curve takes its place, so the video may not look as in Blender.",
            style="yellow",
        )
    return found[0]
