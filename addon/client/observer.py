# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at all jobs of a node, without any of one's own."""

import asyncio
import contextlib
import platform
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Self

from ..keyring import Keyring
from ..protocol.address import Address
from ..protocol.digest import Buffer
from ..protocol.messages import (
    ClientList,
    ClientMessage,
    Hello,
    JobChanged,
    JobGone,
    JobStatus,
    Log,
    NodeMessage,
    Ready,
    Refusal,
    Refused,
    Scope,
    StoreStatus,
    Workers,
)
from ..protocol.version import PROTOCOL, VERSION
from .connection import Connection, News, State
from .errors import ClientError


class Unreachable(ClientError):
    """The node does not answer."""


class NotLetIn(Unreachable):
    """The node does not let this account in."""


class Declined(ClientError):
    """The node does not do what was asked."""

    def __init__(self, text: str, reason: Refusal) -> None:
        super().__init__(text)
        self.reason = reason


class Observer:
    """The jobs of one node, kept up to date while the connection lasts."""

    scope = Scope.ALL
    """Everybody's jobs, for those who may see them."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobStatus] = {}
        self.welcome_text = ""
        self.sandboxed = False
        """Whether the node says that its Blenders are."""
        self.store: StoreStatus | None = None
        """The node's last word about its store, for who asks."""
        self.workers: Workers | None = None
        """Its last word about its Blenders, likewise."""
        self.clients: ClientList | None = None
        """Its last word about who is let in, likewise."""
        self.log: tuple[Log, bytes] | None = None
        """The piece of a log that it sent last, likewise."""
        self.refused: Refused | None = None
        """That it does not do what was asked last, and why."""
        self.failure = ""
        """Why the node is not there, one sentence; empty while it is."""
        self._state = State.NONE
        self._listed: set[str] = set()
        self._complete = False
        self._changed = asyncio.Event()
        hello = Hello(PROTOCOL, VERSION, uuid.uuid4().hex, platform.node(), self.scope)
        self._connection = Connection(Keyring(), hello, self._on_news, self._on_message)

    @classmethod
    @contextlib.asynccontextmanager
    async def at(cls, address: Address) -> AsyncIterator[Self]:
        """Connect, and yield when all jobs are known. Raises Unreachable with the reason."""
        observer = cls()
        observer._connection.configure(address)
        serving = asyncio.create_task(observer._connection.run())
        try:
            await observer.until(lambda: observer._complete)
            yield observer
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    def send(self, message: ClientMessage) -> None:
        """Ask the node for something."""
        self._connection.send(message)

    def forget_answers(self) -> None:
        """Wait for new ones to what is asked next."""
        self.store = self.workers = self.clients = self.log = self.refused = None

    async def news(self, patient: bool = False) -> None:
        """Return when something has changed since the last time.

        Raises Unreachable when the node is lost, NotLetIn or Declined when it does not take this client, unless
        `patient`: then what was known stays until it is back.
        """
        await self._changed.wait()
        self._changed.clear()
        if self.failure and not patient:
            if self._state == State.REFUSED:
                raise Declined(self.failure, Refusal.VERSION)
            raise (NotLetIn if self._state == State.UNPAIRED else Unreachable)(self.failure)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when `holds()` does. Raises Unreachable when the node is lost, Declined when it refuses."""
        while not holds():
            if self.refused:
                raise Declined(self.refused.text, self.refused.reason)
            await self.news()

    def _on_news(self, news: News) -> None:
        self._state = news.state
        if news.state == State.CONNECTED:
            self.welcome_text = news.text
            self.sandboxed = news.welcome is not None and news.welcome.sandboxed
            self._listed.clear()
        self.failure = news.text if news.state in (State.LOST, State.REFUSED, State.UNPAIRED) else ""
        self._changed.set()

    def _on_message(self, message: NodeMessage, payload: Buffer) -> None:
        match message:
            case JobChanged(status=status):
                self.jobs[status.job] = status
                self._listed.add(status.job)
            case JobGone(job=job):
                self.jobs.pop(job, None)
            case StoreStatus():
                self.store = message
            case Workers():
                self.workers = message
            case ClientList():
                self.clients = message
            case Log():
                self.log = message, bytes(payload)
            case Refused():
                self.refused = message
            case Ready():  # All that the node has; what it had before and did not name now is gone.
                self.jobs = {job: status for job, status in self.jobs.items() if job in self._listed}
                self._complete = True
            case _:
                return
        self._changed.set()
