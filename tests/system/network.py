# SPDX-License-Identifier: GPL-3.0-or-later
"""A network of its own, in which a node's address can change: Linux, and no rights needed.

`unshare` gives a user, network and mount namespace; a shell holds it open. In it there is a loopback device that has
the node's address besides its own, and an /etc/hosts that names the node.
"""

import shutil
import subprocess
from pathlib import Path

from tests.system.harness import ROOT

NODE = "render-box"

_HOLD = 'ip link set lo up && mount --bind "$1" /etc/hosts && echo there && exec cat'
_SPACES = ("--user", "--net", "--mount")


def why_no_network() -> str:
    """Return why there can be none here, or an empty string."""
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        return "no unshare, nsenter and ip here, as Linux has them"
    tried = subprocess.run(
        ["unshare", *_SPACES, "--map-root-user", "ip", "link", "set", "lo", "up"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return f"this system gives no network namespace: {tried.stderr.strip()}" if tried.returncode else ""


class Network:
    """For the programs that are started with `within` before their own words."""

    def __init__(self, folder: Path, beside: "Network | None" = None) -> None:
        """`beside`: another one, whose user may join the two with a cable."""
        self._hosts = folder / "hosts"
        self._hosts.write_text("127.0.0.1 localhost\n")
        rights = ["unshare", *_SPACES, "--map-root-user"]
        if beside is not None:
            rights = [*beside.within, "unshare", "--net", "--mount"]
        self._holder = subprocess.Popen(
            [*rights, "sh", "-c", _HOLD, "sh", str(self._hosts)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "there\n"
        target = ("--target", str(self._holder.pid))
        # Without --wd it would be the root folder, and Python would find other programs' modules.
        self.within: tuple[str, ...] = ("nsenter", "--preserve-credentials", *_SPACES, f"--wd={ROOT}", *target)

    def give(self, address: str) -> None:
        """From now on the node has this IP address, and that is what its name stands for."""
        self._ip("addr", "add", f"{address}/32", "dev", "lo")
        self._hosts.write_text(f"127.0.0.1 localhost\n{address} {NODE}\n")  # In place: it is mounted elsewhere.

    def take(self, address: str) -> None:
        """Nobody has this address any more: what goes there is lost without a word, as when a machine has moved on."""
        self._ip("addr", "del", f"{address}/32", "dev", "lo")
        self._ip("route", "add", "blackhole", f"{address}/32")

    def join(self, other: "Network") -> None:
        """Lay a cable to another one, which is `beside` this one: a device `cable` in each, without an address."""
        self._ip("link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(other._holder.pid))
        for end in (self, other):
            end._ip("link", "set", "cable", "up")

    def plug(self, address: str) -> None:
        """From now on the cable's end has this IP address, with its network, such as 10.78.0.1/24, and no other."""
        self._ip("addr", "flush", "dev", "cable")
        self._ip("addr", "add", address, "dev", "cable")

    def unplug(self) -> None:
        """The cable's end has no address any more."""
        self._ip("addr", "flush", "dev", "cable")

    def close(self) -> None:
        """Let go of it; programs in it keep it as long as they run."""
        self._holder.communicate()

    def _ip(self, *words: str) -> None:
        subprocess.run([*self.within, "ip", *words], check=True, stdin=subprocess.DEVNULL)
