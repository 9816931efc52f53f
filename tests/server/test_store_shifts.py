# SPDX-License-Identifier: GPL-3.0-or-later
"""A save that becomes the next one within its own file."""

from io import FileIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.store import copying, plan
from server.store.part import Part

from .store_kit import Block, Save, blocks, save_of

SHAPES = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=90)), min_size=1, max_size=12).filter(
    lambda file: any(head or body for head, body in file)
)


def shifted(path: Path, before: Save, after: Save) -> plan.Shift:
    """Shift a file that holds the one save towards the other; what it has then is what it says."""
    new, old = after.manifest.blend.recipe, before.manifest.blend.recipe
    path.write_bytes(before.contents[old.digest])
    shift = plan.shift(new, old, plan.pairs(new, old))
    part = Part(path, new)
    part.shift(shift.moves)
    found = path.read_bytes()
    assert len(found) == new.size
    for number in shift.numbers:
        content = b"".join(found[offset : offset + length] for offset, length in new.extents(number))
        assert content == after.chunks[new.id(number)]
    return shift


@settings(deadline=None)
@given(first=SHAPES, data=st.data(), cut=st.integers(1, 60), buffer=st.integers(1, 40))
def test_nothing_is_overwritten_before_it_is_read(
    tmp_path_factory: pytest.TempPathFactory, first: list[Block], data: st.DataObject, cut: int, buffer: int
) -> None:
    # Blocks that stay, go, come and change places; and moves that overlap themselves, in several steps.
    block = st.one_of(st.sampled_from(first), SHAPES.map(lambda file: file[0]))
    second = data.draw(st.lists(block, min_size=1).filter(lambda file: any(head or body for head, body in file)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copying, "_BUFFER", buffer)
        shifted(tmp_path_factory.mktemp("shift") / "file", save_of(first, cut=cut), save_of(second, cut=cut))


@pytest.mark.parametrize("at", [0, 7, 19])
def test_all_that_was_there_moves_when_something_is_added_or_deleted(tmp_path: Path, at: int) -> None:
    file = blocks(1)
    more = [*file[:at], *blocks(2, 1), *file[at:]]
    for before, after in ((file, more), (more, file)):
        shift = shifted(tmp_path / "file", save_of(before, cut=1 << 20), save_of(after, cut=1 << 20))
        payloads = sum(bool(body) for _, body in file)
        assert len(shift.numbers) >= payloads  # All of them; the skeleton is one chunk here, which is another one.


def test_what_stays_where_it_is_costs_nothing(tmp_path: Path) -> None:
    file = blocks(1)
    other = [*file[:-1], (file[-1][0], file[-1][1] + b"more")]
    shift = shifted(tmp_path / "file", save_of(file, cut=1 << 20), save_of(other, cut=1 << 20))
    assert shift.moves == []


def test_a_chunk_that_is_there_often_is_the_one_that_comes_next() -> None:
    zeros = bytes(50)
    before = save_of([(b"a", zeros), (b"b", zeros), (b"c", zeros)], cut=50)
    after = save_of([(b"a", zeros), (b"x", b"new"), (b"b", zeros), (b"c", zeros)], cut=50)
    new, old = after.manifest.blend.recipe, before.manifest.blend.recipe
    shift = plan.shift(new, old, plan.pairs(new, old))
    payloads = [number for number in range(new.skeleton, len(new)) if new.lengths[number] == len(zeros)]
    assert len(payloads) == 3
    assert set(payloads) <= set(shift.numbers)
    assert len({at for number, at in plan.pairs(new, old) if number in payloads}) == len(payloads)


def test_a_file_that_is_shorter_than_it_should_be_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(10))
    with FileIO(path, "r+") as file, pytest.raises(copying.ShortFile):
        copying.move_within(file, [plan.Move(5, 0, 10)])
