# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest

from server.reserve import RESERVE_BYTES, Reserve
from tests.conftest import SmallDisk


def test_a_reserve_that_was_cut_short_is_taken_anew(tmp_path: Path) -> None:
    # GIVEN what a kill leaves of a reserve that was being written
    path = tmp_path / "reserve"
    path.write_bytes(bytes(RESERVE_BYTES // 2))
    # WHEN the node starts, THEN the whole of it is there
    assert Reserve(path).held
    assert path.stat().st_size == RESERVE_BYTES


@pytest.mark.parametrize("there", [RESERVE_BYTES // 2, RESERVE_BYTES])
def test_on_a_full_disk_the_reserve_is_room_for_the_books(small_disk: SmallDisk, there: int) -> None:
    # GIVEN a disk that is full, with a reserve on it or with part of one
    folder = small_disk("3M")
    path = folder / "reserve"
    path.write_bytes(bytes(there))
    (folder / "frames").write_bytes(bytes((3 << 20) - there))
    # WHEN the node starts, THEN it takes that room, and begins nothing new
    assert not Reserve(path).held
    assert not path.exists()
