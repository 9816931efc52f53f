# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job: what a save costs the artist's window, how soon the thumbnail comes, how fast an animation."""

import itertools
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from server.blenders import WHEEL, Blender
from tests.conftest import real_blenders

from . import plain, scenes
from .measures import Measure, side_by_side
from .node import artist_at, fresh_node
from .window import Marks, SavingArtist, saving_artist, why_no_window

COPYING = "copy the file, blender -b -f 1, copy the frame back"
FRAMES = 20

SAVES = 10
"""Heavy files are saved this often at least, each time with and without the extension."""

SAVE_POST = Measure("Gap of the main thread in save_post, 200 MB file", "ms", "a limit", limit=5.0)
AFTER_SAVE = Measure("Longest call on the main thread until the 200 MB have left", "ms", "a limit", limit=5.0)
CTRL_S = Measure("Ctrl+S to thumbnail in the window, default cube, warm node", "ratio", COPYING)
FIRST_SAVE = Measure("Save to thumbnail, default cube, first save after the node's start", "ratio", COPYING)
NEXT_SAVE = Measure("Save to thumbnail, default cube, warm node", "ratio", COPYING)
ANIMATION = Measure(
    f"{FRAMES} frames 320x180, 16 samples, on a node that has just started", "ratio", "blender -b FILE -a", limit=1.1
)
FIGURES = (SAVE_POST, AFTER_SAVE, CTRL_S, FIRST_SAVE, NEXT_SAVE, ANIMATION)
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
    """How long the main thread of the artist's window does not go on, from save_post until the file has left.

    A heartbeat, five thousand a second, tells. The gap in save_post lasts from the moment when Blender, the file
    written, calls the first handler until the next beat: every handler, and what Blender then does to end the save.
    It is judged as a whole, although some of it is Blender's: that much is known from saves, in turn with these, of
    which the extension does not hear.

    The next beats come late because Blender draws its window anew after a save, with or without us: without a
    graphics card for tenths of a second, each time another number of them. A few milliseconds of ours would not show
    there. So for this time the calls of the extension's own code are timed, and the gaps only told.
    """
    if why := why_no_window():
        yield SAVE_POST.missing(why)
        yield AFTER_SAVE.missing(why)
        return
    blend = scenes.heavy_shot(blender, folder / "shot")
    with fresh_node(blender, folder / "node") as node, saving_artist(blender, node, blend, folder) as artist:
        artist.start_heartbeat()
        pairs = [_with_and_without(artist) for _ in range(max(rounds, SAVES))]
    heard, alone = zip(*pairs, strict=True)
    yield gap_in_save_post(heard, alone)
    yield calls_after_save(heard, alone)


def _with_and_without(artist: SavingArtist) -> tuple[Marks, Marks]:
    heard = artist.save()
    return heard, artist.save_unheard(_left(heard) - _written(heard))


def gap_in_save_post(heard: Sequence[Marks], alone: Sequence[Marks]) -> Measure:
    """What the heartbeat told of saves, each with its neighbour of which the extension did not hear."""
    ours, bare = ([_first_gap(marks) for marks in each] for each in (heard, alone))
    added = [mine - other for mine, other in zip(ours, bare, strict=True)]
    handler = [_longest(marks, "handler") for marks in heard]
    detail = (
        f"median of {len(heard)} times Ctrl+S in a window on a node, the worst {max(ours):.1f} ms; without the "
        f"extension {median(bare):.1f} ms, the worst {max(bare):.1f} ms; median of the pairs' differences "
        f"{median(added):.1f} ms; the extension's handler itself {median(handler):.1f} ms, the worst "
        f"{max(handler):.1f} ms"
    )
    return SAVE_POST.measured(median(ours), detail)


def calls_after_save(heard: Sequence[Marks], alone: Sequence[Marks]) -> Measure:
    """What the extension itself did on the main thread after these saves, until the node had the file."""
    calls = {what: [_longest(marks, what, until=_left(marks)) for marks in heard] for what in ("poll", "draw")}
    longest = [max(each) for each in zip(*calls.values(), strict=True)]
    took = [_left(marks) - _written(marks) for marks in heard]
    ours = [_later_gap(marks, _left(marks)) for marks in heard]
    bare = [_later_gap(marks, _written(marks) + seconds) for marks, seconds in zip(alone, took, strict=True)]
    detail = (
        f"median of the same saves, the worst {max(longest):.1f} ms; of the timer's polls {median(calls['poll']):.1f} "
        f"ms, of the panel's drawing {median(calls['draw']):.1f} ms; the file left within {median(took):.1f} s; "
        f"longest gap meanwhile, Blender's own drawing included, {median(ours):.0f} ms, without the extension "
        f"{median(bare):.0f} ms"
    )
    return AFTER_SAVE.measured(median(longest), detail)


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
    share = median(saving)
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


def _written(marks: Marks) -> float:
    """When Blender had written the file and called the first save_post handler."""
    return marks["save_post"][0][0]


def _left(marks: Marks) -> float:
    """When the node had the file, as far as the window knows."""
    return marks["left"][0][0]


def _first_gap(marks: Marks) -> float:
    """From save_post to the next beat, in milliseconds."""
    return next(ended - _written(marks) for began, ended in marks["gap"] if began < _written(marks) < ended) * 1000


def _later_gap(marks: Marks, until: float) -> float:
    """The longest between two beats after that, in milliseconds; 0 if it was shorter than a stopwatch notes."""
    later = (ended - began for began, ended in marks["gap"] if _written(marks) < began < until)
    return max(later, default=0.0) * 1000


def _longest(marks: Marks, what: str, until: float = math.inf) -> float:
    """The longest call after the writing, in milliseconds."""
    calls = (ended - began for began, ended in marks[what] if _written(marks) <= began < until)
    return max(calls, default=0.0) * 1000
