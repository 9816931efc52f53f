# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs are read a piece at a time."""

from pathlib import Path

from server import log_pieces


def test_a_log_is_read_a_piece_at_a_time(tmp_path: Path) -> None:
    log = tmp_path / "blender.log"
    assert log_pieces.read(log, 0) == (0, 0, b"")
    log.write_bytes(b"0123456789")
    assert log_pieces.read(log, 0, 4) == (0, 10, b"0123")
    assert log_pieces.read(log, 8, 4) == (8, 10, b"89")
    assert log_pieces.read(log, 10, 4) == (10, 10, b"")
    log.write_bytes(b"new")  # A log that is shorter than what was read of it is another one.
    assert log_pieces.read(log, 10, 4) == (0, 3, b"new")
