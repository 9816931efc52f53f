# SPDX-License-Identifier: GPL-3.0-or-later
"""How near the time left that is told comes to the truth: over made-up costs of frames, and over a real animation."""

import heapq
import math
import random
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from addon.protocol.messages import JobSpec, JobState
from server.blenders import Blender
from server.forecast import Costs
from server.jobs import Job, Running, Task, TaskState
from server.progress import eta_of
from tests.system.harness import ClientProcess, Line

from .measures import Measure
from .node import fresh_node
from .serving import wait_for_spare

FROM = 1 / 3
"""Part of the frames that are done when the time left is first judged."""

TO = 0.1
"""Part of the whole time that is left when it is judged last: of the very last frame nothing but itself tells."""

LEFT = "the time that was left"
FORESEEN = Measure("Time left, costs that can be foreseen, at worst", "%", LEFT, limit=25)
SPREAD = Measure("Time left, any costs, frames spread over the shot first, at worst", "%", LEFT, limit=25)
AGAIN = Measure("Time left, any costs, a save rendered before, at worst", "%", LEFT, limit=25)
NOISY = Measure("Time left, constant costs under noise of 30%, 250 frames, at worst", "%", LEFT, limit=25)
NOISY_RAMPS = Measure("Time left, ramps under noise of 30%, 250 frames, at worst", "%", LEFT)
EASED = Measure("Time left, costs between two keyframes, in sequence, at worst", "%", LEFT, limit=25)
UNFORESEEN = Measure("Time left, costs that turn or leap, in sequence, on average", "%", LEFT)
RECOVERED = Measure("Time left, a tenth of the shot behind a step, at worst", "%", LEFT, limit=25)
RENDERED = Measure("Time left, real frames that cost ever more, at worst", "%", LEFT, limit=25)
RENDERED_AGAIN = Measure("Time left, the same saved again, at worst", "%", LEFT, limit=25)
SIMULATED = (FORESEEN, SPREAD, AGAIN, NOISY, NOISY_RAMPS, EASED, UNFORESEEN, RECOVERED)
RENDERINGS = (RENDERED, RENDERED_AGAIN)
FIGURES = (*SIMULATED, *RENDERINGS)

LENGTHS = (48, 250)
SLOTS = (1, 2, 4)
SEEDS = 20

SMOOTH: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 2.0,
    "up": lambda x: 1 + 2 * x,
    "down": lambda x: 3 - 2 * x,
    "flattening": lambda x: 1 + 2 * math.sin(math.pi * x / 2),
}
EASING: dict[str, Callable[[float], float]] = {"easing": lambda x: 1 + 2 * x**2 * (3 - 2 * x)}
"""As what is animated between two keyframes does in Blender, unless the artist wants it otherwise."""

"""Seconds of a frame, by where in the shot it is, 0 to 1: what goes on as it began."""

TURNING: dict[str, Callable[[float], float]] = {
    "hump": lambda x: 1 + 2 * math.sin(math.pi * x),
    "wave": lambda x: 2 + math.sin(4 * math.pi * x),
    "step": lambda x: 1.0 if x < 0.5 else 3.0,
}
"""And what does not."""

DEAR_S = 10.0
"""What the first frame in each slot costs more."""


@dataclass(frozen=True)
class Told:
    """What was said at one moment."""

    at: float
    """Seconds from the start."""
    done: int
    """Frames that were done then."""
    eta_s: float


def simulated(_: Blender, __: Path, ___: int) -> Iterator[Measure]:
    """The node's own estimate, with a clock that is set and frames that cost what is made up."""
    yield _worst(FORESEEN, _cases(SMOOTH, in_sequence))
    yield _worst(SPREAD, _cases(SMOOTH | TURNING, spread_out))
    yield _worst(AGAIN, _cases(SMOOTH | TURNING, in_sequence, again=True))
    yield _worst(NOISY, _noisy(["constant"]))
    yield _worst(NOISY_RAMPS, _noisy(["up", "down"]))
    yield _worst(EASED, _cases(EASING, in_sequence))
    yield _average(UNFORESEEN)
    yield _worst(RECOVERED, _cases({"step": TURNING["step"]}, in_sequence), since=0.6)


