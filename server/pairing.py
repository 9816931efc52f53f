# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's side of pairing: who asks is shown to the owner, who allows it by the digits."""

import asyncio
import logging
import platform
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from addon.protocol import pairing
from addon.protocol.errors import RemoteProtocolError
from addon.protocol.messages import PairingRequest, Refusal
from addon.protocol.pairing import Commitment, Compared, Decided, Nonce, Request

from .clients import Clients
from .errors import RequestRefused

log = logging.getLogger(__name__)

MOST_WAITING = 5
"""Requests that may wait for the owner at once."""

MOST_A_MINUTE = 10
"""Conversations that are begun, whoever asks: a guess succeeds once in a million times."""

ANSWER_S = 10.0
"""A machine answers at once."""

BUSY = Decided(False, "The node has been asked too often just now: try again in a minute.")
VERSION = Decided(False, "The node pairs in another way: install the same version on both sides.")
EXPIRED = Decided(False, "Nobody allowed it at the node in time: press Pair again.")
DENIED = Decided(False, "The node's owner said no.")


@dataclass(slots=True)
class _Waiting:
    """Somebody who waits for the owner's word."""

    request: Request
    host: str
    code: str
    decided: "asyncio.Future[bool]"


class Pairings:
    """Conversations with those who want to be let in. `on_request` hears of each whose digits can be compared."""

    on_change: Callable[[], None]
    """Called when `requests` is another."""

    def __init__(self, key: str, clients: Clients, on_request: Callable[[PairingRequest], None]) -> None:
        """`key`: the node's own, public."""
        self.on_change = lambda: None
        self._key = key
        self._clients = clients
        self._on_request = on_request
        self._waiting: dict[str, _Waiting] = {}
        self._begun: deque[float] = deque(maxlen=MOST_A_MINUTE)
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int) -> None:
        """Take requests. Raises OSError."""
        self._server = await asyncio.start_server(self._on_connection, host, port, limit=pairing.MAX_LINE_BYTES)

    async def close(self) -> None:
        """Break off what is under way."""
        if self._server is not None:
            self._server.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    @property
    def requests(self) -> tuple[PairingRequest, ...]:
        """Those that wait for the owner."""
        return tuple(PairingRequest(each.code, each.request.name, each.host) for each in self._waiting.values())

    def decide(self, code: str, allowed: bool) -> None:
        """The owner's word about the request with these digits. Raises RequestRefused when there is none."""
        found = self._waiting.get(code)
        if found is None or found.decided.done():
            sentence = f"Nobody with {pairing.spaced(code)} asks to be let in (any more): do not trust who shows that."
            raise RequestRefused(Refusal.UNKNOWN_CODE, sentence)
        if allowed:
            self._clients.allow(found.request.key, found.request.name)
        found.decided.set_result(allowed)

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        host = str(writer.get_extra_info("peername")[0])
        try:
            writer.write(pairing.encode(await self._converse(reader, writer, host)))
            await writer.drain()
        except (OSError, ValueError, TimeoutError, RemoteProtocolError) as error:
            log.warning("pairing with %s broke off: %s", host, error)
        finally:
            self._conversations.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> Decided:
        """Exchange nonces, and wait for the owner; returns the last line."""
        if self._is_busy(host):
            return BUSY
        async with asyncio.timeout(ANSWER_S):
            request = pairing.decode(Request, await reader.readline())
            if request.pairing != pairing.PAIRING_VERSION:
                return VERSION
            own = Nonce(secrets.token_hex(pairing.NONCE_BYTES))
            bound = pairing.commitment(self._key, request.key, own.nonce)
            writer.write(pairing.encode(Commitment(self._key, platform.node()[:100] or "node", bound)))
            theirs = pairing.decode(Nonce, await reader.readline())
            writer.write(pairing.encode(own))
        code = pairing.digits(self._key, request.key, own.nonce, theirs.nonce)
        if code in self._waiting:
            return BUSY  # One in a million.
        waiting = self._waiting[code] = _Waiting(request, host, code, asyncio.get_running_loop().create_future())
        try:
            self._on_request(PairingRequest(code, request.name, host))
            self.on_change()
            return await self._decision(reader, waiting)
        finally:
            del self._waiting[code]
            self.on_change()

    def _is_busy(self, host: str) -> bool:
        now = asyncio.get_running_loop().time()
        often = len(self._begun) == MOST_A_MINUTE and now - self._begun[0] < 60
        if not often:
            self._begun.append(now)
        from_there = sum(each.host == host for each in self._waiting.values())
        return often or len(self._waiting) >= MOST_WAITING or from_there >= MOST_WAITING - 1

    async def _decision(self, reader: asyncio.StreamReader, waiting: _Waiting) -> Decided:
        """Wait for the owner, as long as the client is there and its artist sees the same digits."""
        listening = asyncio.create_task(reader.readline())
        loop = asyncio.get_running_loop()
        ends = loop.time() + pairing.EXPIRES_S
        try:
            while not waiting.decided.done():
                left = ends - loop.time()
                if left <= 0:
                    return EXPIRED
                both: set[asyncio.Future[Any]] = {waiting.decided, listening}
                await asyncio.wait(both, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if listening.done() and not waiting.decided.done():
                    if not pairing.decode(Compared, listening.result()).same:
                        log.warning("%s sees other digits: somebody may be in between", waiting.request.name)
                        return DENIED
                    listening = asyncio.create_task(reader.readline())  # Nothing more; its end means that it is gone.
            return Decided(True) if waiting.decided.result() else DENIED
        finally:
            listening.cancel()
