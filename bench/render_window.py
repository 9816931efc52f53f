# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the artist's window keeps its frame rate with a job of very many frames in its list."""

from collections.abc import Iterator
from pathlib import Path

from addon.protocol.frame_range import MAX_FRAMES
from server.blenders import Blender

from . import scenes
from .host import taken_by_the_host
from .links import LINKS
from .main_thread import busy_window
from .measures import Measure, p999
from .window import why_no_window

GAP = Measure("Main thread's gap with a job of 100,000 frames, p99.9", "ms", "a limit", limit=6.0)
CALL = Measure("Longest call of the extension with that job", "ms", "a limit", limit=20.0)
FIGURES = (GAP, CALL)

RENDERING_S = 8.0
"""So long the window is watched after the first frame has begun: some eighty polls, each with news."""


def many_frames(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """From Ctrl+S on, over the job's acceptance, while its first frames are rendered."""
    if why := why_no_window():
        yield from (figure.missing(why) for figure in FIGURES)
        return
    (blend,) = scenes.animations(blender, folder / "shot", 1, (320, 180), 64, 1)
    rest: list[float] = []
    seen: dict[str, list[float]] = {"gaps": [], "polls": [], "draws": []}
    with busy_window(blender, LINKS[0], blend, folder) as window, taken_by_the_host() as taken:
        for _ in range(rounds):
            rest += window.gaps_at_rest()
            for what, seconds in window.gaps_with_many_frames(MAX_FRAMES, RENDERING_S).items():
                seen[what] += seconds
    gaps, polls, draws = (seen[what] for what in ("gaps", "polls", "draws"))
    at_rest = f"at rest {p999(rest) * 1000:.2f} and {max(rest) * 1000:.1f} ms"
    turns = f"of {len(gaps)} turns in {rounds} jobs, the longest {max(gaps) * 1000:.1f} ms"
    yield GAP.measured(p999(gaps) * 1000, f"{turns}; {at_rest}; {taken.says()}")
    yield CALL.measured(
        max(polls + draws) * 1000,
        f"of {len(polls)} polls, the longest {max(polls) * 1000:.2f} ms, and {len(draws)} times that the panel was "
        f"drawn, {max(draws) * 1000:.2f} ms",
    )
