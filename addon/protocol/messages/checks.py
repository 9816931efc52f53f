# SPDX-License-Identifier: GPL-3.0-or-later
"""What the messages' fields have to be."""

import re
import unicodedata

from ..limits import HIGHEST_PRIORITY, LOWEST_PRIORITY

_ID = re.compile(r"[0-9a-f]{32}\Z")
_TRANSFER = re.compile(r"[0-9a-z-]{1,32}\Z")
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
    """Raise ValueError for a text of more than 1,000 characters, or with halves of characters, which cannot be kept."""
    check(all(len(text) <= _MAX_TEXT for text in texts), "length of a text")
    if any("\ud800" <= character <= "\udfff" for text in texts for character in text):
        raise ValueError("A text is not Unicode.")


def check_line(*texts: str) -> None:
    """Raise ValueError for what is no text, or would be more than a part of a line in a terminal or a log."""
    check_text(*texts)
    if any(unicodedata.category(character) == "Cc" for text in texts for character in text):
        raise ValueError("A name has control characters.")


def check_priority(priority: int) -> None:
    """Raise ValueError with a sentence."""
    if not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise ValueError(f"Priorities go from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}.")


def as_text(text: str) -> str:
    """Return what `check_text` takes: a path on Linux need not be Unicode."""
    return text.encode("utf-8", "backslashreplace").decode()[:_MAX_TEXT]


def as_line(text: str) -> str:
    """Return what can stand in a line, for people to read."""
    return "".join("?" if unicodedata.category(each) in ("Cc", "Cs") else each for each in text)


def check_transfer(text: str) -> None:
    """Raise ValueError for what cannot be a part of a file's name; outputs are numbered."""
    if not _TRANSFER.match(text):
        raise ValueError(f"{text[:40]!r} is not a name of a transfer.")
