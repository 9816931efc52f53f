# SPDX-License-Identifier: GPL-3.0-or-later
"""One table for each part of the API: from it come the routes, and the OpenAPI description."""

import dataclasses
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from addon.protocol.codec import build
from addon.protocol.errors import InvalidFrames, ProtocolError, RemoteProtocolError
from addon.protocol.messages import Refusal

from ..disk import is_full
from ..errors import RequestRefused, ServerError
from ..video import NoFfmpeg
from .access import Visitor
from .spool import WrongOffset

log = logging.getLogger(__name__)

BODY_BYTES = 1 << 20
"""Of a request in JSON."""

Handler = Callable[[Request], Awaitable[Response]]

STATUS: dict[Refusal, int] = {
    Refusal.UNKNOWN_JOB: 404,
    Refusal.UNKNOWN_CLIENT: 404,
    Refusal.NOT_ALLOWED: 403,
    Refusal.QUOTA: 409,
    Refusal.DISK_FULL: 507,
    Refusal.STORAGE: 500,
    Refusal.INTERNAL: 500,
}
"""HTTP's word for each refusal; what is not here is wrong about what was sent: 422."""

NOT_MANAGED = RequestRefused(Refusal.NOT_ALLOWED, "Only the node's owner can ask this.")


class Conflict(ServerError):
    """This does not fit how things are now."""


@dataclass(frozen=True)
class Operation:
    """One thing that can be asked."""

    method: str
    path: str
    """As Starlette has it: /api/jobs/{job}, {path:path} with slashes."""
    handler: Handler
    summary: str
    answer: type | str = ""
    """A class of views.py, or a media type; empty: nothing."""
    body: type | str = ""
    """Likewise."""
    status: int = 200
    manages: bool = False
    """Whether only those may ask who manage the node."""


def routes(operations: Iterable[Operation]) -> list[Route]:
    """Return the routes, each of which answers what is wrong in one way."""
    return [Route(each.path, _guarded(each), methods=[each.method]) for each in operations]


def visitor_of(request: Request) -> Visitor:
    """Return who asks."""
    return cast("Visitor", request.state.visitor)


def answer(view: Any, status: int = 200) -> JSONResponse:
    """Return a view as JSON."""
    return JSONResponse(dataclasses.asdict(view), status)


async def body_of(request: Request, wanted: type[Any]) -> Any:
    """Return what was sent, as an instance of `wanted`. Raises RemoteProtocolError with a sentence."""
    taken = bytearray()
    async for piece in request.stream():
        taken += piece
        if len(taken) > BODY_BYTES:
            raise RemoteProtocolError("This is more than can be meant here.")
    try:
        said = json.loads(taken or b"{}")
    except (ValueError, RecursionError):
        raise RemoteProtocolError("This is not JSON.") from None
    return build(wanted, said)


def _guarded(operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        try:
            _check_manages(operation, request)
            return await operation.handler(request)
        except ClientDisconnect:
            return Response(status_code=400)  # Nobody reads it.
        except (ServerError, ProtocolError, InvalidFrames, OSError, WrongOffset) as error:
            log.debug("%s %s: %s", request.method, request.url.path, error)
            return _sorry(error)
        except Exception:
            log.exception("a request could not be handled")
            return JSONResponse({"error": "The node made a mistake: its log says what happened."}, 500)

    return respond


def _check_manages(operation: Operation, request: Request) -> None:
    if operation.manages and not visitor_of(request).manages:
        raise NOT_MANAGED


def _sorry(error: Exception) -> JSONResponse:
    """What was wrong, in HTTP's words and in ours."""
    if isinstance(error, WrongOffset):
        return JSONResponse({"error": str(error)}, 409, {"upload-offset": str(error.offset)})
    if isinstance(error, RequestRefused):
        return JSONResponse({"error": str(error)}, STATUS.get(error.reason, 422))
    if isinstance(error, OSError):
        if is_full(error):
            return JSONResponse({"error": "The node's disk is full: make room there, and try again."}, 507)
        return JSONResponse({"error": f"The node cannot do this: {error.strerror}."}, 500)
    return JSONResponse({"error": str(error)}, next((code for kind, code in _CODES if isinstance(error, kind)), 422))


_CODES: tuple[tuple[type[Exception], int], ...] = ((Conflict, 409), (NoFfmpeg, 501))
