# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of this node's Blenders run in a sandbox, found out by trying each, and why the others do not."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ..blender_places import NAMES
from ..blenders import WHEEL, Blender
from ..errors import ServerError
from .base import Command, Mode, NoSandbox, Sandbox
from .bubblewrap import Bubblewrap
from .obstacles import Obstacle, failing, missing
from .shown import SYSTEM

WORKER_SCRIPT = Path(__file__).parents[1] / "blender_scripts" / "worker.py"

PROBE_TIMEOUT_S = 20.0
"""As long as Blender may take to say its version; inside as outside that is 0.1 s."""

_WHEEL_PROBE = "import importlib.util as u; raise SystemExit(u.find_spec('bpy') is None)"


class SandboxMissing(ServerError):
    """The owner insists on a sandbox, and there is none."""


class CannotContain(ServerError):
    """This Blender does not run in the sandbox."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(text)
        self.remedy = remedy
        """What to do about it, one sentence."""


@dataclass(frozen=True, slots=True)
class Cell:
    """How one Blender's workers are started."""

    sandbox: Sandbox
    argv: tuple[str, ...]
    """What starts a worker, up to and without the script's path."""
    shown: tuple[Path, ...] = ()
    """What it needs of this machine beside the system."""

    def command(self, readable: Path, writable: Path) -> Command:
        """Return how to start a worker that has these two folders."""
        return self.sandbox.wrap((*self.argv, str(WORKER_SCRIPT)), self.shown, readable, writable)


@dataclass(frozen=True)
class Containment:
    """Every Blender's cell."""

    cells: Mapping[Blender, Cell] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    """Why Blenders are not sandboxed, one sentence each; empty when all are."""

    @property
    def is_complete(self) -> bool:
        """Whether no Blender runs without a sandbox."""
        return bool(self.cells) and all(cell.sandbox.is_active for cell in self.cells.values())

    def describe(self) -> str:
        """One line for the node's owner."""
        if self.is_complete:
            return "Blenders are sandboxed"
        inside = [blender.name for blender, cell in self.cells.items() if cell.sandbox.is_active]
        return (
            f"Blender {', '.join(inside)} is sandboxed, the others are not" if inside else "Blenders are not sandboxed"
        )

    def cell(self, blender: Blender) -> Cell:
        """Return how to start this one's workers."""
        return self.cells.get(blender) or Cell(NoSandbox("nobody asked for one."), blender.command)


def contain(mode: Mode, blenders: Sequence[Blender], data: Path) -> Containment:
    """Find out which Blenders can run in a sandbox, by running each there; `data` is the node's folder and exists.

    Raises SandboxMissing in mode REQUIRE when there is none, or when no Blender runs in it; one that does not is then
    left out.
    """
    if mode is Mode.OFF:
        return _without(blenders, "it was turned off with --sandbox off.")
    sandbox = find_sandbox(data)
    if isinstance(sandbox, Obstacle):
        if mode is Mode.REQUIRE:
            raise SandboxMissing(f"--sandbox require: {sandbox.text} {sandbox.remedy}")
        return _without(blenders, f"{sandbox.text} {sandbox.remedy}")
    (data / "workers").mkdir(exist_ok=True)
    with ThreadPoolExecutor(max_workers=8) as pool:
        results = pool.map(lambda each: try_in(sandbox, each, data / "workers"), blenders)
        tried = dict(zip(blenders, results, strict=True))
    reasons = tuple(f"{result} {result.remedy}" for result in tried.values() if isinstance(result, CannotContain))
    cells = {blender: result for blender, result in tried.items() if isinstance(result, Cell)}
    if mode is Mode.REQUIRE:
        if not cells:
            raise SandboxMissing(f"--sandbox require: {' '.join(reasons)}")
        return Containment(cells, reasons)
    outside = NoSandbox("it does not run in one.")
    return Containment({blender: cells.get(blender) or Cell(outside, blender.command) for blender in blenders}, reasons)


def find_sandbox(data: Path) -> Bubblewrap | Obstacle:
    """Return the sandbox of this machine, which hides the node's folder `data`, or why there is none."""
    if platform.system() != "Linux":
        return Obstacle("A sandbox needs Linux.", "Run the node as an account of its own.")
    program = shutil.which("bwrap")
    if program is None:
        return missing()
    options = _options(program)
    with tempfile.TemporaryDirectory() as folder:
        readable, writable = make_folders(Path(folder))
        trial = Bubblewrap(Path(program), _home() or Path(folder), Path(folder), options)
        complaint = _run(trial.wrap(("/bin/true",), (), readable, writable))
    if complaint is not None:
        return failing(complaint)
    return Bubblewrap(Path(program), _home() or data.absolute(), data.absolute(), options)


