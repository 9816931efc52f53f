# SPDX-License-Identifier: GPL-3.0-or-later
"""Trust: chaos, malformed messages and a hundred clients at once; nothing lost, nothing harmed, nobody starved."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from server.blenders import WHEEL
from tests.conftest import real_blenders

from ..measures import Measure
from . import chaos

MESSAGES = 1_000_000


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for."""

    rounds: int
    first: int = 0
    """The number of the first round."""
    seed: int = 1
    messages: int = MESSAGES


def run(wishes: Wishes, only: list[str]) -> Iterator[Measure]:
    """Measure these parts, or all."""
    for name, part in PARTS.items():
        if not only or name in only:
            yield from part(wishes)


def _chaos(wishes: Wishes) -> Iterator[Measure]:
    """Any Blender will do: the wheel, where it is there, starts quickest."""
    found = sorted(real_blenders(), key=lambda blender: blender.source != WHEEL)
    if sys.platform == "win32" or not found:
        why = "processes cannot be stopped and continued here" if found else "no Blender here"
        yield from (figure.missing(why) for figure in chaos.FIGURES)
        return
    yield from chaos.run(found[0], wishes.rounds, wishes.seed, wishes.first)


PARTS: dict[str, Callable[[Wishes], Iterator[Measure]]] = {"chaos": _chaos}
