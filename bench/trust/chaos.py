# SPDX-License-Identifier: GPL-3.0-or-later
"""Job after job, each hit by a random fault at a random moment, and not one frame lost, doubled or damaged."""

import os
import queue
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import rich.console
import rich.table

from server.blenders import Blender

from ..measures import Measure
from ..png import without_text
from .faults import PHASES, Clock, Event, Fault, Plan, draw
from .shots import FRAMES, VARIANTS, Shots, garbage, names
from .stage import Happened, Stage, Wrong

PATIENCE_S = 90.0
"""A job that is not done by then is lost: the longest fault, a silence, takes a dozen seconds."""

LAST_S = 5.0
"""A fault that lasts is over by then, should the event not come that was to end it."""

ROUND_S = 4.0
"""The limit that the project set itself."""

LOST = Measure(
    "Jobs with a frame lost, doubled or damaged by a random fault, or never done", "jobs", "a limit", limit=0
)
ROUND = Measure("One such job, from its order until all is well again, median", "s", "a limit", limit=ROUND_S)
FULL_DISK = Measure("Of these with the node's disk full", "jobs", "a small tmpfs for the node's data")
LEFT = Measure("Folders of finished jobs left on the node", "folders", "a limit", limit=0)
FIGURES = (LOST, ROUND, FULL_DISK, LEFT)

DISK_WORDS = "disk is full"
"""What a job says that the artist has to order again when there is room."""

