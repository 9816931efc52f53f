# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bench of trust measures with: plans that repeat, malformed messages, many clients; seconds only."""

import random
from collections import Counter

from bench.measures import Measure
from bench.trust import explore, fuzz, load
from bench.trust.faults import Clock, Event, Fault, Moment, draw
from bench.trust.mutation import mutate, right_messages
from server.blenders import Blender


def by_name(measures: list[Measure]) -> dict[str, Measure]:
    return {measure.name: measure for measure in measures}


def test_a_seed_and_a_number_give_one_round_whichever_rounds_were_before() -> None:
    assert draw(7, 123, 4) == draw(7, 123, 4)
    assert len({draw(seed, number, 4) for seed in range(3) for number in range(50)}) == 150
    # AND over many rounds every fault comes in every phase
    drawn = Counter((plan.fault, plan.moment.since) for plan in (draw(1, number, 4) for number in range(3000)))
    assert len(drawn) == 3 * len(Fault)


def test_a_moment_is_an_event_after_another() -> None:
    clock = Clock(Moment(Event.RENDERING, Event.UP, 2))
    before = [(Event.ORDERED,), (Event.UP,), (Event.UP,), (Event.LINE, Event.RENDERING), (Event.DOWN,), (Event.UP,)]
    assert not any(clock.tick(*events) for events in before)
    assert clock.tick(Event.UP)
    assert not clock.tick(Event.UP)


def test_mutations_are_the_same_for_the_same_seed_and_seldom_right() -> None:
    def many(seed: int) -> list[list[bytes]]:
        chance = random.Random(seed)
        right = right_messages(chance)
        return [mutate(chance, chance.choice(right), right) for _ in range(500)]

    assert many(1) == many(1) != many(2)
    right = right_messages(random.Random(1))
    assert sum(frames in right for frames in many(1)) < 100


def test_malformed_messages_harm_neither_the_node_nor_an_honest_artist(any_blender: Blender) -> None:
    found = by_name(list(fuzz.run(any_blender, 3000, seed=3)))
    assert found[fuzz.HARMED.name].value == 0, found[fuzz.HARMED.name].detail
    # AND what reads them reaches code that right messages do not, and refuses them properly
    explored = by_name(list(explore.run(3000, seed=3)))
    assert explored[explore.FAILED.name].value in (0, None), explored[explore.FAILED.name].detail


def test_clients_at_once_all_bring_their_files(any_blender: Blender) -> None:
    found = by_name(list(load.run(any_blender, seed=3, clients=8, size=4 << 20)))
    assert found[load.DROPPED.name].value == 0
    assert found[load.DROPPED.name].detail.startswith("8 of 8 files stored")
