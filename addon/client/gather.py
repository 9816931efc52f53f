# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a scene says it uses to the files on this machine, and those that are not there.

Blender's window waits for nothing of this: it names paths from memory, and this process looks at the disk.
"""

import enum
import functools
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..protocol.errors import UnsafePath
from ..protocol.paths import check_relative_name


class Kind(enum.StrEnum):
    """Which files a path stands for."""

    FILE = "file"
    UDIM = "udim"
    """One for each tile: the name holds <UDIM> or <UVTILE>."""
    SEQUENCE = "sequence"
    """Every one that differs from this in its frame number alone."""
    PREFIX = "prefix"
    """Every one in the folder whose name begins with this one's."""
    FOLDER = "folder"
    """Everything below."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something outside the .blend that the scene uses."""

    path: str
    """Absolute, as the artist's Blender resolves it."""
    owner: str
    """Which data-block uses it, for people: ``Image "wood.png"``."""
    kind: Kind = Kind.FILE
    tiles: tuple[int, ...] = ()
    """UDIM: the numbers of the tiles, from 1001."""
    required: bool = True
    """Whether the artist has to be told when it is not there: a cache that was never baked is missing nobody."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file to send."""

    path: Path
    owner: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A file that cannot be sent."""

    path: Path
    owner: str
    reason: str
    """What is wrong with it, without a full stop: "is not there"."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the scene's dependencies come to, each file once, in the order in which the scene names them."""

    files: list[Found]
    missing: list[Missing]


def gather(dependencies: Iterable[Dependency]) -> Gathered:
    """Look for the files on the disk; looks at each once, and lists a folder once however many name it.

    Files are not read: what a USD layer or an OSL script includes has to be named by the scene, too, or stays behind.
    """
    folders = _Folders()
    files: dict[str, Found] = {}
    missing: dict[str, Missing] = {}
    for each in dependencies:
        paths = list(_expanded(each, folders))
        if not paths and not Path(each.path).is_dir():  # An empty folder lacks nothing.
            _miss(missing, each, Path(each.path), _ABSENT)
        for path in paths:
            key = _key(path)
            if key in files or key in missing:
                continue
            if reason := _obstacle(path):
                _miss(missing, each, path, reason)
            else:
                files[key] = Found(path, each.owner)
    return Gathered(list(files.values()), list(missing.values()))


_ABSENT = "is not there"


def _key(path: Path) -> str:
    """One for all spellings of a path; links are not followed: where a file stands in the scene's tree matters."""
    return os.path.normcase(os.path.normpath(path))


def _miss(missing: dict[str, Missing], each: Dependency, path: Path, reason: str) -> None:
    if each.required:
        missing.setdefault(_key(path), Missing(path, each.owner, reason))


def _obstacle(path: Path) -> str:
    """Return why `path` cannot be sent, or an empty string."""
    try:
        mode = path.stat().st_mode
        normal = Path(os.path.normpath(path))
        check_relative_name(normal.relative_to(normal.anchor).as_posix())
    except UnsafePath:
        return "has a name that cannot be sent"
    except (FileNotFoundError, NotADirectoryError):
        return _ABSENT
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not stat.S_ISREG(mode):
        return "is not a file"
    return "" if os.access(path, os.R_OK) else "cannot be read (permission denied)"


def _expanded(each: Dependency, folders: "_Folders") -> Iterable[Path]:
    path = Path(each.path)
    match each.kind:
        case Kind.FILE:
            return [path]
        case Kind.UDIM:
            return [Path(tile_path(each.path, tile)) for tile in each.tiles]
        case Kind.SEQUENCE:
            return folders.matching(path, is_frame)
        case Kind.PREFIX:
            return folders.matching(path, lambda prefix, name: name.startswith(prefix))
        case Kind.FOLDER:
            return _below(path)


def tile_path(path: str, tile: int) -> str:
    """Return the path of one UDIM tile, as Blender counts: ten to a row, from 1001.

    >>> tile_path("/t/skin.<UDIM>.png", 1012), tile_path("/t/skin_<UVTILE>.png", 1012)
    ('/t/skin.1012.png', '/t/skin_u2_v2.png')
    """
    row, column = divmod(tile - 1001, 10)
    return path.replace("<UDIM>", str(tile)).replace("<UVTILE>", f"u{column + 1}_v{row + 1}")


def is_frame(first: str, name: str) -> bool:
    """Whether file name `name` is `first` but for the frame number: the last number before the last full stop.

    A frame with more digits than that has more of them, one before 0 has a minus, as Blender writes them.

    >>> is_frame("a2_0001.png", "a2_0102.png"), is_frame("a2_0001.png", "a3_0001.png")
    (True, False)
    """
    return bool(_frame_pattern(first).fullmatch(name))


@functools.lru_cache(maxsize=64)
def _frame_pattern(first: str) -> re.Pattern[str]:
    numbered = re.fullmatch(r"(.*?)(\d+)(\D*)", Path(first).stem, re.DOTALL | re.ASCII)
    if numbered is None:
        return re.compile(re.escape(first))
    head, digits, tail = numbered.groups()
    number = rf"-?(?:\d{{{len(digits)}}}|[1-9]\d{{{len(digits)},}})"
    return re.compile(re.escape(head) + number + re.escape(tail + Path(first).suffix), re.ASCII)


class _Folders:
    """Names of what is in each folder, sorted."""

    def __init__(self) -> None:
        self._names: dict[Path, list[str]] = {}

    def matching(self, path: Path, fits: Callable[[str, str], bool]) -> list[Path]:
        """Every file beside `path` for which `fits(path's name, its name)` holds; on Windows case means nothing."""
        first = os.path.normcase(path.name)
        return [path.with_name(name) for name in self._names_in(path.parent) if fits(first, os.path.normcase(name))]

    def _names_in(self, folder: Path) -> list[str]:
        if folder not in self._names:
            try:
                self._names[folder] = sorted(each.name for each in folder.iterdir())
            except OSError:  # A folder that cannot be listed has no such files.
                self._names[folder] = []
        return self._names[folder]


def _below(folder: Path) -> Iterator[Path]:
    """Every file below `folder`. Links to folders are followed, unless they lead back to one they are in."""
    for place, folders, names in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        folders[:] = sorted(each for each in folders if not real.is_relative_to(Path(place, each).resolve()))
        yield from (Path(place, name) for name in sorted(names))
