# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering: first pictures, animations beside `blender -b -a`, newer saves, and what the node itself costs."""

import itertools
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from server.blenders import WHEEL, Blender
from tests.blender.conftest import Worker
from tests.conftest import real_blenders
from tests.system.harness import Line, NodeProcess

from . import eta, plain, render_window, scenes, stills
from . import main as main_job
from .measures import Measure
from .node import Artist, artist_at, fresh_node
from .png import same_picture
from .serving import cpu_share, memory, wait_for_spare, watching

ANIMATION = "blender -b FILE -a"
A_LIMIT = "a limit"

FIRST = replace(main_job.CTRL_S, limit=0.35)
TINY = Measure("20 frames of 64x64, 1 sample", "ratio", ANIMATION, limit=0.4)
SMALL = Measure("20 frames of 320x180, 16 samples", "ratio", ANIMATION, limit=0.95)
HEAVY = Measure("10 frames of a million vertices, four textures", "ratio", ANIMATION, limit=1.0)
DIFFERENT = Measure("Frames of these that differ from Blender's", "frames", ANIMATION, limit=0)
TAKEOVER = Measure("Newer save during a long render: node has it to its first picture", "s", A_LIMIT, limit=0.3)
SERVER = Measure("Server process while rendering, of one core", "%", A_LIMIT, limit=3)
WATCHERS = Measure("The same with 200 sessions that watch, more than that", "%", A_LIMIT, limit=10)
ACCEPTED = Measure("Job of 100,000 frames: handed over to accepted", "s", A_LIMIT, limit=2)
RESIDENT = Measure("Server process with that job, resident", "MB", A_LIMIT, limit=150)
DRAFT = Measure("Draft of a frame of 960x540, 64 samples", "%", "the frame's time", limit=5)

EVALUATED = Measure("80 frames that are evaluated on one core, on as many slots as gain", "ratio", ANIMATION)
SLOTS_EVALUATED = Measure("The same", "ratio", "one slot")
SLOTS_SMALL = Measure("60 frames of 320x180, 16 samples, on as many slots as gain", "ratio", "one slot", limit=1.05)

LONG_SAMPLES = 1_000_000
WATCH_S = 10.0
SESSIONS = 200


def run(rounds: int, only: Collection[str] = ()) -> Iterator[Measure]:
    """Measure with every Blender that is a program; `only`: parts by name, or Blenders by version."""
    programs = [blender for blender in real_blenders() if blender.source != WHEEL]
    if versions := [word for word in only if word[:1].isdigit()]:
        programs = [blender for blender in programs if blender.name.startswith(tuple(versions))]
    parts = [PARTS[name] for name in PARTS if name in only] or list(PARTS.values())
    if not programs:
        why = "no Blender here that runs as a program: list executables in RELAY_TEST_BLENDERS"
        yield from (figure.missing(why) for part in parts for figure in part.figures)
    for blender, part in itertools.product(programs, parts):
        if part.once and blender is not programs[-1]:
            continue
        with tempfile.TemporaryDirectory(prefix="relay-bench-", ignore_cleanup_errors=True) as folder:
            for figure in part.measure(blender, Path(folder), rounds):
                yield figure if part.once else figure.with_blender(blender.name)


