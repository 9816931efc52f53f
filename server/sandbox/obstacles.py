# SPDX-License-Identifier: GPL-3.0-or-later
"""Why bubblewrap is not there or does not work on this machine, and what its owner can do about it."""

from dataclasses import dataclass
from pathlib import Path

INSTALL = {
    "debian": "sudo apt install bubblewrap",
    "fedora": "sudo dnf install bubblewrap",
    "rhel": "sudo dnf install bubblewrap",
    "arch": "sudo pacman -S bubblewrap",
    "suse": "sudo zypper install bubblewrap",
    "alpine": "sudo apk add bubblewrap",
    "gentoo": "sudo emerge sys-apps/bubblewrap",
    "void": "sudo xbps-install bubblewrap",
}
"""By distribution, or one that it is like (os-release(5)). The package is called the same everywhere."""

APPARMOR = (
    "Ubuntu from 24.04 on lets only programs with an AppArmor profile make namespaces: run `sudo apt install "
    "apparmor-profiles && sudo ln -s /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && "
    "sudo apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict`."
)
"""From Ubuntu's release notes and the profile's own comment; untested."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands in the way of a sandbox."""

    text: str
    """One sentence."""
    remedy: str
    """What to do about it, one sentence."""


def missing(root: Path = Path("/")) -> Obstacle:
    """There is no bwrap."""
    names = _distribution(root)
    command = next((INSTALL[name] for name in names if name in INSTALL), None)
    how = f"Run `{command}`." if command else "Install your distribution's package bubblewrap."
    return Obstacle("bubblewrap (bwrap) is not installed.", how)


def failing(complaint: str, root: Path = Path("/")) -> Obstacle:
    """There is one, and it said this when it was tried."""
    last = complaint.strip().splitlines()[-1] if complaint.strip() else "it did not say why"
    text = f"bubblewrap does not work here: {last.rstrip('.')}."
    if _setting(root, "kernel/apparmor_restrict_unprivileged_userns") == "1":
        return Obstacle(text, APPARMOR)
    if _setting(root, "kernel/unprivileged_userns_clone") == "0":
        return Obstacle(
            text, "Run `sudo sysctl -w kernel.unprivileged_userns_clone=1`, and write it into /etc/sysctl.d."
        )
    if _setting(root, "user/max_user_namespaces") == "0":
        return Obstacle(text, "Write user.max_user_namespaces=10000 into /etc/sysctl.d, then `sudo sysctl --system`.")
    if (root / ".dockerenv").exists() or (root / "run/.containerenv").exists():
        return Obstacle(
            text,
            "This is a container, which forbids namespaces: let it have them (with Docker `--security-opt "
            "seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined`), or run the "
            "node outside.",
        )
    return Obstacle(text, "Have the kernel allow user namespaces to the node's account.")


def _distribution(root: Path) -> list[str]:
    """Its name and those of its kin, the nearest first."""
    try:
        lines = (root / "etc/os-release").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    return [name.strip("\"'") for key in ("ID", "ID_LIKE") for name in fields.get(key, "").split()]


def _setting(root: Path, name: str) -> str:
    try:
        return (root / "proc/sys" / name).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
