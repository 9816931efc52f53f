# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where the trust bench makes sockets to a node, and who may come in through them."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import zmq

from addon.keyring import KeyPair, Keyring
from addon.protocol.address import parse_address
from addon.protocol.limits import MAX_MESSAGE_BYTES
from server.clients import Client

S = TypeVar("S", bound="zmq.Socket[Any]")


@dataclass(frozen=True)
class Door:
    """What one needs to know to come in; can go to another process."""

    address: str
    """HOST:PORT"""
    node: bytes
    """The node's public key."""
    keys: KeyPair

    @classmethod
    def of(cls, address: str, keys: KeyPair | None = None) -> "Door":
        """Return that of a node of this account that runs, for these keys or the account's own."""
        keyring = Keyring()
        return cls(address, keyring.node_keys(parse_address(address))[0], keys or keyring.own)

    def dealer(self, context: "zmq.Context[S]") -> S:
        """Return a socket that is connecting."""
        opened = context.socket(zmq.DEALER)
        opened.setsockopt(zmq.LINGER, 0)
        opened.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        opened.setsockopt(zmq.CURVE_PUBLICKEY, self.keys.public)
        opened.setsockopt(zmq.CURVE_SECRETKEY, self.keys.secret)
        opened.setsockopt(zmq.CURVE_SERVERKEY, self.node)
        opened.connect(parse_address(self.address).endpoint)
        return opened


def invite(count: int, data: Path, manages: bool = False) -> list[KeyPair]:
    """Make so many accounts that the node will let in which is started over this data folder."""
    data.mkdir(parents=True, exist_ok=True)
    pairs = [KeyPair(*zmq.curve_keypair()) for _ in range(count)]
    clients = (Client(pair.public.decode(), "guest", time.time(), manages) for pair in pairs)
    (data / "clients.json").write_text(json.dumps([asdict(client) for client in clients]), "utf-8")
    return pairs
