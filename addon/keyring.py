# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of this account on this machine: its own, those of the nodes it knows, and those of nodes it runs itself.

Shared by both sides, for the account that runs a node and an artist's programs needs no pairing between them. All files
lie in one folder that only the account itself can read; on Windows the profile's own access rights see to that.
"""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import zmq

from .durable import make_folder, sync_folder
from .protocol.address import Address

HOME_VARIABLE = "RELAY_RENDER_HOME"
"""Environment variable that names another folder."""

KEY_LENGTH = 40
"""Characters of a CURVE key in Z85, ZeroMQ's printable form of 32 bytes."""


def home() -> Path:
    """Return the folder; it may not exist yet."""
    if chosen := os.environ.get(HOME_VARIABLE):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "relay-render"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE key pair, in Z85."""

    public: bytes
    secret: bytes


def key_pair(path: Path) -> KeyPair:
    """Return the key pair that is kept in a file, made on first use. Raises OSError; ValueError for a damaged file."""
    make_folder(path.parent, mode=0o700)
    with contextlib.suppress(FileExistsError):
        _write_new(path, zmq.curve_keypair()[1])
    secret = path.read_bytes().strip()
    try:
        return KeyPair(zmq.curve_public(secret), secret)
    except (zmq.ZMQError, ValueError):
        raise ValueError(f"{path} holds no key: delete it, and pair again with what knew it.") from None


class Keyring:
    """What one account has."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = home() if folder is None else folder

    @property
    def own(self) -> KeyPair:
        """This account's own pair, as an artist."""
        return key_pair(self._folder / "client.key")

    def node_keys(self, address: Address) -> list[bytes]:
        """Public keys that the node at an address may have, the likeliest first; empty: not paired."""
        found = [known for known in (self._paired().get(_name(address)), self._local(address)) if known]
        return [key.encode() for key in dict.fromkeys(found)]

    def pair(self, address: Address, key: bytes) -> None:
        """From now on the node at an address is the one with this key."""
        self._save(self._paired() | {_name(address): key.decode()})

    def forget(self, address: Address) -> None:
        """Know nothing of the node at an address."""
        paired = self._paired()
        if paired.pop(_name(address), None) is not None:
            self._save(paired)

    def announce(self, port: int, key: bytes, page: str = "") -> Callable[[], None]:
        """Tell this account's programs which key the node has that it runs on a port, and the link to its page.

        Returns what takes that back.
        """
        path = self._folder / "local" / str(port)
        link = path.with_name(f"{port}.page")
        make_folder(path.parent, mode=0o700)
        _replace(link, page.encode())
        _replace(path, key)

        def forget() -> None:
            path.unlink(missing_ok=True)
            link.unlink(missing_ok=True)

        return forget

    def page(self, port: int) -> str | None:
        """Return the link to the page of the node that this account runs on a port; None: there is none."""
        return _read(self._folder / "local" / f"{port}.page") or None

    def _local(self, address: Address) -> str | None:
        if address.host not in ("localhost", "127.0.0.1", "::1"):
            return None
        return _read(self._folder / "local" / str(address.port))

    def _paired(self) -> dict[str, str]:
        try:
            known = json.loads(_read(self._folder / "nodes.json") or "{}")
        except ValueError:
            return {}
        return known if isinstance(known, dict) else {}

    def _save(self, paired: dict[str, str]) -> None:
        make_folder(self._folder, mode=0o700)
        _replace(self._folder / "nodes.json", json.dumps(paired, indent=1).encode())


def _name(address: Address) -> str:
    return f"{address.host.lower()}:{address.port}"


def _read(path: Path) -> str | None:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _write_new(path: Path, content: bytes) -> None:
    """Raises FileExistsError. Others see all of it or nothing: a link is made only to what is complete."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)  # Readable by its owner only.
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if os.name == "nt":
            Path(temporary).rename(path)  # There it fails where there is a file.
        else:
            os.link(temporary, path)
        sync_folder(path.parent)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)
    sync_folder(path.parent)
