# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that can be filled, for programs that run in a namespace of their own: Linux, and no rights needed.

`unshare` gives a user and mount namespace in which anybody may mount a tmpfs; a shell holds it open, so that what is on
the disk outlives the programs that use it.
"""

import contextlib
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]

_HOLD = 'mount -t tmpfs -o size="$2",mode=700 tmpfs "$1" && echo mounted && exec cat'
_BLOCK_BYTES = 64 << 10


def why_no_small_disk() -> str:
    """Return why there can be none here, or an empty string."""
    if not (shutil.which("unshare") and shutil.which("nsenter")):
        return "no unshare and nsenter here, as Linux has them"
    tried = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return f"this system gives no mount namespace: {tried.stderr.strip()}" if tried.returncode else ""


class SmallDisk:
    """`size_bytes` at `folder`, as the programs see it that are started with `within` before their own words."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        folder.mkdir()
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _HOLD, "sh"]
        self._holder = subprocess.Popen(
            [*command, str(folder), str(size_bytes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "mounted\n"
        pid = str(self._holder.pid)
        here = f"--wd={ROOT}"  # Else it would be the root folder, and Python would find other programs' modules.
        self.within = ("nsenter", "--preserve-credentials", "--user", "--mount", here, "--target", pid)
        self.seen = Path(f"/proc/{pid}/root{folder}")
        """The same folder for us, who are outside."""
        self._ballast = self.seen / "ballast"

    def fill(self) -> None:
        """Leave no byte free."""
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
            for block in (_BLOCK_BYTES, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        ballast.write(bytes(block))

    def make_room(self) -> None:
        """Take away what filled it."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it, and of all that is on it."""
        self._holder.communicate()
