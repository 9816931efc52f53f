# SPDX-License-Identifier: GPL-3.0-or-later
"""The transfer: what a save costs on slow links, beside rsync and a whole-file POST; memory, throughput, the window."""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import rich.console

from server.blenders import WHEEL, Blender
from tests.conftest import real_blenders

from . import curve, studio
from .host import taken_by_the_host
from .links import LINKS, Link, probe
from .main_thread import busy_window
from .measures import Measure, p999
from .memory import Growth, why_no_memory
from .padding import pad
from .resaves import FIRST, Session, measure_session, seconds, session_table, wire_bytes
from .rivals import Rsync, Scp
from .studio import EDITS, Size, Studio
from .transfer_figures import (
    BUILD_MEMORY,
    CLIENT_MEMORY,
    CURVE_ALONE,
    GAP_MAX,
    GAP_P999,
    LINK_FIGURES,
    NODE_MEMORY,
    SESSION_FIGURES,
    THROUGHPUT,
    compression_cost,
    first_upload,
    link_rate,
    link_round_trip,
    resave_bytes,
    resave_seconds,
    resave_share,
)
from .uploads import sender
from .window import why_no_window


@dataclass(frozen=True)
class Scale:
    """How large everything is; bytes."""

    scene: Size
    throughput: int
    window: int
    memory: int
    texture: int
    """Each of TEXTURES."""


FULL = Scale(studio.FULL, throughput=10**9, window=500 * 10**6, memory=5 * 10**9, texture=10**6)
QUICK = Scale(studio.QUICK, throughput=20 * 10**6, window=20 * 10**6, memory=50 * 10**6, texture=10**4)
"""Shows in two minutes whether everything runs; its figures say nothing."""

TEXTURES = 1000


# How it is measured


def links(_: Blender, __: Path, rounds: int, ___: Scale) -> Iterator[Measure]:
    """Whether the emulated links are what they are said to be."""
    for link in LINKS:
        found = [probe(link) for _ in range(rounds)]
        rates = [each.rate / 1e6 for each in found]
        round_trips = [each.round_trip_s * 1000 for each in found]
        yield link_rate(link).measured(statistics.median(rates), f"{min(rates):.1f} to {max(rates):.1f}")
        detail = f"{min(round_trips):.2f} to {max(round_trips):.2f}"
        yield link_round_trip(link).measured(statistics.median(round_trips), detail)


def sessions(blender: Blender, folder: Path, rounds: int, scale: Scale) -> Iterator[Measure]:
    """First upload and re-saves on every link, of the same saves."""
    saves = studio.work(blender, folder / "scene", scale.scene)
    detail = f"built in {saves.build_s:.1f} s: {saves.name()}"
    memory = why_no_memory()
    yield BUILD_MEMORY.missing(memory) if memory else BUILD_MEMORY.measured(saves.build_peak_bytes / 1e9, detail)
    measured: dict[str, list[Session]] = {}
    for kind, files in saves.files.items():
        by_link: dict[Link, Session] = {}
        for link in LINKS:
            session = by_link[link] = measure_session(blender, link, files, folder / f"{kind} {link}", rounds)
            yield _first_upload(session, kind, link, files[FIRST].stat().st_size)
            for edit in EDITS:
                yield resave_seconds(edit, kind, link).measured(seconds(session.ours[edit]), _seconds(session, edit))
        measured[kind] = list(by_link.values())
        for edit in EDITS:
            yield from _wire(measured[kind], edit, kind)
        title = f"Blender {blender.name}, {kind}, ours / rsync"
        rich.console.Console(highlight=False).print(session_table(title, by_link))
    for edit in EDITS:
        yield from _compression(measured, edit)


def _first_upload(session: Session, kind: str, link: Link, size: int) -> Measure:
    taken = seconds(session.ours[FIRST])
    detail = (
        f"{taken:.2f} s against {session.whole_file_s:.2f} s; {wire_bytes(session.ours[FIRST]) / 1e6:.1f} MB "
        f"on the wire for {size / 1e6:.0f} MB"
    )
    if session.rsync:
        detail += f"; rsync {seconds(session.rsync[FIRST]):.2f} s, {wire_bytes(session.rsync[FIRST]) / 1e6:.1f} MB"
    return first_upload(kind, link).measured(taken / session.whole_file_s, detail)


