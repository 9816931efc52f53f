# SPDX-License-Identifier: GPL-3.0-or-later
"""What renders a scene."""

import enum


class Engine(enum.StrEnum):
    """The engines that every Blender has; EEVEE's name there depends on the version."""

    CYCLES = "cycles"
    EEVEE = "eevee"
    WORKBENCH = "workbench"
