# SPDX-License-Identifier: GPL-3.0-or-later
"""What is missing on this machine for a node, and how to get it. Looks; changes nothing."""

from collections.abc import Sequence
from pathlib import Path

from addon.protocol.address import Address

from ..blenders import WHEEL, survey_blenders, wheel_version
from . import blender, machine, sandbox
from .finding import Finding, State

__all__ = ["Finding", "State", "examine"]


def examine(listen: Address, data: Path, extra: Sequence[Path] = ()) -> list[Finding]:
    """Every finding for a node that would listen on `listen`, keep `data`, and also use the Blenders in `extra`.

    Starts each Blender to ask its version and imports the wheel in a process of its own: some seconds.
    """
    survey = survey_blenders(extra)
    installed = any(found.source != WHEEL for found in survey.blenders)
    findings = [
        *blender.blenders(survey),
        blender.wheel(installed, wheel_version()),
        machine.gpu(),
        machine.display(),
        machine.zstd(),
        *sandbox.sandbox(survey.blenders, data),
        *machine.data_folder(data),
        machine.listening(listen),
        machine.port(listen),
    ]
    return [finding for finding in findings if finding]
