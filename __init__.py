# SPDX-License-Identifier: GPL-3.0-or-later
from .addon import register, unregister  # noqa: F401
