# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where the program's and the protocol's versions stand."""

VERSION = "0.1.0"
"""Version of Relay Render; blender_manifest.toml and pyproject.toml carry the same."""

PROTOCOL = 1
"""Version of the wire protocol; raised by every change that an older peer cannot follow."""

DEFAULT_PORT = 7460
"""TCP port of the node. Unassigned in IANA's registry and outside every system's ephemeral range."""
