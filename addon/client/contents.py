# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Blender says of a .blend that it was asked about, with addon/blender/describe.py. Pure."""

from dataclasses import dataclass
from typing import Any

from ..protocol.codec import build
from .gather import Dependency


@dataclass(frozen=True, slots=True)
class SceneInfo:
    """One scene, as Blender has it; frames a second, pixels."""

    name: str
    active: bool
    """Whether the file opens with it."""
    frame_start: int
    frame_end: int
    frame_step: int
    frame_current: int
    fps: float
    engine: str
    width: int
    height: int
    samples: int | None
    camera: bool
    format: str
    is_movie: bool


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a .blend."""

    version: str
    """Of the Blender that saved it, "5.2"."""
    scenes: tuple[SceneInfo, ...]
    files: tuple[Dependency, ...]
    """What it uses beside itself."""


def contents(said: dict[str, Any]) -> Contents:
    """Return what describe.py has written. Raises RemoteProtocolError for anything else."""
    found: Contents = build(Contents, said)
    return found
