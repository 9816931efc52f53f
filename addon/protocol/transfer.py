# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving one file's bytes under the receiver's credit, the same for uploads and for frames that come back.

The receiver says `Want(offset, limit)`: from where, and how far the sender may run; `Grant(limit)` moves that limit on
(as QUIC's MAX_DATA, RFC 9000 section 4). The sender answers with pieces in order. After a broken connection the
receiver wants again from what it has; pieces that are not the next one are left-overs of an earlier request and are
dropped.
"""

from .errors import RemoteProtocolError
from .limits import PIECE_BYTES, WINDOW_BYTES


class Outgoing:
    """The sending side of one transfer of `size` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._position = 0
        self._limit = 0

    def want(self, offset: int, limit: int) -> None:
        """Start, or start again, at `offset`. Raises RemoteProtocolError when it is beyond the file's end."""
        if offset > self.size:
            raise RemoteProtocolError("More bytes were asked for than the file has.")
        self._position = offset
        self._limit = min(limit, self.size)

    def grant(self, limit: int) -> None:
        """Go on up to `limit`; credit once given is never taken back."""
        self._limit = max(self._limit, min(limit, self.size))

    def next_piece(self) -> tuple[int, int] | None:
        """Return (offset, length) of the next piece to send, or None until there is more credit."""
        length = min(PIECE_BYTES, self._limit - self._position)
        if length <= 0:
            return None
        offset, self._position = self._position, self._position + length
        return offset, length


class Incoming:
    """The receiving side of one transfer of `size` bytes, `received` of which are here already."""

    def __init__(self, size: int, received: int = 0) -> None:
        self.size = size
        self.received = received
        self._limit = received

    @property
    def complete(self) -> bool:
        """Whether every byte has arrived."""
        return self.received == self.size

    def restart(self) -> tuple[int, int]:
        """Return (offset, limit) for the Want that starts or resumes the transfer on a new connection."""
        self._limit = min(self.size, self.received + WINDOW_BYTES)
        return self.received, self._limit

    def accept(self, offset: int, length: int) -> bool:
        """Say whether this piece is the next one and must be kept. Raises RemoteProtocolError beyond the credit."""
        if offset != self.received:
            return False
        if length == 0 or offset + length > self._limit:
            raise RemoteProtocolError("A piece that is empty or larger than was asked for.")
        self.received += length
        return True

    def extend(self) -> int | None:
        """Return the limit for a Grant when it is time for one, else None."""
        limit = min(self.size, self.received + WINDOW_BYTES)
        worthwhile = limit - self._limit >= WINDOW_BYTES // 4 or (limit == self.size and self._limit < limit)
        if not worthwhile:
            return None
        self._limit = limit
        return limit
