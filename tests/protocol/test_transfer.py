# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.protocol.errors import RemoteProtocolError
from addon.protocol.limits import PIECE_BYTES, WINDOW_BYTES
from addon.protocol.transfer import Incoming, Outgoing


@given(
    size=st.integers(1, 5 * WINDOW_BYTES),
    cuts=st.lists(st.integers(1, 40), max_size=4),
)
def test_every_byte_arrives_once_however_often_the_link_is_cut(size: int, cuts: list[int]) -> None:
    # GIVEN a receiver and a link that breaks after so many pieces
    incoming = Incoming(size)
    arrived = 0
    for survive in [*cuts, 10**9]:
        # WHEN a new connection resumes the transfer
        outgoing = Outgoing(size)
        outgoing.want(*incoming.restart())
        for _ in range(survive):
            piece = outgoing.next_piece()
            if piece is None:
                break
            # THEN the sender never runs further ahead than the credit
            assert piece[0] + piece[1] - incoming.received <= WINDOW_BYTES
            assert incoming.accept(*piece)
            arrived += piece[1]
            if (limit := incoming.extend()) is not None:
                outgoing.grant(limit)
    assert incoming.complete
    assert arrived == size


def test_left_over_pieces_of_an_earlier_request_are_dropped() -> None:
    incoming = Incoming(3 * PIECE_BYTES)
    incoming.restart()
    assert incoming.accept(0, PIECE_BYTES)
    assert not incoming.accept(0, PIECE_BYTES)
    assert not incoming.accept(2 * PIECE_BYTES, PIECE_BYTES)
    assert incoming.received == PIECE_BYTES


def test_more_than_was_asked_for_is_refused() -> None:
    incoming = Incoming(4 * WINDOW_BYTES)
    incoming.restart()
    with pytest.raises(RemoteProtocolError):
        incoming.accept(0, WINDOW_BYTES + 1)
    with pytest.raises(RemoteProtocolError):
        Outgoing(10).want(11, 12)
