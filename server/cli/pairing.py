# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands about who is let in: at the node, and where one asks to be."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import rich.table
import typer
from rich.markup import escape

from addon.client.observer import Observer
from addon.client.pairing import Pairing, PairingFailed
from addon.keyring import Keyring
from addon.protocol.address import InvalidAddress, parse_address
from addon.protocol.messages import (
    AskClients,
    ChangeClient,
    ClientList,
    ClientMessage,
    ClientStatus,
    Decide,
    Revoke,
)
from addon.protocol.pairing import spaced

from . import app, called, console, fail, fail_for, output, run
from .exits import Exit
from .options import DEFAULT_TO, To
from .output import Json
from .remote import observing
from .tables import moment

Which = Annotated[str | None, typer.Option(metavar="ID", show_default=False)]


@app.command()
def pair(to: To = DEFAULT_TO) -> None:
    """Ask a node to let this account in. Its owner allows it there, by the same six digits."""

    async def ask() -> None:
        def compare(digits: str, node: str) -> None:
            console.print(f"\n    [bold]{spaced(digits)}[/bold]\n")
            same = typer.confirm(f"Does {node} show the same digits?")
            pairing.compared(same)
            if same:
                console.print("Waiting for the node's owner to allow it.")

        try:
            pairing = Pairing(parse_address(to), Keyring(), compare)
            await pairing.run()
        except (InvalidAddress, PairingFailed) as failure:
            raise fail_for(failure) from None
        console.print(f"Paired with {to}.")

    run(ask())


@app.command()
def allow(
    digits: Annotated[list[str], typer.Argument(help="The six digits that the other screen shows.")],
    to: To = DEFAULT_TO,
    deny: Annotated[bool, typer.Option("--deny", help="Turn them away.")] = False,
) -> None:
    """Let in who shows these digits."""
    code = re.sub(r"\s", "", "".join(digits))
    if not re.fullmatch("[0-9]{6}", code):
        raise fail(f"{' '.join(digits)} are not six digits.", Exit.USAGE)

    async def decide() -> None:
        async with observing(to) as observer:
            before = await _list(observer, AskClients())
            listed = await _list(observer, Decide(code, not deny))
            names = {each.code: each.name for each in before.requests}
            console.print(f"{'Turned away' if deny else 'Let in'}: {names.get(code, code)}.", markup=False)
            console.print(_client_table(listed))

    run(decide())


@app.command()
def clients(  # noqa: PLR0913, PLR0917 - each is an option
    to: To = DEFAULT_TO,
    revoke: Which = None,
    name: Annotated[tuple[str, str] | None, typer.Option(metavar="ID NAME", help="Call one otherwise.")] = None,
    trust: Which = None,
    distrust: Which = None,
    quota: Annotated[
        tuple[str, str] | None, typer.Option(metavar="ID LIMITS", help="Let one take more of the node, or less.")
    ] = None,
    scripts: Which = None,
    no_scripts: Which = None,
    json: Json = False,
) -> None:
    """Show who is let in, and who asks to be.

    --revoke ID cuts one off at once. --trust ID lets one do what the node's owner may: see and stop everybody's jobs,
    let others in; --distrust ID takes that back. --quota ID jobs=20,frames=5000,stored=50GB,slots=2 sets what one may
    take instead of what everybody may: none lifts a limit, "" takes all that back. --scripts ID lets the Python in
    one's files run, in drivers and texts; --no-scripts ID takes that back. The first digits of an ID suffice.
    """
    changes: list[tuple[str | None, Callable[[ClientStatus], ClientStatus]]] = [
        (name and name[0], lambda client: replace(client, name=name[1] if name else "")),
        (trust, lambda client: replace(client, manages=True)),
        (distrust, lambda client: replace(client, manages=False)),
        (quota and quota[0], lambda client: replace(client, quota=quota[1] if quota else "")),
        (scripts, lambda client: replace(client, scripts=True)),
        (no_scripts, lambda client: replace(client, scripts=False)),
    ]

    async def show() -> None:
        async with observing(to) as observer:
            listed = await _list(observer, AskClients())
            if revoke is not None:
                listed = await _list(observer, Revoke(_pick(listed, revoke).client))
            for which, change in changes:
                if which is not None:
                    client = change(_pick(listed, which))
                    changed = ChangeClient(client.client, client.name, client.manages, client.quota, client.scripts)
                    listed = await _list(observer, changed)
            if json:
                output.document(listed)
                return
            console.print(_client_table(listed))
            for request in listed.requests:
                console.print(
                    f"{request.name} ({request.host}) asks to be let in: {spaced(request.code)}", markup=False
                )

    run(show())


async def _list(observer: Observer, message: ClientMessage) -> ClientList:
    observer.forget_answers()
    observer.send(message)
    await observer.until(lambda: observer.clients is not None)
    assert observer.clients is not None
    return observer.clients


def _pick(listed: ClientList, start: str) -> ClientStatus:
    found = [client for client in listed.clients if client.client.startswith(start.lower())]
    if len(found) != 1:
        raise fail(f"{len(found) or 'No'} clients begin with {start}: `{called()} clients` lists them.", Exit.USAGE)
    return found[0]


def _client_table(listed: ClientList) -> rich.table.Table:
    table = rich.table.Table("ID", "Name", "Since", "", "Quota", "Connected", box=None, pad_edge=False)
    for client in listed.clients:
        may = ", ".join(["trusted"] * client.manages + ["scripts"] * client.scripts)
        table.add_row(
            client.client[:8], escape(client.name), moment(client.since), may, client.quota, str(client.connected or "")
        )
    return table
