# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.protocol.errors import InvalidFrames
from addon.protocol.frame_range import MAX_FRAME, format_frames, parse_frames


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("7", (7,)),
        ("1-4", (1, 2, 3, 4)),
        ("1-3,20", (1, 2, 3, 20)),
        ("1-10x4", (1, 5, 9)),
        ("0-2", (0, 1, 2)),
        ("5, 3-5", (3, 4, 5)),
    ],
)
def test_reads_what_artists_write(text: str, frames: tuple[int, ...]) -> None:
    assert parse_frames(text) == frames


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "No frames to render"),
        (",", "No frames to render"),
        ("one", "write frames like"),
        ("9-1", "write 1-9"),
        ("-3", "write frames like"),
        ("1-9x0", "step of zero"),
        ("1-1000000", "1,000,000 frames"),
        ("1-50000,1-50001", "100,001 frames"),
        ("9999999", "the last one that Blender has"),
        ("1-999999999x999999998", "the last one that Blender has"),
    ],
)
def test_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(InvalidFrames, match=says):
        parse_frames(text)


@given(st.sets(st.integers(0, MAX_FRAME), min_size=1, max_size=60))
def test_formatting_and_reading_are_inverse(frames: set[int]) -> None:
    ascending = tuple(sorted(frames))
    assert parse_frames(format_frames(ascending)) == ascending


def test_writes_runs_short() -> None:
    assert format_frames((1, 2, 3, 10, 20, 30, 31)) == "1-3,10-30x10,31"
    assert format_frames((4, 9)) == "4,9"
    assert format_frames((4, 5)) == "4-5"
