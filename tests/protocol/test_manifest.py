# SPDX-License-Identifier: GPL-3.0-or-later
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.protocol.digest import BLAKE2B
from addon.protocol.errors import RemoteProtocolError
from addon.protocol.limits import MAX_MANIFEST_BYTES
from addon.protocol.manifest import FileEntry, Manifest, Place
from addon.protocol.recipe import Recipe

ROOT = "/home/ada/film"


def recipe(*chunks: tuple[int, int]) -> Recipe:
    """Of chunks given by their lengths and what names them."""
    lengths = tuple(length for length, _ in chunks)
    ids = b"".join(named.to_bytes(16, "big") for _, named in chunks)
    return Recipe(BLAKE2B, (sum(lengths),), len(lengths), lengths, ids)


def manifest(*files: tuple[str, Recipe], roots: tuple[str, ...] = (ROOT,)) -> Manifest:
    return Manifest(roots, tuple(FileEntry(0, name, made) for name, made in files))


def packed(**changes: object) -> bytes:
    """A manifest of one file of ten bytes, with changes to its head."""
    row = {"root": 0, "name": "a.blend", "algorithm": BLAKE2B, "skeleton": 1, "runs": 1, "chunks": 1}
    head = {"roots": [ROOT], "files": [row | changes]}
    return json.dumps(head).encode() + b"\n" + recipe((10, 1)).pack()


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\\0", exclude_categories=["C"]), min_size=1, max_size=9
)
CHUNKS = st.lists(st.integers(1, 20).map(lambda number: (number * 7, number)), min_size=1, max_size=9)


@given(st.dictionaries(NAMES.map(lambda name: f"shots/x{name}"), CHUNKS, min_size=1, max_size=6))
def test_a_manifest_is_read_as_it_was_packed(files: dict[str, list[tuple[int, int]]]) -> None:
    made = manifest(*((name, recipe(*chunks)) for name, chunks in files.items()))
    read = Manifest.unpack(made.packed)
    assert read == made
    assert read.digest == made.digest
    assert read.size == sum(length for chunks in files.values() for length, _ in chunks)


def test_every_chunk_has_one_number_and_all_its_places() -> None:
    # GIVEN two files that have chunks in common, with each other and with themselves
    made = manifest(("a.blend", recipe((5, 1), (6, 2), (5, 1))), ("wood.png", recipe((7, 3), (6, 2))))

    # THEN a chunk is numbered when it first appears, and is known at each place
    assert [int.from_bytes(chunk, "big") for chunk in made.chunks] == [1, 2, 3]
    assert list(made.places.values()) == [[Place(0, 0), Place(0, 2)], [Place(0, 1), Place(1, 1)], [Place(1, 0)]]
    assert [made.chunk_length(chunk) for chunk in made.chunks] == [5, 6, 7]
    assert made.blend.name == "a.blend"


def test_a_chunk_of_two_lengths_is_refused() -> None:
    made = manifest(("a.blend", recipe((5, 1))), ("wood.png", recipe((6, 1))))
    with pytest.raises(RemoteProtocolError, match="two lengths"):
        _ = made.places


@pytest.mark.parametrize(
    "root",
    ["/", "/home/ada", "/home/ada/ein Film", "C:", "C:/film", "d:/film/shots", "//nas/share", "//nas/share/film"],
)
def test_roots_are_absolute_on_some_system(root: str) -> None:
    made = manifest(("a.blend", recipe((5, 1))), roots=(root,))
    assert Manifest.unpack(made.packed).roots == (root,)


@pytest.mark.parametrize(
    "root", ["", "film", "./film", "C:film", "/film/", "//nas", "///nas/share", "/a//b", "/a\0b", "/" + "a" * 1024]
)
def test_other_roots_are_refused(root: str) -> None:
    with pytest.raises(RemoteProtocolError, match="root"):
        manifest(("a.blend", recipe((5, 1))), roots=(root,))


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../a.blend", "a/../../b", "a//b", "a\0b", "a\\..\\b"])
def test_files_stay_below_their_roots(name: str) -> None:
    with pytest.raises(RemoteProtocolError):
        manifest((name, recipe((5, 1))))


def test_a_root_that_is_none_is_refused_at_once() -> None:
    # Two ways to read each letter would make it 2**1000 ways.
    with pytest.raises(RemoteProtocolError, match="root"):
        manifest(("a.blend", recipe((5, 1))), roots=("/" + "a" * 1000 + "/",))


def test_a_file_cannot_be_a_folder_too() -> None:
    manifest(("a.blend", recipe((5, 1))), ("a.blend1", recipe((6, 2))), ("b/a.blend", recipe((7, 3))))
    with pytest.raises(RemoteProtocolError, match="inside of a file"):
        manifest(("a/b.blend", recipe((5, 1))), ("a/b.blend/wood.png", recipe((6, 2))))


@pytest.mark.parametrize("root", [-1, 1])
def test_a_file_without_a_root_is_refused(root: int) -> None:
    with pytest.raises(RemoteProtocolError, match="outside its roots"):
        Manifest((ROOT,), (FileEntry(root, "a.blend", recipe((5, 1))),))


def test_a_manifest_names_each_file_once_and_at_least_one() -> None:
    with pytest.raises(RemoteProtocolError, match="twice"):
        manifest(("a.blend", recipe((5, 1))), ("a.blend", recipe((6, 2))))
    with pytest.raises(RemoteProtocolError, match="without a file"):
        manifest()


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\n",
        b"{}",
        b"{}\n",
        b"[" * 100_000 + b"\n",
        packed()[:-1],
        packed() + b"1",
        packed(runs=-1),
        packed(chunks=-1),
        packed(chunks=2**40),
        packed(skeleton=2),
        packed(algorithm="md5"),
        packed(name="../a.blend"),
        packed(root=1),
        packed(name=7),
        b" " * (MAX_MANIFEST_BYTES + 1),
    ],
)
def test_what_is_no_manifest_is_refused(wrong: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Manifest.unpack(wrong)


@given(st.integers(0, 300), st.integers(0, 255))
def test_no_byte_makes_reading_one_raise_anything_else(at: int, byte: int) -> None:
    data = bytearray(packed())
    data[at % len(data)] = byte
    try:
        read = Manifest.unpack(bytes(data))
    except RemoteProtocolError:
        return
    assert Manifest.unpack(read.packed) == read
