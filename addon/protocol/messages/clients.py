# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is let in: for the node's owner."""

from dataclasses import dataclass

from .checks import check, check_id, check_text


@dataclass(frozen=True, slots=True)
class AskClients:
    """Say who is let in, and who asks to be."""


@dataclass(frozen=True, slots=True)
class Decide:
    """Let in who shows these six digits, or turn them away."""

    code: str
    allowed: bool

    def __post_init__(self) -> None:
        check(len(self.code) == 6 and self.code.isascii() and self.code.isdigit(), "pairing code")


@dataclass(frozen=True, slots=True)
class Revoke:
    """Let a client in no more, from this moment on."""

    client: str

    def __post_init__(self) -> None:
        check_id(self.client)


@dataclass(frozen=True, slots=True)
class ChangeClient:
    """Name a client anew, say whether it may do what the owner may, how much of the node it may take, and whether the
    Python in its files runs.
    """

    client: str
    name: str
    manages: bool
    quota: str
    """What differs from everybody's, such as ``jobs=20,stored=50GB``."""
    scripts: bool

    def __post_init__(self) -> None:
        check_id(self.client)
        check_text(self.name, self.quota)


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """One that is let in."""

    client: str
    """32 hexadecimal digits: the owner of its jobs."""
    name: str
    since: float
    """Seconds since the epoch."""
    manages: bool
    """Sees and stops everybody's jobs, lets others in, and takes of the node what it likes."""
    quota: str
    """What differs from everybody's."""
    scripts: bool
    """Whether the Python in its files runs."""
    connected: int
    """Its connections now."""


@dataclass(frozen=True, slots=True)
class PairingRequest:
    """One that asks to be let in."""

    code: str
    """The six digits that both sides show."""
    name: str
    """What it says of itself."""
    host: str
    """Where it asks from."""


@dataclass(frozen=True, slots=True)
class ClientList:
    """Answer to all of these."""

    clients: tuple[ClientStatus, ...]
    requests: tuple[PairingRequest, ...]
