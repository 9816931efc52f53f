# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server` without a command: run a node."""

import logging
import os
import re
import shutil
from pathlib import Path
from typing import Annotated

import platformdirs
import psutil
import typer

from addon.durable import make_folder
from addon.protocol.address import Address, InvalidAddress, parse_address
from addon.protocol.messages import PairingRequest
from addon.protocol.pairing import spaced
from addon.protocol.version import DEFAULT_PORT, VERSION

from ..blenders import Blender, find_blenders
from ..ending import Ending
from ..errors import ServerError
from ..executors.watch import SPARES, Limits
from ..hooks import Hook
from ..hooks.command import CommandHook, split_command
from ..hooks.webhook import Webhook
from ..letting_in import LettingIn
from ..quotas import Quota
from ..sandbox import Containment, Mode, contain
from ..serve import Options, serve
from ..supervision import Supervision
from ..web.serving import PageOptions, Site
from . import app, called, console, fail, fail_for, log_to_stderr, run, size, slot_count
from .exits import Exit

log = logging.getLogger(__name__)

DEFAULT_LISTEN = f"0.0.0.0:{DEFAULT_PORT}"
QUOTA = "jobs=1000,frames=1000000,connections=32"
DEFAULT_WEB = "127.0.0.1"
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
GalleryLimit = Annotated[
    int | None,
    typer.Option(
        "--gallery",
        metavar="SIZE",
        parser=size,
        help="Disk space for frames that are home, which the page goes on showing; 0: none. The oldest go first.",
        show_default="a twentieth of the disk",
    ),
]
Slots = Annotated[
    int | None,
    typer.Option(
        "--slots",
        metavar="N|auto",
        parser=slot_count,
        help="Frames rendered at once, 1 to 64. auto: one for each GPU; on the processor as many as gain from it.",
        show_default="auto",
    ),
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
WorkerDisk = Annotated[
    int | None,
    typer.Option(
        "--worker-disk",
        metavar="SIZE",
        parser=size,
        help="A Blender that writes more for the file it has open is ended, and its frame fails.",
        show_default="half of what is free",
    ),
]
FrameTimeLimit = Annotated[
    float | None,
    typer.Option(
        "--frame-time-limit",
        metavar="SECONDS",
        min=0.1,
        help="A frame that takes longer fails, and its Blender is ended.",
        show_default="none",
    ),
]
SandboxMode = Annotated[
    Mode,
    typer.Option(
        "--sandbox",
        help="Shut Blenders in: where that is possible, or else refuse to start, or not at all.",
    ),
]
QuotaText = Annotated[
    str,
    typer.Option(
        "--quota",
        metavar="LIMITS",
        help="What each client may take that is not trusted: jobs, frames, stored, slots, connections; none: no limit.",
    ),
]
Scripts = Annotated[
    bool,
    typer.Option("--scripts", help="Let the Python in this account's own files run, in drivers and texts."),
]
LogFile = Annotated[
    Path | None,
    typer.Option(
        "--log-file",
        help="File for the log, as JSON lines; at 10 MB a new one is begun, and five are kept.",
        show_default="logs/node.log in the data folder",
    ),
]
Web = Annotated[
    str,
    typer.Option(
        "--web",
        metavar="HOST[:PORT]|off",
        help="Address of the node's page; 0.0.0.0: for the whole network; off: there is none. The port is the node's "
        "and 2.",
    ),
]
WebCertificate = Annotated[
    Path | None,
    typer.Option("--web-certificate", help="File with a certificate and its key (PEM): the page is served by HTTPS."),
]
UploadLimit = Annotated[
    int | None,
    typer.Option(
        "--upload-limit",
        metavar="SIZE",
        parser=size,
        help="What a browser may send at a time, such as 20GB.",
        show_default="what there is room for",
    ),
]
Announce = Annotated[
    bool,
    typer.Option(
        "--announce/--no-announce",
        help="Tell the local network that there is a node; off for one that listens on this machine alone.",
    ),
]
WebhookUrl = Annotated[
    str | None,
    typer.Option("--webhook", metavar="URL", help="Post to this address, as JSON, whenever a job ends."),
]
OnFinish = Annotated[
    str | None,
    typer.Option(
        "--on-finish", metavar="COMMAND", help="Run this whenever a job ends, told in RELAY_* variables and on stdin."
    ),
]
Supervised = Annotated[
    bool,
    typer.Option(
        "--supervised",
        help="For a program that starts the node: JSON lines on stdout and stdin, and the node ends when stdin closes.",
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
    worker_disk: WorkerDisk = None,
    frame_time_limit: FrameTimeLimit = None,
    sandbox: SandboxMode = Mode.AUTO,
    store_limit: StoreLimit = None,
    gallery: GalleryLimit = None,
    quota: QuotaText = QUOTA,
    scripts: Scripts = False,
    log_file: LogFile = None,
    web: Web = DEFAULT_WEB,
    web_certificate: WebCertificate = None,
    upload_limit: UploadLimit = None,
    announce: Announce = True,
    webhook: WebhookUrl = None,
    on_finish: OnFinish = None,
    supervised: Supervised = False,
    verbose: Verbose = False,
    version: Version = False,
) -> None:
    """Render what artists save in Blender, on this machine.

    Without a command, or with the word serve: run the render node. It finds the Blenders of this machine, queues the
    jobs that artists send, and goes on where it was after every restart.
    """
    if version:
        console.print(f"Relay Render {VERSION}")
        raise typer.Exit
    if context.invoked_subcommand is not None:
        return
    log_to_stderr(verbose)
    address = listen_address(listen)
    try:
        everybodys = Quota().changed(quota)
    except ValueError as error:
        raise fail(f"--quota: {error}", Exit.USAGE) from None
    try:
        hooks = _hooks(webhook, on_finish)
        make_folder(data, mode=0o700)  # Artists' files are nobody else's business.
        disk = shutil.disk_usage(data)
        limits = Limits(
            worker_memory or psutil.virtual_memory().total * 9 // 10,
            spares=spares,
            disk=worker_disk or disk.free // 2,
            frame_s=frame_time_limit,
        )
        containment = _contained(sandbox, _blenders(blender or []), data)
        options = Options(
            address,
            data,
            list(containment.cells),
            slots,
            limits,
            store_limit or disk.total // 5,
            disk.total // 20 if gallery is None else gallery,
            containment,
            everybodys,
            scripts,
            log_file or data / "logs" / "node.log",
            announce,
            hooks,
            _page(web, web_certificate),
            upload_limit,
        )
        run(serve(options, Supervision() if supervised else _Terminal(options)))
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
        raise fail_for(error) from error


def _page(text: str, certificate: Path | None) -> PageOptions | None:
    """Where the page is served, as the owner writes it."""
    if text == "off":
        return None
    address = listen_address(text)
    names_port = re.fullmatch(r"([^:]*|\[.*\]):\d+", text) is not None
    return PageOptions(address.host, address.port if names_port else None, certificate)


def _blenders(extra: list[Path]) -> list[Blender]:
    blenders = find_blenders(extra)
    if not blenders:
        raise fail(
            'No Blender found: install one from blender.org, name one with --blender, or `pip install ".[embedded]"`.'
        )
    return blenders


def _hooks(webhook: str | None, on_finish: str | None) -> list[Hook]:
    """What is told of each job's end. Raises ServerError."""
    told: list[Hook] = [Webhook(webhook)] if webhook is not None else []
    return [*told, CommandHook(split_command(on_finish))] if on_finish is not None else told


def _contained(mode: Mode, blenders: list[Blender], data: Path) -> Containment:
    """Find out which Blenders run in a sandbox, and say it once when they do not."""
    containment = contain(mode, blenders, data)
    if containment.reasons:
        log.warning("%s", " ".join(containment.reasons))
    return containment


class _Terminal:
    """The owner reads what the node says, and answers with other commands."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def attend(self, letting_in: LettingIn, ending: Ending) -> None:
        """Nothing: a terminal is not listened to."""

    def ready(self, port: int, site: Site | None) -> None:
        """Say where the node is, and what it has."""
        host = self._options.listen.host
        console.print(
            f"[bold]Relay Render {VERSION}[/bold] listens on [bold]{host}:{port}[/bold] (process {os.getpid()})"
        )
        for blender in reversed(self._options.blenders):
            console.print(f"  Blender {blender.name}  {blender.source}")
        console.print(f"  Data in {self._options.data}")
        console.print(f"  {self._options.containment.describe()}")
        if site is not None:
            console.print(f"  Its page: {site.link}", soft_wrap=True)

    def asked(self, request: PairingRequest) -> None:
        """Show the digits to compare."""
        code = spaced(request.code)
        console.print(f"{request.name} ({request.host}) asks to be let in, and should show", markup=False)
        console.print(f"\n    [bold]{code}[/bold]\n\nIf it does: {called()} allow {code}", soft_wrap=True)
