# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether frames can be put into a folder, asked before anything is rendered for it."""

import os
from pathlib import Path


def obstacle(folder: str) -> str:
    """Return what to do so that frames can be written to `folder`, or an empty string. Creates nothing.

    Windows answers for its read-only flag alone, not for the folder's permissions: there the client finds out when it
    writes, and says so.
    """
    existing = _nearest_existing(Path(folder))
    if not existing.is_dir():
        return f"{existing} is a file, so {folder} cannot be created: choose another output folder."
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"You may not write to {existing}: choose another output folder or ask for the permission."
    return ""


def _nearest_existing(path: Path) -> Path:
    return next((candidate for candidate in (path, *path.parents) if candidate.exists()), Path(path.anchor))
