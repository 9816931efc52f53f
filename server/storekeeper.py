# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the store within its limit, and ready for the next save, whatever jobs need of it."""

import asyncio
from collections.abc import Awaitable, Callable

from addon.protocol.messages import StoreStatus

from .background import Background, in_thread
from .store import Store


class Storekeeper:
    """One thing at a time. `keep` everywhere: manifests, by their digests, whose jobs may still be submitted."""

    def __init__(
        self,
        store: Store,
        needed: Callable[[], set[str]],
        let_go: Callable[[], Awaitable[None]],
        background: Background,
    ) -> None:
        """`needed`: manifests of jobs; `let_go`: has Blenders with nothing to do let go of their files."""
        self._store = store
        self._needed = needed
        self._let_go = let_go
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
        """Evict so many bytes of what no job needs; nothing, and False, if there are not so many."""
        async with self._working:
            needed = self._needed() | keep
            report = await in_thread(self._store.report, needed)
            if report.bytes - report.needed < lacking:
                return False
            await self._let_go()
            return (await in_thread(self._store.prune, needed, report.bytes - lacking)).bytes >= lacking

    async def status(self, keep: set[str], shrink_to: int | None) -> StoreStatus:
        """Say what the store holds, after evicting down to `shrink_to` bytes, if that is given, what no job needs."""
        async with self._working:
            needed = self._needed() | keep
            if shrink_to is not None:
                await self._let_go()
            evicted = 0 if shrink_to is None else (await in_thread(self._store.prune, needed, shrink_to)).bytes
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
        )
