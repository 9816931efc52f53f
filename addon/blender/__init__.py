# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the extension that talks to Blender.

Without bpy, and tested without it: `jobs` (what is known of the node and its jobs), `wording` (how it is said),
`line_process`, `interpreter`, `backoff` (programs beside Blender), `client_link` and `local_node` (the two there are),
`login_item`, `shot` (what a save hands over), `folders`, `browsing`.
With bpy, thin: `preferences`, `this_machine`, `collect`, `command`, `live`, `handlers`, `operators`, `notices`,
`panels`, `paragraph`, `thumbnails`, `viewer`, `registration`.
"""
