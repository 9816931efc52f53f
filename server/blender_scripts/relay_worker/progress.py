# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a frame is, read from the texts that Blender hands to `render_stats` handlers. Pure."""

import re
from dataclasses import dataclass

_SAMPLE = re.compile(r"Sample (\d+)/(\d+)|Rendering (\d+) / (\d+) samples")
_TILES = re.compile(r"Rendered (\d+)/(\d+) Tiles")
_REMAINING = re.compile(r"Remaining: ?([\d:.]+)")


@dataclass(frozen=True)
class Progress:
    """What one text says; None where it says nothing."""

    sample: int | None
    """Samples done: of the tile where there are tiles, of the view layer where there are several."""
    samples: int | None
    tile: int | None
    """Tiles done."""
    tiles: int | None
    remaining_s: float | None

    @property
    def counts(self) -> bool:
        """Whether it says how far the frame is."""
        return self.samples is not None or self.tiles is not None


NOTHING = Progress(None, None, None, None, None)


def parse_stats(text: str) -> Progress:
    """Read a text of Cycles or EEVEE as Blender 4 (`Remaining:00:00.53 | ... | Sample 1/16`) and 5 write them."""
    sample, samples = _fraction(_SAMPLE.search(text))
    tile, tiles = _fraction(_TILES.search(text))
    remaining = _REMAINING.search(text)
    return Progress(sample, samples, tile, tiles, _seconds(remaining[1]) if remaining else None)


def _fraction(match: re.Match[str] | None) -> tuple[int | None, int | None]:
    if match is None:
        return None, None
    done, total = (int(number) for number in match.groups() if number is not None)
    return done, total


def _seconds(clock: str) -> float:
    """Seconds of ``MM:SS.cc`` or ``HH:MM:SS.cc``."""
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + float(part)
    return round(seconds, 2)
