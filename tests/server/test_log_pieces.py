# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs are read a piece at a time."""

from pathlib import Path

from server import log_pieces
from server.executors.chatter import MARK, Chatter


def test_a_log_is_read_a_piece_at_a_time(tmp_path: Path) -> None:
    log = tmp_path / "blender.log"
    assert log_pieces.read(log, 0) == (0, 0, b"")
    log.write_bytes(b"0123456789")
    assert log_pieces.read(log, 0, 4) == (0, 10, b"0123")
    assert log_pieces.read(log, 8, 4) == (8, 10, b"89")
    assert log_pieces.read(log, 10, 4) == (10, 10, b"")
    log.write_bytes(b"new")  # A log that is shorter than what was read of it is another one.
    assert log_pieces.read(log, 10, 4) == (0, 3, b"new")


def test_a_log_of_several_blenders_is_read_a_frame_at_a_time(tmp_path: Path) -> None:
    # GIVEN two Blenders that print by turns, of which one says what no worker says
    one, other = Chatter(), Chatter()
    log = tmp_path / "blender.log"
    printed = [
        (one, "started\n"), (one, f"{MARK}5\n"), (other, f"{MARK}6\n"), (one, "five\n"), (other, "six\n"),
        (one, "       6| not six\n"), (one, f"{MARK}\n"), (one, "between\n"), (one, f"{MARK}5 or so\n"),
        (one, "of none\n"), (one, f"{MARK}123456789\n"), (one, "of none\n"), (one, f"{MARK}55\n"), (one, "last"),
    ]  # fmt: skip
    log.write_text("".join(who.logged(line) for who, line in printed if not who.heed(line)))
    # WHEN a frame's lines are asked for THEN these alone come, as they were printed
    assert log_pieces.read_frame(log, 5, 0) == (0, 23, b"five\n       6| not six\n")
    assert log_pieces.read_frame(log, 6, 0) == (0, 4, b"six\n")
    assert log_pieces.read_frame(log, 55, 0) == (0, 5, b"last\n")
    assert log_pieces.read_frame(log, 7, 0) == (0, 0, b"")
    # AND a piece at a time
    assert log_pieces.read_frame(log, 5, 0, 4) == (0, 23, b"five")
    assert log_pieces.read_frame(log, 5, 20) == (20, 23, b"ix\n")
    assert log_pieces.read_frame(log, 5, 99, 4) == (0, 23, b"five")
    assert log_pieces.read_frame(tmp_path / "none", 5, 0) == (0, 0, b"")
