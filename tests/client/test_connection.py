# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist is told about the connection, by the way it ends."""

import asyncio
import socket
from pathlib import Path

import pytest
import zmq

from addon.client import connection
from addon.client.connection import Connection, News, State
from addon.keyring import Keyring
from addon.protocol.address import Address
from addon.protocol.messages import Hello, Ping, Pong
from addon.protocol.version import PROTOCOL, VERSION
from tests.client.submission_kit import ScriptedNode, StartClient

PATIENCE_S = 30.0


def test_a_node_that_is_not_there_is_told_of_without_waiting_for_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a client that would wait for ever for a word of a node it is paired with
    monkeypatch.setattr(connection, "SILENCE_S", 1e6)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = Address("127.0.0.1", unused.getsockname()[1])
    keyring = Keyring(tmp_path)
    keyring.pair(address, zmq.curve_keypair()[0])

    async def until_lost() -> str:
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def on_news(news: News) -> None:
            if news.state == State.LOST and not lost.done():
                lost.set_result(news.text)

        hello = Hello(PROTOCOL, VERSION, "0" * 32, "studio")
        talk = Connection(keyring, hello, on_news, lambda *_: None)
        talk.configure(address)
        running = asyncio.create_task(talk.run())
        try:
            return await asyncio.wait_for(lost, PATIENCE_S)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    # WHEN nothing listens there THEN the first refused connection says so
    assert asyncio.run(until_lost()).startswith(f"Nothing listens on 127.0.0.1 port {address.port}")


def test_a_node_is_talked_to_anew_when_something_of_it_was_lost(node: ScriptedNode, start: StartClient) -> None:
    client = start()
    node.welcome()
    client.until_connected()
    # GIVEN a welcome and a ready, and a client that counts: a hello, and what it says now
    assert node.hear_ping() == Ping(2)
    # WHEN the node has said nothing else, THEN all is well
    node.say(Pong(3))
    assert node.hear_ping() == Ping(3)
    # WHEN it has said one thing more, THEN the client comes anew, and counts anew
    node.say(Pong(5))
    node.welcome()
    assert node.hear_ping() == Ping(2)
