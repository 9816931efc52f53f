# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that look at this machine."""

import rich.table
import typer

from ..doctor import State, examine
from . import app, console
from .node import DEFAULT_DATA, DEFAULT_LISTEN, Blenders, Data, Listen, listen_address

_MARKS = {State.OK: "[green]ok[/green]", State.WARNING: "[yellow]look[/yellow]", State.MISSING: "[red]missing[/red]"}


@app.command()
def doctor(listen: Listen = DEFAULT_LISTEN, data: Data = DEFAULT_DATA, blender: Blenders = None) -> None:
    """Say what this machine lacks to be a node, and how to get it. Exits with 1 when something is missing."""
    findings = examine(listen_address(listen), data, blender or [])
    table = rich.table.Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        table.add_row(_MARKS[finding.state], finding.name, f"{finding.text} [bold]{finding.remedy}[/bold]".strip())
    console.print(table)
    if any(finding.state == State.MISSING for finding in findings):
        raise typer.Exit(1)
