# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m addon.client --data DIR`: the process behind Blender's window; lines in on stdin, lines out on stdout."""

import argparse
import asyncio
import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..protocol.codec import build
from ..protocol.errors import RemoteProtocolError
from .beside import run_beside
from .ledger import Order
from .service import Client

log = logging.getLogger("relay-render")


def main() -> None:
    """Run until stdin ends: Blender has closed, or was killed."""
    parser = argparse.ArgumentParser(prog="python -m addon.client", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder for the list of jobs and the thumbnails")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    options.data.mkdir(parents=True, exist_ok=True)
    _be_nice()
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(_serve(options.data))


async def _serve(data: Path) -> None:
    client = Client(data, _tell)
    commands: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    # A thread, since Windows' pipes cannot be waited for in a select().
    threading.Thread(target=_read_lines, args=(loop, commands), name="stdin", daemon=True).start()
    await run_beside(client.run(), _obey_all(client, commands))


async def _obey_all(client: Client, commands: "asyncio.Queue[str | None]") -> None:
    while (line := await commands.get()) is not None:
        try:
            _obey(client, json.loads(line))
        except (ValueError, TypeError, KeyError, RemoteProtocolError):
            log.exception("a command was not understood: %.200s", line)


_COMMANDS: dict[str, Callable[[Client, dict[str, Any]], None]] = {
    "configure": lambda client, its: client.configure(its["address"]),
    "browse": lambda client, its: client.browse(its["wanted"] is True),
    "notify": lambda client, its: client.notify(its["desktop"] is True),
    "pair": lambda client, _: client.pair(),
    "compared": lambda client, its: client.compared(its["same"] is True),
    "render": lambda client, its: client.render(build(Order, its)),
    "cancel": lambda client, its: client.cancel(its["job"]),
    "pause": lambda client, its: client.pause(its["job"], True),
    "resume": lambda client, its: client.pause(its["job"], False),
    "retry": lambda client, its: client.retry(its["job"]),
    "go_on": lambda client, its: client.go_on(its["job"]),
    "clear_finished": lambda client, _: client.clear_finished(),
}


def _obey(client: Client, command: dict[str, Any]) -> None:
    arguments = dict(command)
    name = arguments.pop("command")
    if name not in _COMMANDS:
        raise ValueError(f"no such command: {name}")
    _COMMANDS[name](client, arguments)


def _read_lines(loop: asyncio.AbstractEventLoop, commands: "asyncio.Queue[str | None]") -> None:
    for line in sys.stdin:
        loop.call_soon_threadsafe(commands.put_nowait, line)
    loop.call_soon_threadsafe(commands.put_nowait, None)


def _tell(event: dict[str, Any]) -> None:
    try:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # Blender was killed; stdin says so too, and ends us.
        log.info("nobody reads any more")


def _be_nice() -> None:
    """Give way to the window: hashing at full priority cost it frames (4 ms against 9 ms at the 99.9th percentile)."""
    if os.name == "posix":
        os.nice(5)


if __name__ == "__main__":
    main()
