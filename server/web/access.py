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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from addon.durable import sync_folder

from ..clients import Client
from ..errors import ServerError

TOKEN_BYTES = 24
"""Random ones: 192 bits cannot be guessed, and make a link of a length that people still copy whole."""

COOKIE_S = 400 * 86400
"""As long as browsers keep a cookie at most (RFC 6265bis, 5.5)."""

OWNER = "owner"
"""Who has the node's own link, in a cookie; no client's id is this short."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, 9.2.1)."""


class NotLetIn(ServerError):
    """Open the link that the node prints at its start, that `python -m server page` shows, or that its owner gave."""


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

    def __init__(self, token: str, owner: Visitor, port: int, client: Callable[[str], Client | None]) -> None:
        """`owner`: whom the token is for; `client`: one that is let in, by its id, who may have a link of its own;
        `port`: browsers share cookies among all ports of a host.
        """
        self._token = token
        self._owner = owner
        self._client = client
        self.cookie_name = f"relay-render-{port}"
        self.names = {"localhost", *_local_names(socket.gethostname())}
        """Under which this machine is known, in lower case."""

    def check_host(self, host: str) -> None:
        """Raise ForeignHost unless a request's Host is this machine's: its name, or any address."""
        name = _host_of(host)
        if not (_is_address(name) or name in self.names):
            raise ForeignHost(str(ForeignHost.__doc__))

    def token_of(self, client: Client) -> str:
        """Return what lets a client in as itself, for as long as it is let in at all. Nothing of it is kept."""
        return f"{client.id}.{self._seal('link', client)}"

    def admit(self, token: str) -> Visitor:
        """Return whom a token is for. Raises NotLetIn."""
        if _same(token, self._token):
            return self._owner
        return self._sealed("link", token)

    def is_current(self, visitor: Visitor) -> bool:
        """Whether it is still let in, and as what it was."""
        if visitor == self._owner:
            return True
        client = self._client(visitor.owner)
        return client is not None and visitor == _visitor(client)

    def visitor(self, method: str, scheme: str, headers: Mapping[str, str]) -> Visitor:
        """Return who asks. `headers`: with their names in lower case. Raises NotLetIn, ForeignOrigin."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.admit(token.strip())
        visitor = self._sealed("cookie", self._cookie_in(headers.get("cookie", "")))
        if method not in SAFE and not _is_own(scheme, headers):
            raise ForeignOrigin(str(ForeignOrigin.__doc__))
        return visitor

    def cookie(self, visitor: Visitor, *, secure: bool) -> str:
        """Return the value of the Set-Cookie header for a visitor who has shown a token."""
        client = None if visitor == self._owner else self._client(visitor.owner)
        value = f"{client.id if client else OWNER}.{self._seal('cookie', client)}"
        flags = "; Secure" if secure else ""
        return f"{self.cookie_name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={COOKIE_S}{flags}"

    def _cookie_in(self, header: str) -> str:
        try:
            morsel = SimpleCookie(header).get(self.cookie_name)
        except CookieError:
            return ""
        return "" if morsel is None else morsel.value

    def _seal(self, use: str, client: Client | None) -> str:
        """What only who has the token can make, for one use and one client; a client let in anew is another one."""
        about = f"{use} {client.id} {client.since!r}" if client else use
        return hashlib.blake2b(about.encode(), key=self._token.encode(), digest_size=TOKEN_BYTES).hexdigest()

    def _sealed(self, use: str, said: str) -> Visitor:
        """Return whose seal that is. Raises NotLetIn."""
        name, _, seal = said.partition(".")
        client = self._client(name)
        if (client is not None or (name, use) == (OWNER, "cookie")) and _same(seal, self._seal(use, client)):
            return self._owner if client is None else _visitor(client)
        raise NotLetIn(str(NotLetIn.__doc__))


def _visitor(client: Client) -> Visitor:
    return Visitor(client.id, client.name, client.manages)


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
