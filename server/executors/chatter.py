# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Blender prints, line by line into a job's log, each with the frame that it is about. Pure.

Several Blenders write to one log, so it is the line that says it: the number in eight columns, or spaces, then a bar.
"""

import re

MARK = "\x1e"
"""Begins a line by which the worker says of which frame the next are; see blender_scripts/relay_worker/lines.py."""

MOST_DIGITS = 8
"""Of a frame; a file's own Python may have printed the mark."""

BAR = "| "
LINE_END = "\n"


class Chatter:
    """The lines of one Blender."""

    def __init__(self) -> None:
        self._frame = ""

    def heed(self, line: str) -> bool:
        """Return whether it was a mark, and is nothing to show."""
        if not line.startswith(MARK):
            return False
        said = line.removeprefix(MARK).strip()
        self._frame = said if said.isascii() and said.isdigit() and len(said) <= MOST_DIGITS else ""
        return True

    def logged(self, line: str) -> str:
        """Return a line as the log has it."""
        return f"{self._frame:>{MOST_DIGITS}}{BAR}{line.rstrip(LINE_END)}{LINE_END}"


def of_frame(log: bytes, frame: int) -> bytes:
    """Return the lines of a log that are about a frame, as Blender printed them."""
    start = re.escape(f"{frame:>{MOST_DIGITS}}{BAR}".encode())
    return b"".join(re.findall(rb"^" + start + rb"([^\n]*\n)", log, re.MULTILINE))
