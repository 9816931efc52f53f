# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server`: one node, from its options to its end."""

import asyncio
import contextlib
import ipaddress
import logging
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import zmq

from addon.keyring import KeyPair, Keyring, key_pair
from addon.protocol.address import Address
from addon.protocol.discovery import Advertisement, fingerprint
from addon.protocol.messages import PairingRequest
from addon.protocol.pairing import PORT_OFFSET
from addon.protocol.version import PROTOCOL, VERSION

from .announcer import Announcer
from .blenders import Blender
from .books import Audience, Books
from .clients import Clients
from .ending import Ending, take_children_along
from .endpoint import Endpoint
from .errors import ServerError
from .executors.base import Listener
from .executors.local import LocalExecutor
from .executors.watch import Limits
from .executors.workplace import Workshop
from .handlers import Handlers
from .hooks import Hook, Hooks
from .job_folders import JobFolders
from .job_store import DATABASE, JobStore
from .jobs import Job
from .logs import log_to_file
from .node import Node
from .pairing import Pairings
from .quotas import Quota
from .sandbox import Containment
from .store import Store
from .uploads import Uploads

log = logging.getLogger(__name__)


FINISH_S = 5.0
"""A node that is told to end waits so long for frames that are being rendered."""


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
    quota: Quota
    """What each client may take that is not trusted, unless it has its own."""
    scripts: bool
    """Whether the Python in this account's own files runs."""
    log_file: Path
    announce: bool
    """Whether the local network is told of the node, if it can be reached from there."""
    hooks: Sequence[Hook]
    """What is told of each job's end."""


class _Everybody:
    """Several audiences (see books.py) as one."""

    def __init__(self, *audiences: Audience) -> None:
        self._audiences = audiences

    def job_changed(self, job: Job) -> None:
        for each in self._audiences:
            each.job_changed(job)

    def job_gone(self, job: Job) -> None:
        for each in self._audiences:
            each.job_gone(job)

    def preview_made(self, job: Job) -> None:
        for each in self._audiences:
            each.preview_made(job)

    def outputs_ready(self, job: Job) -> None:
        for each in self._audiences:
            each.outputs_ready(job)


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
    """Run a node until it is told to end (see ending.py); its data folder exists. Raises ServerError.

    `on_ready` is called with the port, `on_request` for everybody who asks to be let in.
    """
    keyring, keys, clients = _open_keys(options)
    handlers = Handlers()
    endpoint = Endpoint(handlers, keys, clients)
    port = _bind(endpoint, options.listen)
    hooks = Hooks(options.hooks, platform.node(), clients.name_of)
    node = _make_node(options, _Everybody(handlers, hooks), clients)
    hooks.know(node.books)
    handlers.node, handlers.endpoint, handlers.clients = node, endpoint, clients
    handlers.sandboxed = options.containment.is_complete
    handlers.uploads = Uploads(node.store, options.data, handlers.admit, handlers.make_room)
    handlers.pairings = pairings = Pairings(keys.public.decode(), clients, on_request)
    ending = Ending()
    ending.listen()
    take_children_along()
    await node.start()
    await _listen_for_pairing(pairings, options.listen.host, port)
    forget = keyring.announce(port, keys.public)
    names = ", ".join(blender.name for blender in reversed(options.blenders))
    log.info("Relay Render %s listens on port %d; Blender %s; data in %s", VERSION, port, names, options.data)
    own = Advertisement(platform.node(), VERSION, PROTOCOL, fingerprint(keys.public))
    announcer = Announcer(options.listen.host, port, own)
    if options.announce and not is_loopback(options.listen.host):
        announcer.start()
    on_ready(port)
    try:
        await _run(endpoint, node, ending)
    finally:
        forget()
        await asyncio.gather(announcer.close(), hooks.close())
        await pairings.close()
        await handlers.close()
        await node.close()
        ending.over()


def _open_keys(options: Options) -> tuple[Keyring, KeyPair, Clients]:
    """This account's keyring, the node's own key, and who is let in."""
    keyring, data = Keyring(), options.data
    try:
        owner = keyring.own.public.decode()
        clients = Clients(data / "clients.json", owner, options.quota, options.scripts)
        return keyring, key_pair(data / "node.key"), clients
    except ValueError as error:
        raise BadKeys(str(error)) from None


def _make_node(options: Options, audience: Audience, clients: Clients) -> Node:
    """Open what is in the data folder: first the list of jobs, which keeps every other node out."""
    folders = JobFolders(options.data)
    jobs = JobStore(options.data / DATABASE)
    log_to_file(options.log_file)
    books = Books(jobs, folders, audience)
    store = Store(options.data / "store", options.store_limit)
    workshop = Workshop(options.data / "workers", options.containment)

    def executor(listener: Listener) -> LocalExecutor:
        return LocalExecutor(options.slots, options.limits, workshop, listener)

    return Node(books, folders, store, options.blenders, executor, clients.quota, clients.runs_scripts)


async def _run(endpoint: Endpoint, node: Node, ending: Ending) -> None:
    """Serve until the node is told to end, and frames that were almost done are kept."""
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
