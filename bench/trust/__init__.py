# SPDX-License-Identifier: GPL-3.0-or-later
"""Trust: chaos, malformed messages and a hundred clients at once; nothing lost, nothing harmed, nobody starved."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from server.blenders import WHEEL, Blender
from tests.conftest import real_blenders

from ..measures import Measure
from . import chaos, explore, fuzz, load

MESSAGES = 1_000_000

NO_BLENDER = "no Blender here, and a node starts with one"


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
    blender = _blender()
    if sys.platform == "win32" or blender is None:
        why = "no process can be stopped and let go on here" if blender else NO_BLENDER
        yield from (figure.missing(why) for figure in chaos.FIGURES)
        return
    yield from chaos.run(blender, wishes.rounds, wishes.seed, wishes.first)


def _fuzz(wishes: Wishes) -> Iterator[Measure]:
    blender = _blender()
    if blender is None:
        yield from (figure.missing(NO_BLENDER) for figure in fuzz.FIGURES)
    else:
        yield from fuzz.run(blender, wishes.messages, wishes.seed)
    yield from explore.run(wishes.messages, wishes.seed)  # As many inputs for the protocol's readers alone.


def _load(wishes: Wishes) -> Iterator[Measure]:
    blender = _blender()
    if blender is None:
        yield from (figure.missing(NO_BLENDER) for figure in load.FIGURES)
        return
    yield from load.run(blender, wishes.seed)


def _blender() -> Blender | None:
    """Any will do: the wheel, where it is there, starts quickest."""
    return min(real_blenders(), key=lambda blender: blender.source != WHEEL, default=None)


PARTS: dict[str, Callable[[Wishes], Iterator[Measure]]] = {"chaos": _chaos, "fuzz": _fuzz, "load": _load}
