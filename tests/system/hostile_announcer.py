# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody in the network who announces what no node says. Run as a program in it; ends with its stdin."""

import asyncio
import sys

from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from addon.protocol.discovery import SERVICE

HOSTILE_NAME = "nice\x1b[2J\x07\n\u202egnp.exe\u2028[bold]" + "x" * 300
GOOD = {"version": "0.1.0", "protocol": "1", "key": "0123456789", "name": "fine"}
FLOOD = 120


def announced(address: str) -> list[AsyncServiceInfo]:
    """A service with a hostile name, those that no node announces, and a flood."""

    def service(label: str, changes: dict[str, str], server: str = "", port: int = 1) -> AsyncServiceInfo:
        server = server or f"{label}.local."
        name = f"{label}.{SERVICE}"
        return AsyncServiceInfo(
            SERVICE, name, port, properties=GOOD | changes, server=server, parsed_addresses=[address]
        )

    return [
        service("bad-name", {"name": HOSTILE_NAME[:230]}),
        service("bad-version", {"version": "0.1\x1b[0m", "name": "omitted"}),
        service("bad-protocol", {"protocol": "one", "name": "omitted"}),
        service("bad-key", {"key": "../../../etc", "name": "omitted"}),
        service("bad-host", {"name": "omitted"}, server="evil.example.org."),
        service("bad-port", {"name": "omitted"}, port=0),
        *(service(f"flood-{number}", {"name": f"flood {number}"}) for number in range(FLOOD)),
    ]


async def main(address: str) -> None:
    zeroconf = AsyncZeroconf([address], ip_version=IPVersion.V4Only)
    for info in announced(address):
        await zeroconf.async_register_service(info, cooperating_responders=True)
    sys.stdout.write("there\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await zeroconf.async_close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
