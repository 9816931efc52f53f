# SPDX-License-Identifier: GPL-3.0-or-later
"""How jobs look in a terminal. Pure."""

import time
from collections.abc import Iterable

import rich.table
from rich.markup import escape

from addon.protocol.messages import JobState, JobStatus, StoreStatus, Workers, WorkerState

from ..sizes import short_size

_COLOURS = {
    JobState.DONE: "green",
    JobState.FAILED: "red",
    JobState.RENDERING: "cyan",
    JobState.ENCODING: "cyan",
}


def job_table(jobs: Iterable[JobStatus]) -> rich.table.Table:
    """One row a job, in the order in which they came to the node."""
    table = rich.table.Table("ID", "File", "State", "Frames", "Done", "Left", "Blender", "", box=None, pad_edge=False)
    for status in jobs:
        colour = _COLOURS.get(status.state, "default")
        table.add_row(
            status.job[:8],
            escape(status.title),
            f"[{colour}]{status.state}[/{colour}]" + (f" ({status.priority:+})" if status.priority else ""),
            escape(status.frames),
            f"{status.done}/{status.total} {status.fraction:4.0%}",
            "" if status.eta_s is None else short_time(status.eta_s),
            f"{status.blender or ''} {escape(status.device)}".strip(),
            escape(" ".join((status.text, *status.notices))),
        )
    return table


def details_table(status: JobStatus) -> rich.table.Table:
    """All there is to say about one job, a line for each thing."""
    colour = _COLOURS.get(status.state, "default")
    rows = [
        ("ID", status.job),
        ("File", escape(status.title)),
        ("State", f"[{colour}]{status.state}[/{colour}]"),
        ("Submitted", moment(status.created)),
        ("Frames", escape(status.frames)),
        ("Done", f"{status.done} of {status.total}, {status.fraction:.0%}"),
        ("Failed", str(status.failed) if status.failed else ""),
        ("Waiting to be fetched", str(status.undelivered) if status.undelivered else ""),
        ("Now", "" if status.frame is None else f"frame {status.frame}{_samples(status)}"),
        ("Left", "" if status.eta_s is None else short_time(status.eta_s)),
        ("Priority", str(status.priority) if status.priority else ""),
        ("Blender", f"{status.blender or ''} {escape(status.device)}".strip()),
        *(("", escape(text)) for text in (status.text, *status.notices)),
    ]
    table = rich.table.Table(box=None, show_header=False, pad_edge=False)
    for name, text in rows:
        if text:
            table.add_row(name, text)
    return table


def _samples(status: JobStatus) -> str:
    return "" if status.sample is None or status.samples is None else f", sample {status.sample} of {status.samples}"


def worker_table(workers: Workers) -> rich.table.Table:
    """One row a Blender, those in slots first."""
    table = rich.table.Table("Slot", "Blender", "", "Memory", "Frames", "Since", box=None, pad_edge=False)
    for status in workers.workers:
        slot = "spare" if status.slot is None else f"{status.slot + 1} of {workers.slots}"
        does = "" if status.state == WorkerState.SPARE else str(status.state)
        memory = short_size(status.memory)
        table.add_row(slot, status.blender, does, memory, str(status.rendered), short_time(status.age_s))
    return table


def store_table(store: StoreStatus) -> rich.table.Table:
    """What a node keeps, a line for each kind."""
    table = rich.table.Table(box=None, show_header=False, pad_edge=False)
    used = "" if store.last_use is None else f", last used {moment(store.last_use)}"
    rows = [
        ("Files", f"{store.files}{used}"),
        ("On the disk", f"{short_size(store.bytes)} of {short_size(store.limit)}"),
        ("Needed by jobs", short_size(store.needed)),
        ("Not come whole", f"{store.partial}, {short_size(store.partial_bytes)}"),
        ("Spare copies", f"{store.spare}, {short_size(store.spare_bytes)}"),
        ("Gallery", f"{short_size(store.gallery)} of {short_size(store.gallery_limit)}"),
    ]
    if store.evicted:
        rows.append(("Evicted now", short_size(store.evicted)))
    for row in rows:
        table.add_row(*row)
    return table


def moment(seconds: float) -> str:
    """Date and time of this machine, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def short_time(seconds: float) -> str:
    """``8s``, ``3m 12s``, ``2h 05m``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m"
