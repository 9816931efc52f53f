# SPDX-License-Identifier: GPL-3.0-or-later
import gzip
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from addon.client import recipe_cache, recipes
from addon.client.errors import CannotRead
from addon.client.recipes import KnownPayloads, RecipeCache, blend_recipe, file_recipe, plain_recipe
from addon.client.snapshot import OpenFile
from addon.client.unpacked import Unpacked, open_source
from addon.protocol import blocks as blocks_module
from addon.protocol import cutting, zstd
from addon.protocol.blocks import Memory, Source
from addon.protocol.cutting import WHOLE_BYTES, gather
from addon.protocol.digest import BLAKE2B, chunk_algorithms, chunk_digest
from addon.protocol.recipe import Recipe
from server.blenders import Blender
from tests.client.test_unpacked import compressed, frames_of
from tests.protocol import blends
from tests.protocol.blends import BLOCKS, HEADERS, TAILS, Block, blend, data, data_block, scene
from tests.protocol.outlines import payload_cuts

ALGORITHM = chunk_algorithms()[0]


class Metered(Memory):
    """A source that counts what is read of it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.read_bytes = 0

    def read(self, offset: int, length: int) -> memoryview:
        self.read_bytes += length
        return super().read(offset, length)


def rebuilt(recipe: Recipe, source: Source) -> bytes:
    """The file, made of its chunks, each of which is what its name says."""
    made = bytearray(recipe.size)
    for number in range(len(recipe)):
        extents = recipe.extents(number)
        chunk = bytes(gather(source, extents))
        assert chunk_digest(recipe.algorithm)(chunk) == recipe.id(number)
        at = 0
        for offset, length in extents:
            assert not any(made[offset : offset + length])
            made[offset : offset + length] = chunk[at : at + length]
            at += length
    return bytes(made)


def new_bytes(recipe: Recipe, before: Recipe) -> int:
    """Of the payload's chunks that a recipe has and an earlier one did not. (Of the skeleton, Blender 5 may write other
    addresses everywhere.)
    """
    known = {before.id(number) for number in range(len(before))}
    payload = range(recipe.skeleton, len(recipe))
    return sum(recipe.lengths[number] for number in payload if recipe.id(number) not in known)


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


# What is wrong


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a letter", "not a .blend"),
        (scene(range(50))[:-1], "cut short"),
        (zstd.compress(scene(range(50))), "cut short"),
        (gzip.compress(scene(range(50)))[:-1], "cut short"),
        (gzip.compress(b"a letter"), "not a .blend"),
    ],
)
def test_a_blend_that_cannot_be_rendered_gets_a_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "shot.blend"
    path.write_bytes(content)
    with open_source(path) as source, pytest.raises(CannotRead, match=sentence):
        blend_recipe(source, ALGORITHM)


def test_what_cannot_be_decompressed_here_travels_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a compressed save and a Python without a decoder
    content = compressed(frames_of(scene(range(3000)), 1 << 20))
    path = tmp_path / "shot.blend"
    path.write_bytes(content)
    monkeypatch.setattr(zstd, "MODULES", ("no_such_module",))

    # WHEN it is to be sent THEN it is sent whole, as any other file
    with open_source(path) as source:
        recipe, keys, known = blend_recipe(source, ALGORITHM)
        assert rebuilt(recipe, source) == content
    assert (keys, known.payloads) == ((), ())
    assert recipe == plain_recipe(Memory(content), ALGORITHM)


# Other files


@pytest.mark.parametrize("size", [1, 1 << 20, (5 << 20) + 1])
def test_any_other_file_is_made_again_of_its_chunks(size: int) -> None:
    content = random.Random(size).randbytes(size)
    recipe = plain_recipe(Memory(content), ALGORITHM)
    assert rebuilt(recipe, Memory(content)) == content
    assert max(recipe.lengths) == min(size, 1 << 20)


@pytest.fixture
def cache(tmp_path: Path) -> RecipeCache:
    return RecipeCache(tmp_path / "recipes.sqlite3")


def texture(path: Path, content: bytes = b"wood", age_s: float = 60.0) -> Path:
    """A file that was written some time ago."""
    path.write_bytes(content)
    then = time.time_ns() - int(age_s * 1e9)
    os.utime(path, ns=(then, then))
    return path


def test_a_file_is_read_once(tmp_path: Path, cache: RecipeCache) -> None:
    path = texture(tmp_path / "wood.png")
    assert cache.get(path, ALGORITHM) is None
    recipe = file_recipe(path, ALGORITHM, cache)
    assert recipe == plain_recipe(Memory(b"wood"), ALGORITHM)
    assert cache.get(path, ALGORITHM) == recipe
    assert cache.get(path, "another") is None


def test_a_library_is_cut_along_its_blocks_and_a_damaged_one_is_left_to_blender(
    tmp_path: Path, cache: RecipeCache
) -> None:
    file = scene(range(100))
    whole, _, _ = blend_recipe(Memory(file), ALGORITHM)
    assert file_recipe(texture(tmp_path / "a.blend", compressed(frames_of(file, 50_000))), ALGORITHM, cache) == whole
    cut = texture(tmp_path / "b.blend", file[:-1])
    assert file_recipe(cut, ALGORITHM, cache) == plain_recipe(Memory(file[:-1]), ALGORITHM)


def test_a_file_that_was_written_since_is_read_again(tmp_path: Path, cache: RecipeCache) -> None:
    path = texture(tmp_path / "wood.png")
    file_recipe(path, ALGORITHM, cache)
    texture(path, b"oak!", age_s=30.0)
    assert cache.get(path, ALGORITHM) is None
    assert file_recipe(path, ALGORITHM, cache) == plain_recipe(Memory(b"oak!"), ALGORITHM)


def test_a_file_that_is_written_while_it_is_read_is_not_kept(tmp_path: Path, cache: RecipeCache) -> None:
    path = texture(tmp_path / "wood.png")
    assert cache.get(path, ALGORITHM) is None
    recipe = plain_recipe(Memory(b"wood"), ALGORITHM)
    texture(path, b"oak!", age_s=30.0)
    cache.put(path, recipe)
    assert cache.get(path, ALGORITHM) is None


def test_a_file_that_has_only_just_been_written_is_not_kept(tmp_path: Path, cache: RecipeCache) -> None:
    # It may be written again within the same tick of the file system's clock.
    path = texture(tmp_path / "wood.png", age_s=0.0)
    file_recipe(path, ALGORITHM, cache)
    assert cache.get(path, ALGORITHM) is None


def test_what_has_turned_out_to_be_wrong_is_forgotten(tmp_path: Path, cache: RecipeCache) -> None:
    path, other = texture(tmp_path / "wood.png"), texture(tmp_path / "oak.png")
    file_recipe(path, ALGORITHM, cache)
    file_recipe(other, ALGORITHM, cache)
    cache.forget(path)
    assert cache.get(path, ALGORITHM) is None
    assert cache.get(other, ALGORITHM) is not None


def test_what_was_not_asked_for_the_longest_goes(
    tmp_path: Path, cache: RecipeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN room for ten
    monkeypatch.setattr(recipe_cache, "MAX_ENTRIES", 10)
    paths = [texture(tmp_path / f"{number}.png") for number in range(12)]
    now = time.time()
    for day, path in enumerate(paths):
        # WHEN more are asked for, one a day, and the first of them once more
        monkeypatch.setattr(time, "time", lambda day=day: now + day * 100_000)
        file_recipe(path, ALGORITHM, cache)
        file_recipe(paths[0], ALGORITHM, cache)
    # THEN the oldest are not kept, but the first one is
    kept = [number for number, path in enumerate(paths) if cache.get(path, ALGORITHM) is not None]
    assert len(kept) <= 10
    assert {0, 10, 11} <= set(kept)
    assert not {1, 2} & set(kept)


SHARE = """
import sys
from pathlib import Path
from addon.client.recipes import RecipeCache, file_recipe
cache = RecipeCache(Path(sys.argv[1]))
for name in sys.argv[3:]:
    file_recipe(Path(name), sys.argv[2], cache)
