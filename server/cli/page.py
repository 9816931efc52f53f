# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server page`: the way to a node's page."""

import webbrowser
from typing import Annotated

import typer

from addon.keyring import Keyring
from addon.protocol.address import InvalidAddress, parse_address

from . import app, called, console, fail
from .options import DEFAULT_TO, To


@app.command()
def page(
    to: To = DEFAULT_TO,
    show: Annotated[bool, typer.Option("--open/--print", help="Open it in a browser, or only say where it is.")] = True,
) -> None:
    """Open the page of a node that this account runs on this machine.

    The link holds a token: whoever has it may do what the node's owner may.
    """
    try:
        port = parse_address(to).port
    except InvalidAddress as error:
        raise fail(str(error)) from error
    link = Keyring().page(port)
    if link is None:
        raise fail(f"This account runs no node with a page on port {port}: start one with `{called()}`.")
    console.print(link, soft_wrap=True, markup=False)
    if show:
        webbrowser.open(link)
