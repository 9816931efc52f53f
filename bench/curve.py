# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast ZeroMQ's encryption alone is, with nothing read, hashed or written: no upload over it can be faster."""

import multiprocessing
import time

import zmq

from addon.protocol.limits import PIECE_BYTES


def seconds(size: int) -> float:
    """Return how long so many bytes, in whole pieces, take from one process to another over loopback."""
    public, secret = zmq.curve_keypair()
    with zmq.Context() as context, context.socket(zmq.PULL) as sink:
        sink.setsockopt(zmq.CURVE_SERVER, 1)
        sink.setsockopt(zmq.CURVE_SECRETKEY, secret)
        port = sink.bind_to_random_port("tcp://127.0.0.1")
        pieces = size // PIECE_BYTES
        source = multiprocessing.get_context("spawn").Process(target=_send, args=(port, public, pieces))
        source.start()
        sink.recv()  # From now on it is connected.
        began = time.perf_counter()
        for _ in range(pieces):
            sink.recv(copy=False)
        taken = time.perf_counter() - began
        source.join()
    return taken


def _send(port: int, node: bytes, pieces: int) -> None:
    public, secret = zmq.curve_keypair()
    piece = bytes(PIECE_BYTES)
    with zmq.Context() as context, context.socket(zmq.PUSH) as source:
        source.setsockopt(zmq.CURVE_PUBLICKEY, public)
        source.setsockopt(zmq.CURVE_SECRETKEY, secret)
        source.setsockopt(zmq.CURVE_SERVERKEY, node)
        source.connect(f"tcp://127.0.0.1:{port}")
        source.send(b"")
        for _ in range(pieces):
            source.send(piece, copy=False)
