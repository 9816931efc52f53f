# SPDX-License-Identifier: GPL-3.0-or-later
"""What is inflicted on a job, at which moment of its life, and until when. Pure: a seed and a number give one round.

A moment is no time but an event: the third block that the link carries towards the node after the job was ordered, the
second thing that the artist's window is told once a frame is being rendered. So a round repeated meets the same moment.
"""

import enum
import random
from collections.abc import Collection
from dataclasses import dataclass


class Event(enum.StrEnum):
    """What can be seen of a job's life from outside."""

    ORDERED = "ordered"
    RENDERING = "rendering"
    """The window was told so for the first time."""
    DELIVERED = "delivered"
    """The first frame lies on the artist's disk."""
    UP = "block to the node"
    DOWN = "block from the node"
    LINE = "line to the window"
    DIALLED = "connection attempted"
    LOST = "node given up"


class Fault(enum.StrEnum):
    """What is done."""

    KILL_NODE = "kill -9, node"
    KILL_CLIENT = "kill -9, client"
    KILL_WORKER = "kill -9, Blender"
    STOP_NODE = "SIGSTOP, node"
    STOP_CLIENT = "SIGSTOP, client"
    STOP_WORKER = "SIGSTOP, Blender"
    SILENCE = "SIGSTOP, node, until it is given up"
    CUT = "link cut"
    DOWN = "link down"
    SLOW = "link slow"
    FULL_DISK = "node's disk full"


PHASES = {Event.ORDERED: "upload", Event.RENDERING: "render", Event.DELIVERED: "return"}
"""By the event that it begins with."""

_LONGEST = {
    Event.ORDERED: {Event.UP: 12, Event.DOWN: 3, Event.LINE: 1},
    Event.RENDERING: {Event.UP: 1, Event.DOWN: 4, Event.LINE: 3},
    Event.DELIVERED: {Event.UP: 2, Event.DOWN: 4, Event.LINE: 3},
}
"""How many events of a kind a phase of these small jobs surely has."""

_WEIGHTS = {Fault.SILENCE: 0.1}
"""It takes a dozen seconds, as long as a silence is suffered; the others, 1."""

FRAMES = range(3, 6)
GARBAGE_BYTES = range(1 << 10, 2 << 20)
LASTING_BLOCKS = range(1, 5)
DIALS = range(1, 4)
SLOW_RATES = range(20_000, 400_000)


@dataclass(frozen=True)
class Moment:
    """The `count`-th `event` after the first `since`."""

    since: Event
    event: Event
    count: int

    def __str__(self) -> str:
        return f"{self.event} {self.count} after {self.since}"


@dataclass(frozen=True)
class Plan:
    """One round."""

    number: int
    variant: int
    """Which of the prepared scenes."""
    frames: int
    garbage_bytes: int
    """What stands behind the texture's end, so that there is something new to send."""
    fault: Fault
    moment: Moment
    until: tuple[Event, int]
    """A fault that lasts is over at so many of these after it began."""
    rate: int
    """Of a slow link, bytes a second each way."""
    dice: int
    """Seed of what else is left to chance."""

    def __str__(self) -> str:
        return f"round {self.number}: {self.fault} at {self.moment}, {self.frames} frames"


class Clock:
    """Counts a job's events, and says when a moment has come."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self._begun = False
        self._left = moment.count

    def tick(self, *events: Event) -> bool:
        """Note what happened at once; whether that was the moment."""
        if not self._begun:
            self._begun = self._moment.since in events
            return False
        if self._moment.event not in events:
            return False
        self._left -= 1
        return self._left == 0


def draw(seed: int, number: int, variants: int, faults: Collection[Fault] = tuple(Fault)) -> Plan:
    """Return the plan of a round, the same for the same arguments."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311 - repeatable is the point
    kinds = list(faults)
    fault = chance.choices(kinds, [_WEIGHTS.get(kind, 1.0) for kind in kinds])[0]
    since = chance.choice(list(PHASES))
    event = chance.choice(list(_LONGEST[since]))
    return Plan(
        number=number,
        variant=chance.randrange(variants),
        frames=chance.choice(FRAMES),
        garbage_bytes=chance.choice(GARBAGE_BYTES),
        fault=fault,
        moment=Moment(since, event, chance.randint(1, _LONGEST[since][event])),
        until=_end(fault, chance),
        rate=chance.choice(SLOW_RATES),
        dice=chance.getrandbits(32),
    )


def _end(fault: Fault, chance: random.Random) -> tuple[Event, int]:
    match fault:
        case Fault.SILENCE:
            return Event.LOST, 1
        case Fault.DOWN:
            return Event.DIALLED, chance.choice(DIALS)
        case Fault.STOP_NODE:
            return Event.UP, chance.choice(LASTING_BLOCKS[:2])  # A client says something once a second.
        case _:
            return Event.DOWN, chance.choice(LASTING_BLOCKS)
