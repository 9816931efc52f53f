# SPDX-License-Identifier: GPL-3.0-or-later
"""Render nodes that announce themselves in the local network.

Strangers write what is read here. So a node is listed only if its words are those of a node, and it is tried whether
something at its address begins to speak as a node does; which one it is, pairing decides.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..multicast import Multicast, Networks, is_available, nearest
from ..protocol.address import Address
from ..protocol.discovery import SERVICE, read_address, read_records
from ..protocol.version import PROTOCOL
from .connection import reaches

if TYPE_CHECKING:
    from zeroconf.asyncio import AsyncZeroconf

log = logging.getLogger(__name__)

MOST_NODES = 50
"""Nodes that are looked at; who floods the network with names fills a list, not the memory."""

MOST_ADDRESSES = 4
"""Addresses of one node that are tried."""

ANSWER_MS = 2000
"""A node's details come in so long, or are asked for again."""

KNOCK_S = 5.0
"""Between two tries whether the nodes found still answer: one that was killed does not say goodbye."""

AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Found:
    """One node of the network, as the list shows it."""

    name: str
    """For people; a stranger's text that was made fit to show."""
    address: str
    """As the preferences take it: a name that stays when the node's IP address changes (see locating.py)."""
    version: str
    fingerprint: str
    fits: bool
    """Whether it speaks our version of the protocol."""
    answers: bool = False
    """Whether something at its address speaks as a node does, the last time that it was tried."""


class Browser:
    """The nodes of the network, kept up to date while it runs."""

    def __init__(self, on_change: Callable[[list[Found]], None]) -> None:
        """`on_change` is called with the whole list whenever it has changed."""
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None
        self._nodes: dict[str, Found] = {}
        """By the name of the service."""
        self._places: dict[str, list[Address]] = {}
        """IP addresses to knock at, likewise."""
        self._lookups: dict[str, asyncio.Task[None]] = {}
        self._silent: dict[str, Callable[[], None]] = {}
        """Nodes that did not answer when they were asked for their details, and how to ask again."""
        self._told: list[Found] = []
        self._slots = asyncio.Semaphore(AT_ONCE)

    @property
    def running(self) -> bool:
        """Whether it looks."""
        return self._task is not None

    def start(self) -> None:
        """Begin to look, if that is possible here."""
        if self._task is None and is_available():
            self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Look no more, and know nothing."""
        if self._task is not None:
            self._task.cancel()
        self._task = None
        self._forget_all()

    async def close(self) -> None:
        """The same, when it is to be over on return."""
        task = self._task
        self.stop()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        looking = asyncio.create_task(Multicast(self._listen).run())
        try:
            while not looking.done():
                await asyncio.wait({looking}, timeout=KNOCK_S)
                again, self._silent = self._silent, {}
                for ask in again.values():
                    ask()
                await asyncio.gather(*map(self._knock, list(self._places)))
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _listen(self, zeroconf: "AsyncZeroconf", networks: Networks) -> None:
        from zeroconf import DNSQuestionType, ServiceListener  # noqa: PLC0415 - see addon/multicast.py
        from zeroconf.asyncio import AsyncServiceBrowser  # noqa: PLC0415

        browser = self
        self._forget_all()

        class Listener(ServiceListener):  # Here, since its base is imported here. Told are zeroconf, type and name.
            def add_service(self, *told: Any) -> None:
                browser._look_up(zeroconf, networks, told[2])

            def update_service(self, *told: Any) -> None:
                browser._look_up(zeroconf, networks, told[2])

            def remove_service(self, *told: Any) -> None:
                browser._forget(told[2])

        # Answers to everybody: one to us alone may reach another program of this machine that has the port open, too.
        listener = Listener()
        zeroconf.async_browsers[listener] = AsyncServiceBrowser(
            zeroconf.zeroconf, SERVICE, listener=listener, question_type=DNSQuestionType.QM
        )

    def _look_up(self, zeroconf: "AsyncZeroconf", networks: Networks, name: str) -> None:
        if name in self._lookups or len(self._lookups | self._nodes | self._silent) >= MOST_NODES:
            return
        task = asyncio.get_running_loop().create_task(self._ask(zeroconf, networks, name))
        self._lookups[name] = task
        task.add_done_callback(lambda _: self._lookups.pop(name, None))

    async def _ask(self, zeroconf: "AsyncZeroconf", networks: Networks, name: str) -> None:
        from zeroconf import Error  # noqa: PLC0415 - see addon/multicast.py
        from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415

        info = AsyncServiceInfo(SERVICE, name)
        with contextlib.suppress(OSError, Error):  # The network went away; the next one begins anew.
            if not await info.async_request(zeroconf.zeroconf, ANSWER_MS):
                self._silent[name] = partial(self._look_up, zeroconf, networks, name)
                return
            said, address = read_records(info.properties), read_address(info.server, info.port)
            if said is None or address is None:
                log.info("something that is no node announces itself as one")
                return
            self._nodes[name] = Found(
                said.name, str(address), said.version, said.fingerprint, said.protocol == PROTOCOL
            )
            places = nearest(info.parsed_addresses(), networks)[:MOST_ADDRESSES]
            self._places[name] = [Address(place, address.port) for place in places]
            await self._knock(name)

    async def _knock(self, name: str) -> None:
        """Try whether a node speaks at one of the addresses."""
        async with self._slots:
            for place in self._places.get(name, []):
                if await reaches(place, greeted=True) is None:
                    self._know(name, answers=True)
                    return
        self._know(name, answers=False)

    def _know(self, name: str, *, answers: bool) -> None:
        if name in self._nodes:
            self._nodes[name] = replace(self._nodes[name], answers=answers)
            self._tell()

    def _forget(self, name: str) -> None:
        for known in (self._nodes, self._places, self._silent):
            known.pop(name, None)
        self._tell()

    def _forget_all(self) -> None:
        for task in self._lookups.values():
            task.cancel()
        for known in (self._nodes, self._places, self._silent):
            known.clear()
        self._tell()

    def _tell(self) -> None:
        nodes = sorted(self._nodes.values(), key=lambda node: (node.name.casefold(), node.address))
        if nodes != self._told:
            self._told = nodes
            self._on_change(nodes)


def nodes_line(nodes: list[Found]) -> dict[str, Any]:
    """Return the "nodes" event."""
    return {"event": "nodes", "nodes": [asdict(node) for node in nodes]}
