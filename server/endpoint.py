# SPDX-License-Identifier: GPL-3.0-or-later
"""The ROUTER socket: sessions come and go, their messages go to the handlers, the node's news go to them."""

import asyncio
import errno
import logging
from collections.abc import Iterable
from typing import Protocol, cast

import zmq
import zmq.asyncio
import zmq.auth.asyncio

from addon.keyring import KeyPair
from addon.protocol import codec
from addon.protocol.digest import Buffer
from addon.protocol.errors import ProtocolError, RemoteProtocolError
from addon.protocol.limits import HEARTBEAT_S, MAX_MESSAGE_BYTES, SILENCE_S
from addon.protocol.messages import ClientMessage, Grant, Hello, NodeMessage, Refusal, Refused
from addon.protocol.version import PROTOCOL, VERSION

from .clients import Clients, client_id
from .errors import RequestRefused
from .patience import HOLD_S, Patience
from .session import Session
from .sparse_log import Sparse

log = logging.getLogger(__name__)
log.addFilter(Sparse())
_floods = log.getChild("floods")
"""With one line a key and HOLD_S, which no other may push out."""

_HIGH_WATER_MARK = 10_000
"""Messages queued for one client before sending fails. Transfers keep to 16 by their credit; this bounds the news."""


AHEAD = 16
"""Messages of a connection that ZeroMQ takes in before they are read; the rest waits in TCP. With ZeroMQ's own 1000, a
flood made the node grow by 30 MB; with these by 2.
"""

_DOMAIN = "relay-render"
"""ZeroMQ's word for a door with a list of its own."""

TURN = 16
"""Messages that are read before all else that waits gets its turn: tasks, timers, those who connect. Else a flood would
leave them none. Among connections ZeroMQ goes round by itself, so that an honest message never waits for a whole flood.
"""

NOT_UNDERSTOOD = (
    f"The node runs Relay Render {VERSION} and does not understand this client: install the same version on both sides."
)

HELD_OFF = (
    f"The node does not listen to this account for {HOLD_S:g} s: too much of what came was not understood. "
    "Install the same version on both sides."
)


class Receiver(Protocol):
    """What the endpoint calls."""

    def on_hello(self, session: Session) -> None:
        """A client has said hello."""

    def on_message(self, session: Session, message: ClientMessage, payload: Buffer) -> None:
        """A client has said something else. Raises ProtocolError for what makes no sense now."""


