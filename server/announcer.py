# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the local network that there is a node, so that nobody has to type its address.

Whatever goes wrong here is a line in the log: the node works without.
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING

from addon.multicast import Multicast, Networks, is_available
from addon.protocol.discovery import SERVICE, Advertisement

from .background import Background, in_thread

if TYPE_CHECKING:
    from zeroconf.asyncio import AsyncZeroconf

log = logging.getLogger(__name__)

TTL_S = 120
"""After so long without a word a node that was killed is forgotten. RFC 6762 proposes 75 minutes for a service's name;
that whoever looks at a list of nodes asks again every minute and a half costs nothing.
"""

GOODBYE_S = 2.0
"""The goodbye is three packets within a quarter of a second; nothing waits longer for it."""


class Announcer:
    """One node's word in the network, from `start` to `close`."""

    def __init__(self, host: str, port: int, advertisement: Advertisement) -> None:
        """`host`, `port`: what the node listens on."""
        self._host = host
        self._port = port
        self._advertisement = advertisement
        self._background = Background()
        self._task: asyncio.Task[None] | None = None
        self._only: frozenset[str] | None = None
        """Addresses that the node listens on; None: all."""
        self._broadcast: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Begin, beside all else."""
        self._task = self._background.start(self._run())

    async def close(self) -> None:
        """Say goodbye."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=GOODBYE_S)

    async def _run(self) -> None:
        if not await in_thread(is_available):  # That loads it.
            log.warning("The node does not announce itself in the network: the library zeroconf is not installed.")
            return
        try:
            self._only = await in_thread(_addresses_of, self._host)
        except OSError as error:
            log.warning("The node does not announce itself: %s has no IP address (%s).", self._host, error)
            return
        await Multicast(self._announce).run()

    async def _announce(self, zeroconf: "AsyncZeroconf", networks: Networks) -> None:
        from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415 - see addon/multicast.py

        addresses = reachable(networks, self._only)
        if not addresses:
            log.info("The node is not announced: it listens on an address that this machine does not have just now.")
            return
        own = self._advertisement
        info = AsyncServiceInfo(
            SERVICE,
            own.instance,
            self._port,
            properties=own.records,
            server=own.host,
            parsed_addresses=addresses,
            host_ttl=TTL_S,
            other_ttl=TTL_S,
        )
        # Only a copy of this node's data folder can have its name already; it becomes "...-2" then.
        self._broadcast = asyncio.ensure_future(await zeroconf.async_register_service(info, allow_name_change=True))
        log.info("announced in the network as %s, at %s", own.label, ", ".join(addresses))


def reachable(networks: Networks, only: Iterable[str] | None) -> list[str]:
    """Return the machine's addresses at which the node can be reached, as text."""
    found = sorted(each.ip for each in networks)
    return [str(each) for each in found if only is None or str(each) in only]


def _addresses_of(host: str) -> frozenset[str] | None:
    """What a node listens on; None: every address. Raises OSError."""
    try:
        return None if ipaddress.ip_address(host).is_unspecified else frozenset({host})
    except ValueError:
        return frozenset(str(each[4][0]) for each in socket.getaddrinfo(host, None, socket.AF_INET))
