# SPDX-License-Identifier: GPL-3.0-or-later
"""What several commands are told in the same words."""

from pathlib import Path
from typing import Annotated

import platformdirs
import typer

from addon.protocol.version import DEFAULT_PORT

To = Annotated[str, typer.Option("--to", metavar="HOST[:PORT]", help="The node.")]
DEFAULT_TO = f"127.0.0.1:{DEFAULT_PORT}"

ClientData = Annotated[Path, typer.Option("--data", help="Folder of this client's own records.", show_default=False)]
CLIENT_DATA = platformdirs.user_data_path("relay-render", appauthor=False) / "client"

OVER = ("done", "cancelled", "superseded")
"""States after which no frame comes any more; one that failed may be tried again."""
