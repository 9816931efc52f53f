# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's own page, and the HTTP API behind it: what the protocol offers, for whoever has only a browser.

It stands beside handlers.py: both ask the node for things, and both hear of what happens.
"""
