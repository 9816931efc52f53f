# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things lie in the store's folder.

- files/<digest>: a complete file, uncompressed and whole, as jobs get it
- incoming/<digest>.<owner>.part: one on its way in
- incoming/<digest>.twin: a spare copy, which the next save will be made of
- incoming/<...>.new: something about to get its name; worthless after a crash
- manifests/<digest>: what is in which files, packed
- index.sqlite3: see index.py
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from addon.durable import make_folder, sync, sync_folder
from addon.protocol.digest import new_digest
from addon.protocol.errors import RemoteProtocolError
from addon.protocol.manifest import Manifest

from . import copying

_OWNER = re.compile(r"[0-9A-Za-z_-]{1,64}\Z")
_OURS = re.compile(r"(?:files/[0-9a-f]{32}|incoming/[0-9a-f]{32}\.(?:[0-9A-Za-z_-]{1,64}\.part|twin))\Z")
_DIGEST = re.compile(r"[0-9a-f]{32}\Z")


class Folders:
    """The names and paths of one store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = root / "files"
        self.incoming = root / "incoming"
        self.manifests = root / "manifests"
        self.index = root / "index.sqlite3"
        for folder in (self.files, self.incoming, self.manifests):
            make_folder(folder)
        for path in self.incoming.glob("*.new"):
            path.unlink(missing_ok=True)

    def file(self, digest: str) -> Path:
        """Where a complete file lies, or would."""
        return self.files / digest

    def part(self, digest: str, owner: str) -> Path:
        """Where an artist's file on its way in lies, or would."""
        return self.incoming / f"{digest}.{owner}.part"

    def twin(self, digest: str) -> Path:
        """Where the spare copy of a file lies, or would."""
        return self.incoming / f"{digest}.twin"

    def fresh(self, name: str) -> Path:
        """Where something is made that will be called `name`."""
        return self.incoming / f"{name}.new"

    def name(self, path: Path) -> str:
        """What the index calls a file of the store."""
        return f"{path.parent.name}/{path.name}"

    def path(self, name: str) -> Path:
        """The reverse of `name`."""
        return self.root / name

    def present(self) -> set[str]:
        """Return the names of all files, those on their way and spare copies included."""
        folders = (self.files, self.incoming)
        names = {f"{folder.name}/{entry.name}" for folder in folders for entry in os.scandir(folder)}
        return {name for name in names if _OURS.match(name)}

    # Manifests

    def packed_manifest(self, digest: str) -> bytes | None:
        """Return a manifest as it came; None if it is not here. One that a power cut has torn is deleted."""
        path = self.manifests / digest
        try:
            packed = path.read_bytes()
        except FileNotFoundError:
            return None
        found = new_digest()
        found.update(packed)
        if found.hexdigest() == digest:
            return packed
        path.unlink(missing_ok=True)
        return None

    def manifest(self, digest: str) -> Manifest | None:
        """Return a manifest; None if it is not here, or not one that this Python can read."""
        packed = self.packed_manifest(digest)
        try:
            return None if packed is None else Manifest.unpack(packed)
        except RemoteProtocolError:  # Its chunks are named by BLAKE3, and the wheel has gone.
            return None

    def keep_manifest(self, manifest: Manifest) -> None:
        """Write a manifest down; `sync_manifest` makes it last."""
        if self.packed_manifest(manifest.digest) is None:
            fresh = self.fresh(f"{manifest.digest}.{os.urandom(4).hex()}")
            fresh.write_bytes(manifest.packed)
            fresh.replace(self.manifests / manifest.digest)

    def sync_manifest(self, digest: str) -> None:
        """Wait until a manifest is on disk for good."""
        sync(self.manifests / digest)
        sync_folder(self.manifests)

    def drop_manifest(self, digest: str) -> None:
        """Delete a manifest."""
        (self.manifests / digest).unlink(missing_ok=True)

    def kept_manifests(self) -> Iterator[str]:
        """Yield the manifests' digests, the oldest first."""
        stamps = [(copying.stamp(Path(entry.path)), entry.name) for entry in os.scandir(self.manifests)]
        found = [(stamp[1], name) for stamp, name in stamps if stamp is not None and _DIGEST.match(name)]
        return (name for _, name in sorted(found))


def check_owner(owner: str) -> None:
    """Raises ValueError for an owner that cannot be part of a file's name."""
    if not _OWNER.match(owner):
        raise ValueError(f"{owner[:80]!r} is no name of an owner")


def digest_in(name: str) -> str:
    """Return the digest in the name of a file of the store."""
    return name.partition("/")[2].partition(".")[0]
