# SPDX-License-Identifier: GPL-3.0-or-later
"""`--webhook`: a request to a web address for each job that ends."""

import http.client
import json
import logging
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Callable

from addon.protocol.version import VERSION

from ..errors import ServerError
from . import JobEnd, as_object
from .courier import Courier

log = logging.getLogger(__name__)

LIMIT_S = 10.0
"""One try, from its beginning to the answer's first line and headers."""

PAUSES_S = (2.0, 10.0)
"""Between the tries; so there are three."""

_WORTH_ANOTHER = (408, 425, 429)
"""Answers, besides all from 500 on, that another try may change."""


class BadWebhook(ServerError):
    """The web address is none."""


class Failed(ServerError):
    """The other side did not take it."""

    def __init__(self, text: str, *, final: bool = False) -> None:
        super().__init__(text)
        self.final = final
        """Whether another try is of no use."""


class Webhook:
    """Posts ends of jobs as JSON. Certificates are verified, redirections not followed, proxies not used."""

    def __init__(
        self,
        url: str,
        pause: Callable[[float], bool] | None = None,
        limit_s: float = LIMIT_S,
    ) -> None:
        """`pause` waits so many seconds, and returns whether to give up. Raises BadWebhook."""
        parts = _parse(url)
        assert parts.hostname is not None
        self._host, self._port = parts.hostname, parts.port
        self._secure = parts.scheme == "https"
        self._target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        self._limit_s = limit_s
        self._given_up = threading.Event()
        self._pause = pause or self._given_up.wait
        self._courier = Courier("webhook", self._deliver, self._given_up.set)

    def tell(self, end: JobEnd) -> None:
        """See Hook."""
        self._courier.tell(end)

    def close(self, deadline: float) -> None:
        """See Hook."""
        self._courier.close(deadline)

    def _deliver(self, end: JobEnd) -> None:
        body = json.dumps(as_object(end)).encode()
        for pause in (*PAUSES_S, None):
            if self._given_up.is_set():
                return
            try:
                self._post(body)
                return
            except Failed as failure:  # The address itself stays out of the log: often it is a secret.
                log.warning("webhook at %s for job %s: %s", self._host, end.job[:8], failure, extra={"job": end.job})
                if failure.final or pause is None or self._pause(pause):
                    return

    def _post(self, body: bytes) -> None:
        """Raises Failed."""
        connection = self._connection()
        # The timeout of a socket begins anew with each byte: a server that drips would hold the thread for hours.
        cut = threading.Event()
        guard = threading.Timer(self._limit_s, _cut, (connection, cut))
        guard.daemon = True
        guard.start()
        headers = {"Content-Type": "application/json", "User-Agent": f"relay-render/{VERSION}"}
        try:
            connection.request("POST", self._target, body, headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: it was cut just now.
            raise Failed("it takes too long" if cut.is_set() else _describe(error)) from None
        finally:
            guard.cancel()
            connection.close()
        if cut.is_set():  # What came until then looks like a whole answer.
            raise Failed("it takes too long")
        if not 200 <= status < 300:
            raise Failed(f"it answers {status}", final=status < 500 and status not in _WORTH_ANOTHER)

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._limit_s, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._limit_s)


def _parse(url: str) -> urllib.parse.SplitResult:
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and parts.username is None
    except ValueError:
        good = False
    if not good or not url.isascii() or any(letter.isspace() for letter in url):
        raise BadWebhook("--webhook takes an address such as https://example.org/hook, without a user name in it.")
    return parts


def _cut(connection: http.client.HTTPConnection, cut: threading.Event) -> None:
    """End a conversation from another thread."""
    cut.set()
    if isinstance(connection.sock, socket.socket):
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _describe(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not hold: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "it takes too long"
    return str(error) or type(error).__name__
