# SPDX-License-Identifier: GPL-3.0-or-later
"""What a save hands to the client: which frames of which file, and where each thing it writes belongs."""

import uuid
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from ..protocol.frame_range import MAX_FRAMES


class NotReady(Exception):
    """Rendering this file would fail; the message says what to do first."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One thing to render, collected from Blender's memory without reading the file."""

    blend: str
    """Absolute path of the saved file."""
    scene: str
    frames: str
    """As the protocol writes them: ``12``, ``1-48``, ``1-100x2``."""
    folder: str
    """Absolute folder for what the scene itself writes."""
    current: int | None = None
    """The frame that the artist is at."""
    targets: dict[str, str] = field(default_factory=dict)
    """Absolute folder for each directory that a File Output node names, by that name."""
    dependencies: list[dict[str, Any]] = field(default_factory=list)
    """What the scene uses beside the .blend, as the client's "render" command takes it."""
    warning: str = ""
    """What the artist should know although it does not keep the frames from being rendered."""


def frames_text(start: int, end: int, step: int = 1) -> str:
    """Return a scene's range as the protocol writes frame lists. Raises NotReady for one that cannot be a job.

    >>> frames_text(1, 48), frames_text(1, 100, 2), frames_text(7, 7)
    ('1-48', '1-100x2', '7')
    """
    if end < start:
        raise NotReady(f"The scene ends (frame {end}) before it starts (frame {start}): set its frame range.")
    if start < 0:
        raise NotReady(f"Frame {start} is before frame 0, the first that the node renders: go to a later one.")
    if (count := (end - start) // step + 1) > MAX_FRAMES:
        raise NotReady(f"The scene has {count:,} frames; one job may have {MAX_FRAMES:,}: render it in parts.")
    if start == end:
        return str(start)
    return f"{start}-{end}" + (f"x{step}" if step > 1 else "")


def render_command(
    shot: Shot, *, trigger: str, keep_older: bool, draft: bool, order: str, split: bool
) -> dict[str, Any]:
    """Return the line that hands `shot` to the client, as a new job."""
    return {
        "command": "render",
        "job": uuid.uuid4().hex,
        "blend": shot.blend,
        "title": PurePath(shot.blend).name,
        "scene": shot.scene,
        "frames": shot.frames,
        "trigger": trigger,
        "keep_older": keep_older,
        "draft": draft,
        "order": order,
        "current": shot.current,
        "split": split,
        "folder": shot.folder,
        "targets": shot.targets,
        "dependencies": shot.dependencies,
    }
