# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may come in, by CURVE key, and as whom."""

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from addon.durable import sync_folder
from addon.protocol.codec import build
from addon.protocol.errors import RemoteProtocolError

from .quotas import Quota


@dataclass(frozen=True, slots=True)
class Client:
    """One that was let in."""

    key: str
    """Public, in Z85."""
    name: str
    since: float
    """Seconds since the epoch."""
    manages: bool = False
    """Sees and stops everybody's jobs, and may do what the node's owner may."""
    quota: str = ""
    """What differs from everybody's quota, as Quota.changed takes it."""
    scripts: bool = False
    """Whether the Python in its files runs."""

    @property
    def id(self) -> str:
        """Its jobs' owner, 32 hexadecimal digits."""
        return client_id(self.key)


def client_id(key: str) -> str:
    """Return a short name for a key that nobody can have another key for: 128 bits of BLAKE2b."""
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


class Clients:
    """The list, kept in a file that is replaced as a whole and on disk when a method returns."""

    def __init__(self, path: Path, owner: str, quota: Quota, scripts: bool = False) -> None:
        """`owner`: key of the account that the node runs as, `scripts`: whether the Python in its files runs;
        `quota`: of all who are not trusted.

        Raises OSError; ValueError for a damaged list.
        """
        self._path = path
        self._quota = quota
        self._owner = Client(owner, "this account", 0.0, manages=True, scripts=scripts)
        self._known = _load(path)

    def __getitem__(self, key: str) -> Client:
        """Return who has a key. Raises KeyError for one that is not let in."""
        return self._owner if key == self._owner.key else self._known[key]

    def __contains__(self, key: str) -> bool:
        return key == self._owner.key or key in self._known

    @property
    def paired(self) -> list[Client]:
        """All but the node's own account, the oldest first."""
        return sorted(self._known.values(), key=lambda client: client.since)

    def quota(self, client: str) -> Quota:
        """How much the client with this id may take; one that was let in no more keeps to what everybody may."""
        known = self._find(client)
        if known is None:
            return self._quota
        return Quota() if known.manages else self._quota.changed(known.quota)

    def runs_scripts(self, client: str) -> bool:
        """Whether the Python in the files of the client with this id runs."""
        known = self._find(client)
        return known is not None and known.scripts

    def name_of(self, client: str) -> str:
        """Return the name of the client with this id, or the id's first digits for one that is let in no more."""
        known = self._find(client)
        return client[:8] if known is None else known.name

    def allow(self, key: str, name: str) -> None:
        """Let a key in from now on; one that is known already is only named anew."""
        known = self._known.get(key)
        client = replace(known, name=name) if known else Client(key, name, time.time())
        self._save(self._known | {key: client})

    def revoke(self, key: str) -> None:
        """Let it in no more."""
        self._save({known: client for known, client in self._known.items() if known != key})

    def change(self, client: Client) -> None:
        """Keep what has changed about one that is known."""
        self._save(self._known | {client.key: client})

    def _find(self, client: str) -> Client | None:
        return next((each for each in (self._owner, *self._known.values()) if each.id == client), None)

    def _save(self, known: dict[str, Client]) -> None:
        text = json.dumps([asdict(client) for client in known.values()], indent=1)
        temporary = self._path.with_suffix(".new")
        with open(temporary, "w", encoding="utf-8", opener=_private) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        sync_folder(self._path.parent)
        self._known = known


def _load(path: Path) -> dict[str, Client]:
    try:
        listed = json.loads(path.read_text("utf-8"))
        clients = [build(Client, each) for each in listed]
        for client in clients:
            Quota().changed(client.quota)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, RemoteProtocolError) as error:
        raise ValueError(f"{path} is damaged ({error}): delete it, and pair all clients again.") from None
    return {client.key: client for client in clients if isinstance(client, Client)}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
