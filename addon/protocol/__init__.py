# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist's side and the node share: messages, names and decisions. No I/O, no clocks, no threads, no bpy."""
