# SPDX-License-Identifier: GPL-3.0-or-later
"""Walls around the Blenders that open other people's files: bubblewrap on Linux, none elsewhere."""

from .base import Command, Mode, NoSandbox, Sandbox, environment
from .containment import (
    WORKER_SCRIPT,
    CannotContain,
    Cell,
    Containment,
    SandboxMissing,
    contain,
    find_sandbox,
    make_folders,
    try_in,
)
from .obstacles import Obstacle

__all__ = [
    "WORKER_SCRIPT",
    "CannotContain",
    "Cell",
    "Command",
    "Containment",
    "Mode",
    "NoSandbox",
    "Obstacle",
    "Sandbox",
    "SandboxMissing",
    "contain",
    "environment",
    "find_sandbox",
    "make_folders",
    "try_in",
]
