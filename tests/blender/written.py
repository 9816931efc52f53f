# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing what a worker wrote with what Blender writes by itself."""

import re
from pathlib import Path


def timeless(path: Path) -> bytes:
    """The file without the times that Cycles notes in it, and the checksums over these."""
    data = path.read_bytes()
    data = re.sub(rb"....tEXtcycles\..*?_time\0.{8}....", b"", data, flags=re.DOTALL)
    return re.sub(rb"\d\d:\d\d\.\d\d", b"00:00.00", data)


def png_without_texts(data: bytes) -> bytes:
    """A PNG without its text chunks: length, type, data and checksum each (PNG specification, 5.3)."""
    kept, at = data[:8], 8
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kept += b"" if data[at + 4 : at + 8] == b"tEXt" else data[at:end]
        at = end
    return kept


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): timeless(path) for path in folder.rglob("*") if path.is_file()}


def delivered(outputs: list[dict[str, str]], own: str) -> dict[str, bytes]:
    """What lies beside the artist's .blend once every output is where the scene wants it."""
    files = {}
    for output in outputs:
        directory = (output["directory"] or own).removeprefix("//")
        files[f"{directory.rstrip('/')}/{output['name']}"] = timeless(Path(output["path"]))
    return files
