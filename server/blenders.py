# SPDX-License-Identifier: GPL-3.0-or-later
"""The Blenders of this machine, and which of them renders a file."""

import importlib.metadata
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .blender_places import NAMES, Machine, candidates, programs_at
from .errors import ServerError

OLDEST = (4, 2, 0)
"""The first version that knows --offline-mode and the extension's API."""

WHEEL = "bpy wheel"

WORKER_FLAGS = ("-b", "--factory-startup", "-Y", "--offline-mode", "--python-exit-code", "1", "--python")
"""No window, no settings or add-ons of this account, no scripts of the file, no network; a script's error ends it."""

VERSION_TIMEOUT_S = 20.0
"""`--version` takes 0.1 s; a Flatpak's or snap's first start, or a virus scanner, makes it many."""

_VERSION = re.compile(r"^Blender (\d+)\.(\d+)(?:\.(\d+))?", re.MULTILINE)
_log = logging.getLogger(__name__)


class NoBlender(ServerError):
    """This node has no Blender that can open the file."""


class BrokenBlender(ServerError):
    """This Blender cannot be used."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.path = path
        self.reason = reason
        """What follows the path in a sentence, with the program's own complaint."""


@dataclass(frozen=True)
class Blender:
    """A Blender that can run the worker: an installed program or the wheel."""

    version: tuple[int, int, int]
    command: tuple[str, ...]
    """What starts a worker, up to and without the script's path."""
    source: str
    """The executable's path, or WHEEL."""

    @property
    def name(self) -> str:
        """The version as people write it: 5.2.2."""
        return ".".join(map(str, self.version))


@dataclass(frozen=True)
class Survey:
    """What there is on this machine: oldest first, one of each version."""

    blenders: list[Blender]
    broken: list[BrokenBlender]


def find_blenders(extra: Sequence[Path] = ()) -> list[Blender]:
    """Every usable Blender: those in `extra` (programs, folders or .apps), on PATH, in the usual places, the wheel.

    Of two with the same version the first in that order stays. One that cannot be used is logged and left out.
    """
    survey = survey_blenders(extra)
    for broken in survey.broken:
        _log.warning("%s", broken)
    return survey.blenders


def survey_blenders(extra: Sequence[Path] = (), machine: Machine | None = None) -> Survey:
    """As find_blenders, with those that were left out and why."""
    paths, broken = _programs(extra, machine or Machine())
    found: dict[tuple[int, int, int], Blender] = {}
    # Blender takes 0.1 s to say its version, or the whole timeout: ask all at once.
    with ThreadPoolExecutor(max_workers=8) as pool:
        for answer in pool.map(_ask, paths):
            if isinstance(answer, BrokenBlender):
                broken.append(answer)
            else:
                found.setdefault(answer.version, answer)
    if wheel := _wheel():
        found.setdefault(wheel.version, wheel)
    return Survey([found[version] for version in sorted(found)], broken)


def choose_blender(file_version: tuple[int, int] | None, available: Iterable[Blender]) -> Blender:
    """The Blender to render a file with; raises NoBlender with a sentence for the artist.

    The file's own major.minor, else the nearest newer one, since an older Blender drops what it does not know. The
    highest patch of that, an installed one before the wheel. `file_version` None (unknown): the newest there is.
    """
    ranked = sorted(available, key=lambda blender: (blender.version, blender.source != WHEEL))
    if not ranked:
        raise NoBlender(
            "The render node has no Blender: install one from blender.org there, then start the node again."
        )
    newest = ranked[-1]
    if file_version is None:
        return newest
    fit = min((blender.version[:2] for blender in ranked if blender.version[:2] >= file_version), default=None)
    if fit is None:
        wanted = "{}.{}".format(*file_version)
        raise NoBlender(
            f"This file is from Blender {wanted} and the render node's newest is {newest.name}: "
            f"install Blender {wanted} or newer there, then start the node again."
        )
    return [blender for blender in ranked if blender.version[:2] == fit][-1]


def wheel_version() -> str | None:
    """Version of the bpy wheel installed beside this Python, from its metadata: importing it would start Blender."""
    try:
        return importlib.metadata.version("bpy")
    except importlib.metadata.PackageNotFoundError:
        return None


def ask_version(path: Path, timeout_s: float = VERSION_TIMEOUT_S) -> tuple[int, int, int]:
    """What `path --version` answers; raises BrokenBlender. No window can open: the program gets no display."""
    environment = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}
    try:
        process = subprocess.Popen(
            [path, "--version"], env=environment, text=True, encoding="utf-8", errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
    except OSError as error:
        raise BrokenBlender(path, f"does not start: {error.strerror or error}.") from None
    with process:
        try:
            output, errors = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise BrokenBlender(path, f"did not tell its version within {timeout_s:g} s.") from None
    match = _VERSION.search(output)
    if process.returncode or not match:
        complaint = (errors.strip() or output.strip() or f"exit code {process.returncode}").splitlines()[-1]
        raise BrokenBlender(path, f"does not start: {complaint}")
    return _three(match.groups())


def _programs(extra: Sequence[Path], machine: Machine) -> tuple[list[Path], list[BrokenBlender]]:
    """Each program once, those a person named first."""
    paths: dict[Path, Path] = {}
    broken = []
    for place in extra:
        programs = programs_at(place)
        if not programs:
            broken.append(BrokenBlender(place, "is no Blender: name its program or the folder that holds it."))
        for path in programs:
            paths.setdefault(_identity(path), path)
    for path in candidates(machine):
        paths.setdefault(_identity(path), path)
    return list(paths.values()), broken


def _identity(path: Path) -> Path:
    """The file behind links; but a snap's link leads to /usr/bin/snap, which looks at the name it was called by."""
    real = Path(os.path.realpath(path))
    return real if NAMES.fullmatch(real.name) else path.absolute()


def _ask(path: Path) -> Blender | BrokenBlender:
    try:
        version = ask_version(path)
    except BrokenBlender as broken:
        return broken
    if version < OLDEST:
        name = ".".join(map(str, version))
        return BrokenBlender(path, f"is Blender {name}: the oldest that can render here is 4.2.")
    return Blender(version, (str(path.absolute()), *WORKER_FLAGS), str(path.absolute()))


def _wheel() -> Blender | None:
    match = _VERSION.match(f"Blender {wheel_version()}")
    if not match or not sys.executable or _three(match.groups()) < OLDEST:
        return None
    return Blender(_three(match.groups()), (sys.executable,), WHEEL)


def _three(numbers: Sequence[str | None]) -> tuple[int, int, int]:
    major, minor, patch = (int(number or 0) for number in numbers)
    return major, minor, patch


def _kill(process: subprocess.Popen[str]) -> None:
    """A wrapper's children too, where there are sessions: they would hold the pipes open."""
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
