# SPDX-License-Identifier: GPL-3.0-or-later
"""A node within another program, as Blender: that is told in lines of JSON, says who is let in, and takes it along.

On stdout: `ready` (its port, its name, the link to its page), `requests` (all who ask to be let in, at every change).
On stdin: `allow` and `deny`, each with the digits as `code`. When stdin closes, the node ends.
"""

import asyncio
import contextlib
import json
import logging
import platform
import sys
import threading
from typing import IO, Any

from addon.protocol.messages import PairingRequest

from .ending import Ending
from .errors import RequestRefused
from .letting_in import LettingIn
from .web.serving import Site

log = logging.getLogger(__name__)


class Supervision:
    """The lines between a node and the program that started it."""

    def __init__(self, heard: IO[bytes] | None = None, told: IO[bytes] | None = None) -> None:
        """`heard`, `told`: stdin and stdout, unless others are given."""
        self._heard = heard or sys.stdin.buffer
        self._told = told or sys.stdout.buffer
        self._letting_in: LettingIn | None = None

    def attend(self, letting_in: LettingIn, ending: Ending) -> None:
        """Take what is said from now on. The thread ends with stdin, or with the process."""
        self._letting_in = letting_in
        letting_in.watchers.append(self._tell_of_requests)
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, args=(loop, ending), name="stdin", daemon=True).start()

    def ready(self, port: int, site: Site | None) -> None:
        """Tell it where the node listens."""
        page = site.link if site is not None else ""
        self._tell({"event": "ready", "port": port, "name": platform.node(), "page": page})

    def asked(self, request: PairingRequest) -> None:
        """Nothing: it is told of all requests together."""

    def _tell_of_requests(self) -> None:
        assert self._letting_in is not None
        asking = self._letting_in.pairings.requests
        requests = [{"code": each.code, "name": each.name, "host": each.host} for each in asking]
        self._tell({"event": "requests", "requests": requests})

    def _tell(self, event: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # Who started it is gone: stdin closes, too.
            self._told.write(json.dumps(event).encode() + b"\n")
            self._told.flush()

    def _listen(self, loop: asyncio.AbstractEventLoop, ending: Ending) -> None:
        with contextlib.suppress(RuntimeError):  # The node has ended for another reason.
            for line in self._heard:
                loop.call_soon_threadsafe(self._take, line)
            loop.call_soon_threadsafe(ending.ask)

    def _take(self, line: bytes) -> None:
        assert self._letting_in is not None
        try:
            said = json.loads(line)
            allowed = {"allow": True, "deny": False}[said["command"]]
            self._letting_in.pairings.decide(str(said["code"]), allowed)
        except (ValueError, KeyError, TypeError):
            log.warning("not understood on stdin: %r", line[:100])
        except RequestRefused as refused:
            log.info("%s", refused)
