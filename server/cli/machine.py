# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that look at this machine."""

from collections.abc import Sequence

import rich.table
import typer

from ..doctor import Finding, State, examine
from . import app, console, output
from .exits import Exit
from .node import DEFAULT_DATA, DEFAULT_LISTEN, Blenders, Data, Listen, listen_address
from .output import Json

_MARKS = {State.OK: "[green]ok[/green]", State.WARNING: "[yellow]look[/yellow]", State.MISSING: "[red]missing[/red]"}


@app.command()
def doctor(
    listen: Listen = DEFAULT_LISTEN, data: Data = DEFAULT_DATA, blender: Blenders = None, json: Json = False
) -> None:
    """Say what this machine lacks to be a node, and how to get it. Exits with 1 when something is missing."""
    findings = examine(listen_address(listen), data, blender or [])
    if json:
        output.document({"findings": findings})
    else:
        console.print(_table(findings))
    if any(finding.state == State.MISSING for finding in findings):
        raise typer.Exit(Exit.FAILED)


def _table(findings: Sequence[Finding]) -> rich.table.Table:
    table = rich.table.Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        table.add_row(_MARKS[finding.state], finding.name, f"{finding.text} [bold]{finding.remedy}[/bold]".strip())
    return table