def _seconds(session: Session, edit: str) -> str:
    """The rivals' times, in words."""
    rsync = f"rsync {seconds(session.rsync[edit]):.2f} s" if session.rsync else Rsync.why_not()
    worst = max(upload.seconds for upload in session.ours[edit])
    return f"{rsync}, whole file {session.whole_file_s:.2f} s; worst of ours {worst:.2f} s"


def _wire(links_sessions: Sequence[Session], edit: str, kind: str) -> Iterator[Measure]:
    """The link on which we sent the most, against the one on which rsync sent the least."""
    ours = max(wire_bytes(session.ours[edit]) for session in links_sessions)
    why = Rsync.why_not()
    if why:
        yield resave_bytes(edit, kind).measured(ours / 1e3, why)
        yield resave_share(edit, kind).missing(why)
        return
    theirs = min(wire_bytes(session.rsync[edit]) for session in links_sessions)
    detail = f"rsync {theirs / 1e3:.1f} KB"
    yield resave_bytes(edit, kind).measured(ours / 1e3, detail)
    yield resave_share(edit, kind).measured(ours / theirs, f"{ours / 1e3:.1f} KB, {detail}")


def _compression(measured: dict[str, list[Session]], edit: str) -> Iterator[Measure]:
    for unit, figure in (("bytes", wire_bytes), ("seconds", seconds)):
        plain, compressed = (
            max(figure(session.ours[edit]) for session in measured[kind]) for kind in ("uncompressed", "compressed")
        )
        detail = f"{compressed:.4g} against {plain:.4g} {unit}"
        yield compression_cost(edit, unit).measured(compressed / plain, detail)


def throughput(blender: Blender, folder: Path, rounds: int, scale: Scale) -> Iterator[Measure]:
    """A file that no compression makes smaller, from this machine to this machine."""
    why = Scp.why_not()
    if why:
        yield THROUGHPUT.missing(why)
    else:
        blend = _padded(blender, folder, scale.throughput)
        with Scp(folder / "scp") as scp:
            times, copies, encrypted = [], [], []
            for number in range(rounds):
                # A copy right before each: a virtual machine may pay three seconds for a gigabyte that it has not used
                # lately, and the second one would find what the first one has just given back.
                with sender(blender, folder / str(number)) as ours:
                    copies.append(_copying_s(blend, folder / "copy"))
                    taken = ours.upload(blend).seconds
                shutil.rmtree(folder / str(number))
                copies.append(_copying_s(blend, folder / "copy"))
                times.append((taken, scp.seconds(blend, scp.port)))
                encrypted.append((curve.seconds(scale.throughput), times[-1][1]))
                os.sync()
        columns = (*zip(*times, strict=True), copies)
        speeds = [scale.throughput / 1e6 / statistics.median(column) for column in columns]
        yield THROUGHPUT.ratio(times, "{:.0f} against {:.0f} MB/s; a copy on the disk {:.0f}".format(*speeds))
        yield CURVE_ALONE.ratio(encrypted)


def _copying_s(path: Path, copy: Path) -> float:
    """Return how long this machine takes to have the file once more on its disk: none that sends it can be faster."""
    began = time.perf_counter()
    shutil.copyfile(path, copy)
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    taken = time.perf_counter() - began
    copy.unlink()
    return taken


def memory(blender: Blender, folder: Path, _: int, scale: Scale) -> Iterator[Measure]:
    """What a huge file with a thousand textures costs both sides, in its first upload, in a re-save and rendered."""
    if why := why_no_memory():
        yield from (CLIENT_MEMORY.missing(why), NODE_MEMORY.missing(why))
        return
    textures = [folder / "textures" / f"{number}.png" for number in range(TEXTURES)]
    textures[0].parent.mkdir()
    for number, path in enumerate(textures):
        path.write_bytes(np.random.default_rng(number).bytes(scale.texture))
    blend = _padded(blender, folder, scale.memory, textures)
    with (
        sender(blender, folder / "ours") as ours,
        Growth(ours.client_pid) as client,
        Growth(ours.node_pid) as node,
    ):
        first, again = ours.upload(blend, textures), ours.upload(blend, textures)
        ours.render(blend, textures)
    detail = f"RssAnon at its worst; the files took {first.seconds:.1f} s, and {again.seconds:.1f} s once more"
    yield CLIENT_MEMORY.measured(client.bytes / 1e6, detail)
    yield NODE_MEMORY.measured(node.bytes / 1e6, detail)


