# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m demo`: a node, a small animation, and its frames in demo-out/, all on this machine."""
