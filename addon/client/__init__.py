# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that talks to the node on the artist's behalf. No bpy; also behind the command line."""
