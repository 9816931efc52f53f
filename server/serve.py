# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server`: one node, from its options to its end."""

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import zmq

from addon.protocol.address import Address
from addon.protocol.version import VERSION

from .blenders import Blender
from .books import Books
from .durable import make_folder
from .ending import Ending, take_children_along
from .endpoint import Endpoint
from .errors import ServerError
from .executors.base import Listener
from .executors.local import LocalExecutor
from .executors.watch import Limits
from .handlers import Handlers
from .job_folders import JobFolders
from .job_store import DATABASE, JobStore
from .logs import log_to_file
from .node import Node
from .store import Store
from .uploads import Uploads

log = logging.getLogger(__name__)


FINISH_S = 5.0
"""A node that is told to end waits so long for frames that are being rendered."""


class CannotListen(ServerError):
    """The address cannot be listened on."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the owner chose."""

    listen: Address
    data: Path
    blenders: list[Blender]
    slots: int | None
    """Frames rendered at once; None: one for each GPU, or one."""
    limits: Limits
    store_limit: int
    """Bytes that artists' files may take on the disk; what a job needs is kept beyond it."""
    log_file: Path


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def serve(options: Options, on_ready: Callable[[int], None]) -> None:
    """Run a node until it is told to end (see ending.py); `on_ready` is called with the port. Raises ServerError."""
    make_folder(options.data)
    handlers = Handlers()
    endpoint = Endpoint(handlers)
    port = _bind(endpoint, options.listen)
    folders = JobFolders(options.data)
    jobs = JobStore(options.data / DATABASE)
    log_to_file(options.log_file)  # Now that no other node can use it.
    books = Books(jobs, folders, handlers)
    store = Store(options.data / "store", options.store_limit)

    def executor(listener: Listener) -> LocalExecutor:
        return LocalExecutor(options.slots, options.limits, listener)

    node = Node(books, folders, store, options.blenders, executor)
    handlers.node, handlers.endpoint = node, endpoint
    handlers.uploads = Uploads(store, options.data, handlers.make_room)
    ending = Ending()
    ending.listen()
    take_children_along()
    await node.start()
    names = ", ".join(blender.name for blender in reversed(options.blenders))
    log.info("Relay Render %s listens on port %d; Blender %s; data in %s", VERSION, port, names, options.data)
    on_ready(port)
    door = asyncio.create_task(endpoint.run())
    asked = asyncio.create_task(ending.asked.wait())
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({door, asked}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                log.info("ending")
                await node.finish(FINISH_S, ending.hurried)  # Meanwhile frames travel home.
        door.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await door
    finally:
        asked.cancel()
        await handlers.close()
        await node.close()
        ending.over()


def _bind(endpoint: Endpoint, address: Address) -> int:
    host = "127.0.0.1" if address.host == "localhost" else address.host
    try:
        return endpoint.bind(Address(host, address.port).endpoint if address.port else f"tcp://{host}:*")
    except zmq.ZMQError as error:
        hint = (
            "another program listens there, perhaps another node" if error.errno == zmq.EADDRINUSE else error.strerror
        )
        raise CannotListen(f"Cannot listen on {address}: {hint}. Choose another with --listen HOST:PORT.") from error
