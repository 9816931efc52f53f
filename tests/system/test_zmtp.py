# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests read of ZMTP, on what libzmq says."""

import zmq

from addon.protocol.messages import Codec, Hello, Offer, Ping, Pong
from addon.protocol.version import PROTOCOL, VERSION
from tests.system.harness import Link, Peer, bind_securely
from tests.system.zmtp import Reader

LEFT_OVER = 70_000
"""Bytes: too many for a length of one byte, or for one read."""


def test_a_recorded_stream_is_cut_where_libzmq_put_it_together() -> None:
    # GIVEN what two sockets said to each other
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        link = Link(bind_securely(router), 1e9)
        peer = Peer(context, f"127.0.0.1:{link.port}")
        peer.send(Hello(PROTOCOL, VERSION, "1" * 32, "test"))
        peer.send(Ping())
        peer.send(Offer("d" * 32, LEFT_OVER, Codec.RAW), bytes(LEFT_OVER))
        name, *_ = router.recv_multipart()
        said = [router.recv_multipart()[1:] for _ in range(2)]
        router.send_multipart([name, b'{"type":"pong"}'])
        assert peer.receive() == Pong()
        peer.socket.close()
        link.close()
    towards = bytes(link.towards)
    # WHEN it is read, in one piece or byte by byte
    units = Reader().feed(towards)
    reader = Reader()
    slowly = [unit for byte in towards for unit in reader.feed(bytes([byte]))]
    # THEN nothing is left out
    assert b"".join(unit.wire for unit in units) == b"".join(unit.wire for unit in slowly) == towards
    assert [unit for unit in slowly if unit.head] == [unit for unit in units if unit.head]
    # AND it is a greeting, the handshake, and a MESSAGE for each frame
    assert [unit.name for unit in units] == ["GREETING", "HELLO", "INITIATE", *["MESSAGE"] * 4]
    messages = [unit for unit in units if unit.is_message]
    numbers = [unit.nonce for unit in messages]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    # whose box holds the frame, its flags, and sixteen bytes that prove who made it
    sizes = [len(frame) for frames in said for frame in frames]
    assert [len(unit.body) - 16 - 16 - 1 for unit in messages[1:]] == sizes
    assert [unit.name for unit in Reader().feed(bytes(link.back))] == ["GREETING", "WELCOME", "READY", "MESSAGE"]
    assert messages[0].spoilt().body[:16] == messages[0].body[:16]
    assert messages[0].spoilt().wire != messages[0].wire
