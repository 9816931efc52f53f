# SPDX-License-Identifier: GPL-3.0-or-later
"""What the node's owner decides about those who come in; the same for the protocol and for the page."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import zmq

from addon.protocol.messages import ClientList, ClientStatus, Refusal

from .clients import Client, Clients
from .endpoint import Endpoint
from .errors import RequestRefused
from .pairing import Pairings
from .quotas import Quota

log = logging.getLogger(__name__)


@dataclass
class LettingIn:
    """Lets clients in, and out."""

    clients: Clients
    pairings: Pairings
    endpoint: Endpoint
    watchers: list[Callable[[], None]] = field(default_factory=list)
    """Called when what `listed` returns is another."""

    def changed(self) -> None:
        """What `listed` returns is another."""
        for watcher in self.watchers:
            watcher()

    def listed(self) -> ClientList:
        """Return who is let in, and who asks to be."""
        keys = [each.key for each in self.endpoint.sessions()]
        known = (
            ClientStatus(each.id, each.name, each.since, each.manages, each.quota, each.scripts, keys.count(each.key))
            for each in self.clients.paired
        )
        return ClientList(tuple(known), self.pairings.requests)

    def paired(self, client: str) -> Client:
        """Return a client by its id. Raises RequestRefused."""
        found = self.find(client)
        if found is None:
            raise RequestRefused(Refusal.UNKNOWN_CLIENT, "The node does not know this client (any more).")
        return found

    def find(self, client: str) -> Client | None:
        """Return a client by its id, if it is let in."""
        return next((each for each in self.clients.paired if each.id == client), None)

    def invite(self, name: str) -> Client:
        """Let somebody in who has a browser only: with a key that nobody has, for all else is by a client's key."""
        key = zmq.curve_keypair()[0].decode()
        self.clients.allow(key, name)
        log.info("%s is let in, by the page alone", name)
        self.changed()
        return self.clients[key]

    def revoke(self, client: str) -> None:
        """Let it in no more, from now on. Raises RequestRefused."""
        known = self.paired(client)
        self.clients.revoke(known.key)
        self.endpoint.cut_off(known.key)
        log.info("%s is not let in any more", known.name)
        self.changed()

    def change(self, client: str, name: str, *, manages: bool, quota: str, scripts: bool) -> None:
        """Raises RequestRefused."""
        known = self.paired(client)
        try:
            Quota().changed(quota)
        except ValueError as error:
            raise RequestRefused(Refusal.BAD_QUOTA, str(error)) from None
        self.clients.change(replace(known, name=name, manages=manages, quota=quota, scripts=scripts))
        self.changed()
