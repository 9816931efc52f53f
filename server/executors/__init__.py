# SPDX-License-Identifier: GPL-3.0-or-later
"""Where tasks run: one small interface, one module for each way of running them."""
