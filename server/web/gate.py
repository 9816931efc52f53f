# SPDX-License-Identifier: GPL-3.0-or-later
"""What every request goes through: whose it is, and what every answer says to the browser."""

import logging
from collections.abc import Sequence
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import ServerError
from ..sparse_log import Sparse
from .access import Access, ForeignHost, ForeignOrigin, NotLetIn

log = logging.getLogger(__name__)
log.addFilter(Sparse())

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing but the page's own files runs or shows, whatever names an artist's file has."""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}

_STATUS: dict[type[ServerError], int] = {NotLetIn: 401, ForeignOrigin: 403, ForeignHost: 421}


class Gate:
    """ASGI middleware: lets visitors in, as `scope["state"]["visitor"]`."""

    def __init__(self, app: ASGIApp, access: Access, public: Sequence[str], door: Response) -> None:
        """`public`: prefixes of paths that anybody may read; `door`: what others see instead of the page."""
        self._app = app
        self._access = access
        self._public = tuple(public)
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return  # There are no WebSockets.
        answer = self._checked(scope)
        await (answer or self._app)(scope, receive, _with_headers(send))

    def _checked(self, scope: Scope) -> Response | None:
        """Return what to answer instead of what was asked; None: let it pass."""
        headers, path = Headers(scope=scope), scope["path"]
        try:
            self._access.check_host(headers.get("host", ""))
            if path == "/" and (token := dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("token")):
                cookie = self._access.cookie(self._access.admit(token), secure=scope["scheme"] == "https")
                return RedirectResponse("/", 303, {"set-cookie": cookie})
            if not path.startswith(self._public):
                visitor = self._access.visitor(scope["method"], scope["scheme"], headers)
                scope.setdefault("state", {})["visitor"] = visitor
        except (NotLetIn, ForeignOrigin, ForeignHost) as error:
            if isinstance(error, NotLetIn) and path == "/":
                return self._door
            log.warning("%s %.80r is refused: %s", scope["method"], path, error)
            return JSONResponse({"error": str(error)}, _STATUS[type(error)])
        return None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending
