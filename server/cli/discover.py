# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that looks for nodes in the local network."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import rich.table
import typer
from rich.text import Text

from addon.client.browser import Browser, Found
from addon.multicast import is_available

from . import app, console, fail, log_to_stderr, run

LOOK_S = 3.0


@app.command()
def discover(
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, max=600, help="How long to look.")] = LOOK_S,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list instead of a table.")] = False,
) -> None:
    """List the nodes that announce themselves in this network. Exits with 1 when there is none."""
    if not is_available():
        raise fail("Nodes cannot be looked for: the library zeroconf is missing. Install Relay Render again.")
    log_to_stderr(verbose=False)
    found: list[Found] = []
    run(_look(found, seconds))
    if as_json:
        print(json.dumps([asdict(node) for node in found]))  # noqa: T201 - rich would wrap it
    elif found:
        console.print(_table(found))
    if not found and not as_json:
        raise fail("No node announces itself here: type its address instead, or look at `doctor` on its machine.")
    if not found:
        raise typer.Exit(1)


async def _look(found: list[Found], seconds: float) -> None:
    def keep(nodes: list[Found]) -> None:
        if nodes:  # Looking ends with an empty list.
            found[:] = nodes

    browser = Browser(keep)
    browser.start()
    await asyncio.sleep(seconds)
    await browser.close()


def _table(found: list[Found]) -> rich.table.Table:
    table = rich.table.Table("Node", "Address", "Version", "Key", "", box=None, pad_edge=False)
    for node in found:
        remark = "" if node.fits else "speaks another protocol"
        table.add_row(
            *map(Text, (node.name, node.address, node.version, node.fingerprint)),
            remark if node.answers else "does not answer",
        )
    return table
