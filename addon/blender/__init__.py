# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the extension that talks to Blender.

Without bpy, and tested without it: `jobs` (what is known of the node and its jobs), `wording` (how it is said),
`client_process` and `client_link` (the process beside Blender), `shot` (what a save hands over), `folders`, `browsing`.
With bpy, thin: `preferences`, `collect`, `live`, `handlers`, `operators`, `notices`, `panels`, `paragraph`,
`thumbnails`, `viewer`, `registration`.
"""