def window(blender: Blender, folder: Path, rounds: int, scale: Scale) -> Iterator[Measure]:
    """Whether the artist's window keeps turning while a save leaves over the fastest link."""
    if why := why_no_window():
        yield from (GAP_P999.missing(why), GAP_MAX.missing(why))
        return
    rest: list[float] = []
    sending: list[float] = []
    with Studio(blender) as artist:
        artist.do("build", **asdict(studio.TINY))
        artist.do("save", path=os.fspath(folder / "shot.blend"), compress=False)
    with busy_window(blender, LINKS[0], folder / "shot.blend", folder) as opened, taken_by_the_host() as taken:
        for seed in range(rounds):
            rest += opened.gaps_at_rest()
            sending += opened.gaps_while_sending(scale.window, seed)
    for figure, of in ((GAP_P999, p999), (GAP_MAX, max)):
        turns = f"of {len(sending)} turns in {rounds} saves; at rest {of(rest) * 1000:.2f} ms of {len(rest)}"
        yield figure.measured(of(sending) * 1000, f"{turns}; {taken.says()}")


def _padded(blender: Blender, folder: Path, size: int, textures: Sequence[Path] = ()) -> Path:
    """A .blend of `size` bytes and a little more, of which Blender has to read next to nothing."""
    small, blend = folder / "small.blend", folder / "shot.blend"
    with Studio(blender) as artist:
        artist.do("build", **asdict(studio.TINY))
        artist.do("use", paths=list(map(os.fspath, textures)))
        artist.do("save", path=os.fspath(small), compress=False)
    pad(small, blend, size)
    return blend


# The bench


@dataclass(frozen=True)
class Part:
    """Figures that are measured together, and how."""

    figures: tuple[Measure, ...]
    measure: Callable[[Blender, Path, int, Scale], Iterator[Measure]]
    each_blender: bool = False
    """Whether every Blender is measured, or the newest alone: most of it does not depend on Blender."""
    huge: bool = False
    """Whether it is left out unless asked for."""


PARTS = {
    "links": Part(LINK_FIGURES, links),
    "sessions": Part(SESSION_FIGURES, sessions, each_blender=True),
    "throughput": Part((THROUGHPUT, CURVE_ALONE), throughput),
    "window": Part((GAP_P999, GAP_MAX), window, each_blender=True),
    "memory": Part((CLIENT_MEMORY, NODE_MEMORY), memory, huge=True),
}


def run(rounds: int, only: Collection[str] = (), *, quick: bool = False, huge: bool = False) -> Iterator[Measure]:
    """Measure with every Blender of this machine that is a program (or those in RELAY_TEST_BLENDERS).

    `only` names parts, or beginnings of Blender's versions, and all others are left out; `huge` adds what needs 20 GB
    of disk; `quick` makes everything small, to see whether it runs.
    """
    versions = tuple(word for word in only if word not in PARTS)
    programs = [blender for blender in real_blenders() if blender.source != WHEEL]
    blenders = [blender for blender in programs if not versions or blender.name.startswith(versions)]
    for name, part in PARTS.items():
        if name in only or not set(PARTS).intersection(only):
            yield from _measure(part, blenders, rounds, QUICK if quick else FULL, why_not=_why_not(name, only, huge))


def _why_not(name: str, only: Collection[str], huge: bool) -> str:
    left_out = PARTS[name].huge and not huge and name not in only
    return f"needs 20 GB of disk and minutes: add --huge, or --only {name}" if left_out else ""


def _measure(part: Part, blenders: Sequence[Blender], rounds: int, scale: Scale, why_not: str) -> Iterator[Measure]:
    if not blenders:
        why_not = "no such Blender here that runs as a program: list executables in RELAY_TEST_BLENDERS"
    if why_not:
        yield from (figure.missing(why_not) for figure in part.figures)
        return
    for blender in blenders if part.each_blender else [max(blenders, key=lambda blender: blender.version)]:
        with tempfile.TemporaryDirectory(prefix="relay-bench-", ignore_cleanup_errors=True) as folder:
            for figure in part.measure(blender, Path(folder), rounds, scale):
                yield figure.with_blender(blender.name) if part.each_blender else figure