class Endpoint:
    """The node's door: every connection is encrypted, and only keys that are on the list come in."""

    def __init__(self, receiver: Receiver, keys: KeyPair, clients: Clients) -> None:
        """`keys`: the node's own. To be made in a running loop."""
        self._receiver = receiver
        self._clients = clients
        self._context = zmq.asyncio.Context()
        # Before the socket is there: without somebody to ask, ZeroMQ would let every key in.
        self._porter = zmq.auth.asyncio.AsyncioAuthenticator(self._context)
        self._porter.configure_curve_callback(_DOMAIN, credentials_provider=_Porter(clients))
        self._porter.start()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.CURVE_SERVER, 1)
        self._socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
        self._socket.setsockopt_string(zmq.ZAP_DOMAIN, _DOMAIN)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self._socket.setsockopt(zmq.SNDHWM, _HIGH_WATER_MARK)
        self._socket.setsockopt(zmq.RCVHWM, AHEAD)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IPV6, 1)
        # The system ends dead connections, not ZeroMQ's heartbeats: where one meets a connection that broke while its
        # queue was full, libzmq 4.3.5 aborts the process (stream_engine_base.cpp: !_io_error). A flood is enough.
        self._socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, int(SILENCE_S))
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, int(SILENCE_S))
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
        self._sessions: dict[bytes, Session] = {}
        self._patience = Patience()

    def bind(self, endpoint: str) -> int:
        """Listen on a ZeroMQ endpoint (``tcp://127.0.0.1:7460``, port ``*``: any); return the port. Raises ZMQError."""
        self._socket.bind(endpoint)
        return int(self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])

    def sessions(self) -> Iterable[Session]:
        """Everyone who is connected."""
        return list(self._sessions.values())

    async def run(self) -> None:
        """Serve until cancelled."""
        watch = asyncio.create_task(self._watch_silence())
        try:
            while True:
                for _ in range(TURN):
                    frames = await self._socket.recv_multipart(copy=False)  # Does not wait where there is one.
                    self._receive(frames[0].bytes, _user_id(frames[-1]), [frame.buffer for frame in frames[1:]])
                await asyncio.sleep(0)
        finally:
            watch.cancel()
            for session in self.sessions():
                self._end(session, "the node is closing")
            self._socket.close()
            self._porter.stop()
            self._context.term()

    def send(self, session: Session, message: NodeMessage, payload: Buffer | None = None) -> bool:
        """Queue a message; False when the client is gone, which ends the session."""
        sent = self._send(session.routing_id, message, payload)
        session.sent += 1 if payload is None else 2
        if not sent:
            self._end(session, "unreachable")
        return sent

    def send_all(self, sessions: Iterable[Session], message: NodeMessage, payload: Buffer | None = None) -> None:
        """The same to several, encoded once: that is most of what a message costs."""
        frames = codec.encode(message, payload)
        for session in sessions:
            session.sent += len(frames)
            if not self._send_frames(session.routing_id, frames):
                self._end(session, "unreachable")

    def cut_off(self, key: str) -> None:
        """End all sessions of a key that has been revoked."""
        for session in self.sessions():
            if session.key == key:
                self.send(session, Refused(Refusal.NOT_PAIRED, "This node does not let this account in any more."))
                self._end(session, "revoked")

    def expel(self, session: Session, why: ProtocolError) -> None:
        """End the session of a client that has broken the protocol."""
        self._drop(session.routing_id, session.key, session, str(why))

    def _send(self, routing_id: bytes, message: NodeMessage, payload: Buffer | None = None) -> bool:
        return self._send_frames(routing_id, codec.encode(message, payload))

    def _send_frames(self, routing_id: bytes, frames: list[Buffer]) -> bool:
        # With NOBLOCK zmq.asyncio tries at once: the future is done, with the error if there was one.
        parts = self._socket.send_multipart([routing_id, *frames], zmq.NOBLOCK, copy=len(frames) == 1)
        sent = cast("asyncio.Future[object]", parts)
        error = sent.exception()
        if error is None:
            return True
        if isinstance(error, zmq.ZMQError) and error.errno in (errno.EHOSTUNREACH, zmq.EAGAIN):
            return False
        raise error

    def _receive(self, routing_id: bytes, key: str, frames: list[Buffer]) -> None:
        if self._patience.holds_off(key):
            if self._patience.reminds(key):
                self._tell_held_off(routing_id)
            return
        session = self._sessions.get(routing_id)
        if key not in self._clients:  # It came in before it was revoked.
            self._send(routing_id, Refused(Refusal.NOT_PAIRED, "This node does not let this account in any more."))
            return
        if session is not None and session.key != key:
            # Names of connections are the peers' own choice: one that was let in takes the name of another's.
            log.warning("%s: a message under its name came from another key", session.name)
            return
        try:
            message, payload = codec.decode_from_client(frames)
            if isinstance(message, Hello):
                self._hello(routing_id, key, message)
            elif session is None:
                # The node was restarted, or has given the client up: it starts anew.
                self._send(routing_id, Refused(Refusal.HELLO_FIRST, "Say hello first."))
            else:
                session.heard = asyncio.get_running_loop().time()
                session.received += len(frames)
                self._receiver.on_message(session, message, payload)
        except ProtocolError as error:
            self._drop(routing_id, key, session, str(error))
        except Exception:
            # A mistake of ours that one client's message brings out must not end everybody's night of rendering.
            log.exception("a message could not be handled")
            self._drop(routing_id, key, session, "internal error")

    def _hello(self, routing_id: bytes, key: str, hello: Hello) -> None:
        if hello.protocol != PROTOCOL:
            self._send(routing_id, Refused(Refusal.VERSION, _versions(hello), protocol=PROTOCOL, version=VERSION))
            log.warning("%s speaks protocol %d, this node %d", hello.host, hello.protocol, PROTOCOL)
            return
        if routing_id in self._sessions:
            raise RemoteProtocolError("A second hello on one connection.")
        for older in self.sessions():
            if (older.key, older.hello.process) == (key, hello.process):
                self._end(older, "connected again")
        try:
            connected = sum(session.key == key for session in self.sessions())
            self._clients.quota(client_id(key)).check_connections(connected)
        except RequestRefused as error:
            self._send(routing_id, Refused(error.reason, str(error)))
            log.warning("%s may not have another connection", hello.host)
            return
        session = Session(routing_id, key, hello, asyncio.get_running_loop().time())
        self._sessions[routing_id] = session
        log.info("%s connected", session.name)
        self._receiver.on_hello(session)

    def _drop(self, routing_id: bytes, key: str, session: Session | None, why: str) -> None:
        """A peer that breaks the protocol costs a line in the log and its session; if it goes on, all of its key's."""
        log.warning("%s: %s", session.name if session else routing_id.hex(), why)
        if session is not None:
            self._end(session, "dropped")
        else:  # Perhaps a hello of a version that is not even read here.
            self._send(routing_id, Refused(Refusal.VERSION, NOT_UNDERSTOOD, protocol=PROTOCOL, version=VERSION))
        if self._patience.ends(key):
            self._hold_off(routing_id, key)

    def _hold_off(self, routing_id: bytes, key: str) -> None:
        name = self._clients[key].name if key in self._clients else "who was just revoked"
        _floods.warning("%s is not listened to for %g s: too much was not understood", name, HOLD_S)
        self._tell_held_off(routing_id)
        for session in self.sessions():
            if session.key == key:
                self._tell_held_off(session.routing_id)
                self._end(session, "held off")

    def _tell_held_off(self, routing_id: bytes) -> None:
        self._send(routing_id, Refused(Refusal.VERSION, HELD_OFF, protocol=PROTOCOL, version=VERSION))

    def _end(self, session: Session, why: str) -> None:
        if self._sessions.get(session.routing_id) is session:  # Else it has ended, and perhaps another took its place.
            del self._sessions[session.routing_id]
            log.info("%s left: %s", session.name, why)
            session.close()

    async def _watch_silence(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            for session in self.sessions():
                if loop.time() - session.heard > SILENCE_S:
                    self._end(session, "silent")
                    continue
                for upload in list(session.uploads.values()):  # Its Pings, and so our Pongs, wait behind what it sends.
                    self.send(session, Grant(upload.manifest, upload.share.limit, upload.share.taken))


class _Porter:
    """Asked by ZeroMQ for every new connection, before anything of it is read."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def callback(self, _domain: str, key: bytes) -> bool:
        return key.decode() in self._clients


def _user_id(frame: zmq.Frame) -> str:
    """The key that a message's connection has proved to have, in Z85."""
    return str(frame.get("User-Id"))


def _versions(hello: Hello) -> str:
    older = "extension" if hello.protocol < PROTOCOL else "node"
    return (
        f"The node runs Relay Render {VERSION} (protocol {PROTOCOL}), this client {hello.version} "
        f"(protocol {hello.protocol}): update the {older}."
    )
