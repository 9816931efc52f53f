# SPDX-License-Identifier: GPL-3.0-or-later
"""How a .blend is cut, and what the next save uses of that."""

import gzip
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from addon.client import recipes
from addon.client.known import KnownPayloads
from addon.client.recipes import blend_recipe
from addon.client.snapshot import OpenFile
from addon.client.unpacked import Unpacked, open_source
from addon.protocol import blocks as blocks_module
from addon.protocol import cutting, zstd
from addon.protocol.blocks import Memory
from addon.protocol.cutting import WHOLE_BYTES
from addon.protocol.digest import BLAKE2B, chunk_algorithms
from tests.client.recipes_kit import ALGORITHM, Metered, new_bytes, rebuilt
from tests.client.test_unpacked import compressed, frames_of
from tests.protocol import blends
from tests.protocol.blends import BLOCKS, HEADERS, TAILS, Block, blend, data, data_block, scene
from tests.protocol.outlines import payload_cuts

# Any .blend


@settings(max_examples=60, deadline=None)
@given(BLOCKS, HEADERS, TAILS)
def test_a_blend_is_made_again_of_its_chunks(blocks: list[Block], header: bytes, tail: bytes) -> None:
    file = blend(blocks, header, tail)
    recipe, keys, _ = blend_recipe(Memory(file), ALGORITHM)
    assert rebuilt(recipe, Memory(file)) == file
    assert len(set(keys)) == len(keys) == recipe.skeleton


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(blocks=BLOCKS, header=HEADERS)
def test_a_compressed_blend_has_the_recipe_of_what_it_holds(blocks: list[Block], header: bytes, tmp_path: Path) -> None:
    file = blend(blocks, header)
    recipe, keys, _ = blend_recipe(Memory(file), ALGORITHM)
    for number, packed in enumerate((compressed(frames_of(file, 1 << 17)), gzip.compress(file, 1))):
        path = tmp_path / f"{number}.blend"
        path.write_bytes(packed)
        with open_source(path) as source:
            assert blend_recipe(source, ALGORITHM)[:2] == (recipe, keys)


@settings(max_examples=30, deadline=None)
@given(BLOCKS, HEADERS)
def test_payloads_are_cut_alike_whether_they_were_known_or_not(blocks: list[Block], header: bytes) -> None:
    file = blend(blocks, header)
    recipe, keys, known = blend_recipe(Memory(file), ALGORITHM)
    assert blend_recipe(Memory(file), ALGORITHM, known) == (recipe, keys, known)
    long = [block.length for block in blocks if block.length > WHOLE_BYTES]
    assert [sum(each.cuts.lengths) for each in known.payloads] == long


@pytest.mark.parametrize("algorithm", chunk_algorithms())
def test_every_algorithm_names_chunks(algorithm: str) -> None:
    file = scene(range(50))
    recipe, _, _ = blend_recipe(Memory(file), algorithm)
    assert recipe.algorithm == algorithm
    assert rebuilt(recipe, Memory(file)) == file


# The next save


LARGE_PAYLOAD = data(5_000_000, seed=9)


def test_a_payload_that_was_there_before_is_read_once() -> None:
    # GIVEN a save with a large payload
    file = Metered(blend([data_block("MEterrain"), LARGE_PAYLOAD]))
    _, _, known = blend_recipe(file, ALGORITHM)
    first = file.read_bytes

    # WHEN the next one has it, too, somewhere else
    moved = Metered(blend([data_block("OBnew"), data_block("MEterrain"), LARGE_PAYLOAD]))
    recipe, _, _ = blend_recipe(moved, ALGORITHM, known)

    # THEN it is read to know it again, and not to cut and to hash it
    assert first > 1.9 * LARGE_PAYLOAD.length
    assert moved.read_bytes < 1.1 * LARGE_PAYLOAD.length
    assert list(recipe.lengths[recipe.skeleton :]) == payload_cuts(LARGE_PAYLOAD.payload)


def test_one_that_was_compressed_the_same_way_is_not_even_decompressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a compressed save, the large payload of which has its own frames, as Blender does it
    start = blend([data_block("MEterrain"), Block(LARGE_PAYLOAD.code, b"")])[: -2 * 32] + LARGE_HEAD
    pieces = [start, *frames_of(LARGE_PAYLOAD.payload, 1 << 20), blend([])[-32:]]
    path = tmp_path / "shot.blend"
    path.write_bytes(compressed(pieces))
    with open_source(path) as source:
        recipe, keys, known = blend_recipe(source, ALGORITHM)
    decompressed: list[int] = []
    decompress = zstd.decompress

    def counted(packed: bytes, size: int) -> bytes:
        decompressed.append(size)
        return decompress(packed, size)

    # WHEN it is saved again
    monkeypatch.setattr(zstd, "decompress", counted)
    with open_source(path) as source:
        again = blend_recipe(source, ALGORITHM, known)

    # THEN the payload's frames stay packed
    assert again == (recipe, keys, known)
    assert sorted(decompressed) == [len(pieces[-1]), len(start)]


LARGE_HEAD = blend([Block(b"DATA", LARGE_PAYLOAD.payload)])[len(blends.LARGE) :][:32]


def test_a_payload_that_has_changed_in_place_is_cut_as_before() -> None:
    # GIVEN a mesh
    recipe, _, known = blend_recipe(Memory(blend([data_block("MEterrain"), LARGE_PAYLOAD])), ALGORITHM)
    # WHEN an object comes before it, and 200 KB of it are sculpted, its places to cut with them
    sculpted = bytearray(LARGE_PAYLOAD.payload)
    sculpted[1_000_000:1_200_000] = data(200_000, seed=10).payload
    after = [data_block("OBnew"), data_block("MEterrain"), Block(b"DATA", bytes(sculpted))]
    recipe_after, _, known_after = blend_recipe(Memory(blend(after)), ALGORITHM, known)
    # THEN each chunk has its older self, and those beside the change are the same
    assert recipe_after.lengths[recipe_after.skeleton :] == recipe.lengths[recipe.skeleton :]
    starts = list(accumulate(recipe.lengths[recipe.skeleton :], initial=0))
    for number, (start, end) in enumerate(pairwise(starts)):
        same = recipe_after.id(recipe_after.skeleton + number) == recipe.id(recipe.skeleton + number)
        assert same == (end <= 1_000_000 or start >= 1_200_000)
    # AND the save after that does without cutting
    assert blend_recipe(Memory(blend(after)), ALGORITHM, known_after) == (recipe_after, _keys(after), known_after)


def _keys(blocks: list[Block]) -> tuple[bytes, ...]:
    return blend_recipe(Memory(blend(blocks)), ALGORITHM)[1]


@pytest.mark.parametrize("longer", [True, False], ids=["longer", "of the same length"])
def test_a_payload_that_has_moved_within_itself_is_cut_by_its_content(longer: bool) -> None:
    recipe, _, known = blend_recipe(Memory(blend([data_block("MEterrain"), LARGE_PAYLOAD])), ALGORITHM)
    content = b"new!" + LARGE_PAYLOAD.payload
    content = content if longer else content[: LARGE_PAYLOAD.length]
    after = Memory(blend([data_block("MEterrain"), Block(b"DATA", content)]))
    recipe_after, _, _ = blend_recipe(after, ALGORITHM, known)
    assert recipe_after == blend_recipe(after, ALGORITHM)[0]
    assert new_bytes(recipe_after, recipe) < 0.3 * LARGE_PAYLOAD.length


def test_what_another_algorithm_has_named_is_not_known() -> None:
    file = Memory(blend([LARGE_PAYLOAD]))
    _, _, known = blend_recipe(file, BLAKE2B)
    other = KnownPayloads("another", known.payloads)
    assert blend_recipe(file, BLAKE2B, other) == blend_recipe(file, BLAKE2B)


OBJECTS = list(range(400))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    deleted=st.sets(st.sampled_from(OBJECTS), max_size=8),
    added=st.lists(st.tuples(st.sampled_from(OBJECTS), st.integers(400, 500))),
    turned=st.lists(st.tuples(st.integers(0, 390), st.integers(1, 9)), max_size=2),
    packed=st.booleans(),
)
def test_what_is_known_of_a_save_changes_nothing_but_the_time(
    deleted: set[int], added: list[tuple[int, int]], turned: list[tuple[int, int]], packed: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(recipes, "_REGION_BYTES", 1)

    def opened(objects: list[int], name: str) -> OpenFile | Unpacked | Memory:
        file = blend(crowd(objects))
        if not packed:
            return Memory(file)
        (tmp_path / name).write_bytes(compressed(frames_of(file, 1 << 16)))
        return open_source(tmp_path / name)

    # GIVEN a save with hundreds of objects
    _, _, known = blend_recipe(opened(OBJECTS, "before.blend"), ALGORITHM)
    assert len(known.regions) > 20
    # WHEN some are deleted, others added, and some change their places
    objects = [number for number in OBJECTS if number not in deleted]
    for at, number in added:
        objects.insert(at, number)
    for at, length in turned:
        objects[at : at + length] = reversed(objects[at : at + length])
    after = opened(objects, "after.blend")
    # THEN it has the same recipe as if nothing were known
    fresh = blend_recipe(after, ALGORITHM)
    assert blend_recipe(after, ALGORITHM, known) == fresh
    # AND so it is in the save after that
    again = blend_recipe(after, ALGORITHM, blend_recipe(after, ALGORITHM, known)[2])
    assert again == fresh


def crowd(objects: list[int]) -> list[Block]:
    """Blocks of objects of which some are linked twice, and some have a mesh."""
    blocks: list[Block] = []
    for number in objects:
        blocks.append(data_block(f"OBobject {number % 350}", 300 + 7 * (number % 90), address=number))
        blocks += [data(5000 + number, number)] * (number % 5 == 0)
        blocks += [data(number * 900, number)] * (number % 97 == 0)
    return blocks


def test_of_what_is_known_only_the_bytes_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a save of which one object was moved
    objects = list(range(2000))
    _, _, known = blend_recipe(Memory(blend(crowd(objects))), ALGORITHM)
    blocks = crowd(objects)
    moved = next(at for at, block in enumerate(blocks) if at > 1000 and block.code == b"OB\0\0")
    blocks[moved] = Block(blocks[moved].code, blocks[moved].payload[:-1] + b"!")
    file = Metered(blend(blocks))
    walked = []
    walk_from = blocks_module.walk_from

    def counted(*args: Any) -> Iterator[tuple[bytes, int, int]]:
        for block in walk_from(*args):
            walked.append(block)
            yield block

    # WHEN it is looked at
    monkeypatch.setattr(cutting, "walk_from", counted)
    recipe, keys, _ = blend_recipe(file, ALGORITHM, known)
    # THEN all of it is read, but few of its blocks are looked at, and nothing is missed
    assert file.size <= file.read_bytes < 1.3 * file.size
    assert len(walked) < 0.2 * len(blocks)
    assert (recipe, keys) == blend_recipe(file, ALGORITHM)[:2]
