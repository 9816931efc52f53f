# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that send more than anybody can read, and those who work beside them."""

import threading
from dataclasses import replace

import pytest

from addon.keyring import Keyring
from addon.protocol.digest import Buffer
from addon.protocol.messages import Hello, Ping, Refusal, Refused
from addon.protocol.version import PROTOCOL, VERSION
from server.endpoint import HELD_OFF, TURN
from server.patience import MISTAKES
from server.session import Session
from tests.server.uploads_kit import Live, Program, another_artist, shot


def is_held_off(program: Program) -> None:
    """The node has told it so, after whatever else."""
    while True:
        answer = program.receive()
        if answer == Refused(Refusal.VERSION, HELD_OFF, protocol=PROTOCOL, version=VERSION):
            return


def test_who_floods_is_not_listened_to_and_others_are(node: Live, caplog: pytest.LogCaptureFixture) -> None:
    # GIVEN two programs of one artist, and one of another's
    flooding = another_artist()
    first, second, honest = node.connect(1, flooding), node.connect(2, flooding), node.connect(3)
    # WHEN one of the two sends one malformed message after the other, saying hello again and again
    for number in range(MISTAKES):
        first.send(Hello(PROTOCOL, VERSION, f"{number + 10:032x}", "test"))
        first.socket.send(b"{")
    # THEN neither it nor anything else of that artist's is listened to
    is_held_off(first)
    is_held_off(second)
    assert [each.key for each in node.do(node.handlers.endpoint.sessions)] == [Keyring().own.public.decode()]
    # AND the log says so once, by name
    assert caplog.text.count("another is not listened to") == 1
    # AND the other artist noticed nothing
    save = shot(1, 2)
    honest.offer(save)
    honest.bring(save)


def test_however_much_comes_all_else_gets_its_turn(node: Live) -> None:
    # GIVEN a node of which every message is counted, and every turn of its loop
    in_turn, most, total = 0, 0, 0
    enough, over = threading.Event(), threading.Event()
    answer = node.handlers._on[Ping]

    def on_ping(session: Session, message: Ping, payload: Buffer) -> None:
        nonlocal in_turn, most, total
        in_turn, total = in_turn + 1, total + 1
        most = max(most, in_turn)
        if total == 100 * TURN:
            enough.set()
        answer(session, message, payload)

    def turn() -> None:
        nonlocal in_turn
        in_turn = 0
        if not over.is_set():
            node.loop.call_soon(turn)

    node.handlers._on[Ping] = on_ping
    flood = node.connect(1)
    node.do(turn)
    # WHEN a client sends more than it can read
    while not enough.is_set():
        flood.send(Ping())
    over.set()
    # THEN it never reads on and on
    assert most <= TURN


def test_an_artist_has_so_many_connections_and_no_more(node: Live) -> None:
    # GIVEN an artist whose programs may have two connections
    artist = another_artist()
    first, _ = node.connect(1, artist), node.connect(2, artist)
    clients = node.handlers.clients
    node.do(lambda: clients.change(replace(clients[artist.public.decode()], quota="connections=2")))
    # WHEN a third wants in THEN it is told why it may not, and the others go on
    third = Program(node.context, f"127.0.0.1:{node.port}", artist)
    node.programs.append(third)
    hello = Hello(PROTOCOL, VERSION, f"{3:032x}", "test")
    third.send(hello)
    third.is_refused(Refusal.QUOTA, "")
    assert first.is_served()
    # AND one that connects again takes its own place
    node.connect(2, artist)
    # WHEN one has left THEN there is room
    first.break_off()
    third.hello(hello)
