# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs inside Blender: started as a program there, never imported by the server."""
