# SPDX-License-Identifier: GPL-3.0-or-later
"""From an order to a manifest, and from a chunk's name to its bytes."""

import os
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from addon.client import plan as planning
from addon.client.errors import CannotRead, FilesMissing, SourceChanged
from addon.client.gather import Dependency, Gathered, Kind, gather
from addon.client.ledger import Order
from addon.client.plan import Plan, make_plan
from addon.client.recipe_cache import RecipeCache
from addon.client.recipes import plain_recipe
from addon.client.snapshot import Snapshot
from addon.client.unpacked import open_source
from addon.protocol.digest import BLAKE2B, chunk_algorithms
from tests.client.test_unpacked import compressed
from tests.needs import NEEDS_ZSTD
from tests.protocol.blends import blend, data, data_block, scene

WOOD, STONE = (random.Random(seed).randbytes(2_500_000) for seed in range(2))
SAVE = blend([*(data_block(f"OBobject {number}", 3000) for number in range(30)), data(400_000, 1), data(5000, 2)])


class Project:
    """A folder of the artist's with a .blend."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blend = self.file("shots/shot.blend", SAVE)
        self.cache = RecipeCache(root / "recipes.sqlite3")

    def file(self, name: str, content: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def plan(self, *paths: Path | str, without: Sequence[Path] = (), algorithm: str = BLAKE2B) -> Plan:
        uses = tuple(Dependency(str(path), f'Image "{Path(path).name}"') for path in paths)
        return self.plan_of(self.order(uses, without), algorithm)

    def order(self, uses: tuple[Dependency, ...], without: Sequence[Path] = ()) -> Order:
        return Order(
            "0" * 32, str(self.blend), "shot.blend", None, "1", str(self.root),
            dependencies=uses, without=tuple(map(str, without)),
        )  # fmt: skip

    def plan_of(self, order: Order, algorithm: str = BLAKE2B) -> Plan:
        return make_plan(order, open_source(self.blend), algorithm, None, self.cache)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def names(plan: Plan) -> list[str]:
    return [entry.name for entry in plan.manifest.files]


def content(plan: Plan, file: int) -> bytes:
    """A file, put together from its chunks."""
    recipe = plan.manifest.files[file].recipe
    content = bytearray(recipe.size)
    for number in range(len(recipe)):
        chunk, at = memoryview(plan.read(recipe.id(number))), 0
        for offset, length in recipe.extents(number):
            content[offset : offset + length] = chunk[at : at + length]
            at += length
    return bytes(content)


def last_chunk(plan: Plan, file: int) -> bytes:
    recipe = plan.manifest.files[file].recipe
    return recipe.id(len(recipe) - 1)


@pytest.mark.parametrize("algorithm", chunk_algorithms())
def test_a_plan_has_every_file_in_its_place(project: Project, algorithm: str) -> None:
    wood, stone = project.file("textures/wood.png", WOOD), project.file("textures/stone.png", STONE)
    plan = project.plan(wood, stone, algorithm=algorithm)
    assert plan.manifest.roots == (project.root.as_posix(),)
    assert names(plan) == ["shots/shot.blend", "textures/wood.png", "textures/stone.png"]
    assert plan.paths == (project.blend, wood, stone)
    assert [content(plan, file) for file in range(3)] == [SAVE, WOOD, STONE]
    assert {entry.recipe.algorithm for entry in plan.manifest.files} == {algorithm}


def test_a_file_goes_once_by_whatever_names_it_is_used(project: Project) -> None:
    wood = project.file("textures/wood.png", WOOD)
    plan = project.plan(wood, project.root / "shots" / ".." / "textures" / "wood.png", project.blend)
    assert names(plan) == ["shots/shot.blend", "textures/wood.png"]


@NEEDS_ZSTD
def test_a_compressed_blend_goes_as_what_it_holds(project: Project) -> None:
    # GIVEN a scene that is compressed, and a library of it that is, too
    library = scene(range(40))
    project.file("shots/shot.blend", compressed([SAVE[:100_000], SAVE[100_000:]]))
    path = project.file("library.blend", compressed([library[:70_000], library[70_000:]]))
    # THEN both are what Blender reads in them
    plan = project.plan(path)
    assert [content(plan, file) for file in range(2)] == [SAVE, library]


# What is missing


def test_what_is_missing_is_said_before_anything_is_read(project: Project) -> None:
    # GIVEN a scene of which one file is missing, and a .blend that cannot be read
    wood, stone = project.file("wood.png", WOOD), project.root / "stone.png"
    project.blend.write_bytes(b"This is no .blend.")
    with pytest.raises(FilesMissing) as missing:
        project.plan(wood, stone)
    assert [(each.path, each.owner) for each in missing.value.missing] == [(stone, 'Image "stone.png"')]


def test_what_the_artist_knows_to_be_missing_is_left_out(project: Project) -> None:
    wood, stone, sand = project.file("wood.png", WOOD), project.root / "stone.png", project.root / "sand.png"
    assert names(project.plan(wood, stone, without=[stone])) == ["shots/shot.blend", "wood.png"]
    with pytest.raises(FilesMissing) as missing:
        project.plan(wood, stone, sand, without=[stone])
    assert [each.path for each in missing.value.missing] == [sand]


def test_a_file_that_goes_before_it_is_read_is_missing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a texture that is deleted right after it was found
    wood, stone = project.file("wood.png", WOOD), project.file("stone.png", STONE)

    def look_and_delete(uses: Sequence[Dependency]) -> Gathered:
        found = gather(uses)
        stone.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(planning, "gather", look_and_delete)
    with pytest.raises(FilesMissing) as missing:
        project.plan(wood, stone)
    assert [each.path for each in missing.value.missing] == [stone]
    # WHEN the artist knows that, THEN the rest goes
    stone.write_bytes(STONE)
    assert names(project.plan(wood, stone, without=[stone])) == ["shots/shot.blend", "wood.png"]


def test_an_empty_file_is_nobodys_trouble(project: Project) -> None:
    project.file("cache/.keep", b"")
    project.file("cache/0001.vdb", WOOD)
    plan = project.plan_of(project.order((Dependency(str(project.root / "cache"), "Bake", Kind.FOLDER),)))
    assert names(plan) == ["shots/shot.blend", "cache/0001.vdb"]


# What changes


def replaced(path: Path, content: bytes) -> None:
    fresh = path.with_name("fresh")
    fresh.write_bytes(content)
    fresh.replace(path)


def written_over(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def deleted(path: Path, _: bytes) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [replaced, written_over, deleted])
@pytest.mark.parametrize("newer", [STONE, STONE[:1000], b""], ids=["as long", "shorter", "empty"])
def test_what_has_changed_is_not_sent(project: Project, change: Callable[[Path, bytes], None], newer: bytes) -> None:
    wood = project.file("wood.png", WOOD)
    plan = project.plan(wood)
    change(wood, newer)
    with pytest.raises(SourceChanged, match=r"wood\.png was changed"):
        plan.read(last_chunk(plan, 1))
    assert content(plan, 0) == SAVE


def test_a_file_that_is_replaced_while_it_is_sent_goes_as_it_was(project: Project) -> None:
    wood = project.file("wood.png", WOOD)
    plan = project.plan(wood)
    plan.read(plan.manifest.files[1].recipe.id(0))
    replaced(wood, STONE)
    assert content(plan, 1) == WOOD


def test_a_blend_that_is_written_over_is_not_sent(project: Project) -> None:
    plan = project.plan()
    project.blend.write_bytes(SAVE[:-1000] + bytes(1000))
    with pytest.raises(SourceChanged, match=r"shot\.blend was changed"):
        content(plan, 0)


def test_a_blend_that_names_itself_goes_as_it_was_saved(project: Project) -> None:
    # GIVEN a save that uses itself as a library, and that a newer one takes the place of
    saved = open_source(project.blend)
    order = project.order((Dependency(str(project.blend), "Library"),))
    replaced(project.blend, scene(range(9)))
    # THEN what is sent is that save
    plan = make_plan(order, saved, BLAKE2B, None, project.cache)
    assert names(plan) == ["shot.blend"]
    assert content(plan, 0) == SAVE


def test_what_is_noted_wrongly_of_a_file_is_wrong_once(project: Project) -> None:
    # GIVEN a note of a texture from when it had other bytes, which its time and size do not tell
    wood = project.file("wood.png", WOOD)
    with Snapshot(project.file("stone.png", STONE)) as source:
        recipe = plain_recipe(source, BLAKE2B)
    past = wood.stat().st_mtime - 100
    os.utime(wood, (past, past))
    assert project.cache.get(wood, BLAKE2B) is None
    project.cache.put(wood, recipe)
    # WHEN it is to be sent, THEN that comes out
    plan = project.plan(wood)
    assert plan.manifest.files[1].recipe == recipe
    with pytest.raises(SourceChanged):
        content(plan, 1)
    # AND the next plan is right
    assert content(project.plan(wood), 1) == WOOD


@pytest.mark.skipif(sys.platform == "win32", reason="counts as POSIX does")
def test_few_files_are_open_at_a_time(project: Project) -> None:
    paths = [project.file(f"{number}.png", b"texture %d" % number) for number in range(40)]
    plan = project.plan(*paths)
    before = psutil.Process().num_fds()
    for number, path in enumerate(paths):
        assert content(plan, number + 1) == path.read_bytes()
    assert psutil.Process().num_fds() - before < 10


# What cannot be sent


@pytest.mark.skipif(sys.platform == "win32", reason="there it is a folder")
def test_a_blend_whose_name_cannot_be_sent_gets_a_sentence(project: Project) -> None:
    project.blend = project.file("my\\shot.blend", SAVE)
    with pytest.raises(CannotRead, match="name that cannot be sent"):
        project.plan()


def test_more_files_than_a_job_can_have_get_a_sentence(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [project.file(f"{number}.png", b"texture %d" % number) for number in range(40)]
    size = len(project.plan(*paths).manifest.packed)
    monkeypatch.setattr(planning, "MAX_MANIFEST_BYTES", size)
    project.plan(*paths)
    monkeypatch.setattr(planning, "MAX_MANIFEST_BYTES", size - 1)
    with pytest.raises(CannotRead, match="41 files"):
        project.plan(*paths)
