# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of frames that are home, and when it goes."""

import os
from pathlib import Path

import pytest

from server.gallery import Gallery
from tests.conftest import SmallDisk

ONE, OTHER = "1" * 32, "2" * 32


def hand_over(gallery: Gallery, folder: Path, job: str, name: str, size: int = 100, made: float = 1000.0) -> None:
    """Give it a file that was made at a time."""
    file = folder / name
    file.write_bytes(name[:1].encode() * size)
    os.utime(file, (made, made))
    gallery.keep(job, file)
    assert not file.exists()


def test_a_file_is_found_again_also_after_a_restart(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "gallery", 1000)
    hand_over(gallery, tmp_path, ONE, "0-0.png")
    gallery.keep_small(ONE, -3, b"jpeg")
    for each in (gallery, Gallery(tmp_path / "gallery", 1000)):
        found, small = each.find(ONE, "0-0.png"), each.find_small(ONE, -3)
        assert found is not None
        assert found.read_bytes() == b"0" * 100
        assert small is not None
        assert small.read_bytes() == b"jpeg"
        assert each.names(ONE) == {"0-0.png", "-3.small"}
        assert each.size == 104
        assert each.find(OTHER, "0-0.png") is None
        assert each.find_small(ONE, 3) is None


def test_the_job_that_went_home_first_goes_first_and_its_oldest_frame_before_others(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "gallery", 400)
    hand_over(gallery, tmp_path, ONE, "1-0.png", made=3000)
    hand_over(gallery, tmp_path, ONE, "0-0.png", made=2000)
    hand_over(gallery, tmp_path, OTHER, "0-0.png", made=1000)
    hand_over(gallery, tmp_path, OTHER, "1-0.png", made=1500)
    assert gallery.size == 400
    hand_over(gallery, tmp_path, OTHER, "2-0.png", 50, made=4000)
    assert gallery.names(ONE) == {"1-0.png"}
    hand_over(gallery, tmp_path, OTHER, "3-0.png", made=4000)
    assert len(gallery.names(OTHER)) == 4
    assert not (tmp_path / "gallery" / ONE).exists()
    hand_over(gallery, tmp_path, OTHER, "4-0.png", made=4000)
    assert gallery.names(OTHER) == {"1-0.png", "2-0.png", "3-0.png", "4-0.png"}
    assert gallery.size == 350


def test_after_a_restart_the_oldest_still_goes_first_and_a_lower_limit_holds(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "gallery", 1000)
    hand_over(gallery, tmp_path, OTHER, "0-0.png", made=2000)
    hand_over(gallery, tmp_path, ONE, "0-0.png", made=1000)
    again = Gallery(tmp_path / "gallery", 150)
    assert again.names(OTHER) == {"0-0.png"}
    assert not again.names(ONE)
    assert Gallery(tmp_path / "gallery", 0).size == 0
    assert list((tmp_path / "gallery").iterdir()) == []


def test_a_frame_that_is_rendered_again_counts_once(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "gallery", 1000)
    hand_over(gallery, tmp_path, ONE, "0-0.png", 100)
    hand_over(gallery, tmp_path, ONE, "0-0.png", 60)
    gallery.keep_small(ONE, 1, b"draft")
    gallery.keep_small(ONE, 1, b"jpeg")
    assert gallery.size == 64


def test_it_makes_way_for_as_much_as_is_wanted(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "gallery", 1000)
    for position in range(5):
        hand_over(gallery, tmp_path, ONE, f"{position}-0.png", made=position)
    assert gallery.make_way(0) == 0
    assert gallery.make_way(150) == 200
    assert gallery.names(ONE) == {"2-0.png", "3-0.png", "4-0.png"}
    assert gallery.make_way(10_000) == 300
    assert gallery.make_way(10_000) == 0
    hand_over(gallery, tmp_path, ONE, "9-0.png")
    assert gallery.names(ONE) == {"9-0.png"}


def test_what_is_dropped_is_gone_and_does_not_count(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "gallery", 1000)
    hand_over(gallery, tmp_path, ONE, "0-0.png")
    hand_over(gallery, tmp_path, OTHER, "0-0.png")
    gallery.drop(ONE)
    assert (gallery.size, gallery.names(ONE)) == (100, frozenset())
    gallery.keep_only({ONE})
    assert (gallery.size, list((tmp_path / "gallery").iterdir())) == (0, [])


@pytest.mark.parametrize("limit", [0, 99])
def test_what_is_larger_than_all_of_it_is_deleted(tmp_path: Path, limit: int) -> None:
    gallery = Gallery(tmp_path / "gallery", limit)
    hand_over(gallery, tmp_path, ONE, "0-0.png", 100)
    gallery.keep_small(ONE, 1, b"j" * 100)
    assert gallery.size == 0
    assert not (tmp_path / "gallery").exists()


def test_no_room_for_a_picture_is_no_reason_to_trouble_anybody(tmp_path: Path) -> None:
    # GIVEN a place where nothing can be made: a file stands where the gallery's folder would
    gallery = Gallery(tmp_path / "gallery", 1000)
    (tmp_path / "gallery").write_bytes(b"")
    # WHEN it is given a file and a small picture
    hand_over(gallery, tmp_path, ONE, "0-0.png")
    gallery.keep_small(ONE, 1, b"jpeg")
    # THEN they are not there, nor counted, and the disk has its room back
    assert (gallery.size, gallery.find(ONE, "0-0.png"), gallery.find_small(ONE, 1)) == (0, None, None)
    assert gallery.make_way(1000) == 0


def test_half_a_small_picture_is_none(small_disk: SmallDisk) -> None:
    gallery = Gallery(small_disk("64k") / "gallery", 1 << 20)
    gallery.keep_small(ONE, 1, b"j" * (100 << 10))
    assert (gallery.find_small(ONE, 1), gallery.size) == (None, 0)
    # And it is none in the way of the next
    gallery.keep_small(ONE, 2, b"j" * (30 << 10))
    assert gallery.find_small(ONE, 2) is not None


def test_files_that_somebody_has_deleted_do_not_hold_it_up(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "gallery", 300)
    for position in range(3):
        hand_over(gallery, tmp_path, ONE, f"{position}-0.png", made=position)
    for path in (tmp_path / "gallery" / ONE).iterdir():
        path.unlink()
    hand_over(gallery, tmp_path, OTHER, "0-0.png")
    assert gallery.names(OTHER) == {"0-0.png"}
    assert gallery.size == 100
