# SPDX-License-Identifier: GPL-3.0-or-later
"""How a Blender is started: as it is, or within walls."""

import abc
import enum
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_DROPPED = {"PYTHONPATH", "PYTHONHOME", "OMP_NUM_THREADS", "VIRTUAL_ENV"}
"""Would change Blender's rendering or its Python."""


class Mode(enum.StrEnum):
    """What the node's owner wants."""

    AUTO = "auto"
    REQUIRE = "require"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Command:
    """A program to start."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    """All of it: nothing is inherited."""


class Sandbox(abc.ABC):
    """Decides what a worker's Blender can see and touch."""

    @property
    @abc.abstractmethod
    def is_active(self) -> bool:
        """Whether there are walls at all."""

    @abc.abstractmethod
    def wrap(self, argv: Sequence[str], shown: Sequence[Path], readable: Path, writable: Path) -> Command:
        """Return how to start `argv`, which needs the folders `shown` of this machine and its own two folders."""

    @abc.abstractmethod
    def describe(self) -> str:
        """One sentence on what holds."""


@dataclass(frozen=True, slots=True)
class NoSandbox(Sandbox):
    """The program sees what the node's account sees."""

    reason: str
    """Why there is no other, one sentence."""

    @property
    def is_active(self) -> bool:
        return False

    def wrap(self, argv: Sequence[str], shown: Sequence[Path], readable: Path, writable: Path) -> Command:  # noqa: ARG002
        return Command(tuple(argv), environment())

    def describe(self) -> str:
        return f"Blenders are not sandboxed: {self.reason}"


def environment() -> dict[str, str]:
    """Return this process's environment without what would change Blender's rendering or its Python."""
    return {name: value for name, value in os.environ.items() if name not in _DROPPED}
