# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server`: one node, from its options to its end."""

import asyncio
import contextlib
import ipaddress
import logging
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import zmq

from addon.keyring import KeyPair, Keyring, key_pair
from addon.protocol.address import Address
from addon.protocol.discovery import Advertisement, fingerprint
from addon.protocol.messages import PairingRequest
from addon.protocol.pairing import PORT_OFFSET
from addon.protocol.version import PROTOCOL, VERSION

from .announcer import Announcer
from .audience import Everybody
from .blenders import Blender
from .books import Books
from .clients import Clients, client_id
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
from .letting_in import LettingIn
from .logs import log_to_file
from .node import Node
from .pairing import Pairings
from .quotas import Quota
from .sandbox import Containment
from .store import Store
from .uploads import Uploads
from .web.desk import Desk
from .web.serving import PageOptions, Site

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
    gallery_limit: int
    """Bytes that frames may take that are home."""
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
    page: PageOptions | None = None
    """Where the page is served; None: nowhere."""
    upload_limit: int | None = None
    """Bytes that a browser may send at a time; None: as much as there is room for."""


class Owner(Protocol):
    """Who sees to the node: a person at a terminal, or the program that started it."""

    def attend(self, letting_in: LettingIn, ending: Ending) -> None:
        """Take the owner's words from now on."""

    def ready(self, port: int, site: Site | None) -> None:
        """The node listens, and has this page."""

    def asked(self, request: PairingRequest) -> None:
        """Somebody wants to be let in, whose digits can be compared."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def serve(options: Options, owner: Owner) -> None:
    """Run a node until it is told to end (see ending.py); its data folder exists. Raises ServerError."""
    keyring, keys, clients = _open_keys(options)
    handlers = Handlers()
    endpoint = Endpoint(handlers, keys, clients)
    port = _bind(endpoint, options.listen)
    hooks = Hooks(options.hooks, platform.node(), clients.name_of)
    audience = Everybody([handlers, hooks])
    node = _make_node(options, audience, clients)
    hooks.know(node.books)
    handlers.node, handlers.endpoint, handlers.clients = node, endpoint, clients
    handlers.sandboxed = options.containment.is_complete
    handlers.uploads = Uploads(node.store, options.data, handlers.admit, handlers.make_room)
    pairings = Pairings(keys.public.decode(), clients, owner.asked)
    handlers.letting_in = LettingIn(clients, pairings, endpoint)
    pairings.on_change = handlers.letting_in.changed
    site = _make_site(options, port, handlers, audience, client_id(keyring.own.public.decode()))
    ending = Ending()
    ending.listen()
    owner.attend(handlers.letting_in, ending)
    take_children_along()
    await node.start()
    await _listen_for_pairing(pairings, options.listen.host, port)
    forget = keyring.announce(port, keys.public, site.link if site is not None else "")
    if site is not None:
        site.start()
    _log_start(options, port)
    announcer = _announced(options, port, keys)
    owner.ready(port, site)
    try:
        await _run(endpoint, node, ending)
    finally:
        forget()
        if site is not None:
            await site.close()
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


def _log_start(options: Options, port: int) -> None:
    names = ", ".join(blender.name for blender in reversed(options.blenders))
    log.info("Relay Render %s listens on port %d; Blender %s; data in %s", VERSION, port, names, options.data)


def _announced(options: Options, port: int, keys: KeyPair) -> Announcer:
    """What tells the local network of the node, if that is wanted and can reach it."""
    own = Advertisement(platform.node(), VERSION, PROTOCOL, fingerprint(keys.public))
    announcer = Announcer(options.listen.host, port, own)
    if options.announce and not is_loopback(options.listen.host):
        announcer.start()
    return announcer


def _make_site(options: Options, port: int, handlers: Handlers, audience: Everybody, owner: str) -> Site | None:
    """The page, if it is wanted."""
    if options.page is None:
        return None
    desk = Desk(handlers.node, handlers.letting_in, handlers.sandboxed, options.upload_limit, handlers.stored)
    site = Site(options.page, port, desk, options.containment, options.data, owner)
    audience.add(desk.news)
    handlers.letting_in.watchers.append(desk.clients_changed)
    return site


def _make_node(options: Options, audience: Everybody, clients: Clients) -> Node:
    """Open what is in the data folder: first the list of jobs, which keeps every other node out."""
    jobs = JobStore(options.data / DATABASE)
    folders = JobFolders(options.data, options.gallery_limit)
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
