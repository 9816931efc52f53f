# SPDX-License-Identifier: GPL-3.0-or-later
"""What a changed chunk is told from."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.client import counterparts as counterparts_module
from addon.client.bases import Base, base_of
from addon.client.counterparts import Counterparts, counterparts
from addon.client.gather import Dependency
from addon.client.ledger import Order
from addon.client.plan import Plan, make_plan
from addon.client.recipe_cache import RecipeCache
from addon.client.unpacked import open_source
from addon.protocol.digest import BLAKE2B, DIGEST_BYTES
from addon.protocol.recipe import Recipe
from tests.client.test_unpacked import compressed, frames_of
from tests.protocol.blends import Block, blend, data, data_block

NODE = "1" * 32
POINTS = random.Random(7).randbytes(3 << 20)


def recipe(ids: str) -> Recipe:
    """One chunk of the skeleton, and then of the payload one for each letter."""
    names = b"".join(letter.encode().ljust(DIGEST_BYTES) for letter in "#" + ids)
    return Recipe(BLAKE2B, (5, 5 * len(ids)), 1, (5,) * (1 + len(ids)), names)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("abcdef", "abcdef", ""),
        ("abcdef", "abXdef", "Xc"),
        ("abcdef", "aXYdef", "Xb Yc"),
        ("abcdef", "XbcdeY", "Xa Yf"),
        ("abc", "XYZ", "Xa Yb Zc"),
        ("abcdef", "abXcdef", ""),  # added
        ("abcdef", "abdef", ""),  # taken out
        ("abcdef", "aXdYf", "Xb Ye"),  # one of two taken out
        ("abcdef", "aXYZcdef", "Xb"),  # one cut into three
        ("abc", "abcXY", ""),
        ("a0b0c0d", "a0X0c0Y", "Xb Yd"),  # one that is there often
        ("abcd", "cdXb", ""),  # in another order: no neighbour tells what X was
    ],
)
def test_a_changed_chunk_goes_with_the_one_between_the_same_neighbours(before: str, after: str, expected: str) -> None:
    found = counterparts(recipe(after), recipe(before))
    assert " ".join(after[number - 1] + before[found[number] - 1] for number in found) == expected


@given(st.text("abcdXYZ", min_size=1), st.text("abcdXYZ", min_size=1))
def test_every_counterpart_is_a_payload_chunk_of_the_other_save(before: str, after: str) -> None:
    found = counterparts(recipe(after), recipe(before))
    assert all(1 <= new <= len(after) and 1 <= old <= len(before) for new, old in found.items())
    assert all(after[new - 1] not in before for new in found)


def save(points: bytes) -> bytes:
    return blend([data_block("OBterrain", 9000), Block(b"DATA", points), data(50_000, 1)])


class Film:
    """A .blend that is saved again and again, as Blender does it."""

    def __init__(self, folder: Path) -> None:
        self.blend = folder / "shot.blend"
        self._cache = RecipeCache(folder / "recipes.sqlite3")

    def save(self, content: bytes, *used: Path) -> Plan:
        if self.blend.exists():
            self.blend.rename(self.backup)
        self.blend.write_bytes(content)
        dependencies = tuple(Dependency(str(path), path.name) for path in used)
        order = Order("0" * 32, str(self.blend), "shot", None, "1", str(self.blend.parent), dependencies=dependencies)
        return make_plan(order, open_source(self.blend), BLAKE2B, None, self._cache)

    @property
    def backup(self) -> Path:
        return self.blend.with_name("shot.blend1")


@pytest.fixture
def film(tmp_path: Path) -> Film:
    return Film(tmp_path)


def moved(points: bytes) -> bytes:
    """One vertex of a mesh is somewhere else."""
    return points[:1_500_000] + bytes([points[1_500_000] ^ 1]) + points[1_500_001:]


def changed(plan: Plan, base: Base) -> list[bytes]:
    return [chunk for chunk in plan.manifest.chunks if chunk not in base.manifest.places]


needs_the_backup = pytest.mark.skipif(os.name == "nt", reason="Windows: the save before is left alone")


@needs_the_backup
@pytest.mark.parametrize("packed", [False, True], ids=["uncompressed", "compressed"])
def test_a_payload_is_told_from_the_save_that_blender_kept(film: Film, packed: bool) -> None:
    # GIVEN a save that the node has
    before, after = (
        compressed(frames_of(each, 1 << 20)) if packed else each for each in (save(POINTS), save(moved(POINTS)))
    )
    base = base_of(film.save(before), NODE)
    # WHEN the next one differs in a mesh
    plan = film.save(after)
    # THEN what has changed is found in the one before
    (chunk,) = changed(plan, base)
    found = Counterparts(plan, base).find(chunk)
    assert found is not None
    assert (found[0] in base.manifest.places, len(found[1])) == (True, plan.manifest.chunk_length(chunk))
    assert sum(one != other for one, other in zip(bytes(found[1]), bytes(plan.read(chunk)), strict=True)) == 1


def test_of_the_skeleton_nothing_is_read(film: Film) -> None:
    base = base_of(film.save(blend([data_block("OBa", 9000), data(5000)])), NODE)
    plan = film.save(blend([data_block("OBa", 9000, address=7), data(5000)]))
    film.backup.unlink()
    (chunk,) = changed(plan, base)
    number = plan.manifest.places[chunk][0].number
    assert Counterparts(plan, base).find(chunk) == base.skeleton[plan.keys[number]]


@pytest.mark.parametrize(
    "backup",
    [None, b"", b"a letter", save(POINTS)[:-1], save(POINTS[::-1])],
    ids=["none is kept", "empty", "no .blend", "cut short", "of another save"],
)
def test_another_file_in_the_backups_place_is_nothing_to_tell_from(film: Film, backup: bytes | None) -> None:
    base = base_of(film.save(save(POINTS)), NODE)
    plan = film.save(save(moved(POINTS)))
    film.backup.unlink()
    if backup is not None:
        film.backup.write_bytes(backup)
    (chunk,) = changed(plan, base)
    assert Counterparts(plan, base).find(chunk) is None


def test_a_backup_that_is_not_there_is_not_waited_for(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counterparts_module, "open_source", lambda path: pytest.fail(f"{path} was opened"))
    base = base_of(film.save(save(POINTS)), NODE)
    plan = film.save(save(moved(POINTS)))
    film.backup.unlink()
    (chunk,) = changed(plan, base)
    assert Counterparts(plan, base).find(chunk) is None


@needs_the_backup
def test_blenders_next_save_does_not_disturb(film: Film) -> None:
    base = base_of(film.save(save(POINTS)), NODE)
    plan = film.save(save(moved(POINTS)))
    (chunk,) = changed(plan, base)
    before = Counterparts(plan, base)
    found = before.find(chunk)
    assert found is not None
    film.save(save(POINTS[::-1]))
    assert before.find(chunk) == found


def test_a_texture_has_none(film: Film) -> None:
    wood = film.blend.with_name("wood.png")
    wood.write_bytes(POINTS)
    base = base_of(film.save(save(POINTS), wood), NODE)
    wood.write_bytes(moved(POINTS))
    plan = film.save(save(POINTS), wood)
    (chunk,) = changed(plan, base)
    assert Counterparts(plan, base).find(chunk) is None
