# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that look at this machine."""
