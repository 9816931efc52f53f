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
from .measures import Measure, side_by_side
from .node import artist_at, fresh_node
from .window import Marks, saving_artist, why_no_window

COPYING = "copy the file, blender -b -f 1, copy the frame back"
FRAMES = 20

SAVE_POST = Measure("Longest gap of the main thread around save_post, 200 MB file", "ms", "a limit", limit=5.0)
CTRL_S = Measure("Ctrl+S to thumbnail in the window, default cube, warm node", "ratio", COPYING)
FIRST_SAVE = Measure("Save to thumbnail, default cube, first save after the node's start", "ratio", COPYING)
NEXT_SAVE = Measure("Save to thumbnail, default cube, warm node", "ratio", COPYING)
ANIMATION = Measure(
    f"{FRAMES} frames 320x180, 16 samples, on a node that has just started", "ratio", "blender -b FILE -a", limit=1.1
)
FIGURES = (SAVE_POST, CTRL_S, FIRST_SAVE, NEXT_SAVE, ANIMATION)
"""What is asked, and the limits that the project set itself."""


def run(rounds: int) -> Iterator[Measure]:
    """Measure with every Blender of this machine that is a program (or those in RELAY_TEST_BLENDERS)."""
    programs = [blender for blender in real_blenders() if blender.source != WHEEL]
    if not programs:
        why = "no Blender here that runs as a program: list executables in RELAY_TEST_BLENDERS"
        yield from (figure.missing(why) for figure in FIGURES)
    for blender in programs:
        for measure in (save_post, ctrl_s, saves, animation):
            with tempfile.TemporaryDirectory(prefix="relay-bench-", ignore_cleanup_errors=True) as folder:
                for figure in measure(blender, Path(folder), rounds):
                    yield figure.with_blender(blender.name)


def save_post(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """How long the extension keeps the window's main thread from going on, at its longest, in and after a save."""
    if why := why_no_window():
        yield SAVE_POST.missing(why)
        return
    blend = scenes.heavy_shot(blender, folder / "shot")
    with fresh_node(blender, folder / "node") as node, saving_artist(blender, node, blend, folder) as artist:
        saved = [artist.save() for _ in range(rounds)]
    handler, poll = ([_longest(marks, what) for marks in saved] for what in ("handler", "poll"))
    gaps = [max(each) for each in zip(handler, poll, strict=True)]
    detail = (
        f"median of {rounds} times Ctrl+S in a window on a node; a save's gap is the longest call of the save_post "
        f"handler ({statistics.median(handler):.2f} ms) or of a timer's poll until the job is done "
        f"({statistics.median(poll):.2f} ms); worst of all {max(gaps):.2f} ms"
    )
    yield SAVE_POST.measured(statistics.median(gaps), detail)


def ctrl_s(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """From the moment Blender begins to save until its panel has the thumbnail."""
    if why := why_no_window():
        yield CTRL_S.missing(why)
        return
    (blend,) = scenes.default_cubes(blender, folder / "shot", 1)
    attempts = itertools.count()
    saving: list[float] = []

    def ours() -> float:
        marks = artist.save()
        began = marks["save"][0][0]
        saving.append(marks["handler"][0][0] - began)
        return marks["thumbnail"][0][0] - began

    def theirs() -> float:
        return plain.render_copy(blender, blend, folder / f"plain{next(attempts)}")

    with fresh_node(blender, folder / "node") as node, saving_artist(blender, node, blend, folder) as artist:
        artist.save()
        times = side_by_side(rounds, ours, theirs)
    share = statistics.median(saving)
    yield CTRL_S.ratio(times, f"of ours {share:.3f} s are Blender's own saving, in a window that is drawn in software")


def saves(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """From what save_post sends to the client to the client's event, on a node that has just started and once more."""
    files = iter(scenes.default_cubes(blender, folder / "shot", 3 * rounds))
    first, following = [], []
    for number in range(rounds):
        here = folder / str(number)
        with fresh_node(blender, here) as node, artist_at(node, blender, here) as artist:
            cold, warm = (artist.thumbnail(next(files), here / "frames") for _ in range(2))
        theirs = plain.render_copy(blender, next(files), here / "plain")
        first.append((cold, theirs))
        following.append((warm, theirs))
    yield FIRST_SAVE.ratio(first)
    yield NEXT_SAVE.ratio(following)


def animation(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """From handing the file over to the last frame in the artist's folder, the start of the node's Blender included."""
    blend = scenes.animation(blender, folder / "shot", FRAMES)
    attempts = itertools.count()

    def ours() -> float:
        here = folder / f"ours{next(attempts)}"
        with fresh_node(blender, here) as node, artist_at(node, blender, here) as artist:
            return artist.frames(blend, here / "frames", f"1-{FRAMES}", FRAMES)

    def theirs() -> float:
        return plain.render_animation(blender, blend, folder / f"theirs{next(attempts)}", FRAMES)

    yield ANIMATION.ratio(side_by_side(rounds, ours, theirs))


def _longest(marks: Marks, what: str) -> float:
    """In milliseconds."""
    return max(ended - began for began, ended in marks[what]) * 1000
