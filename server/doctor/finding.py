# SPDX-License-Identifier: GPL-3.0-or-later
"""What one look at the machine found."""

import enum
from dataclasses import dataclass


class State(enum.StrEnum):
    """How a thing stands; with MISSING the node cannot render."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """One thing the node needs or can use."""

    name: str
    state: State
    text: str
    """One sentence: how it is."""
    remedy: str = ""
    """What to do about it, empty when all is well."""
