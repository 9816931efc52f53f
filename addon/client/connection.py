# SPDX-License-Identifier: GPL-3.0-or-later
"""The DEALER socket to the node: hello, heartbeats, and noticing when the other side is gone."""

import asyncio
import enum
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import zmq
import zmq.asyncio
from zmq.utils.monitor import parse_monitor_message

from ..keyring import KeyPair, Keyring
from ..protocol import codec
from ..protocol.address import Address
from ..protocol.digest import Buffer
from ..protocol.errors import RemoteProtocolError
from ..protocol.limits import HEARTBEAT_S, MAX_MESSAGE_BYTES, SILENCE_S
from ..protocol.messages import ClientMessage, Hello, NodeMessage, Ping, Pong, Refusal, Refused, Welcome
from .locating import locate

log = logging.getLogger(__name__)

DIAL_S = 2.0
"""How long a plain TCP connection may take before the node counts as unreachable."""


RETRY_S = 1.0
"""Between two looks whether the node has been paired with, or has room for another connection."""

ZMTP = bytes([0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0x7F])

SOMETHING_ELSE = "Something else than a Relay Render node listens on {0.host} port {0.port}."

NOBODY = "No machine is called {0.host} here: check the address in the preferences."

KEY_CHANGED = (
    "What listens at {} is not the node that was paired with: another machine has its address, or it was set up anew. "
    "If you know why, pair with it again."
)

_WRONG_KEY = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,  # The node's list does not have our key.
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,  # It closed the connection in the middle: our first message was for another.
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,  # It speaks ZeroMQ, but not CURVE.
)
_WATCHED = zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED | _WRONG_KEY[0] | _WRONG_KEY[1] | _WRONG_KEY[2]

Send = Callable[[ClientMessage, Buffer | None], None]
"""Connection.send."""


class State(enum.StrEnum):
    """What the artist sees of the connection."""

    NONE = "none"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    REFUSED = "refused"
    UNPAIRED = "unpaired"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class News:
    """A state, what is known of the node, and one sentence."""

    state: State
    address: Address | None
    welcome: Welcome | None
    text: str


