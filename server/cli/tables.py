# SPDX-License-Identifier: GPL-3.0-or-later
"""How jobs look in a terminal. Pure."""

from collections.abc import Iterable

import rich.table
from rich.markup import escape

from addon.protocol.messages import JobState, JobStatus

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
            f"[{colour}]{status.state}[/{colour}]",
            escape(status.frames),
            f"{status.done}/{status.total} {status.fraction:4.0%}",
            "" if status.eta_s is None else short_time(status.eta_s),
            status.blender or "",
            escape(" ".join((status.text, *status.notices))),
        )
    return table


def short_time(seconds: float) -> str:
    """``8s``, ``3m 12s``, ``2h 05m``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m"
