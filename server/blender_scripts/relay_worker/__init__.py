# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens .blend files and renders frames on request, one JSON object per line in (commands) and out (events)."""
