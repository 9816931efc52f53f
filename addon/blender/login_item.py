# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that starts when this account logs in, by one file in the place that each system has for that.

Linux: the Desktop Application Autostart Specification. macOS: a launchd agent, read at the next login. Windows: the
Startup folder. The last two are written from their documentation, and not tested.
"""

import os
import plistlib
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

NAME = "relay-render-node"


class LoginItem:
    """The file, for one system and one account."""

    def __init__(
        self, platform: str = sys.platform, environment: Mapping[str, str] = os.environ, home: Path | None = None
    ) -> None:
        self._platform = platform
        home = home or Path.home()
        if platform == "win32":
            roaming = Path(environment.get("APPDATA") or home / "AppData" / "Roaming")
            self.path = roaming / "Microsoft" / "Windows" / "Start Menu" / "Programs" / "Startup" / f"{NAME}.cmd"
        elif platform == "darwin":
            self.path = home / "Library" / "LaunchAgents" / f"{NAME}.plist"
        else:
            config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
            self.path = config / "autostart" / f"{NAME}.desktop"

    @property
    def is_set(self) -> bool:
        """Whether it starts at login."""
        return self.path.exists()

    def set(self, command: Sequence[str]) -> None:
        """Have this started at every login from now on. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(self._text(command))

    def clear(self) -> None:
        """Have nothing started any more. Raises OSError."""
        self.path.unlink(missing_ok=True)

    def _text(self, command: Sequence[str]) -> bytes:
        if self._platform == "win32":
            # cmd reads batch files in the console's code page; a percent sign begins a variable's name.
            line = subprocess.list2cmdline(command).replace("%", "%%")
            return f'@chcp 65001 >nul\r\n@start "Relay Render" /min {line}\r\n'.encode()
        if self._platform == "darwin":
            return plistlib.dumps({"Label": NAME, "ProgramArguments": [*command], "RunAtLoad": True})
        words = " ".join(map(_quoted, command))
        return f"[Desktop Entry]\nType=Application\nName=Relay Render node\nExec={words}\n".encode()


def _quoted(word: str) -> str:
    """An argument as the Desktop Entry Specification has it: quoted, then with the escapes of every string value."""
    escaped = re.sub(r'(["`$\\])', r"\\\1", word).replace("%", "%%")
    return '"' + escaped.replace("\\", "\\\\") + '"'