print(sum(cache.get(Path(name), sys.argv[2]) is not None for name in sys.argv[3:]))
"""


def test_two_processes_share_a_cache(tmp_path: Path) -> None:
    # GIVEN two clients that start on the same new cache at once WHEN both read a hundred files
    paths = [texture(tmp_path / f"{number}.png", b"wood%d" % number) for number in range(100)]
    command = [sys.executable, "-c", SHARE, str(tmp_path / "recipes.sqlite3"), ALGORITHM, *map(str, paths)]
    clients = [
        subprocess.Popen(
            command, cwd=Path(__file__).parents[2], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    # THEN neither minds the other, and the next one has all of them
    for client in clients:
        output, errors = client.communicate(timeout=60)
        assert output.strip() == "100", errors
    cache = RecipeCache(tmp_path / "recipes.sqlite3")
    assert all(cache.get(path, ALGORITHM) is not None for path in paths)


@pytest.mark.parametrize("content", [b"this is no database", b"SQLite format 3\0" + bytes(4000)])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, content: bytes) -> None:
    database = tmp_path / "recipes.sqlite3"
    database.write_bytes(content)
    path = texture(tmp_path / "wood.png")
    file_recipe(path, ALGORITHM, RecipeCache(database))
    assert RecipeCache(database).get(path, ALGORITHM) is not None


def test_a_cache_of_another_version_is_made_anew(tmp_path: Path) -> None:
    database = tmp_path / "recipes.sqlite3"
    old = sqlite3.connect(database)
    old.executescript("CREATE TABLE recipes (name TEXT); PRAGMA user_version = 99;")
    old.close()
    path = texture(tmp_path / "wood.png")
    file_recipe(path, ALGORITHM, RecipeCache(database))
    assert RecipeCache(database).get(path, ALGORITHM) is not None


def test_a_client_without_a_place_for_its_cache_works_all_the_same(tmp_path: Path) -> None:
    cache = RecipeCache(tmp_path / "nowhere" / "recipes.sqlite3")
    path = texture(tmp_path / "wood.png")
    assert file_recipe(path, ALGORITHM, cache) == plain_recipe(Memory(b"wood"), ALGORITHM)
    assert cache.get(path, ALGORITHM) is not None


# Real saves

SAVES = """
import os
import bpy

