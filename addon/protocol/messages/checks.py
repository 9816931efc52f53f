# SPDX-License-Identifier: GPL-3.0-or-later
"""What the messages' fields have to be."""

import re

_ID = re.compile(r"[0-9a-f]{32}\Z")
_MAX_TEXT = 1000


def check(holds: bool, what: str) -> None:
    """Raise ValueError, which names `what`, unless it holds."""
    if not holds:
        raise ValueError(f"The {what} is out of bounds.")


def check_id(text: str) -> None:
    """Raise ValueError for anything but 32 hexadecimal digits."""
    if not _ID.match(text):
        raise ValueError(f"{text[:40]!r} is not an identifier of 32 hexadecimal digits.")


def check_text(*texts: str) -> None:
    """Raise ValueError for a text of more than 1,000 characters."""
    check(all(len(text) <= _MAX_TEXT for text in texts), "length of a text")
