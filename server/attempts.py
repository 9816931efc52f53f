# SPDX-License-Identifier: GPL-3.0-or-later
"""Which attempts' folders are in use: by the Blender that writes there, and by us who take its files over. Pure."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class _Use:
    job: str
    users: int


class OpenAttempts:
    """The folders that must not be deleted yet."""

    def __init__(self) -> None:
        self._uses: dict[Path, _Use] = {}

    def use(self, folder: Path, job: str) -> None:
        """Somebody (more) uses an attempt's folder."""
        self._uses.setdefault(folder, _Use(job, 0)).users += 1

    def leave(self, folder: Path) -> bool:
        """Somebody has finished with it; True when that was the last one."""
        use = self._uses[folder]
        use.users -= 1
        if use.users:
            return False
        del self._uses[folder]
        return True

    def any_of(self, job: str) -> bool:
        """Whether any folder of the job is in use."""
        return any(use.job == job for use in self._uses.values())
