# SPDX-License-Identifier: GPL-3.0-or-later
"""Artists' files for the tests of the store, small and in any shape."""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from addon.protocol.digest import BLAKE2B, chunk_digest
from addon.protocol.manifest import FileEntry, Manifest
from addon.protocol.messages import Codec
from addon.protocol.recipe import Recipe
from server.store import Receipt, Store

Block = tuple[bytes, bytes]
"""A head, which belongs to the skeleton, and a payload."""

ADA, BEN = "ada", "ben"

PLENTY = 1 << 40
"""A limit that is never reached."""


@dataclass(frozen=True)
class Save:
    """What an artist sends: a manifest, and the bytes behind it."""

    manifest: Manifest
    contents: Mapping[str, bytes]
    """Of each file, by the digest of its recipe."""
    chunks: Mapping[bytes, bytes]

    @property
    def digest(self) -> str:
        return self.manifest.digest


def blocks(seed: int, count: int = 20, head: int = 24, payload: int = 300) -> list[Block]:
    """A file of about so many bytes; the same one for the same seed."""
    dice = random.Random(seed)
    return [(dice.randbytes(dice.randint(1, head)), dice.randbytes(dice.randint(0, payload))) for _ in range(count)]


def changed(file: list[Block], number: int) -> list[Block]:
    """The file after an edit: one payload is new, and a byte of each third head, as a new address would make it."""
    dice = random.Random(number)
    edited = [
        (bytes([dice.randrange(256)]) + head[1:] if at % 3 == 0 else head, body) for at, (head, body) in enumerate(file)
    ]
    at = dice.randrange(len(file))
    edited[at] = edited[at][0], dice.randbytes(len(edited[at][1]) + dice.choice([-1, 0, 1, 7]) if edited[at][1] else 9)
    return edited


def save_of(*files: Iterable[Block], name: str = "shot.blend", cut: int = 100, algorithm: str = BLAKE2B) -> Save:
    """A save with these files; the first is the .blend of that name."""
    entries: list[FileEntry] = []
    contents: dict[str, bytes] = {}
    chunks: dict[bytes, bytes] = {}
    for number, file in enumerate(files):
        recipe, content, found = _cut(list(file), cut, algorithm)
        entries.append(FileEntry(0, f"tex/{number}.png" if number else name, recipe))
        contents[recipe.digest] = content
        chunks |= found
    return Save(Manifest(("/home/ada/film",), tuple(entries)), contents, chunks)


def _cut(file: list[Block], size: int, algorithm: str) -> tuple[Recipe, bytes, dict[bytes, bytes]]:
    skeleton = list(_pieces(b"".join(head for head, _ in file), size))
    payload = [piece for _, body in file for piece in _pieces(body, size)]
    chunks = skeleton + payload
    name = chunk_digest(algorithm)
    ids = [name(chunk) for chunk in chunks]
    runs = tuple(len(part) for block in file for part in block)
    recipe = Recipe(algorithm, runs, len(skeleton), tuple(map(len, chunks)), b"".join(ids))
    return recipe, b"".join(head + body for head, body in file), dict(zip(ids, chunks, strict=True))


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def put(receipt: Receipt, save: Save, numbers: Iterable[int]) -> None:
    """Send these chunks as they are."""
    for number in numbers:
        receipt.put(number, Codec.RAW, save.chunks[save.manifest.chunks[number]], b"")


def send(store: Store, save: Save, owner: str = ADA) -> list[bytes]:
    """Bring a save into the store. Returns the chunks that had to travel."""
    receipt = store.begin(save.manifest, owner)
    missing = receipt.missing
    try:
        put(receipt, save, missing)
        receipt.finish()
        check_stored(store, save)
    finally:
        receipt.close()
    return [save.manifest.chunks[number] for number in missing]


def check_stored(store: Store, save: Save) -> None:
    """All files of a save are there, byte for byte."""
    assert store.has(save.digest)
    assert store.manifest(save.digest) == save.manifest
    for digest, content in save.contents.items():
        assert store.file(digest).read_bytes() == content


def check_files(root: Path, contents: Mapping[str, bytes]) -> None:
    """No complete file has other bytes than its name says."""
    for path in (root / "files").iterdir():
        assert path.read_bytes() == contents[path.name], f"{path.name} is wrong"


def chunk_names(save: Save) -> set[bytes]:
    return set(save.manifest.chunks)


def reopened(store: Store, tmp_path: Path) -> Store:
    store.close()
    return Store(tmp_path / "store", PLENTY)


SHAPES = st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=200)), min_size=1, max_size=12).filter(
    lambda file: any(head or body for head, body in file)
)
"""Of files: their blocks, not all of them empty."""
