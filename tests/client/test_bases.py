# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a save for the next one."""

import os
from pathlib import Path

import pytest

from addon.client import bases
from addon.client.bases import Base, Bases, base_of
from addon.client.errors import SourceChanged
from addon.client.ledger import Order
from addon.client.plan import Plan, make_plan
from addon.client.recipe_cache import RecipeCache
from addon.client.unpacked import open_source
from addon.protocol import zstd
from addon.protocol.digest import BLAKE2B
from tests.protocol.blends import blend, data, data_block, scene

NODE, OTHER = "1" * 32, "2" * 32
SHOT = "/home/ada/film/shot.blend"


def plan_of(path: Path, content: bytes) -> Plan:
    path.write_bytes(content)
    order = Order("0" * 32, str(path), path.name, None, "1", str(path.parent))
    return make_plan(order, open_source(path), BLAKE2B, None, RecipeCache(path.parent / "recipes.sqlite3"))


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return base_of(plan_of(tmp_path / "shot.blend", SAVE), NODE)


SAVE = blend([*(data_block(f"OBobject {number}", 3000) for number in range(30)), data(400_000, 1), data(5000, 2)])


def check_same(found: Base | None, base: Base) -> None:
    assert found is not None
    assert found == base


def test_a_base_has_the_skeleton_under_the_names_that_the_next_save_has_too(tmp_path: Path, base: Base) -> None:
    again = plan_of(tmp_path / "again.blend", SAVE)
    recipe = again.manifest.blend.recipe
    assert len(again.keys) == recipe.skeleton > 3
    for number, key in enumerate(again.keys):
        chunk = b"".join(SAVE[offset : offset + length] for offset, length in recipe.extents(number))
        assert base.skeleton[key] == (recipe.id(number), chunk)
    assert base.payloads.payloads


@pytest.mark.parametrize("module", [zstd.name(), None])
def test_a_base_is_there_for_the_next_process(
    tmp_path: Path, base: Base, monkeypatch: pytest.MonkeyPatch, module: str | None
) -> None:
    if module is None:
        monkeypatch.setattr(zstd, "name", lambda: None)
    Bases(tmp_path / "bases").put(SHOT, base)
    check_same(Bases(tmp_path / "bases").get(SHOT, NODE), base)


def test_a_base_is_for_its_node_and_its_blend(tmp_path: Path, base: Base) -> None:
    kept = Bases(tmp_path / "bases")
    assert kept.get(SHOT, NODE) is None
    kept.put(SHOT, base)
    for each in (kept, Bases(tmp_path / "bases")):
        assert each.get(SHOT, OTHER) is None
        assert each.get("/home/ada/film/other.blend", NODE) is None
        check_same(each.get(SHOT, NODE), base)


def test_there_is_one_for_each_blend_the_newest(tmp_path: Path, base: Base) -> None:
    newer = base_of(plan_of(tmp_path / "newer.blend", scene(range(50))), NODE)
    kept = Bases(tmp_path / "bases")
    kept.put(SHOT, base)
    kept.put("/home/ada/other.blend", base)
    kept.put(SHOT, newer)
    for each in (kept, Bases(tmp_path / "bases")):
        check_same(each.get(SHOT, NODE), newer)
        check_same(each.get("/home/ada/other.blend", NODE), base)
    assert len(list((tmp_path / "bases").iterdir())) == 2


def test_what_is_forgotten_does_not_come_back(tmp_path: Path, base: Base) -> None:
    kept = Bases(tmp_path / "bases")
    kept.put(SHOT, base)
    kept.forget(SHOT)
    assert kept.get(SHOT, NODE) is None
    assert Bases(tmp_path / "bases").get(SHOT, NODE) is None
    kept.forget(SHOT)


def test_a_damaged_base_is_none(tmp_path: Path, base: Base) -> None:
    # GIVEN a base on disk
    Bases(tmp_path / "bases").put(SHOT, base)
    (path,) = (tmp_path / "bases").iterdir()
    good = path.read_bytes()
    # WHEN a byte of it is another one, wherever, or its end is gone, THEN there is none
    damaged = [good[:at] + bytes([good[at] ^ 0x20]) + good[at + 1 :] for at in range(0, len(good), len(good) // 97)]
    for found in (*damaged, b"", good[:10], good[:-1], good[: len(good) // 2], good + b"x", bytes(len(good))):
        path.write_bytes(found)
        assert Bases(tmp_path / "bases").get(SHOT, NODE) is None
    # AND the next one takes its place
    Bases(tmp_path / "bases").put(SHOT, base)
    assert path.read_bytes() == good


def test_a_disk_that_takes_nothing_costs_only_what_a_restart_forgets(tmp_path: Path, base: Base) -> None:
    (tmp_path / "bases").write_text("not a folder")
    kept = Bases(tmp_path / "bases")
    kept.put(SHOT, base)
    check_same(kept.get(SHOT, NODE), base)
    kept.forget(SHOT)
    assert kept.get(SHOT, NODE) is None


def test_the_oldest_go(tmp_path: Path, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "KEPT_BASES", 3)
    kept = Bases(tmp_path / "bases")
    for number in range(5):
        kept.put(f"/{number}.blend", base)
        for path in (tmp_path / "bases").iterdir():  # An hour passes.
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 3600))
    found = [Bases(tmp_path / "bases").get(f"/{number}.blend", NODE) is not None for number in range(5)]
    assert found == [False, False, True, True, True]


def test_of_a_large_skeleton_the_rest_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(tmp_path / "shot.blend", SAVE)
    room = sum(plan.manifest.blend.recipe.lengths[:2])
    monkeypatch.setattr(bases, "SKELETON_BYTES", room)
    assert list(base_of(plan, NODE).skeleton) == list(plan.keys[:2])


def test_a_blend_that_was_written_over_is_no_base(tmp_path: Path) -> None:
    path = tmp_path / "shot.blend"
    plan = plan_of(path, SAVE)
    path.write_bytes(bytes(len(SAVE)))
    with pytest.raises(SourceChanged):
        base_of(plan, NODE)
