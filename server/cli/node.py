# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server` without a command: run a node."""

import os
import shutil
from pathlib import Path
from typing import Annotated

import platformdirs
import psutil
import typer

from addon.protocol.address import Address, InvalidAddress, parse_address
from addon.protocol.version import DEFAULT_PORT, VERSION

from ..blenders import Blender, find_blenders
from ..durable import make_folder
from ..errors import ServerError
from ..executors.watch import SPARES, Limits
from ..serve import Options, is_loopback, serve
from . import app, console, fail, log_to_stderr, run, size

DEFAULT_LISTEN = f"127.0.0.1:{DEFAULT_PORT}"
DEFAULT_DATA = platformdirs.user_data_path("relay-render", appauthor=False) / "node"

Listen = Annotated[
    str, typer.Option("--listen", metavar="HOST[:PORT]", help="Address to listen on; port 0 takes a free one.")
]
Data = Annotated[
    Path, typer.Option("--data", help="Folder for the queue and the files.", show_default=str(DEFAULT_DATA))
]
Blenders = Annotated[
    list[Path] | None,
    typer.Option("--blender", help="A Blender to use beside those found: program or folder. May be repeated."),
]
StoreLimit = Annotated[
    int | None,
    typer.Option(
        "--store-limit",
        metavar="SIZE",
        parser=size,
        help="Disk space for artists' files, such as 50GB; what a waiting job needs is kept beyond it.",
        show_default="a fifth of the disk",
    ),
]
Slots = Annotated[
    int | None,
    typer.Option("--slots", min=1, max=64, help="Frames rendered at once.", show_default="one for each GPU, or one"),
]
Spares = Annotated[
    int,
    typer.Option(
        "--spares",
        min=0,
        max=8,
        help="Blenders kept started for each slot, of the versions used last; each takes about 250 MB.",
    ),
]
WorkerMemory = Annotated[
    int | None,
    typer.Option(
        "--worker-memory",
        metavar="SIZE",
        parser=size,
        help="A Blender that takes more memory is ended, and its frame tried again.",
        show_default="nine tenths of the machine's",
    ),
]
LogFile = Annotated[
    Path | None,
    typer.Option(
        "--log-file",
        help="File for the log, as JSON lines; at 10 MB a new one is begun, and five are kept.",
        show_default="logs/node.log in the data folder",
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log every step.")]
Version = Annotated[bool, typer.Option("--version", help="Say the version and end.")]


@app.callback(invoke_without_command=True)
def main(  # noqa: PLR0913, PLR0917 - each is an option
    context: typer.Context,
    listen: Listen = DEFAULT_LISTEN,
    data: Data = DEFAULT_DATA,
    blender: Blenders = None,
    slots: Slots = None,
    spares: Spares = SPARES,
    worker_memory: WorkerMemory = None,
    store_limit: StoreLimit = None,
    log_file: LogFile = None,
    verbose: Verbose = False,
    version: Version = False,
) -> None:
    """Render what artists save in Blender, on this machine.

    Without a command: run the render node. It finds the Blenders of this machine, queues the jobs that artists send,
    and goes on where it was after every restart.
    """
    if version:
        console.print(f"Relay Render {VERSION}")
        raise typer.Exit
    if context.invoked_subcommand is not None:
        return
    log_to_stderr(verbose)
    limits = Limits(worker_memory or psutil.virtual_memory().total * 9 // 10, spares=spares)
    options = Options(
        listen_address(listen),
        data,
        _blenders(blender or []),
        slots,
        limits,
        store_limit or _fifth(data),
        log_file or data / "logs" / "node.log",
    )
    try:
        run(serve(options, lambda port: _announce(options, port)))
    except (ServerError, OSError) as error:
        raise fail(str(error)) from error
    except KeyboardInterrupt:
        return


def listen_address(text: str) -> Address:
    """As parse_address, with port 0 allowed; ends the program with the sentence for what is no address."""
    try:
        if text.endswith(":0"):
            return Address(parse_address(text[:-2]).host, 0)
        return parse_address(text)
    except InvalidAddress as error:
        raise fail(str(error)) from error


def _blenders(extra: list[Path]) -> list[Blender]:
    blenders = find_blenders(extra)
    if not blenders:
        raise fail(
            'No Blender found: install one from blender.org, name one with --blender, or `pip install ".[embedded]"`.'
        )
    return blenders


def _fifth(data: Path) -> int:
    """Bytes of a fifth of the disk that the data folder is on."""
    make_folder(data)
    return shutil.disk_usage(data).total // 5


def _announce(options: Options, port: int) -> None:
    address = Address(options.listen.host, port)
    console.print(
        f"[bold]Relay Render {VERSION}[/bold] listens on [bold]{address.host}:{port}[/bold] (process {os.getpid()})"
    )
    for blender in reversed(options.blenders):
        console.print(f"  Blender {blender.name}  {blender.source}")
    console.print(f"  Data in {options.data}")
    if not is_loopback(options.listen.host):
        console.print(
            "[yellow]Anyone who reaches this address can render here and read what others sent: "
            "nothing is encrypted and nobody is asked for a key yet. Use it on a network you trust.[/yellow]"
        )
