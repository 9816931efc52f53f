# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking files over from a folder that a hostile program can write to.

Whoever got hold of a Blender can say that any path was written, put links to other files where it says, and change all
that while we look. So nothing there is opened by its path: folders are walked one by one without following a link, and
what is taken is first linked into a folder of ours, then looked at.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path


class NotTaken(Exception):
    """What a Blender said it wrote is not a file of its own folder."""


IS_SAFE = os.link in os.supports_dir_fd and os.open in os.supports_dir_fd
"""Whether folders can be walked. Windows cannot; it has no sandbox either."""

_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def take(path: str, folder: Path, target: Path) -> None:
    """Make `target`, where nothing is, the file that is called `path` and lies below `folder`: a link, else a copy.

    Raises NotTaken, or OSError.
    """
    parts = _parts(path, folder)
    if not IS_SAFE:
        _check_plainly(folder.joinpath(*parts), folder)
        _link_or_copy(folder.joinpath(*parts), target)
        return
    with _opened(folder, parts[:-1]) as parent:
        try:
            os.link(parts[-1], target, src_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            raise
        except OSError:  # A disk without links.
            _copy(parts[-1], parent, target)
    if not stat.S_ISREG(target.lstat().st_mode):
        target.unlink()
        raise NotTaken(f"{parts[-1]} is not a file.")


def take_bytes(path: str, folder: Path, most: int) -> bytes:
    """Return what is in a file below `folder`. Raises NotTaken, also for more than `most` bytes, or OSError."""
    parts = _parts(path, folder)
    if not IS_SAFE:
        _check_plainly(folder.joinpath(*parts), folder)
        data = folder.joinpath(*parts).read_bytes()
    else:
        with _opened(folder, parts[:-1]) as parent, os.fdopen(_open_file(parts[-1], parent), "rb") as file:
            data = file.read(most + 1)
    if len(data) > most:
        raise NotTaken(f"{parts[-1]} is too large.")
    return data


def _parts(path: str, folder: Path) -> tuple[str, ...]:
    try:
        parts = Path(path).relative_to(folder).parts
    except ValueError:
        parts = ()
    if not parts or ".." in parts or "\0" in path:
        raise NotTaken(f"{path[:200]} is not in the folder of its frame.")
    return parts


@contextlib.contextmanager
def _opened(folder: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """The descriptor of a folder below `folder`."""
    descriptor = os.open(folder, os.O_RDONLY | _FOLDER)
    try:
        for part in parts:
            try:
                inner = os.open(part, os.O_RDONLY | _FOLDER, dir_fd=descriptor)
            except NotADirectoryError as error:  # A link counts as none.
                raise NotTaken(f"{part} is not a folder.") from error
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _open_file(name: str, parent: int) -> int:
    try:
        descriptor = os.open(name, os.O_RDONLY | _FILE, dir_fd=parent)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise NotTaken(f"{name} is not a file.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotTaken(f"{name} is not a file.")
    return descriptor


def _copy(name: str, parent: int, target: Path) -> None:
    with os.fdopen(_open_file(name, parent), "rb") as source, target.open("xb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)


def _check_plainly(path: Path, folder: Path) -> None:
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise NotTaken(f"{path.name} is not a file of its frame's folder.")


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
