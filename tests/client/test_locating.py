# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a machine is that goes by a name of multicast DNS; tests/system/test_discovery.py asks a real network."""

import asyncio
import socket
from typing import Any

import pytest

from addon.client import locating
from addon.client.connection import NOBODY, reaches
from addon.client.locating import locate
from addon.protocol.address import Address


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the network knows, by name; any other name nobody has."""
    known: dict[str, list[str]] = {}

    async def ask(host: str) -> list[str]:
        return known.get(host, [])

    monkeypatch.setattr(locating, "_ask", ask)
    monkeypatch.setattr(locating, "is_available", lambda: True)
    return known


def found(host: str, port: int = 7460) -> str:
    return asyncio.run(locate(host, port))


@pytest.mark.parametrize("host", ["render-box", "192.168.1.20", "render-box.studio.example", "::1", "local"])
def test_what_is_no_name_of_the_local_network_is_left_as_it_is(host: str, answers: dict[str, list[str]]) -> None:
    answers[host] = ["10.0.0.1"]
    assert found(host) == host


def test_without_the_library_the_system_has_to_know_the_name(
    answers: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locating, "is_available", lambda: False)
    answers["box-1.local"] = ["10.0.0.1"]
    assert found("box-1.local") == "box-1.local"


def test_a_name_stands_for_the_address_that_answers(answers: dict[str, list[str]]) -> None:
    answers["box-1.local"] = ["10.0.0.1"]
    assert found("box-1.local") == found("box-1.LOCAL.".lower()) == "10.0.0.1"
    # GIVEN a machine with two addresses, at one of which something listens
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answers["box-1.local"] = ["127.0.0.2", "127.0.0.1"]
        port = listener.getsockname()[1]
        assert found("box-1.local", port) == "127.0.0.1"
    # With nothing at either, the likeliest is as good as any.
    assert found("box-1.local", port) == "127.0.0.2"


def test_a_name_that_the_network_does_not_know_is_asked_of_the_system(
    answers: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def system(host: str, *_: Any, **__: Any) -> list[Any]:
        if host != "known.local":
            raise socket.gaierror("unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", 7460))]

    monkeypatch.setattr(socket, "getaddrinfo", system)
    assert found("known.local") == "10.0.0.7"
    with pytest.raises(socket.gaierror):
        found("unknown.local")
    # What the artist reads then says what to do.
    address = Address("unknown.local")
    assert asyncio.run(reaches(address)) == NOBODY.format(address)
