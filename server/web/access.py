# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may see the page: whoever has the token that the node prints, from an address that is the node's.

Three things keep other people's web pages out, which run in the same browser. The cookie is not sent with what they ask
for (SameSite=Strict), and what changes something has to come from the node's own page (Origin). A name that an attacker
points at this machine (DNS rebinding) is none of the node's names, and so nothing is answered to it.
"""

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from addon.durable import sync_folder

from ..errors import ServerError

TOKEN_BYTES = 24
"""Random ones: 192 bits cannot be guessed, and make a link of a length that people still copy whole."""

COOKIE_S = 400 * 86400
"""As long as browsers keep a cookie at most (RFC 6265bis, 5.5)."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, 9.2.1)."""


class NotLetIn(ServerError):
    """Open the link that the node prints when it starts, or that `python -m server page` shows."""


class ForeignOrigin(ServerError):
    """This was asked for by a page of another site, and is refused."""


class ForeignHost(ServerError):
    """The node does not know itself by this name: use its IP address, or this machine's own name."""


class BadToken(ServerError):
    """The file with the page's token is damaged."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at the page."""

    owner: str
    """Of the jobs that it may see and command; as Job.owner."""
    name: str
    manages: bool
    """Sees and commands everybody's, and may do what the node's owner may."""

    def may_see(self, owner: str) -> bool:
        """Whether the jobs of an owner exist for it."""
        return self.manages or self.owner == owner


class Access:
    """Lets visitors in. Pure but for the names of this machine."""

    def __init__(self, token: str, visitor: Visitor, port: int) -> None:
        """`visitor`: whom the token is for; `port`: browsers share cookies among all ports of a host."""
        self._token = token
        self._visitor = visitor
        self.cookie_name = f"relay-render-{port}"
        self._cookie = hashlib.blake2b(b"cookie", key=token.encode(), digest_size=24).hexdigest()
        self.names = {"localhost", *_local_names(socket.gethostname())}
        """Under which this machine is known, in lower case."""

    def check_host(self, host: str) -> None:
        """Raise ForeignHost unless a request's Host is this machine's: its name, or any address."""
        name = _host_of(host)
        if not (_is_address(name) or name in self.names):
            raise ForeignHost(str(ForeignHost.__doc__))

    def check_token(self, token: str) -> None:
        """Raise NotLetIn."""
        if not _same(token, self._token):
            raise NotLetIn(str(NotLetIn.__doc__))

    def visitor(self, method: str, scheme: str, headers: Mapping[str, str]) -> Visitor:
        """Return who asks. `headers`: with their names in lower case. Raises NotLetIn, ForeignOrigin."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            self.check_token(token.strip())
            return self._visitor
        if not self._has_cookie(headers.get("cookie", "")):
            raise NotLetIn(str(NotLetIn.__doc__))
        if method not in SAFE and not _is_own(scheme, headers):
            raise ForeignOrigin(str(ForeignOrigin.__doc__))
        return self._visitor

    def cookie(self, *, secure: bool) -> str:
        """Return the value of the Set-Cookie header for a visitor who has shown the token."""
        flags = "; Secure" if secure else ""
        return f"{self.cookie_name}={self._cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age={COOKIE_S}{flags}"

    def _has_cookie(self, header: str) -> bool:
        try:
            morsel = SimpleCookie(header).get(self.cookie_name)
        except CookieError:
            return False
        return morsel is not None and _same(morsel.value, self._cookie)


def _same(said: str, right: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell how much of them is."""
    return hmac.compare_digest(said.encode("utf-8", "replace"), right.encode())


def kept_token(path: Path) -> str:
    """Return the token that is kept in a file, made on first use. Raises OSError, BadToken."""
    try:
        token = path.read_text("ascii").strip()
    except FileNotFoundError:
        return _new_token(path)
    except UnicodeDecodeError:
        token = ""
    if not re.fullmatch(r"[\w-]{16,}", token, re.ASCII):
        raise BadToken(f"{path} holds no token: delete it, and the node makes a new one.")
    return token


def _new_token(path: Path) -> str:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    temporary = path.with_suffix(".new")
    with open(temporary, "w", encoding="ascii", opener=_private) as file:
        file.write(token)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
    return token


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def domain_names() -> set[str]:
    """Return what this machine is called in its domain. Asks the network: call it in a thread."""
    return _local_names(socket.getfqdn())


def _local_names(name: str) -> set[str]:
    """A name, and what multicast DNS makes of it."""
    name = name.lower().rstrip(".")
    return {name} if not name or _is_address(name) else {name, f"{name.partition('.')[0]}.local"}


def _host_of(header: str) -> str:
    """The name or address in a Host header, without the port and the brackets of IPv6."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_own(scheme: str, headers: Mapping[str, str]) -> bool:
    """Whether a request comes from a page of this node: all browsers say from where, with what is not a GET."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") == "same-origin"
    return origin.lower() == f"{scheme}://{headers.get('host', '')}".lower()
