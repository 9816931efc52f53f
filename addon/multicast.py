# SPDX-License-Identifier: GPL-3.0-or-later
"""Multicast DNS in the networks that this machine is in. Shared by the node, which announces itself, and by who looks.

`zeroconf` is imported when it is needed: an extension on a platform without a wheel of it does without.
"""

import asyncio
import ipaddress
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zeroconf.asyncio import AsyncZeroconf

log = logging.getLogger(__name__)

GROUP = "224.0.0.251"
"""Multicast DNS, RFC 6762. By IPv4 alone: also who listens on IPv6 is in a network that has it, or types an address."""

LOOK_S = 4.0
"""Between two looks at the machine's addresses, a system call of less than a millisecond: no system tells of changes in
the same way. After so long a node is found where its laptop has gone."""

SWITCH = "RELAY_RENDER_DISCOVERY"
"""Environment variable: with "off" nothing is sent in the network, and no node is found in it."""

Networks = frozenset[ipaddress.IPv4Interface]
"""This machine's addresses with their networks, loopback left out."""

Use = Callable[["AsyncZeroconf", Networks], Awaitable[None]]


def is_available() -> bool:
    """Whether the library is there."""
    try:
        import ifaddr  # noqa: F401, PLC0415 - see above
        import zeroconf  # noqa: F401, PLC0415
    except ImportError:
        return False
    return True


def own_networks() -> Networks:
    """Return where this machine can be heard by multicast just now; nowhere, if SWITCH says so."""
    if os.environ.get(SWITCH) == "off":
        return frozenset()
    import ifaddr  # noqa: PLC0415 - see above

    found = set()
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            if each.is_IPv4 and isinstance(each.ip, str):
                address = ipaddress.IPv4Interface(f"{each.ip}/{each.network_prefix}")
                if not address.is_loopback and _takes_multicast(each.ip):
                    found.add(address)
    return frozenset(found)


def nearest(addresses: list[str], networks: Networks) -> list[str]:
    """Return the IP addresses that a machine gives itself, those first that are in a network of ours.

    What is no address of another machine (loopback, multicast, 0.0.0.0) is left out, so that nobody in the network can
    have us knock at our own doors.
    """
    known = [ipaddress.ip_address(each) for each in addresses]
    others = [each for each in known if not (each.is_loopback or each.is_multicast or each.is_unspecified)]
    return list(map(str, sorted(others, key=lambda each: not any(each in ours.network for ours in networks))))


class Multicast:
    """Takes part in every network that the machine is in, and begins anew when these change."""

    def __init__(self, use: Use, networks: Callable[[], Networks] = own_networks, look_s: float = LOOK_S) -> None:
        """`use` is called with a new Zeroconf for these networks; it may be cancelled."""
        self._use = use
        self._networks = networks
        self._look_s = look_s
        self._zeroconf: AsyncZeroconf | None = None
        self._known: Networks | None = None
        self._trouble = ""

    async def run(self) -> None:
        """Take part until cancelled; then say goodbye."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(self._look_s)
        finally:
            await self._leave()

    async def _look(self) -> None:
        from zeroconf import Error  # noqa: PLC0415 - see above

        try:
            networks = self._networks()
            if networks == self._known:
                return
            await self._leave()
            if networks:
                await self._join(networks)
            else:
                log.info("There is no network in which multicast DNS could work.")
            self._known, self._trouble = networks, ""
        except (OSError, Error) as error:  # No multicast, or an address that went away just now: the next look says.
            await self._leave()
            if str(error) != self._trouble:
                log.warning("Multicast DNS does not work here, so nodes are not found by it: %s", error)
            self._trouble = str(error)

    async def _join(self, networks: Networks) -> None:
        from zeroconf import IPVersion  # noqa: PLC0415 - see above
        from zeroconf.asyncio import AsyncZeroconf  # noqa: PLC0415

        # The library logs what strangers send; what matters of its troubles is said here.
        logging.getLogger("zeroconf").setLevel(logging.CRITICAL)
        addresses = sorted(str(each.ip) for each in networks)
        self._zeroconf = AsyncZeroconf(interfaces=list(addresses), ip_version=IPVersion.V4Only)
        await self._use(self._zeroconf, networks)

    async def _leave(self) -> None:
        """Say goodbye and close: half a second, or at once where nothing was announced."""
        left, self._zeroconf, self._known = self._zeroconf, None, None
        if left is not None:
            await left.async_close()


def _takes_multicast(address: str) -> bool:
    """Whether the interface with an address lets us join; tunnels and the like do not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            group = struct.pack("=4s4s", socket.inet_aton(GROUP), socket.inet_aton(address))
            probe.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        except OSError:
            return False
    return True
