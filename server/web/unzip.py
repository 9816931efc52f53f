# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacking what an artist has zipped, and nothing that only calls itself a zip."""

import stat
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from addon.protocol.errors import UnsafePath
from addon.protocol.messages import Refusal
from addon.protocol.paths import check_relative_name

from ..errors import RequestRefused

MAX_RATIO = 200
"""Of all that comes out to the zip itself. Deflate cannot do more than 1032; a .blend full of equal vertices does 100,
pictures 1: what does more was made to fill a disk.
"""

FREE_BYTES = 64 << 20
"""So much may come out of any zip: small ones of text compress well."""

MAX_ENTRIES = 20_000

_PIECE = 1 << 20
_CLUTTER = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})
"""What macOS and Windows put beside an artist's files."""


def unpack(path: Path, folder: Path, room: int, stopped: threading.Event) -> list[str]:
    """Unpack a zip into a folder; return the names of its files, relative, with slashes.

    `room`: bytes that may come out. Ends early when `stopped`. Raises RequestRefused with a sentence, and OSError.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = dict(_entries(archive))
            _check(entries.values(), path.stat().st_size, room)
            for name, entry in entries.items():
                if stopped.is_set():
                    break
                _extract(archive, entry, folder / name)
            return list(entries)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise _refused(f"{path.name} is damaged: zip it again.") from error
    except (NotImplementedError, RuntimeError) as error:  # A method that is not here; a password.
        raise _refused(f"{path.name} cannot be unpacked: zip it again, without a password.") from error


def _entries(archive: zipfile.ZipFile) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise _refused(f"The zip has more than {MAX_ENTRIES:,} files.")
    for info in infos:
        name = info.filename.replace("\\", "/")  # Some programs of Windows write these.
        if info.is_dir() or not _CLUTTER.isdisjoint(PurePosixPath(name).parts):
            continue
        if stat.S_ISLNK(info.external_attr >> 16):
            raise _refused(f"The zip has a link in it, {name:.80}: zip the file that it stands for.")
        try:
            yield check_relative_name(name), info
        except UnsafePath as error:
            raise _refused(f"{error} Rename it and zip it again.") from None


def _check(entries: Iterable[zipfile.ZipInfo], packed: int, room: int) -> None:
    total = sum(entry.file_size for entry in entries)
    if total > max(FREE_BYTES, MAX_RATIO * packed):
        raise _refused("This zip would come to far more than any scene does, and is not unpacked.")
    if total > room:
        raise _refused(f"Unpacked this zip has {total / 1e9:,.1f} GB, and the node takes {room / 1e9:,.1f} GB.")


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    """Write one file; zipfile itself stops at the size that the entry names, and checks the sum."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, target.open("wb") as file:
        while piece := source.read(_PIECE):
            file.write(piece)


def _refused(sentence: str) -> RequestRefused:
    return RequestRefused(Refusal.BAD_FILE, sentence)