def first_picture(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """From Ctrl+S in a window to the thumbnail in its panel."""
    for measure in main_job.ctrl_s(blender, folder, rounds):
        yield replace(measure, limit=FIRST.limit)


def animations(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """Files that the node has not seen, on a node that has rendered others, beside Blender's own loop."""
    compared: list[bool] = []
    with fresh_node(blender, folder / "node") as node, artist_at(node, blender, folder / "artist") as artist:
        (cube,) = scenes.default_cubes(blender, folder / "cube", 1)
        artist.thumbnail(cube, folder / "warm")
        rival = _Rival(blender, artist, compared)
        tiny = scenes.animations(blender, folder / "tiny", rounds, (64, 64), 1, 20)
        yield TINY.ratio(rival.times(tiny, 20, folder / "tiny_frames"))
        small = scenes.animations(blender, folder / "small", rounds, (320, 180), 16, 20)
        yield SMALL.ratio(rival.times(small, 20, folder / "small_frames"))
        heavy = scenes.landscapes(blender, folder / "heavy", rounds, 10)
        yield HEAVY.ratio(rival.times(heavy, 10, folder / "heavy_frames"))
    yield DIFFERENT.measured(compared.count(False), f"of {len(compared)}, compared pixel by pixel")


def scaling(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """What a node without GPUs makes of frames that leave cores idle, and of frames that do not."""
    idle = scenes.evaluated(blender, folder / "evaluated", rounds, 80)
    small = scenes.animations(blender, folder / "small", rounds, (320, 180), 16, 60)
    theirs = [plain.render_animation(blender, blend, folder / f"theirs{n}", 80) for n, blend in enumerate(idle)]
    took: dict[str, list[tuple[float, float]]] = {}
    for slots in ("1", "auto"):
        here = folder / slots
        with fresh_node(blender, here, slots) as node, artist_at(node, blender, here / "artist") as artist:
            took[slots] = [
                (
                    artist.frames(one, here / f"evaluated{n}", "1-80", 80),
                    artist.frames(other, here / f"small{n}", "1-60", 60),
                )
                for n, (one, other) in enumerate(zip(idle, small, strict=True))
            ]
    yield EVALUATED.ratio([(ours, plain_s) for (ours, _), plain_s in zip(took["auto"], theirs, strict=True)])
    for at, figure in enumerate((SLOTS_EVALUATED, SLOTS_SMALL)):
        yield figure.ratio([(auto[at], one[at]) for auto, one in zip(took["auto"], took["1"], strict=True)])


class _Rival:
    """Renders animations on the node and with Blender's own loop, in turn, and compares what comes of it."""

    def __init__(self, blender: Blender, artist: Artist, compared: list[bool]) -> None:
        self._blender = blender
        self._artist = artist
        self._compared = compared

    def times(self, blends: Sequence[Path], count: int, folder: Path) -> list[tuple[float, float]]:
        """Return (ours, Blender's) in seconds for each file of `count` frames."""
        found = []
        for number, blend in enumerate(blends):
            ours, theirs = folder / f"ours{number}", folder / f"theirs{number}"
            found.append(
                (
                    self._artist.frames(blend, ours, f"1-{count}", count),
                    plain.render_animation(self._blender, blend, theirs, count),
                )
            )
            pairs = zip(sorted(ours.iterdir()), sorted(theirs.iterdir()), strict=True)
            self._compared += [same_picture(one, other) for one, other in pairs]
        return found


def takeover(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """A save stops the render of the one before it, and is rendered in the Blender that waits."""
    (long,) = scenes.animations(blender, folder / "long", 1, (640, 360), LONG_SAMPLES, 1)
    cubes = scenes.default_cubes(blender, folder / "cubes", rounds)
    shot = folder / "shot.blend"
    seconds = []
    with fresh_node(blender, folder / "node") as node, artist_at(node, blender, folder / "artist") as artist:
        for cube in cubes:
            shot.write_bytes(long.read_bytes())
            render_long(artist, node, shot, folder / "frames")
            shot.write_bytes(cube.read_bytes())
            job = artist.client.render(shot, folder / "frames", trigger="save")
            artist.client.until(lambda line, job=job: _accepted(line, job))  # type: ignore[misc]
            began = time.perf_counter()
            artist.client.until(lambda line, job=job: line["event"] == "thumbnail" and line["job"] == job)  # type: ignore[misc]
            seconds.append(time.perf_counter() - began)
            artist.client.until_state(job, "done")
    yield TAKEOVER.measured(median(seconds), f"median of {rounds}, {min(seconds):.3f} to {max(seconds):.3f} s")


def draft(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """What the picture of few samples costs, that comes before the frame."""
    (blend,) = scenes.animations(blender, folder / "shot", 1, (960, 540), 64, 1)
    worker = Worker(blender, folder / "log")
    try:
        worker.open(blend)
        written = [worker.render(1, folder / str(number), draft=True) for number in range(rounds)]
    finally:
        worker.stop()
    told = [next(event for event in events if event["event"] == "written") for events in written]
    drafts, frames = median(event["draft_s"] for event in told), median(event["seconds"] for event in told)
    yield DRAFT.measured(100 * drafts / frames, f"{drafts:.3f} s before {frames:.2f} s, medians of {rounds}")


def server(blender: Blender, folder: Path, _: int) -> Iterator[Measure]:
    """What the node's own process costs."""
    (long,) = scenes.animations(blender, folder / "long", 1, (640, 360), LONG_SAMPLES, 100_000)
    with fresh_node(blender, folder / "node") as node, artist_at(node, blender, folder / "artist") as artist:
        assert node.process is not None
        pid = node.process.pid
        job = render_long(artist, node, long, folder / "frames")
        alone = cpu_share(pid, 2 * WATCH_S)
        yield SERVER.measured(100 * alone, f"over {2 * WATCH_S:g} s, with one client that watches")
        with watching(node.address, SESSIONS):
            among = cpu_share(pid, WATCH_S)
        yield WATCHERS.measured(100 * (among - alone), f"{among:.1%} over {WATCH_S:g} s with {SESSIONS} sessions")
        artist.client.send(command="cancel", job=job)
        artist.client.until_state(job, "cancelled")
        yield from _many_frames(artist, node, long, folder)


def _many_frames(artist: Artist, node: NodeProcess, blend: Path, folder: Path) -> Iterator[Measure]:
    assert node.process is not None
    began = time.perf_counter()
    job = artist.client.render(blend, folder / "many", "1-100000")
    artist.client.until(lambda line: _accepted(line, job))
    yield ACCEPTED.measured(time.perf_counter() - began, "the file is known to the node")
    yield RESIDENT.measured(memory(node.process.pid) / 1e6, "its Blenders not counted")
    artist.client.send(command="cancel", job=job)
    artist.client.until_state(job, "cancelled")


def render_long(artist: Artist, node: NodeProcess, blend: Path, folder: Path) -> str:
    """Have a file rendered that takes for ever; return its job when samples are taken and the next Blender waits."""
    job = artist.client.render(blend, folder, trigger="save")
    artist.client.until(lambda line: line.get("job") == job and bool(line.get("sample")))
    wait_for_spare(node.address, artist.blender.name)
    return job


def _accepted(line: Line, job: str) -> bool:
    return (
        line["event"] == "job" and line["job"] == job and line["state"] in {"queued", "rendering", "returning", "done"}
    )


@dataclass(frozen=True)
class Part:
    """Figures that are measured together, and how."""

    figures: tuple[Measure, ...]
    measure: Callable[[Blender, Path, int], Iterator[Measure]]
    once: bool = False
    """Whether the newest Blender is enough: it does not depend on Blender."""


PARTS = {
    "first": Part((FIRST,), first_picture),
    "animations": Part((TINY, SMALL, HEAVY, DIFFERENT), animations),
    "scaling": Part((EVALUATED, SLOTS_EVALUATED, SLOTS_SMALL), scaling),
    "takeover": Part((TAKEOVER,), takeover),
    "draft": Part((DRAFT,), draft),
    "server": Part((SERVER, WATCHERS, ACCEPTED, RESIDENT), server, once=True),
    "eta": Part(eta.SIMULATED, eta.simulated, once=True),
    "eta-rendered": Part(eta.RENDERINGS, eta.rendered, once=True),
    "stills": Part((stills.SECONDS, stills.DIFFERENCE), stills.still),
    "window": Part(render_window.FIGURES, render_window.many_frames),
}
"""By the words of `--only`."""