def make_folders(folder: Path) -> tuple[Path, Path]:
    """Make and return the folder that a worker reads, and the one it writes, below `folder`."""
    readable, writable = folder / "in", folder / "out"
    readable.mkdir(parents=True)
    for name in ("tmp", "home"):
        (writable / name).mkdir(parents=True)
    return readable, writable


def cell_of(sandbox: Bubblewrap, blender: Blender) -> Cell:
    """Return the cell for a Blender. Raises CannotContain when it would show what is to be hidden."""
    argv, wanted = blender.command, {WORKER_SCRIPT.parent}
    if blender.source == WHEEL:
        wanted |= {Path(sys.prefix), Path(sys.base_prefix), *_site_packages()}
    else:
        real = Path(os.path.realpath(blender.source))
        wanted.add(real.parent)
        if NAMES.fullmatch(real.name):  # Not a snap's, which is a link to /usr/bin/snap.
            argv = (str(real), *blender.command[1:])
    if config := os.environ.get("OCIO"):
        wanted.add(Path(config).absolute().parent)
    shown = tuple(path for path in sorted(wanted) if not _is_system(path))
    for path in shown:
        for secret, what in ((sandbox.home, "your home folder"), (sandbox.data, "the node's data folder")):
            if secret.is_relative_to(path):
                raise CannotContain(
                    f"Blender {blender.name} cannot be sandboxed, since {path}, which it needs, holds {what}.",
                    "Move it into a folder of its own.",
                )
    return Cell(sandbox, argv, shown)


def try_in(sandbox: Bubblewrap, blender: Blender, spare: Path) -> Cell | CannotContain:
    """Return a Blender's cell, or why it does not run there. `spare`: a folder to try it in."""
    try:
        cell = cell_of(sandbox, blender)
    except CannotContain as error:
        return error
    question = (cell.argv[0], "-c", _WHEEL_PROBE) if blender.source == WHEEL else (cell.argv[0], "--version")
    with tempfile.TemporaryDirectory(dir=spare) as folder:
        complaint = _run(sandbox.wrap(question, cell.shown, *make_folders(Path(folder))))
    if complaint is None:
        return cell
    last = complaint.strip().splitlines()[-1].rstrip(".") if complaint.strip() else "it says nothing"
    return CannotContain(
        f"Blender {blender.name} ({blender.source}) does not run in the sandbox: {last}.",
        "Programs that bring a sandbox or a container of their own (snap, Flatpak, Steam) do not: install the one from "
        "blender.org.",
    )


def _run(command: Command) -> str | None:
    """Return what a program that failed had to say; None: it did not fail."""
    try:
        done = subprocess.run(
            command.argv, env=command.environment, capture_output=True, text=True, errors="replace", check=False,
            stdin=subprocess.DEVNULL, timeout=PROBE_TIMEOUT_S,
        )  # fmt: skip
    except OSError as error:
        return error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return f"no answer within {PROBE_TIMEOUT_S:g} s"
    return (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}") if done.returncode else None


def _home() -> Path | None:
    """The home of this account; None: it has none of its own, like the accounts of some services."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return home if home.is_absolute() and home != Path("/") else None


def _options(program: str) -> tuple[str, ...]:
    """0.8 can forbid namespaces within; older ones do not know the option."""
    try:
        help_text = subprocess.run([program, "--help"], capture_output=True, text=True, check=False, timeout=5).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return ("--disable-userns",) if re.search(r"--disable-userns\b", help_text) else ()


def _site_packages() -> Iterable[Path]:
    """Where the wheel was installed, which is below the prefix but for `pip install --user`."""
    return {Path(path) for path in sys.path if (Path(path) / "bpy").is_dir()}


def _is_system(path: Path) -> bool:
    return any(path.is_relative_to(Path("/") / name) for name in SYSTEM)


def _without(blenders: Iterable[Blender], reason: str) -> Containment:
    reasons = (NoSandbox(reason).describe(),)
    return Containment({blender: Cell(NoSandbox(reason), blender.command) for blender in blenders}, reasons)
