# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a folder are the frames of one sequence. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_NUMBERED = re.compile(r"(.*?)(-?\d+)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sequence:
    """Frames in their order; there may be gaps."""

    prefix: str
    """What stands before the numbers."""
    suffix: str
    frames: tuple[Path, ...]

    @property
    def name(self) -> str:
        """For people: ``shot_#.png``."""
        return f"{self.prefix}#{self.suffix}"


def sequences(paths: Iterable[Path]) -> list[Sequence]:
    """Return the sequences among some files of one folder, the longest first; files without a number are left out."""
    found: defaultdict[tuple[str, str], list[tuple[int, Path]]] = defaultdict(list)
    for path in paths:
        match = _NUMBERED.match(path.stem)
        if match:
            found[match[1], path.suffix].append((int(match[2]), path))
    listed = [
        Sequence(prefix, suffix, tuple(path for _, path in sorted(numbered)))
        for (prefix, suffix), numbered in found.items()
    ]
    return sorted(listed, key=lambda sequence: (-len(sequence.frames), sequence.name))
