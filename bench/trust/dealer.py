# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where the trust bench makes sockets to a node."""

from typing import Any, TypeVar

import zmq

from addon.protocol.address import parse_address
from addon.protocol.limits import MAX_MESSAGE_BYTES

S = TypeVar("S", bound="zmq.Socket[Any]")


def dealer(context: "zmq.Context[S]", address: str) -> S:
    """Return a socket that is connecting to the node at `address`, HOST:PORT."""
    opened = context.socket(zmq.DEALER)
    opened.setsockopt(zmq.LINGER, 0)
    opened.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
    opened.connect(parse_address(address).endpoint)
    return opened
