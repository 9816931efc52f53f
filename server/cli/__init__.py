# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: a module for running a node, and one for each kind of thing that is said to one."""

import asyncio
import logging
import os
from collections.abc import Coroutine
from typing import Any

import rich.console
import typer

from ..sizes import parse_size
from .exits import EPILOG, Exit, exit_for

MOST_SLOTS = 64

console = rich.console.Console(highlight=False)
errors = rich.console.Console(stderr=True, highlight=False)

app = typer.Typer(
    no_args_is_help=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    epilog=EPILOG,
)


CALLED_VARIABLE = "RELAY_RENDER_CALLED"
"""Environment variable with how the program was called, when that was not by its module: Blender's command sets it."""


def called() -> str:
    """Return what a person types before a command."""
    return os.environ.get(CALLED_VARIABLE) or "python -m server"


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end, on the kind of loop that ZeroMQ works with on every system."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(work)


def size(text: str) -> int:
    """Return a number of bytes for an option's text: 500MB, 2.5 GB, 100000000."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def slot_count(text: str) -> int | None:
    """Return the number of slots for an option's text; None for auto."""
    if text == "auto":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MOST_SLOTS:
        raise typer.BadParameter(f"{text} is neither auto nor a number from 1 to {MOST_SLOTS}.")
    return int(text)


def fail(sentence: str, code: Exit = Exit.FAILED) -> typer.Exit:
    """Say what is wrong on stderr; raise what is returned."""
    errors.print(sentence, style="red", markup=False)
    return typer.Exit(code)


def fail_for(error: Exception) -> typer.Exit:
    """As `fail`, for an error whose text is the sentence."""
    return fail(str(error), exit_for(error))


def log_to_stderr(verbose: bool) -> None:
    """Log lines go to stderr, with time and level."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s"
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)


from . import node, submit, remote, turns, following, fetching, words, film, page, pairing, machine, discover  # noqa: E402, F401, I001  (they add their commands, in this order, to `app`)
