# SPDX-License-Identifier: GPL-3.0-or-later
"""One client's connection: what it is called, what it is sending, and what is being sent to it."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from addon.protocol.messages import Hello
from addon.protocol.transfer import Outgoing

from .clients import client_id
from .uploads import Upload


class Download:
    """One output on its way to the artist."""

    def __init__(self, path: Path, size: int) -> None:
        """Open the file. Raises OSError."""
        self.outgoing = Outgoing(size)
        self._file = path.open("rb", buffering=0)

    def next_piece(self) -> tuple[int, bytes] | None:
        """Return (offset, bytes) of the next piece, or None until there is more credit."""
        piece = self.outgoing.next_piece()
        if piece is None:
            return None
        self._file.seek(piece[0])
        return piece[0], self._file.read(piece[1])

    @property
    def sent(self) -> bool:
        """Whether the last byte has been handed to the socket."""
        return self._file.tell() == self.outgoing.size

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


@dataclass(slots=True)
class Session:
    """State of one connection; ends with it."""

    routing_id: bytes
    key: str
    """Of whom it is: proved by the connection."""
    hello: Hello
    heard: float
    """When it last said something, seconds on the loop's clock."""
    sent: int = 0
    """Frames of ZeroMQ, both of this connection."""
    received: int = 1  # The hello.
    uploads: dict[str, Upload] = field(default_factory=dict)
    """By the digest of their manifest."""
    stored: set[str] = field(default_factory=set)
    """Manifests that were brought over this connection; their job may not have been submitted yet."""
    downloads: dict[str, Download] = field(default_factory=dict)
    """By output."""
    announced: dict[str, set[str]] = field(default_factory=dict)
    """For each job that this session collects, the outputs announced to it and not yet acknowledged."""
    cursor: dict[str, int] = field(default_factory=dict)
    """For each such job the number of the last output announced."""
    question: "asyncio.Task[None] | None" = None
    """About the store or the Blenders; while it is being answered, others are passed over."""

    @property
    def client(self) -> str:
        """The owner of the jobs that come from here."""
        return client_id(self.key)

    @property
    def name(self) -> str:
        """For the log."""
        return f"{self.hello.host} ({self.routing_id.hex()[-6:]})"

    def close(self) -> None:
        """Let go of all files; what has arrived of an upload stays for the next connection."""
        if self.question is not None:
            self.question.cancel()
        for upload in self.uploads.values():
            upload.stop()
        for download in self.downloads.values():
            download.close()
        self.uploads.clear()
        self.downloads.clear()
