# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the store within its limit, and ready for the next save, whatever jobs need of it."""

import asyncio
from collections.abc import Awaitable, Callable

from addon.protocol.messages import StoreStatus

from .background import Background, in_thread
from .gallery import Gallery
from .store import Store


class Storekeeper:
    """One thing at a time. `keep` everywhere: manifests, by their digests, whose jobs may still be submitted."""

    def __init__(
        self,
        store: Store,
        needed: Callable[[], set[str]],
        let_go: Callable[[], Awaitable[None]],
        gallery: Gallery,
        background: Background,
    ) -> None:
        """`needed`: manifests of jobs; `let_go`: has Blenders with nothing to do let go of their files.

        `gallery`: makes way first.
        """
        self._store = store
        self._needed = needed
        self._let_go = let_go
        self._gallery = gallery
        self._background = background
        self._working = asyncio.Lock()

    def tidy(self, stored: str, keep: set[str]) -> None:
        """Evict what is too much, after the manifest `stored` has come, and be ready for the save after it."""
        self._background.start(self._tidy(stored, keep))

    async def _tidy(self, stored: str, keep: set[str]) -> None:
        async with self._working:
            await in_thread(self._store.prune, self._needed() | keep)
            manifest = self._store.manifest(stored)
            if manifest is not None:
                await in_thread(self._store.prepare_twin, manifest)

    async def make_room(self, lacking: int, keep: set[str]) -> bool:
        """Delete so many bytes of what no job needs; False, and no files of artists, if there are not so many."""
        async with self._working:
            lacking -= self._gallery.make_way(lacking)
            if lacking <= 0:
                return True
            needed = self._needed() | keep
            report = await in_thread(self._store.report, needed)
            if report.bytes - report.needed < lacking:
                return False
            await self._let_go()
            return (await in_thread(self._store.prune, needed, report.bytes - lacking)).bytes >= lacking

    async def _shrink(self, needed: set[str], shrink_to: int) -> int:
        held = (await in_thread(self._store.report, needed)).bytes + self._gallery.size
        shown = self._gallery.make_way(max(0, held - shrink_to))
        await self._let_go()
        return shown + (await in_thread(self._store.prune, needed, shrink_to)).bytes

    async def status(self, keep: set[str], shrink_to: int | None) -> StoreStatus:
        """Say what the store holds.

        `shrink_to`: first what no job needs is evicted, until so many bytes are left; None: nothing. The gallery, which
        counts, goes before artists' files.
        """
        async with self._working:
            needed = self._needed() | keep
            evicted = 0 if shrink_to is None else await self._shrink(needed, shrink_to)
            report = await in_thread(self._store.report, needed)
        return StoreStatus(
            files=report.files,
            bytes=report.bytes,
            needed=report.needed,
            limit=report.limit,
            partial=report.partial,
            partial_bytes=report.partial_bytes,
            spare=report.spare,
            spare_bytes=report.spare_bytes,
            evicted=evicted,
            last_use=report.last_use,
            gallery=self._gallery.size,
            gallery_limit=self._gallery.limit,
        )
