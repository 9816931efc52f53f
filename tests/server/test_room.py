# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import dataclass
from pathlib import Path

import pytest

from server.cli.bringing import _bar
from server.room import ENOUGH_BYTES, LEAST_BYTES, WAITS, Room

GB = 1 << 30


@dataclass
class Disk:
    """How full a disk is, in bytes."""

    total: int
    free: int


def full(disk: Disk, begun: int) -> Room:
    """A disk on which a frame was begun with so much free, and that is full now."""
    room = Room(Path(), lambda _: disk)
    disk.free = begun
    room.begin()
    disk.free = 0
    room.run_out()
    assert room.lacking and not room.look()
    return room


@pytest.mark.parametrize(
    ("total", "begun", "needed"),
    [
        (100 * GB, 400 << 20, 500 << 20),  # The frame needed more than it had.
        (100 * GB, 50 * GB, ENOUGH_BYTES),  # Another program filled the disk.
        (100 * GB, 1 << 20, LEAST_BYTES),
        (1 * GB, 900 << 20, GB // 10),
        (16 << 20, 10 << 20, LEAST_BYTES),
    ],
)
def test_jobs_go_on_when_there_is_more_room_than_was_not_enough(total: int, begun: int, needed: int) -> None:
    disk = Disk(total, 0)
    room = full(disk, begun)
    disk.free = needed - 1
    assert not room.look()
    disk.free = needed
    assert room.look() and not room.lacking


def test_a_frame_that_is_larger_than_the_room_is_not_rendered_again_and_again() -> None:
    # GIVEN a frame of 20 GB, and 15 GB for it, which are free again whenever it is thrown away
    disk = Disk(100 * GB, 0)
    room = full(disk, 15 * GB)
    tries = 1
    disk.free = 15 * GB
    # WHEN it is tried as often as there seems to be room
    while room.look():
        room.begin()
        room.run_out()
        tries += 1
        assert tries < 10
    # THEN that ends, until there is more room than before
    disk.free = int(15 * GB * 1.25)
    assert room.look()
    # AND after a frame that could be kept it is not more careful than at first
    room.kept()
    room.begin()
    room.run_out()
    disk.free = ENOUGH_BYTES
    assert room.look()


def test_submit_says_why_a_job_is_held_up() -> None:
    line = {"state": "queued", "text": WAITS, "eta_s": None, "frame": None, "done": 2, "total": 12, "fraction": 0.2}
    assert _bar(line)["note"] == WAITS
    assert _bar(line | {"text": ""})["note"] == "2 of 12 done"
