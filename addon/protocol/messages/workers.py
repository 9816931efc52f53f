# SPDX-License-Identifier: GPL-3.0-or-later
"""The Blenders of a node, and what they cost it."""

import enum
from dataclasses import dataclass


class WorkerState(enum.StrEnum):
    """What a Blender does."""

    STARTING = "starting"
    SPARE = "spare"
    """Started, and waiting for a file."""
    RENDERING = "rendering"
    IDLE = "idle"
    """Waiting, with a file open."""


@dataclass(frozen=True, slots=True)
class AskWorkers:
    """Say which Blenders run."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One Blender of a node."""

    pid: int
    blender: str
    """Version, "5.2.2"."""
    slot: int | None
    """None: a spare."""
    state: WorkerState
    memory: int
    """Resident bytes, its children's included."""
    rendered: int
    """Frames so far."""
    age_s: float


@dataclass(frozen=True, slots=True)
class Workers:
    """All Blenders of a node, now."""

    slots: int
    """Frames that can be rendered at once."""
    workers: tuple[WorkerStatus, ...]
