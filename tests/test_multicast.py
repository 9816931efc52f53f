# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking part in multicast DNS where that is possible, and living without it where it is not."""

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Iterator

import pytest

from addon import multicast
from addon.multicast import Multicast, Networks, nearest
from addon.protocol.discovery import Advertisement
from server.announcer import Announcer, reachable
from server.announcer import _addresses_of as addresses_of

zeroconf = pytest.importorskip("zeroconf", reason="needs the library zeroconf")


def networks(*texts: str) -> Networks:
    return frozenset(map(ipaddress.IPv4Interface, texts))


def test_an_address_in_a_network_of_ours_comes_first_and_none_of_our_own_at_all() -> None:
    given = ["127.0.0.1", "203.0.113.5", "0.0.0.0", "224.0.0.251", "10.0.0.9", "192.168.7.3", "::1", "fe80::1"]
    found = nearest(given, networks("192.168.7.20/24"))
    assert found == ["192.168.7.3", "203.0.113.5", "10.0.0.9", "fe80::1"]


def test_a_node_is_announced_where_it_listens() -> None:
    here = networks("192.168.7.20/24", "10.0.0.5/8")
    assert reachable(here, None) == ["10.0.0.5", "192.168.7.20"]
    assert reachable(here, addresses_of("0.0.0.0")) == ["10.0.0.5", "192.168.7.20"]
    assert reachable(here, addresses_of("::")) == ["10.0.0.5", "192.168.7.20"]
    assert reachable(here, addresses_of("192.168.7.20")) == ["192.168.7.20"]
    assert reachable(here, addresses_of("192.168.7.99")) == []
    assert reachable(here, addresses_of("localhost")) == []
    with pytest.raises(OSError, match=r"."):
        addresses_of("no-such-host.invalid")


class Joined:
    """Stands for AsyncZeroconf, which would speak to the real network."""

    def __init__(self, trouble: Iterator[Exception | None], interfaces: list[str]) -> None:
        if (error := next(trouble, None)) is not None:
            raise error
        self.interfaces = interfaces
        self.open = True

    async def async_close(self) -> None:
        self.open = False


def take_part(
    monkeypatch: pytest.MonkeyPatch, looks: list[Networks | OSError], trouble: list[Exception | None]
) -> list[Joined]:
    """Have a Multicast look at the machine's networks as often as there are `looks`; returns what it opened."""
    opened: list[Joined] = []
    problems = iter(trouble)

    def join(interfaces: list[str], **_: object) -> Joined:
        opened.append(Joined(problems, interfaces))
        return opened[-1]

    monkeypatch.setattr("zeroconf.asyncio.AsyncZeroconf", join)
    coming = iter(looks)
    over = asyncio.Event()
    open_then: list[list[bool]] = []

    def look() -> Networks:
        open_then.append([each.open for each in opened])
        found = next(coming, None)
        if found is None:
            over.set()
            return looks[-1] if isinstance(looks[-1], frozenset) else frozenset()
        if isinstance(found, OSError):
            raise found
        return found

    async def use(_: object, __: Networks) -> None: ...

    async def run() -> None:
        task = asyncio.create_task(Multicast(use, look, look_s=0.0).run())
        await over.wait()
        assert all(sum(each) <= 1 for each in open_then)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
    return opened


def test_a_machine_that_changes_its_network_takes_part_in_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    home, office = networks("192.168.7.20/24"), networks("10.0.0.5/8", "10.1.0.5/8")
    # GIVEN a laptop that is at home, sleeps, and wakes up in the office
    opened = take_part(monkeypatch, [home, home, frozenset(), frozenset(), office], [])
    # THEN it takes part once in each, and has said goodbye to all in the end
    assert [each.interfaces for each in opened] == [["192.168.7.20"], ["10.0.0.5", "10.1.0.5"]]
    assert not any(each.open for each in opened)


def test_what_does_not_work_is_said_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here = networks("192.168.7.20/24")
    # GIVEN a machine on which multicast fails for a while, and so does asking for its addresses
    trouble: list[Exception | None] = [OSError("taken"), OSError("taken"), zeroconf.EventLoopBlocked("busy"), None]
    opened = take_part(monkeypatch, [here, here, here, OSError("gone"), here], trouble)
    # THEN it takes part in the end, and the log has each reason once
    assert len(opened) == 1
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [text.rpartition(": ")[2] for text in said] == ["taken", "busy", "gone"]


def test_an_interface_that_takes_no_multicast_is_left_out() -> None:
    assert multicast._takes_multicast("192.0.2.77") is False  # Reserved for documentation: nobody has it.


def test_a_node_starts_and_ends_without_the_library(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("server.announcer.is_available", lambda: False)

    async def live() -> None:
        announcer = Announcer("0.0.0.0", 7460, Advertisement("box", "0.1.0", 1, "0123456789"))
        announcer.start()
        assert announcer._task is not None
        await announcer._task
        await announcer.close()

    asyncio.run(live())
    assert "zeroconf is not installed" in caplog.text


def test_a_name_that_stands_for_no_address_is_a_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def live() -> None:
        announcer = Announcer("no-such-host.invalid", 7460, Advertisement("box", "0.1.0", 1, "0123456789"))
        announcer.start()
        assert announcer._task is not None
        await announcer._task
        await announcer.close()

    def nobody(*_: object) -> None:
        raise socket.gaierror("unknown")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    asyncio.run(live())
    assert "does not announce itself" in caplog.text