def rendered(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """What a client is told of a real animation, the last frame of which has three times the first's samples."""
    blend = _ramp(blender, folder / "shot")
    first: list[float] = []
    again: list[float] = []
    with fresh_node(blender, folder / "node") as node:
        client = ClientProcess(folder / "client")
        try:
            client.send(command="configure", address=node.address)
            client.until_connected()
            client.until_state(client.render(blend, folder / "warm", "1"), "done")
            wait_for_spare(node.address, blender.name)
            for number in range(rounds):
                shot = folder / f"shot{number}.blend"
                shutil.copy(blend, shot)
                for worst in (first, again):
                    told = _watched(client, shot, folder / f"frames{number}")
                    worst.append(max(errors(FRAMES, told)))
        finally:
            client.close()
    for figure, worst in zip(RENDERINGS, (first, again), strict=True):
        each = ", ".join(f"{one:.0%}" for one in worst)
        detail = f"of {rounds} jobs, from a third of the frames until a tenth of the time was left: {each}"
        yield figure.measured(100 * max(worst), detail)


def errors(frames: Sequence[float] | int, told: Sequence[Told], since: float = FROM) -> list[float]:
    """Return by which part of the time that was left each told one was wrong; the last one told is the end.

    `frames`: as many, or the seconds of each.
    """
    count = frames if isinstance(frames, int) else len(frames)
    end = told[-1].at
    judged = [each for each in told if each.done >= since * count and end - each.at > TO * end]
    return [abs(each.eta_s - (end - each.at)) / (end - each.at) for each in judged]


def in_sequence(count: int) -> list[int]:
    """One frame after the other."""
    return list(range(count))


def spread_out(count: int) -> list[int]:
    """Every 64th frame, then every 32nd and so on, each once."""
    return list(dict.fromkeys(frame for step in (64, 32, 16, 8, 4, 2, 1) for frame in range(0, count, step)))


def simulate(seconds: Sequence[float], order: Sequence[int], slots: int, shape: Costs | None = None) -> list[Told]:
    """Render frames of these costs in this order; return what is told when a frame begins and in its middle."""
    count = len(seconds)
    spec = JobSpec("0" * 32, "shot.blend", "1" * 32, None, f"0-{count - 1}", "", 0.0)
    job = Job(spec, "artist", count, JobState.RENDERING, costs=Costs(range(count)), shape=shape)
    job.frames[TaskState.PENDING] = count
    assert job.costs is not None
    waiting = deque(enumerate(order))
    ends: list[tuple[float, int]] = []
    told: list[Told] = []
    now = 0.0
    while waiting or ends:
        while waiting and len(ends) < slots:
            heapq.heappush(ends, _begin(job, *waiting.popleft(), now, seconds))
        moments = (now, (now + ends[0][0]) / 2)
        said = ((moment, eta_of(job, moment)) for moment in moments)
        told += [Told(moment, job.frames[TaskState.DONE], eta_s) for moment, eta_s in said if eta_s is not None]
        now, position = heapq.heappop(ends)
        running = job.running.pop(position)
        job.frames[TaskState.RENDERING] -= 1
        job.frames[TaskState.DONE] += 1
        job.costs.add(order[position], seconds[order[position]], first=running.first)
    return [*told, Told(now, count, 0.0)]


def _begin(job: Job, position: int, frame: int, now: float, seconds: Sequence[float]) -> tuple[float, int]:
    """Begin a frame as the books do; return when it will be done, and its position."""
    assert job.costs is not None
    running = job.running[position] = Running(Task(job.id, position, frame), now, first=not job.costs.known)
    if job.costs.known:
        running.expect(job.costs.expect(frame, job.shape))
    job.frames[TaskState.PENDING] -= 1
    job.frames[TaskState.RENDERING] += 1
    return now + seconds[frame], position


_Case = tuple[str, Sequence[float], Sequence[Told]]


def _cases(
    shapes: dict[str, Callable[[float], float]], order: Callable[[int], list[int]], again: bool = False
) -> Iterator[_Case]:
    """Each shape in each length, on each number of slots, with and without dear first frames."""
    for (name, shape), count, slots, dear_s in product(shapes.items(), LENGTHS, SLOTS, (0.0, DEAR_S)):
        seconds = [shape(frame / (count - 1)) for frame in range(count)]
        earlier = _rendered_before(seconds) if again else None
        frames = order(count)
        for frame in frames[:slots]:
            seconds[frame] += dear_s
        what = f"{name}, {count} frames, {slots} slots{', dear first frames' if dear_s else ''}"
        yield what, seconds, simulate(seconds, frames, slots, earlier)


def _rendered_before(seconds: Sequence[float]) -> Costs:
    """What an earlier save cost, in which every frame took longer."""
    costs = Costs(range(len(seconds)))
    for frame, cost in enumerate(seconds):
        costs.add(frame, 1.7 * cost)
    return costs


def _noisy(names: Sequence[str]) -> Iterator[_Case]:
    for name, seed in product(names, range(SEEDS)):
        shape, noise = SMOOTH[name], random.Random(seed)  # noqa: S311 - nothing secret
        seconds = [shape(frame / 249) * noise.lognormvariate(0, 0.3) for frame in range(250)]
        yield f"{name}, seed {seed}", seconds, simulate(seconds, in_sequence(250), 1)


def _worst(figure: Measure, cases: Iterator[_Case], since: float = FROM) -> Measure:
    found = {name: max(errors(seconds, told, since)) for name, seconds, told in cases}
    name = max(found, key=found.__getitem__)
    middle = sorted(found.values())[len(found) // 2]
    return figure.measured(100 * found[name], f"{name}; the median of {len(found)} cases {100 * middle:.0f}%")


def _average(figure: Measure) -> Measure:
    wrong: dict[str, list[float]] = {name: [] for name in TURNING}
    for case, seconds, told in _cases(TURNING, in_sequence):
        wrong[case.partition(",")[0]] += errors(seconds, told)
    means = {name: sum(each) / len(each) for name, each in wrong.items()}
    detail = ", ".join(f"{name} {mean:.0%} (at worst {max(wrong[name]):.0%})" for name, mean in means.items())
    return figure.measured(100 * sum(means.values()) / len(means), detail)


_RAMP = """
import bpy
scene = bpy.context.scene
scene.render.engine, scene.cycles.use_denoising, scene.cycles.use_adaptive_sampling = "CYCLES", False, False
scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 320, 180, 100
scene.render.filepath = "//frames/####"
scene.frame_start, scene.frame_end = 1, FRAMES
bpy.context.preferences.edit.keyframe_new_interpolation_type = "LINEAR"
for frame, samples in ((1, SAMPLES), (FRAMES, 3 * SAMPLES)):
    scene.cycles.samples = samples
    scene.cycles.keyframe_insert("samples", frame=frame)
bpy.ops.wm.save_as_mainfile(filepath=PATH)
"""

SAMPLES = 48
"""Of the first frame: about a second on two cores."""

FRAMES = 24


def _ramp(blender: Blender, folder: Path) -> Path:
    folder.mkdir(parents=True)
    path = folder / "ramp.blend"
    code = f"PATH = {str(path)!r}\nSAMPLES, FRAMES = {SAMPLES}, {FRAMES}\n{_RAMP}"
    command = [blender.source, "-b", "--factory-startup", "--python-exit-code", "1", "--python-expr", code]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return path


def _watched(client: ClientProcess, blend: Path, folder: Path) -> list[Told]:
    """Have the animation rendered; return what was told, the last frame's end included."""
    told: list[Told] = []
    job = client.render(blend, folder, f"1-{FRAMES}")
    began = time.monotonic()

    def all_done(line: Line) -> bool:
        if line["event"] != "job" or line["job"] != job:
            return False
        assert line["state"] != "failed", line["text"]
        now = time.monotonic() - began
        if line["done"] == FRAMES:
            told.append(Told(now, FRAMES, 0.0))
        elif line["eta_s"] is not None:
            told.append(Told(now, line["done"], line["eta_s"]))
        return bool(line["done"] == FRAMES)

    client.until(all_done)
    if client.states[job] != "done":
        client.until_state(job, "done")
    return told
