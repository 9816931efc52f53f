# SPDX-License-Identifier: GPL-3.0-or-later
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.protocol.digest import BLAKE2B, chunk_digest
from addon.protocol.errors import RemoteProtocolError
from addon.protocol.limits import MAX_CHUNK_BYTES, MAX_FILE_BYTES
from addon.protocol.recipe import Recipe, packed_bytes

name = chunk_digest(BLAKE2B)


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, Recipe]:
    """A file in which skeleton and payload alternate, and its recipe."""
    runs = draw(st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(any))
    content = draw(st.binary(min_size=sum(runs), max_size=sum(runs)))
    ends = list(accumulate(runs, initial=0))
    parts = [content[start:end] for start, end in pairwise(ends)]
    streams = (b"".join(parts[0::2]), b"".join(parts[1::2]))
    chunks: list[list[bytes]] = []
    for stream in streams:
        cuts = sorted(draw(st.sets(st.integers(1, max(1, len(stream) - 1)), max_size=8)))
        places = [0, *(cut for cut in cuts if cut < len(stream)), len(stream)]
        chunks.append([stream[start:end] for start, end in pairwise(places) if end > start])
    skeleton, payload = chunks
    every = [*skeleton, *payload]
    return content, Recipe(BLAKE2B, tuple(runs), len(skeleton), tuple(map(len, every)), b"".join(map(name, every)))


@given(files())
def test_a_file_is_made_again_of_its_chunks(file: tuple[bytes, Recipe]) -> None:
    # GIVEN a recipe, and the chunks by their names
    content, recipe = file
    chunks = {
        recipe.id(number): b"".join(content[at : at + length] for at, length in recipe.extents(number))
        for number in range(len(recipe))
    }
    assert all(name(chunk) == known for known, chunk in chunks.items())

    # WHEN each is written where its extents say
    made = bytearray(recipe.size)
    written = 0
    for number in range(len(recipe)):
        at_chunk = 0
        for offset, length in recipe.extents(number):
            made[offset : offset + length] = chunks[recipe.id(number)][at_chunk : at_chunk + length]
            at_chunk += length
            written += length

    # THEN every byte was written once, and is the one it was
    assert bytes(made) == content
    assert written == recipe.size


@given(files())
def test_a_recipe_is_read_as_it_was_packed(file: tuple[bytes, Recipe]) -> None:
    _, recipe = file
    packed = recipe.pack()
    assert len(packed) == packed_bytes(len(recipe.runs), len(recipe))
    read = Recipe.unpack(recipe.algorithm, recipe.skeleton, len(recipe.runs), len(recipe), packed)
    assert read == recipe
    assert read.digest == recipe.digest


@given(files(), st.data())
def test_a_file_is_named_by_all_that_its_recipe_says(file: tuple[bytes, Recipe], draw: st.DataObject) -> None:
    _, recipe = file
    at = draw.draw(st.integers(0, len(recipe.ids) - 1))
    other = recipe.ids[:at] + bytes([recipe.ids[at] ^ 1]) + recipe.ids[at + 1 :]
    changed = Recipe(recipe.algorithm, recipe.runs, recipe.skeleton, recipe.lengths, other)
    assert changed.digest != recipe.digest


def test_where_one_column_ends_and_the_next_begins_is_part_of_the_name() -> None:
    # GIVEN two recipes whose packed columns are the same bytes, read as other columns
    packed = (5).to_bytes(8, "little") + (5).to_bytes(8, "little") + (10).to_bytes(4, "little") + bytes(16)
    one = Recipe.unpack(BLAKE2B, 1, 2, 1, (10).to_bytes(8, "little") + bytes(8) + packed[16:])
    two = Recipe.unpack(BLAKE2B, 1, 1, 1, (10).to_bytes(8, "little") + packed[16:])
    assert one.digest != two.digest


@given(
    runs=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 50), max_size=6),
    lengths=st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 50), max_size=6),
    skeleton=st.integers(-2, 8),
)
def test_numbers_that_make_no_file_are_refused(runs: list[int], lengths: list[int], skeleton: int) -> None:
    # GIVEN columns of any numbers from the wire
    packed = b"".join(number.to_bytes(8, "little") for number in runs)
    packed += b"".join(number.to_bytes(4, "little") for number in lengths) + bytes(16 * len(lengths))
    try:
        recipe = Recipe.unpack(BLAKE2B, skeleton, len(runs), len(lengths), packed)
    except RemoteProtocolError:
        return
    # THEN what was taken tiles a file
    extents = sorted(extent for number in range(len(recipe)) for extent in recipe.extents(number))
    assert [at for at, _ in extents] == [0, *(at + length for at, length in extents)][:-1]
    assert sum(length for _, length in extents) == recipe.size


@pytest.mark.parametrize(
    ("runs", "skeleton", "lengths"),
    [
        ((), 0, ()),
        ((0,), 0, ()),
        ((10,), 1, (9,)),
        ((10,), 0, (10,)),
        ((10, 5), 1, (10, 4)),
        ((10, 5), 2, (10, 5)),
        ((10, 5), 3, (10, 5)),
        ((10,), -1, (10,)),
        ((10,), 1, (10, 0)),
        ((MAX_CHUNK_BYTES + 1,), 1, (MAX_CHUNK_BYTES + 1,)),
        ((MAX_FILE_BYTES + 1,), 1, (MAX_CHUNK_BYTES,)),
        ((-5, 0, 15), 1, (10,)),
    ],
)
def test_columns_that_contradict_each_other_are_refused(
    runs: tuple[int, ...], skeleton: int, lengths: tuple[int, ...]
) -> None:
    with pytest.raises(RemoteProtocolError, match="do not add up"):
        Recipe(BLAKE2B, runs, skeleton, lengths, bytes(16 * len(lengths)))


@pytest.mark.parametrize("ids", [bytes(15), bytes(17), b""])
def test_a_chunk_without_its_name_is_refused(ids: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Recipe(BLAKE2B, (10,), 1, (10,), ids)


@given(files(), st.integers(-40, 40).filter(bool))
def test_a_packed_recipe_that_is_cut_or_padded_is_refused(file: tuple[bytes, Recipe], by: int) -> None:
    _, recipe = file
    packed = recipe.pack()
    changed = packed + bytes(by) if by > 0 else packed[:by]
    with pytest.raises(RemoteProtocolError, match="cut short"):
        Recipe.unpack(recipe.algorithm, recipe.skeleton, len(recipe.runs), len(recipe), changed)


@pytest.mark.parametrize(("runs", "chunks"), [(-1, 1), (1, -1), (-5, 2)])
def test_negative_counts_are_refused(runs: int, chunks: int) -> None:
    with pytest.raises(RemoteProtocolError):
        Recipe.unpack(BLAKE2B, 0, runs, chunks, b"")
