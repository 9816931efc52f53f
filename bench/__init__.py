# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m bench NAME`: measurements side by side, in one run, on this machine."""
