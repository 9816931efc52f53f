# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server`: one node, from its options to its end."""

import asyncio
import ipaddress
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import zmq

from addon.keyring import Keyring, key_pair
from addon.protocol.address import Address
from addon.protocol.messages import PairingRequest
from addon.protocol.pairing import PORT_OFFSET

from .blenders import Blender
from .books import Books
from .clients import Clients
from .endpoint import Endpoint
from .errors import ServerError
from .executors.base import Listener
from .executors.local import LocalExecutor
from .executors.watch import Limits
from .executors.workplace import Workshop
from .handlers import Handlers
from .job_folders import JobFolders
from .job_store import JobStore
from .node import Node
from .pairing import Pairings
from .sandbox import Containment
from .store import Store
from .uploads import Uploads

log = logging.getLogger(__name__)


class BadKeys(ServerError):
    """A file of keys is damaged."""


class CannotListen(ServerError):
    """The address cannot be listened on."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the owner chose."""

    listen: Address
    data: Path
    blenders: list[Blender]
    slots: int | None
    """Frames rendered at once; None: one for each GPU, or as many as gain from it on the processor."""
    limits: Limits
    store_limit: int
    """Bytes that artists' files may take on the disk; what a job needs is kept beyond it."""
    containment: Containment
    """Which Blenders run in a sandbox."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def serve(
    options: Options, on_ready: Callable[[int], None], on_request: Callable[[PairingRequest], None]
) -> None:
    """Run a node until SIGTERM, Ctrl+C or cancellation. Raises ServerError.

    `on_ready` is called with the port, `on_request` for everybody who asks to be let in.
    """
    keyring = Keyring()
    try:
        keys = key_pair(options.data / "node.key")
        clients = Clients(options.data / "clients.json", keyring.own.public.decode())
    except ValueError as error:
        raise BadKeys(str(error)) from None
    handlers = Handlers()
    endpoint = Endpoint(handlers, keys, clients)
    port = _bind(endpoint, options.listen)
    folders = JobFolders(options.data)
    books = Books(JobStore(options.data / "node.sqlite3"), folders, handlers)
    store = Store(options.data / "store", options.store_limit)

    workshop = Workshop(options.data / "workers", options.containment)

    def executor(listener: Listener) -> LocalExecutor:
        return LocalExecutor(options.slots, options.limits, workshop, listener)

    node = Node(books, folders, store, options.blenders, executor)
    handlers.node, handlers.endpoint, handlers.clients = node, endpoint, clients
    handlers.sandboxed = options.containment.is_complete
    handlers.uploads = Uploads(store, options.data, handlers.make_room)
    handlers.pairings = pairings = Pairings(keys.public.decode(), clients, on_request)
    await node.start()
    await _listen_for_pairing(pairings, options.listen.host, port)
    forget = keyring.announce(port, keys.public)
    on_ready(port)
    door = asyncio.create_task(endpoint.run())
    _end_on_signals(door)
    try:
        await door
    except asyncio.CancelledError:
        log.info("closing")
    finally:
        forget()
        await pairings.close()
        await handlers.close()
        await node.close()


def _bind(endpoint: Endpoint, address: Address) -> int:
    host = "127.0.0.1" if address.host == "localhost" else address.host
    try:
        return endpoint.bind(Address(host, address.port).endpoint if address.port else f"tcp://{host}:*")
    except zmq.ZMQError as error:
        hint = (
            "another program listens there, perhaps another node" if error.errno == zmq.EADDRINUSE else error.strerror
        )
        raise CannotListen(f"Cannot listen on {address}: {hint}. Choose another with --listen HOST:PORT.") from error


async def _listen_for_pairing(pairings: Pairings, host: str, port: int) -> None:
    behind = port + PORT_OFFSET
    try:
        await pairings.listen(host, behind)
    except (OSError, OverflowError) as error:  # OverflowError: no such port.
        log.warning("Nobody new can be let in: port %d, where that is asked, is taken (%s).", behind, error)


def _end_on_signals(door: "asyncio.Task[None]") -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, door.cancel)
        except (
            NotImplementedError
        ):  # Windows: Ctrl+C arrives as KeyboardInterrupt, which asyncio turns into cancellation.
            return
