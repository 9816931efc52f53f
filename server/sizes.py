# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of bytes as people write them, in powers of ten. Pure."""

import re

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_size(text: str) -> int:
    """Return a number of bytes: 500MB, 2.5 GB, 100000000. Raises ValueError with a sentence."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)B?", text.strip().upper(), re.ASCII)
    if match is None:
        raise ValueError(f"{text} is no size: write something like 50GB.")
    return int(float(match[1]) * _UNITS[match[2]])


def short_size(count: int) -> str:
    """``900 B``, ``9.1 MB``, ``2.3 GB``."""
    for unit in "TGMK":
        if count >= _UNITS[unit]:
            return f"{count / _UNITS[unit]:.1f} {unit}B"
    return f"{count} B"
