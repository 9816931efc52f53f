# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an artist may have yet more on this node: quotas, held against what there is."""

from collections.abc import Callable

from addon.protocol.manifest import Manifest

from .background import in_thread
from .books import Books
from .jobs import Job
from .quotas import Quota
from .store import Store


class Admission:
    """Raises RequestRefused where it would be too much."""

    def __init__(self, books: Books, store: Store, quota: Callable[[str], Quota]) -> None:
        """`quota`: what an owner of jobs may take."""
        self._books = books
        self._store = store
        self._quota = quota

    def slots(self, owner: str) -> int | None:
        """Frames of an owner that may be rendered at once; None: as many as there are slots."""
        return self._quota(owner).slots

    async def check_files(self, owner: str, manifest: Manifest, arriving: set[str]) -> None:
        """Files may come, besides those of the owner's jobs and of other manifests, by their digests, on their way.

        What is a job's already may always come again.
        """
        quota = self._quota(owner)
        needed = self._books.store.needed_manifests(owner)
        if quota.stored is not None and manifest.digest not in needed:
            quota.check_stored(await in_thread(self._store.size_of, needed | arriving, manifest))

    def check_job(self, job: Job, frames: int) -> None:
        """So many frames of a job that is not under way may wait; those that it replaces do not count."""
        quota = self._quota(job.owner)
        others = [
            other for other in self._books if other.owner == job.owner and not (other.finished or job.replaces(other))
        ]
        quota.check_jobs(len(others))
        quota.check_frames(sum(other.unrendered for other in others), frames)