errors = rich.console.Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass
class Run:
    """What came of many rounds."""

    seed: int
    seconds: list[float] = field(default_factory=list)
    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By fault and phase; the phase is the one that the job was in."""
    missed: int = 0
    """Rounds whose moment never came, or whose fault found nobody."""
    lost: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    why_no_disk: str = ""

    def note(self, trial: "Trial") -> None:
        """A round is over."""
        self.seconds.append(trial.seconds)
        if trial.phase is None:
            self.missed += 1
        else:
            self.hits[trial.plan.fault, trial.phase] += 1

    def table(self) -> rich.table.Table:
        """Return how often each fault hit a job, by phase."""
        phases = list(PHASES.values())
        table = rich.table.Table("Fault", *(f"in {phase}" for phase in phases))
        for fault in Fault:
            table.add_row(fault, *(str(self.hits[fault, phase]) for phase in phases))
        return table

    def measures(self) -> Iterator[Measure]:
        """Return the figures."""
        told = ", ".join(
            f"{fault} in {phase} {self.hits[fault, phase]}"
            for fault in Fault
            for phase in PHASES.values()
            if self.hits[fault, phase]
        )
        rounds = len(self.seconds)
        detail = f"{rounds} rounds, seed {self.seed}: {told}; {self.missed} whose moment or victim never came"
        yield LOST.measured(len(self.lost), detail)
        longest = f"the longest {max(self.seconds):.1f} s, all together {sum(self.seconds):.0f} s"
        yield ROUND.measured(statistics.median(self.seconds), longest)
        if self.why_no_disk:
            yield FULL_DISK.missing(self.why_no_disk)
        else:
            full = sum(count for (fault, _), count in self.hits.items() if fault == Fault.FULL_DISK)
            yield FULL_DISK.measured(full, "done when there was room again, after Retry where the job asked for it")
        yield LEFT.measured(len(self.left), "the other jobs' were deleted when their frames were home")


def run(blender: Blender, rounds: int, seed: int, first: int = 0) -> Iterator[Measure]:
    """Play rounds `first` and following; what failed is kept and named on stderr."""
    with working_folder() as folder:
        result = play(blender, folder, range(first, first + rounds), seed)
    errors.print(result.table())
    yield from result.measures()


def play(blender: Blender, folder: Path, numbers: range, seed: int) -> Run:
    """Play these rounds in `folder`. A round that failed leaves a folder kept-NUMBER there."""
    result = Run(seed)
    shots = Shots(blender, folder / "shots")
    with ExitStack() as closing:
        stage = _set_up(blender, folder / "stage", closing)
        result.why_no_disk = stage.why_no_disk
        kinds = [fault for fault in Fault if fault != Fault.FULL_DISK or stage.disk]
        references = _references(stage, shots, folder)
        for number in numbers:
            plan = draw(seed, number, VARIANTS, kinds)
            trial = Trial(stage, shots, folder / f"round-{number}", plan)
            try:
                trial.play()
                trial.check(references)
            except (Wrong, AssertionError) as error:
                result.lost.append(f"{plan}: {error}")
                _tell(plan, seed, error, trial.keep(folder / f"kept-{number}", error))
                with suppress(AssertionError):  # Of what is wrong already.
                    closing.close()
                stage = _set_up(blender, folder / f"stage-{number}", closing)
            result.note(trial)
            shutil.rmtree(trial.folder)
        result.left = _left(stage)
    return result


class Trial:
    """One round."""

    def __init__(self, stage: Stage, shots: Shots, folder: Path, plan: Plan, inflict: bool = True) -> None:
        """Without `inflict` nothing is done to the job."""
        self.folder = folder
        self.plan = plan
        self.phase: str | None = None
        """In which the job was hit."""
        self.seconds = 0.0
        self._stage = stage
        self._clock = Clock(plan.moment) if inflict else None
        self._until = plan.until
        self._end: Callable[[], None] | None = None
        self._end_at = 0.0
        self._job = ""
        self._begun = Event.ORDERED
        self._trace: list[str] = []
        self._logs = [stage.folder / "node.log", stage.folder / "client.log"]
        self._from = [_size(log) for log in self._logs]
        self._shot = shots.lay_out(plan.variant, folder / "shot", garbage(plan.dice, plan.garbage_bytes))

    @property
    def frames(self) -> Path:
        """Where the artist wants them."""
        return self.folder / "frames"

    def play(self) -> None:
        """Order the job, inflict the fault, and return when the job is done. Raises Wrong."""
        began = time.monotonic()
        self._job = self._stage.order(self._shot, self.plan.frames, self.frames)
        self._tick(Event.ORDERED)
        try:
            while not self._step(began + PATIENCE_S):
                pass
        finally:
            self._undo()
            self.seconds = time.monotonic() - began
        self._stage.client.send(command="clear_finished")

    def check(self, references: dict[tuple[int, str], bytes]) -> None:
        """Compare what lies on the artist's disk with an undisturbed run, all but notes of times. Raises Wrong."""
        wanted = names(self.plan.frames)
        there = sorted(str(path.relative_to(self.frames)) for path in self.frames.rglob("*"))
        if there != wanted:
            raise Wrong(f"the folder holds {there}, not {wanted}")
        for name in wanted:
            if without_text((self.frames / name).read_bytes()) != references[self.plan.variant, name]:
                raise Wrong(f"{name} is not the picture that an undisturbed run gives")
        for log, begin in zip(self._logs, self._from, strict=True):
            if b"Traceback" in log.read_bytes()[begin:]:
                raise Wrong(f"a traceback in {log.name}")

    def keep(self, folder: Path, error: Exception) -> Path:
        """Copy all that tells what happened."""
        shutil.copytree(self.folder, folder)
        told = [str(self.plan), repr(self.plan), str(error), "", *self._trace]
        (folder / "what-happened.txt").write_text("\n".join(told) + "\n", encoding="utf-8")
        for log, begin in zip(self._logs, self._from, strict=True):
            (folder / log.name).write_bytes(log.read_bytes()[begin:])
        for name, data in (("node", self._stage.data), ("client", self._stage.folder / "client")):
            with suppress(shutil.Error):  # Of what is deleted meanwhile.
                shutil.copytree(data, folder / f"{name}-data")
        return folder

    def _step(self, deadline: float) -> bool:
        """Take one event in; whether the job is done and nothing is the matter any more."""
        now = time.monotonic()
        if self._end is not None and now >= self._end_at:
            self._undo()
        try:
            happened = self._stage.next(min(deadline, self._end_at if self._end else deadline) - now)
        except queue.Empty:
            if time.monotonic() >= deadline:
                raise Wrong(f"not done after {PATIENCE_S:g} s") from None
            return False
        self._trace.append(f"{time.monotonic():.3f} {happened}")
        if self._until_comes(happened):
            self._undo()
        if not isinstance(happened, Event) and happened.get("job") == self._job:
            return self._on_line(happened)
        if isinstance(happened, Event):
            self._tick(happened)
        return False

    def _on_line(self, line: dict[str, object]) -> bool:
        """Act on what the artist's window was told of the job; whether the job is done."""
        state = line.get("state")
        if state in ("rendering", "returning") and self._begun == Event.ORDERED:
            self._begun = Event.RENDERING
        if line["event"] == "delivered":
            self._begun = Event.DELIVERED
        if state == "failed" and self.plan.fault == Fault.FULL_DISK and DISK_WORDS in str(line["text"]):
            self._undo()
            self._stage.client.send(command="retry", job=self._job)
        elif state in ("failed", "cancelled", "superseded", "missing"):
            raise Wrong(f"the job is {state}: {line['text']}")
        if state == "done":
            return True
        self._tick(Event.LINE, self._begun)
        return False

    def _tick(self, *events: Event) -> None:
        if self._clock is not None and self._clock.tick(*events):
            self._trace.append(f"{time.monotonic():.3f} {self.plan.fault}")
            self._end = self._stage.inflict(self.plan)
            self._end_at = time.monotonic() + (PATIENCE_S if self.plan.fault == Fault.SILENCE else LAST_S)
            self.phase = PHASES[self._begun] if self._end is not None else None

    def _until_comes(self, happened: Happened) -> bool:
        """Whether this is the event that ends the fault."""
        if self._end is None:
            return False
        if not isinstance(happened, Event):
            lost = happened["event"] == "connection" and happened["state"] == "lost"
            happened = Event.LOST if lost else Event.LINE
        event, count = self._until
        if happened == event:
            self._until = event, count - 1
        return self._until[1] == 0

    def _undo(self) -> None:
        if self._end is not None:
            self._trace.append(f"{time.monotonic():.3f} over")
            self._end()
            self._end = None