def save(name, compress=False):
    path = os.path.join(os.environ["FOLDER"], name + ".blend")
    bpy.ops.wm.save_as_mainfile(filepath=path, compress=compress, copy=True)

bpy.ops.mesh.primitive_grid_add(x_subdivisions=600, y_subdivisions=600)
terrain = bpy.context.object
terrain.name = terrain.data.name = "Terrain"
bpy.ops.mesh.primitive_uv_sphere_add()
for number in range(300):
    ball = bpy.context.object.copy()
    ball.data = ball.data.copy()
    ball.location.x = number
    bpy.context.collection.objects.link(ball)
image = bpy.data.images.new("Noise", 512, 512)
image.pixels.foreach_set([(n * 2654435761 % 4294967296) / 4294967296 for n in range(512 * 512 * 4)])
image.pack()
for compress in (False, True):
    save("first" + "_packed" * compress, compress)
    terrain.location.z += 1.0
    save("moved" + "_packed" * compress, compress)
    for vertex in terrain.data.vertices[100_000:100_300]:
        vertex.co.z += 0.1
    terrain.data.update()
    save("sculpted" + "_packed" * compress, compress)
    bpy.ops.mesh.primitive_cube_add()
    save("added" + "_packed" * compress, compress)
"""
EDITS = ["first", "moved", "sculpted", "added"]


@pytest.fixture(scope="module")
def saves(
    blender: Blender,
    run_in_blender: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with a scene of 30 MB as a real Blender saved it after each edit, also compressed."""
    folder = tmp_path_factory.mktemp("saves")
    run_in_blender(blender, SAVES, FOLDER=str(folder))
    return folder


@pytest.mark.parametrize("edit", [*EDITS, *(f"{edit}_packed" for edit in EDITS)])
def test_what_blender_saved_is_made_again_byte_for_byte(saves: Path, edit: str) -> None:
    # GIVEN a save of Blender's
    path = saves / f"{edit}.blend"
    content = path.read_bytes()
    with open_source(path) as source:
        # WHEN it is cut, and made again of its chunks THEN it is the same, or what was compressed
        recipe, keys, _ = blend_recipe(source, ALGORITHM)
        assert isinstance(source, Unpacked) == edit.endswith("_packed")
        assert rebuilt(recipe, source) == (unpacked(content) if isinstance(source, Unpacked) else content)
    assert b"" in keys
    assert any(key.startswith(b"OBSphere") for key in keys)


def unpacked(content: bytes) -> bytes:
    """A second way to decompress a .blend: frame after frame, as the seek table gives them."""
    count = int.from_bytes(content[-9:-5], "little")
    sizes = [
        int.from_bytes(content[at : at + 4], "little")
        for at in range(len(content) - 9 - 8 * count, len(content) - 9, 4)
    ]
    frames, at = [], 0
    for packed, size in zip(sizes[0::2], sizes[1::2], strict=True):
        frames.append(zstd.decompress(content[at : at + packed], size))
        at += packed
    return b"".join(frames)


@pytest.mark.parametrize("suffix", ["", "_packed"])
def test_after_an_edit_little_is_new(saves: Path, suffix: str) -> None:
    # GIVEN a scene that was saved after each of some edits, compressed or not
    recipes = {}
    known = None
    for edit in EDITS:
        with open_source(saves / f"{edit}{suffix}.blend") as source:
            recipes[edit], _, known = blend_recipe(source, ALGORITHM, known)
    # WHEN two of them are compared THEN of their 20 MB of payloads only what was sculpted is new
    new = {edit: new_bytes(recipes[edit], recipes[before]) for before, edit in pairwise(EDITS)}
    assert new == {"moved": 0, "sculpted": new["sculpted"], "added": 0}
    assert 0 < new["sculpted"] < 1_000_000
    assert all(sum(recipe.lengths[recipe.skeleton :]) > 20_000_000 for recipe in recipes.values())
