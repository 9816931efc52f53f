# SPDX-License-Identifier: GPL-3.0-or-later
"""What the node's owner sees and does: Blenders, the store, who is let in."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass

import psutil
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from addon.protocol.messages import StoreStatus
from addon.protocol.messages.checks import check, check_line

from .. import machine
from ..background import in_thread
from ..clients import Client
from .desk import Desk
from .routing import Operation, answer, body_of
from .views import ClientsView, CpuView, GpuView, LinkView, MemoryView, WorkersView

NAME_LENGTH = 60
"""Characters of a name in a list."""


@dataclass(frozen=True, slots=True)
class Shrink:
    """How much may stay in the store, bytes."""

    to: int


@dataclass(frozen=True, slots=True)
class Decision:
    """About a request to be let in."""

    allow: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different about a client; None: it stays as it is."""

    name: str | None = None
    manages: bool | None = None
    quota: str | None = None
    scripts: bool | None = None


@dataclass(frozen=True, slots=True)
class Invitation:
    """Of somebody who has a browser only."""

    name: str

    def __post_init__(self) -> None:
        check(0 < len(self.name.strip()) <= NAME_LENGTH, "name's length")
        check_line(self.name)


class OwnerApi:
    """Answers who manages the node."""

    def __init__(self, desk: Desk, token_of: Callable[[Client], str]) -> None:
        """`token_of`: what lets a client in as itself."""
        self._desk = desk
        self._token_of = token_of
        client = "/api/clients/{client}"
        self.operations = (
            Operation("GET", "/api/workers", self._workers, "Blenders, and the machine", WorkersView, manages=True),
            Operation("GET", "/api/store", self._store, "What is kept of artists' files", StoreStatus, manages=True),
            Operation("POST", "/api/store/shrink", self._shrink, "Evict", StoreStatus, Shrink, manages=True),
            Operation("GET", "/api/clients", self._clients, "Who is let in, or asks to be", ClientsView, manages=True),
            Operation(
                "POST", "/api/clients/requests/{code}", self._decide, "Let somebody in, or not", ClientsView, Decision,
                manages=True,
            ),
            Operation(
                "POST", "/api/clients", self._invite, "Let in who has a browser only", LinkView, Invitation, 201,
                manages=True,
            ),
            Operation("GET", f"{client}/link", self._link, "What lets one in as itself", LinkView, manages=True),
            Operation("PATCH", client, self._change, "Change what one may", ClientsView, Change, manages=True),
            Operation("DELETE", client, self._revoke, "Let one in no more", ClientsView, manages=True),
        )  # fmt: skip

    async def _workers(self, _: Request) -> Response:
        return answer(await workers_view(self._desk))

    async def _store(self, _: Request) -> Response:
        return self._told(await self._desk.node.storekeeper.status(self._desk.stored(), None))

    async def _shrink(self, request: Request) -> Response:
        wanted = await body_of(request, Shrink)
        return self._told(await self._desk.node.storekeeper.status(self._desk.stored(), max(0, wanted.to)))

    @staticmethod
    def _told(status: StoreStatus) -> Response:
        return JSONResponse(asdict(status))

    async def _clients(self, _: Request) -> Response:
        return answer(self._desk.clients())

    async def _decide(self, request: Request) -> Response:
        wanted = await body_of(request, Decision)
        self._desk.letting_in.pairings.decide(request.path_params["code"], wanted.allow)
        return answer(self._desk.clients())

    async def _invite(self, request: Request) -> Response:
        wanted = await body_of(request, Invitation)
        return answer(self._link_of(self._desk.letting_in.invite(wanted.name.strip())), 201)

    async def _link(self, request: Request) -> Response:
        return answer(self._link_of(self._desk.letting_in.paired(request.path_params["client"])))

    def _link_of(self, client: Client) -> LinkView:
        return LinkView(client.id, client.name, self._token_of(client))

    async def _change(self, request: Request) -> Response:
        wanted, client = await body_of(request, Change), request.path_params["client"]
        known = self._desk.letting_in.paired(client)
        self._desk.letting_in.change(
            client,
            known.name if wanted.name is None else wanted.name,
            manages=known.manages if wanted.manages is None else wanted.manages,
            quota=known.quota if wanted.quota is None else wanted.quota,
            scripts=known.scripts if wanted.scripts is None else wanted.scripts,
        )
        self._desk.node.slots_changed()
        return answer(self._desk.clients())

    async def _revoke(self, request: Request) -> Response:
        self._desk.letting_in.revoke(request.path_params["client"])
        return answer(self._desk.clients())


async def workers_view(desk: Desk) -> WorkersView:
    """Look at the Blenders and at the machine."""
    workers = await desk.node.workers()
    cards = await in_thread(machine.gpus)
    memory = psutil.virtual_memory()
    return WorkersView(
        slots=workers.slots,
        workers=workers.workers,
        gpus=tuple(GpuView(**asdict(card)) for card in cards),
        cpu=CpuView(os.cpu_count() or 1, machine.cpu_load(), await in_thread(machine.cpu_temperature)),
        memory=MemoryView(memory.total, memory.total - memory.available),
    )
