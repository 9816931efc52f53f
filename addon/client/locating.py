# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a machine is that goes by a name of multicast DNS, such as `render-box-3f9a2c.local`.

What the artist chooses from the list of nodes is kept as that name, and looked up anew for each connection:

- an IP address is another one after the next lease, and the node would have to be found and paired with again, since
  its key is kept with its address;
- the name stays, for it is made from the node's name and key. But not every system looks it up: macOS does, Windows 10
  and newer do for most programs, Linux does only with nss-mdns or systemd-resolved;
- so it is looked up here, where the library is, with one question to the network, and left to the system otherwise.

Who answers for a name may be anybody. It does not matter: the node's key decides.
"""

import asyncio
import socket
from contextlib import suppress

from ..multicast import is_available, nearest, own_networks

ANSWER_MS = 3000
"""A machine in the same network answers at once; but that answer is to us alone, and another program of this machine
that has the port open may get it. One to everybody comes at most once a second.
"""

CONNECT_S = 2.0


async def locate(host: str, port: int) -> str:
    """Return what to connect to: of a name of multicast DNS an IP address, else the host itself.

    Raises socket.gaierror for such a name that nobody has: ZeroMQ would ask the system for it over and over, and do
    nothing else for the seconds that this takes.
    """
    if not host.lower().rstrip(".").endswith(".local") or not is_available():
        return host
    addresses = await _ask(host.rstrip("."))
    if len(addresses) > 1:
        addresses = [*await _those_that_answer(addresses, port), *addresses]
    if not addresses:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(each[4][0]) for each in found]
    return addresses[0]


async def _ask(host: str) -> list[str]:
    """The machine's IPv4 addresses, the likeliest first; empty: nobody has answered."""
    import zeroconf as library  # noqa: PLC0415 - see addon/multicast.py
    from zeroconf.asyncio import AsyncZeroconf  # noqa: PLC0415

    with suppress(OSError, library.Error):  # No network, or none with multicast: perhaps the system knows the name.
        networks = own_networks()
        if not networks:
            return []
        zeroconf = AsyncZeroconf([str(each.ip) for each in networks], ip_version=library.IPVersion.V4Only)
        try:
            resolver = library.AddressResolverIPv4(f"{host}.")  # type: ignore[attr-defined]  # left out of __all__
            if await resolver.async_request(zeroconf.zeroconf, ANSWER_MS):
                return nearest(resolver.parsed_addresses(library.IPVersion.V4Only), networks)
        finally:
            await zeroconf.async_close()
    return []


async def _those_that_answer(addresses: list[str], port: int) -> list[str]:
    """Of a machine in several networks those addresses at which something listens, in the given order."""
    answers = await asyncio.gather(*(_listens(address, port) for address in addresses))
    return [address for address, listens in zip(addresses, answers, strict=True) if listens]


async def _listens(address: str, port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), CONNECT_S)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
