# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's side of pairing: ask the node, show the digits, and remember its key once people have compared."""

import asyncio
import getpass
import platform
import secrets
from collections.abc import Callable
from typing import Any

from ..keyring import Keyring
from ..protocol import pairing
from ..protocol.address import Address
from ..protocol.errors import RemoteProtocolError
from ..protocol.pairing import Commitment, Compared, Decided, Nonce, Request
from .errors import ClientError
from .locating import locate

ANSWER_S = 10.0
"""A machine answers at once; people are given longer."""


class PairingFailed(ClientError):
    """There is no pairing; one sentence says why."""


class Pairing:
    """One attempt to be let in by the node at an address."""

    def __init__(self, address: Address, keyring: Keyring, on_digits: Callable[[str, str], None]) -> None:
        """`on_digits` is called with the six digits and the node's name."""
        self._address = address
        self._keyring = keyring
        self._on_digits = on_digits
        self._compared: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def compared(self, same: bool) -> None:
        """The artist has looked at both screens."""
        if not self._compared.done():
            self._compared.set_result(same)

    async def run(self) -> None:
        """Return when node and artist have agreed, and the node's key is kept. Raises PairingFailed."""
        try:
            own = self._keyring.own.public.decode()
        except (OSError, ValueError) as error:
            raise PairingFailed(str(error)) from None
        host, port = self._address.host, self._address.port + pairing.PORT_OFFSET
        try:
            place = await locate(host, port)
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_connection(place, port, limit=pairing.MAX_LINE_BYTES)
        except (OSError, TimeoutError):
            raise PairingFailed(
                f"Nothing answers on {host} port {port}, where one pairs with nodes: does the node run, and does its "
                "firewall let that port in?"
            ) from None
        try:
            await self._converse(own, reader, writer)
        except (OSError, ValueError, RemoteProtocolError):  # ValueError: a line beyond the limit.
            raise PairingFailed(f"{host} broke the pairing off: try again.") from None
        except TimeoutError:
            raise PairingFailed(f"Nobody allowed it at {host} in time: press Pair again.") from None
        finally:
            writer.close()

    async def _converse(self, own: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(ANSWER_S):
            writer.write(pairing.encode(Request(pairing.PAIRING_VERSION, own, _name())))
            line = await reader.readline()
            if b'"allowed"' in line:
                raise PairingFailed(pairing.decode(Decided, line).text)
            node = pairing.decode(Commitment, line)
            nonce = Nonce(secrets.token_hex(pairing.NONCE_BYTES))
            writer.write(pairing.encode(nonce))
            theirs = pairing.decode(Nonce, await reader.readline())
        if pairing.commitment(node.key, own, theirs.nonce) != node.commitment:
            raise PairingFailed(f"What answers at {self._address} does not keep its word: somebody may be in between.")
        self._on_digits(pairing.digits(node.key, own, theirs.nonce, nonce.nonce), node.name)
        async with asyncio.timeout(pairing.EXPIRES_S):
            await self._agree(reader, writer)
        self._keyring.pair(self._address, node.key.encode())

    async def _agree(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Wait for both people."""
        answer = asyncio.create_task(reader.readline())
        both: set[asyncio.Future[Any]] = {answer, self._compared}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() or self._compared.done():
                same = await self._compared
                writer.write(pairing.encode(Compared(same)))
                if not same:
                    await writer.drain()
                    raise PairingFailed("Not paired: the digits were not the same. Somebody may be in between.")
            decided = pairing.decode(Decided, await answer)
            if not decided.allowed:
                raise PairingFailed(decided.text)
            if not await self._compared:
                raise PairingFailed("Not paired: the digits were not the same. Somebody may be in between.")
        finally:
            answer.cancel()


class PairingDesk:
    """At most one pairing at a time, told of in "pairing" events."""

    def __init__(self, keyring: Keyring, tell: Callable[[dict[str, Any]], None]) -> None:
        self._keyring = keyring
        self._tell_event = tell
        self._pairing: Pairing | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, address: Address) -> None:
        """Ask to be let in; a second time begins anew."""
        self.end()
        self._pairing = Pairing(address, self._keyring, self._tell_digits)
        self._task = asyncio.get_running_loop().create_task(self._see_through(self._pairing))

    def compared(self, same: bool) -> None:
        """The artist has compared the digits with those that the node shows."""
        if self._pairing is not None:
            self._pairing.compared(same)
            if same:
                self._tell("waiting", "Waiting for the node's owner to allow it.")

    def end(self) -> None:
        """Break off."""
        if self._task is not None:
            self._task.cancel()
        self._pairing = self._task = None

    async def _see_through(self, attempt: Pairing) -> None:
        self._tell("asking")
        try:
            await attempt.run()
        except PairingFailed as failure:
            self._tell("failed", str(failure))
        else:
            self._tell("paired")

    def _tell_digits(self, digits: str, node: str) -> None:
        self._tell("comparing", f"Does {node} show the same digits?", pairing.spaced(digits))

    def _tell(self, state: str, text: str = "", digits: str = "") -> None:
        self._tell_event({"event": "pairing", "state": state, "text": text, "digits": digits})


def _name() -> str:
    try:
        account = getpass.getuser()
    except (OSError, KeyError, ImportError):  # No such account, as in a container.
        account = "somebody"
    name = f"{account} on {platform.node() or 'a machine'}"
    return "".join(letter for letter in name if letter.isprintable())[:100]
