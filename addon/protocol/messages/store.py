# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node keeps of artists' files."""

from dataclasses import dataclass

from .checks import check


@dataclass(frozen=True, slots=True)
class AskStore:
    """Say what the node keeps of artists' files, after evicting what no job needs until `shrink_to` bytes are left."""

    shrink_to: int | None = None
    """None: nothing is evicted."""

    def __post_init__(self) -> None:
        check(self.shrink_to is None or self.shrink_to >= 0, "size of a store")


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """What the node keeps of artists' files. Sizes in bytes on its disk."""

    files: int
    """Complete ones."""
    bytes: int
    """Of everything in the store."""
    needed: int
    """Of what jobs need: it is never evicted."""
    limit: int
    partial: int
    """Files that have not come whole."""
    partial_bytes: int
    spare: int
    """Copies of large .blends in wait for their next save."""
    spare_bytes: int
    evicted: int
    """Bytes that were evicted for this answer."""
    last_use: float | None
    """Seconds since the epoch."""
    gallery: int
    """Of frames that are home, and of small pictures: beside the store, and needed by nobody."""
    gallery_limit: int
