# SPDX-License-Identifier: GPL-3.0-or-later
"""What may go when the store is too large. No I/O."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from .index import FileRow, ManifestRow, Phase, State


@dataclass(frozen=True, slots=True)
class Held:
    """A file, and the bytes that it takes on the disk."""

    row: FileRow
    bytes: int


@dataclass(slots=True)
class Victims:
    """What goes."""

    manifests: list[ManifestRow] = field(default_factory=list)
    files: list[Held] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """How much room that makes."""
        return _bytes(self.files) + sum(row.size for row in self.manifests)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What has gone."""

    manifests: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What the store holds. Sizes in bytes on the disk."""

    manifests: int
    files: int
    """Complete ones."""
    bytes: int
    """Of everything."""
    needed: int
    """Of what jobs need."""
    limit: int
    partial: int
    """Files that have not come whole."""
    partial_bytes: int
    spare: int
    """Copies in wait for the next save."""
    spare_bytes: int
    last_use: float | None
    """Seconds since the epoch."""


def choose(manifests: Sequence[ManifestRow], files: Iterable[Held], keep: AbstractSet[str], limit: int) -> Victims:
    """Return what goes so that no more than `limit` bytes stay; the manifests come least recently used first.

    A file goes with the last manifest that names it. Never goes a manifest in `keep`. In any case goes what nobody
    asks for any more: files without a manifest, parts of what has come whole, saves that were given up for a newer
    one. Then, until there is room: older saves of a .blend that has a newer one, since artists save by the minute and
    the textures of last week's project are worth more; spare copies; the rest.
    """
    choice = _Choice(manifests, files)
    choice.drop_useless()
    superseded = [row for row in _superseded(manifests) if row.digest not in keep]
    for row in superseded:
        if row.state != Phase.STORED:
            choice.drop_manifest(row)
    withdrawn = [row for row in manifests if row.state == Phase.WITHDRAWN and row.digest not in keep]
    choice.drop_until(limit, manifests=[*superseded, *withdrawn])
    choice.drop_until(limit, files=choice.twins())
    choice.drop_until(limit, manifests=[row for row in manifests if row.digest not in keep])
    return choice.victims


def report(manifests: Sequence[ManifestRow], files: Sequence[Held], keep: AbstractSet[str], limit: int) -> StoreReport:
    """Return what the store holds; `keep`: the manifests that jobs need."""
    kept = [row for row in manifests if row.digest in keep]
    needed = {digest for row in kept for digest in row.files}
    by_state: dict[State, list[Held]] = {state: [held for held in files if held.row.state == state] for state in State}
    complete, partial, spare = by_state[State.COMPLETE], by_state[State.PARTIAL], by_state[State.TWIN]
    return StoreReport(
        manifests=len(manifests),
        files=len(complete),
        bytes=_bytes(files) + sum(row.size for row in manifests),
        needed=_bytes(held for held in complete if held.row.digest in needed) + sum(row.size for row in kept),
        limit=limit,
        partial=len(partial),
        partial_bytes=_bytes(partial),
        spare=len(spare),
        spare_bytes=_bytes(spare),
        last_use=max((row.moment for row in manifests), default=None),
    )


def _bytes(files: Iterable[Held]) -> int:
    return sum(held.bytes for held in files)


class _Choice:
    def __init__(self, manifests: Iterable[ManifestRow], files: Iterable[Held]) -> None:
        self.victims = Victims()
        self._files: defaultdict[str, list[Held]] = defaultdict(list)
        for held in files:
            self._files[held.row.digest].append(held)
        self._named: Counter[str] = Counter()
        self.total = sum(held.bytes for found in self._files.values() for held in found)
        self._left = {}
        for row in manifests:
            self._left[row.digest] = row
            self._named.update(row.files)
            self.total += row.size

    def drop_useless(self) -> None:
        for digest, found in list(self._files.items()):
            if not self._named[digest]:
                self.drop_files(list(found))
            elif any(held.row.state == State.COMPLETE for held in found):
                self.drop_files([held for held in found if held.row.state == State.PARTIAL])

    def drop_until(self, limit: int, manifests: Iterable[ManifestRow] = (), files: Iterable[Held] = ()) -> None:
        for row in manifests:
            if self.total > limit:
                self.drop_manifest(row)
        for held in files:
            if self.total > limit:
                self.drop_files([held])

    def drop_manifest(self, row: ManifestRow) -> None:
        if self._left.pop(row.digest, None) is None:
            return
        self.victims.manifests.append(row)
        self.total -= row.size
        for digest in row.files:
            self._named[digest] -= 1
            if not self._named[digest]:
                self.drop_files(list(self._files[digest]))

    def drop_files(self, found: list[Held]) -> None:
        for held in found:
            self._files[held.row.digest].remove(held)
            self.victims.files.append(held)
            self.total -= held.bytes

    def twins(self) -> list[Held]:
        """The oldest first."""
        found = [held for group in self._files.values() for held in group if held.row.state == State.TWIN]
        return sorted(found, key=lambda held: held.row.id)


def _superseded(manifests: Sequence[ManifestRow]) -> Iterator[ManifestRow]:
    """Those whose .blend has a newer save, and that has been stored."""
    newest = {row.origin: row.used for row in manifests if row.state == Phase.STORED}
    return (row for row in manifests if row.used < newest.get(row.origin, 0))
