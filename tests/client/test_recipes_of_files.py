# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are no .blend, damaged ones, and how their recipes are kept."""

import gzip
import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from addon.client import recipe_cache
from addon.client.errors import CannotRead
from addon.client.recipe_cache import RecipeCache
from addon.client.recipes import blend_recipe, file_recipe, plain_recipe
from addon.client.unpacked import open_source
from addon.protocol import zstd
from addon.protocol.blocks import Memory
from tests.client.recipes_kit import ALGORITHM, rebuilt
from tests.client.test_unpacked import compressed, frames_of
from tests.protocol.blends import scene

# What is wrong


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a letter", "not a .blend"),
        (scene(range(50))[:-1], "cut short"),
        (zstd.compress(scene(range(50))), "cut short"),
        (gzip.compress(scene(range(50)))[:-1], "cut short"),
        (gzip.compress(b"a letter", mtime=0), "not a .blend"),
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
from addon.client.recipe_cache import RecipeCache
from addon.client.recipes import file_recipe
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