class Connection:
    """One node at a time. `on_news` hears of states, `on_message` gets everything that comes after the welcome."""

    def __init__(
        self,
        keyring: Keyring,
        hello: Hello,
        on_news: Callable[[News], None],
        on_message: Callable[[NodeMessage, Buffer], None],
    ) -> None:
        self._keyring = keyring
        self._hello = hello
        self._on_news = on_news
        self._on_message = on_message
        self._context = zmq.asyncio.Context()
        self._socket: zmq.asyncio.Socket | None = None
        self._monitor: zmq.asyncio.Socket | None = None
        self._address: Address | None = None
        self._place = ""
        """Where the node is that has the address."""
        self._address_error = ""
        self._address_changed = asyncio.Event()
        self._attempts = 0
        """Connections that found another key than the one they tried: the next tries the next key."""
        self._sent = self._received = 0
        """Frames of ZeroMQ on this connection."""
        self._news = News(State.NONE, None, None, "")

    @property
    def connected(self) -> bool:
        """Whether the node has welcomed us and was heard of lately."""
        return self._news.state == State.CONNECTED

    @property
    def news(self) -> News:
        """The newest state."""
        return self._news

    @property
    def address(self) -> Address | None:
        """The node that is talked to, or tried."""
        return self._address

    def configure(self, address: Address | None) -> None:
        """Talk to this node from now on; None: to nobody."""
        if address != self._address or self._news.state == State.REFUSED:
            self._address = address
            self._address_error = ""
            self._address_changed.set()

    def refuse(self, sentence: str) -> None:
        """Talk to nobody, since what the artist typed is no address."""
        self._address, self._address_error = None, sentence
        self._address_changed.set()

    def send(self, message: ClientMessage, payload: Buffer | None = None) -> None:
        """Queue a message. Without a connection it is dropped: whoever sends starts anew when there is one."""
        if self._socket is None or not (self.connected or isinstance(message, Hello)):
            return
        # Never blocks: transfers keep to their credit, and what else is sent is little.
        frames = codec.encode(message, payload)
        self._socket.send_multipart(frames, zmq.NOBLOCK, copy=payload is None)
        self._sent += len(frames)

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        try:
            while True:
                self._address_changed.clear()
                await self._serve_address()
        finally:
            self._close_socket()
            self._context.destroy(linger=0)

    async def _serve_address(self) -> None:
        """Talk to the current address until it changes."""
        if self._address_error:
            self._tell(State.REFUSED, None, self._address_error)
            await self._address_changed.wait()
            return
        if self._address is None:
            self._tell(State.NONE, None, "No node yet: type its address in the preferences.")
            await self._address_changed.wait()
            return
        self._tell(State.CONNECTING, None, f"Connecting to {self._address}.")
        changed = asyncio.create_task(self._address_changed.wait())
        try:
            while not changed.done():
                talk = asyncio.create_task(self._talk(self._address))
                try:
                    await asyncio.wait({talk, changed}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    talk.cancel()
                    await asyncio.gather(talk, return_exceptions=True)
                    self._close_socket()
                if not talk.cancelled() and (error := talk.exception()) is not None:
                    raise error
        finally:
            changed.cancel()

    async def _talk(self, address: Address) -> None:
        """One connection, from its hello to the moment when it has to be made anew."""
        if not (keys := self._keyring.node_keys(address)):
            await self._tell_unpaired(address)
            return
        if not await self._dial(address, keys[self._attempts % len(keys)]):
            return
        now = heard = pinged = asyncio.get_running_loop().time()
        while True:
            if self.connected and now - pinged >= HEARTBEAT_S:
                self.send(Ping(self._sent + 1))
                pinged = now
            frames, event = await self._receive()
            now = asyncio.get_running_loop().time()
            if event is not None and await self._is_over(event, address, keys):
                return
            if frames is not None:
                heard = now
                if not await self._handle(frames, address):
                    return
            elif now - heard > SILENCE_S:
                self._tell(State.LOST, None, await diagnose(address, known=self.connected))
                return
            if self._news.state == State.REFUSED:
                await asyncio.Event().wait()  # Until the artist changes something.

    async def _dial(self, address: Address, key: bytes) -> bool:
        """Open a connection and say hello; False: that is not possible just now."""
        try:
            own = self._keyring.own
        except (OSError, ValueError) as error:
            self._tell(State.REFUSED, None, str(error))
            await asyncio.sleep(RETRY_S)
            return False
        try:
            self._place = await locate(address.host, address.port)
        except socket.gaierror:
            self._tell(State.LOST, None, NOBODY.format(address))
            await asyncio.sleep(RETRY_S)
            return False
        if self._place != address.host:
            log.info("%s is at %s", address.host, self._place)
        self._open_socket(Address(self._place, address.port), own, key)
        self.send(self._hello)
        return True

    async def _is_over(self, event: int, address: Address, keys: Sequence[bytes]) -> bool:
        """Whether what happened to the connection asks for a new one."""
        if event in _WRONG_KEY:
            self._attempts += 1
            if self._attempts % len(keys) == 0:
                await self._tell_wrong_key(address, event)
            return True
        if event == zmq.EVENT_CONNECT_RETRIED:  # Nobody took the connection; the socket goes on trying by itself.
            if (unreachable := await reaches(address)) is not None:
                self._tell(State.LOST, None, unreachable)
            with suppress(socket.gaierror):
                return (
                    await locate(address.host, address.port) != self._place
                )  # ZeroMQ asks the system's resolver alone.
            return True
        # A new socket at once: this one would connect again by itself, and first send all that is still queued for the
        # old connection, up to a whole window of pieces that the node no longer expects.
        return self.connected

    async def _tell_unpaired(self, address: Address) -> None:
        """Without the node's key nothing is sent to it; it may be paired with at any moment, from any program."""
        if (unreachable := await reaches(address, greeted=True)) is not None:
            self._tell(State.LOST, None, unreachable)
        else:
            self._tell(State.UNPAIRED, None, f"Not paired with the node at {address} yet.")
        await asyncio.sleep(RETRY_S)

    async def _tell_wrong_key(self, address: Address, event: int | None) -> None:
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self._tell(State.UNPAIRED, None, f"The node at {address} does not let this account in: pair with it.")
        else:
            self._tell(State.UNPAIRED, None, KEY_CHANGED.format(address))
        await asyncio.sleep(RETRY_S)

    async def _receive(self) -> tuple[list[Buffer] | None, int | None]:
        """The next message, or None when none came for a heartbeat's time; and what happened to the connection."""
        assert self._socket is not None and self._monitor is not None
        poller = zmq.asyncio.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        ready = dict(await poller.poll(int(HEARTBEAT_S * 1000)))
        if self._socket in ready:
            return [frame.buffer for frame in await self._socket.recv_multipart(copy=False)], None
        if self._monitor in ready:
            event = parse_monitor_message(await self._monitor.recv_multipart())["event"]
            return None, int(event)
        return None, None

    async def _handle(self, frames: list[Buffer], address: Address) -> bool:
        """Take a message in; False when the connection has to be made anew."""
        self._received += len(frames)
        try:
            message, payload = codec.decode_from_node(frames)
        except RemoteProtocolError as error:
            log.warning("%s: %s", address, error)
            return True
        if isinstance(message, Pong) and message.sent not in (0, self._received):
            # TCP loses nothing, CURVE notices all but what is left out: what waits for that would wait for ever.
            log.warning("%s: of %d frames %d came", address, message.sent, self._received)
            return False
        if isinstance(message, Welcome):
            self._tell(State.CONNECTED, message, _describe(message))
        elif isinstance(message, Refused) and message.reason == Refusal.HELLO_FIRST:
            return False
        elif isinstance(message, Refused) and message.reason == Refusal.VERSION:
            self._tell(State.REFUSED, None, message.text)
        elif isinstance(message, Refused) and message.reason == Refusal.NOT_PAIRED:
            self._tell(State.UNPAIRED, None, message.text)
            return False
        elif isinstance(message, Refused) and message.reason == Refusal.QUOTA and not self.connected:
            self._tell(State.LOST, None, message.text)
            await asyncio.sleep(RETRY_S)
            return False
        else:
            self._on_message(message, payload)
        return True

    def _open_socket(self, address: Address, own: KeyPair, key: bytes) -> None:
        self._socket = opened = self._context.socket(zmq.DEALER)
        opened.setsockopt(zmq.CURVE_PUBLICKEY, own.public)
        opened.setsockopt(zmq.CURVE_SECRETKEY, own.secret)
        opened.setsockopt(zmq.CURVE_SERVERKEY, key)
        opened.setsockopt(zmq.LINGER, 0)
        opened.setsockopt(zmq.SNDHWM, 0)  # Credit bounds what is queued; a limit here would drop pieces without a word.
        opened.setsockopt(zmq.IPV6, 1)
        opened.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        opened.setsockopt(zmq.RECONNECT_IVL, 100)
        opened.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
        self._sent = self._received = 0
        self._monitor = opened.get_monitor_socket(_WATCHED)
        opened.connect(address.endpoint)

    def _close_socket(self) -> None:
        if self._socket is not None and self._monitor is not None:
            self._socket.disable_monitor()
            self._monitor.close()
            self._socket.close()
            self._socket = self._monitor = None
        if self.connected and self._address is not None:
            self._tell(State.CONNECTING, None, f"Connecting to {self._address} again.")

    def _tell(self, state: State, welcome: Welcome | None, text: str) -> None:
        news = News(state, self._address, welcome, text)
        if news != self._news:
            log.info("%s: %s", state, text)
            self._news = news
            self._on_news(news)


def _describe(welcome: Welcome) -> str:
    blenders = ", ".join(welcome.blenders) or "no Blender"
    return f"{welcome.node} renders with Blender {blenders}."


async def reaches(address: Address, *, greeted: bool = False) -> str | None:
    """Try a plain TCP connection; return in one sentence why there is none.

    `greeted`: what listens has to begin as ZeroMQ does, too: ZMTP 3.1's signature, ten bytes.
    """
    try:
        place = await locate(address.host, address.port)
        reader, writer = await asyncio.wait_for(asyncio.open_connection(place, address.port), DIAL_S)
    except socket.gaierror:
        return NOBODY.format(address)
    except ConnectionRefusedError:
        return (
            f"Nothing listens on {address.host} port {address.port}: start the node there (the extension's preferences "
            "have the switch, or `python -m server`)."
        )
    except (OSError, TimeoutError):
        return f"{address.host} does not answer: is it on, and does its firewall let port {address.port} in?"
    try:
        signature = await asyncio.wait_for(reader.readexactly(10), DIAL_S) if greeted else ZMTP
    except (OSError, EOFError, TimeoutError):
        signature = b""
    finally:
        writer.close()
    if (signature[:1], signature[-1:]) != (ZMTP[:1], ZMTP[-1:]):
        return SOMETHING_ELSE.format(address)
    return None


async def diagnose(address: Address, *, known: bool) -> str:
    """Say in one sentence why a node does not answer, after trying a plain TCP connection.

    `known`: it has answered until now.
    """
    if (unreachable := await reaches(address)) is not None:
        return unreachable
    if known:
        return f"The node at {address.host} port {address.port} has not said anything for {SILENCE_S:g} s."
    return SOMETHING_ELSE.format(address)