@contextmanager
def working_folder() -> Iterator[Path]:
    """A new folder, which stays if a round left something to look at."""
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"relay-chaos-{os.getpid()}"  # noqa: S108 - named on stderr
    folder.mkdir()
    try:
        yield folder
    finally:
        for path in folder.iterdir():
            if not path.name.startswith("kept-"):
                shutil.rmtree(path, ignore_errors=True)
        if not any(folder.iterdir()):
            folder.rmdir()


def _set_up(blender: Blender, folder: Path, closing: ExitStack) -> Stage:
    stage = Stage(blender, folder)
    closing.callback(stage.close)
    return stage


def _references(stage: Stage, shots: Shots, folder: Path) -> dict[tuple[int, str], bytes]:
    """What undisturbed jobs give: the bytes of each variant's frames."""
    found = {}
    for variant in range(VARIANTS):
        plan = Plan(-1 - variant, variant, FRAMES, 0, Fault.CUT, draw(0, 0, 1).moment, (Event.LOST, 1), 0, 0)
        trial = Trial(stage, shots, folder / f"reference-{variant}", plan, inflict=False)
        trial.play()
        found.update({(variant, path.name): without_text(path.read_bytes()) for path in trial.frames.iterdir()})
    return found


def _left(stage: Stage) -> list[str]:
    """Folders of jobs, when the last attempts have been let go of."""
    jobs = stage.data / "jobs"
    deadline = time.monotonic() + LAST_S
    while (left := [path.name for path in jobs.iterdir()]) and time.monotonic() < deadline:
        time.sleep(0.05)  # A Blender that still makes a preview tells nobody when it is done.
    return left


def _tell(plan: Plan, seed: int, error: Exception, kept: Path) -> None:
    again = f"python -m bench trust --only chaos --seed {seed} --first {plan.number} --rounds 1"
    errors.print(f"[red]{plan}: {error}[/red]\n  again: {again}\n  kept: {kept}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
