# SPDX-License-Identifier: GPL-3.0-or-later
"""All files of one job: where each stands on the artist's disk, and what chunks it is made of.

Packed, a manifest is a line of JSON and then the packed recipes. Fixed columns without compression: a manifest differs
from that of the save before in few places, and travels as the difference (see docs/protocol.md, Offer).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from .codec import build
from .digest import chunk_algorithms, new_digest
from .errors import RemoteProtocolError, UnsafePath
from .limits import MAX_MANIFEST_BYTES
from .paths import check_relative_name
from .recipe import Recipe, packed_bytes

_MAX_ROOT = 1024


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the artist's."""

    root: int
    """Index among the manifest's roots."""
    name: str
    """Below that root, with slashes."""
    recipe: Recipe


class Place(NamedTuple):
    """Where the bytes of a chunk belong: chunk `number` of file `file`."""

    file: int
    number: int


@dataclass(frozen=True)
class Manifest:
    """The files of a job; the first is the .blend."""

    roots: tuple[str, ...]
    """Folders on the artist's disk, absolute, with slashes and without one at the end: "/home/ada/film", "C:/film",
    "//nas/share".
    """
    files: tuple[FileEntry, ...]

    def __post_init__(self) -> None:
        if not self.files:
            raise RemoteProtocolError("A manifest without a file.")
        names = {(entry.root, entry.name) for entry in self.files}
        if len(names) != len(self.files):
            raise RemoteProtocolError("A manifest that names a file twice.")
        for entry in self.files:
            if not 0 <= entry.root < len(self.roots):
                raise RemoteProtocolError("A manifest with a file outside its roots.")
            try:
                check_relative_name(entry.name)
            except UnsafePath as error:
                raise RemoteProtocolError(str(error)) from error
            if any((entry.root, folder) in names for folder in _folders(entry.name)):
                raise RemoteProtocolError("A manifest with a file inside of a file.")
        if any(not _ROOT.fullmatch(root) or len(root) > _MAX_ROOT for root in self.roots):
            raise RemoteProtocolError("A manifest with a root that is not an absolute path.")

    @property
    def blend(self) -> FileEntry:
        """The file that Blender opens."""
        return self.files[0]

    @property
    def size(self) -> int:
        """Of all files together, bytes."""
        return sum(entry.recipe.size for entry in self.files)

    @cached_property
    def digest(self) -> str:
        """The manifest's own name, 32 hexadecimal digits."""
        digest = new_digest()
        digest.update(self.packed)
        return digest.hexdigest()

    @cached_property
    def places(self) -> dict[bytes, list[Place]]:
        """Every chunk once, in order of first appearance, with all the places where its bytes belong.

        The position among the keys is the chunk's number on the wire.
        """
        places: dict[bytes, list[Place]] = {}
        for file, entry in enumerate(self.files):
            for number, chunk in enumerate(entry.recipe.names):
                place = Place(file, number)
                if chunk in places:
                    places[chunk].append(place)
                else:
                    places[chunk] = [place]
        if any(len(set(map(self._length_at, found))) > 1 for found in places.values() if len(found) > 1):
            raise RemoteProtocolError("A manifest that gives a chunk two lengths.")
        return places

    @cached_property
    def chunks(self) -> tuple[bytes, ...]:
        """The chunks' names by their number on the wire."""
        return tuple(self.places)

    def chunk_length(self, chunk: bytes) -> int:
        """Length of a chunk, bytes."""
        return self._length_at(self.places[chunk][0])

    def _length_at(self, place: Place) -> int:
        return self.files[place.file].recipe.lengths[place.number]

    @cached_property
    def packed(self) -> bytes:
        """The manifest as bytes."""
        head = {
            "roots": self.roots,
            "files": [
                {
                    "root": entry.root, "name": entry.name, "algorithm": entry.recipe.algorithm,
                    "skeleton": entry.recipe.skeleton, "runs": len(entry.recipe.runs), "chunks": len(entry.recipe),
                }
                for entry in self.files
            ],
        }  # fmt: skip
        return json.dumps(head, separators=(",", ":")).encode() + b"\n" + b"".join(_packed_recipes(self.files))

    @classmethod
    def unpack(cls, packed: bytes) -> "Manifest":
        """Return the manifest that `packed` holds. Raises RemoteProtocolError."""
        head, newline, columns = packed.partition(b"\n")
        if len(packed) > MAX_MANIFEST_BYTES or not newline:
            raise RemoteProtocolError("A manifest that is too long, or none at all.")
        try:
            fields = build(_Head, json.loads(head))
        except (ValueError, RecursionError) as error:
            raise RemoteProtocolError("A manifest that cannot be read.") from error
        files, at = [], 0
        for row in fields.files:
            if row.algorithm not in chunk_algorithms():
                raise RemoteProtocolError(f"A manifest with chunks named by {row.algorithm[:20]!r}.")
            end = at + packed_bytes(row.runs, row.chunks)
            recipe = Recipe.unpack(row.algorithm, row.skeleton, row.runs, row.chunks, columns[at:end])
            files.append(FileEntry(row.root, row.name, recipe))
            at = end
        if at != len(columns):
            raise RemoteProtocolError("A manifest with bytes left over.")
        return cls(fields.roots, tuple(files))


@dataclass(frozen=True, slots=True)
class _Row:
    root: int
    name: str
    algorithm: str
    skeleton: int
    runs: int
    chunks: int

    def __post_init__(self) -> None:
        if self.runs < 0 or self.chunks < 0:
            raise ValueError("A negative count.")


@dataclass(frozen=True, slots=True)
class _Head:
    roots: tuple[str, ...]
    files: tuple[_Row, ...]


_ROOT = re.compile(r"/|(?:/[^/\0]+)+|[A-Za-z]:(?:/[^/\0]+)*|//[^/\0]+(?:/[^/\0]+)+")
"""Nothing in it can match in two ways, so that it takes no time to fail."""


def _folders(name: str) -> Iterator[str]:
    """All folders that a name goes through."""
    cut = name.find("/")
    while cut >= 0:
        yield name[:cut]
        cut = name.find("/", cut + 1)


def _packed_recipes(files: tuple[FileEntry, ...]) -> Iterator[bytes]:
    for entry in files:
        yield entry.recipe.pack()
