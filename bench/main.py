# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job: what a save costs the artist's window, how soon the thumbnail comes, how fast an animation."""

import itertools
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from server.blenders import WHEEL, Blender
from tests.conftest import real_blenders

from . import plain, scenes
from .measures import Measure, ratio, side_by_side
from .node import artist_at, fresh_node
from .window import Marks, saving_artist, why_no_window

SAVE_LIMIT_MS = 5.0
ANIMATION_LIMIT = 1.1
"""As the project's goals set them."""

ANIMATION_FRAMES = 20

COPYING = "copy the file, blender -b -f 1, copy the frame back"


def run(rounds: int) -> Iterator[Measure]:
    """Measure with every Blender of this machine that is a program (or those in RELAY_TEST_BLENDERS)."""
    programs = [blender for blender in real_blenders() if blender.source != WHEEL]
    if not programs:
        why = "no Blender here that runs as a program: list executables in RELAY_TEST_BLENDERS"
        yield Measure("main", "", "blender -b", why=why)
    for blender in programs:
        for measure in (save_post, ctrl_s_to_thumbnail, save_to_thumbnail, animation):
            with tempfile.TemporaryDirectory(prefix="relay-bench-", ignore_cleanup_errors=True) as folder:
                yield from measure(blender, Path(folder), rounds)


def save_post(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """How long the extension keeps the window's main thread from going on, at its longest, around one save."""
    name, against = f"Longest gap of the main thread, save_post of a 200 MB file ({blender.name})", "5 ms"
    if why := why_no_window():
        yield Measure(name, "ms", against, limit=SAVE_LIMIT_MS, why=why)
        return
    blend = scenes.heavy_shot(blender, folder / "shot")
    with fresh_node(blender, folder / "node") as node, saving_artist(blender, node, blend, folder) as artist:
        saves = [artist.save() for _ in range(rounds)]
    handler = statistics.median(_longest(marks, "handler") for marks in saves)
    polls = statistics.median(_longest(marks, "poll") for marks in saves)
    gaps = [max(_longest(marks, "handler"), _longest(marks, "poll")) for marks in saves]
    detail = (
        f"{rounds} times Ctrl+S in a window on a node: of each save the longest that the save_post handler or one of "
        f"the timer's polls until the job was done took; medians: handler {handler:.2f}, longest poll {polls:.2f}; "
        f"longest of all {max(gaps):.2f} ms"
    )
    yield Measure(name, "ms", against, round(statistics.median(gaps), 3), SAVE_LIMIT_MS, detail)


def ctrl_s_to_thumbnail(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """From the key to the panel, Blender's own saving included."""
    name = f"Ctrl+S in the window to thumbnail in the panel, default cube, warm ({blender.name})"
    if why := why_no_window():
        yield Measure(name, "ratio", COPYING, why=why)
        return
    (blend,) = scenes.default_cubes(blender, folder / "shot", 1)
    attempts = itertools.count()
    with fresh_node(blender, folder / "node") as node, saving_artist(blender, node, blend, folder) as artist:
        artist.save()
        times = side_by_side(
            rounds,
            lambda: _save_to_thumbnail(artist.save()),
            lambda: plain.render_copy(blender, blend, folder / f"plain{next(attempts)}"),
        )
    yield ratio(name, COPYING, times)


def save_to_thumbnail(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """From what save_post sends to the client to the client's event, on a node that has just started and once more."""
    files = iter(scenes.default_cubes(blender, folder / "shot", 3 * rounds))
    times = []
    for number in range(rounds):
        here = folder / str(number)
        with fresh_node(blender, here) as node, artist_at(node, blender, here) as artist:
            cold, warm = (artist.thumbnail(next(files), here / "frames") for _ in range(2))
        times.append((cold, warm, plain.render_copy(blender, next(files), here / "plain")))
    for which, column in (("first save after the node's start", 0), ("warm", 1)):
        name = f"Save to thumbnail, default cube, {which} ({blender.name})"
        yield ratio(name, COPYING, [(each[column], each[2]) for each in times])


def animation(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """From handing the file over to the last frame in the artist's folder, on a node that has just started."""
    blend = scenes.animation(blender, folder / "shot")
    attempts = itertools.count()

    def ours() -> float:
        here = folder / f"ours{next(attempts)}"
        with fresh_node(blender, here) as node, artist_at(node, blender, here) as artist:
            return artist.frames(blend, here / "frames", f"1-{ANIMATION_FRAMES}", ANIMATION_FRAMES)

    def theirs() -> float:
        return plain.render_animation(blender, blend, folder / f"theirs{next(attempts)}", ANIMATION_FRAMES)

    name = f"{ANIMATION_FRAMES} frames, 320x180, 16 samples, on a node that has just started ({blender.name})"
    yield ratio(name, "blender -b FILE -a", side_by_side(rounds, ours, theirs), ANIMATION_LIMIT)


def _longest(marks: Marks, what: str) -> float:
    """In milliseconds."""
    return max(ended - began for began, ended in marks[what]) * 1000


def _save_to_thumbnail(marks: Marks) -> float:
    """In seconds."""
    return marks["thumbnail"][0][0] - marks["save"][0][0]
