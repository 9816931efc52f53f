# SPDX-License-Identifier: GPL-3.0-or-later
"""What several commands are told in the same words."""

import shlex
from pathlib import Path
from typing import Annotated

import platformdirs
import typer

from addon.protocol.version import DEFAULT_PORT

from . import called
from .completion import complete_job

To = Annotated[str, typer.Option("--to", metavar="HOST[:PORT]", help="The node.")]
DEFAULT_TO = f"127.0.0.1:{DEFAULT_PORT}"

JOB_HELP = "The job's ID as `status` shows it, or its first digits."
Job = Annotated[str, typer.Argument(help=JOB_HELP, autocompletion=complete_job, show_default=False)]

ClientData = Annotated[Path, typer.Option("--data", help="Folder of this client's own records.", show_default=False)]
CLIENT_DATA = platformdirs.user_data_path("relay-render", appauthor=False) / "client"

OVER = ("done", "cancelled", "superseded")
"""States after which no frame comes any more; one that failed may be tried again."""


def to_go_on(*words: str, to: str, data: Path | None = None) -> str:
    """Return the command to type, with the node and the records named where they are not the usual ones."""
    more = ["--to", to] if to != DEFAULT_TO else []
    if data is not None and data != CLIENT_DATA:
        more += ["--data", str(data)]
    return f"{called()} {shlex.join([*words, *more])}"
