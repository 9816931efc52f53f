# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may be how far ahead, when many send at once."""

import asyncio
from contextlib import AsyncExitStack

from addon.protocol.limits import EAGER_BYTES, LEAST_WINDOW_BYTES, MAX_CHUNK_BYTES, WINDOW_BYTES
from server.credit import EACH, Credit, Share


class Sender:
    """Sends chunks as far as it may."""

    def __init__(self) -> None:
        self.share = Share()
        self.news: list[tuple[int, int]] = []
        """Limits, and what was taken."""
        self.sent = 0

    def on_change(self) -> None:
        self.news.append((self.share.limit, self.share.taken))

    def send(self) -> bool:
        """One chunk, if it may."""
        may = self.sent + MAX_CHUNK_BYTES <= self.share.limit
        self.sent += may * MAX_CHUNK_BYTES
        return may


async def enter(stack: AsyncExitStack, credit: Credit, count: int) -> list[Sender]:
    senders = [Sender() for _ in range(count)]
    for number, sender in enumerate(senders):
        await stack.enter_async_context(credit.share(sender.share, f"artist {number}", sender.on_change))
    return senders


def ahead(senders: list[Sender]) -> int:
    return sum(sender.share.ahead for sender in senders)


def test_one_alone_gets_a_whole_window_when_it_has_begun() -> None:
    async def scenario() -> None:
        credit = Credit()
        async with AsyncExitStack() as stack:
            (sender,) = await enter(stack, credit, 1)
            assert sender.share.limit == LEAST_WINDOW_BYTES
            assert sender.news == []  # The first limit is told with what is needed.
            while sender.share.taken < 2 * WINDOW_BYTES:
                assert sender.send()
                credit.taken(sender.share, MAX_CHUNK_BYTES, idle=True)
                assert sender.news[-1] == (sender.share.limit, sender.share.taken)
            assert sender.share.ahead == WINDOW_BYTES

    asyncio.run(scenario())


def test_together_they_are_never_more_ahead_than_is_good_and_all_get_the_same() -> None:
    async def scenario() -> None:
        # GIVEN one that has a whole window, of a node that has room for two
        credit = Credit(2 * WINDOW_BYTES)
        async with AsyncExitStack() as stack:
            senders = await enter(stack, credit, 1)
            for _ in range(WINDOW_BYTES // MAX_CHUNK_BYTES):
                senders[0].send()
                credit.taken(senders[0].share, MAX_CHUNK_BYTES, idle=True)
            assert senders[0].share.ahead == WINDOW_BYTES
            # WHEN as many come as there may be, and all send what they can
            senders += await enter(stack, credit, 2 * WINDOW_BYTES // LEAST_WINDOW_BYTES - 1)
            first = senders[0].sent
            for _ in range(200):
                for sender in senders:
                    if sender.send():
                        credit.taken(sender.share, MAX_CHUNK_BYTES, idle=False)
                # THEN the bound holds
                assert ahead(senders) <= 2 * WINDOW_BYTES
            # AND each gets what the others get, whoever was first
            gained = [senders[0].sent - first, *(sender.sent for sender in senders[1:])]
            assert max(gained) - min(gained) <= WINDOW_BYTES
            assert min(gained) > 100 * MAX_CHUNK_BYTES

    asyncio.run(scenario())


def test_who_comes_when_all_places_are_taken_waits_for_an_end() -> None:
    async def scenario() -> None:
        credit = Credit(2 * LEAST_WINDOW_BYTES)
        late = Sender()

        async def come_late() -> None:
            async with credit.share(late.share, "late", late.on_change):
                assert late.share.limit == LEAST_WINDOW_BYTES

        async with AsyncExitStack() as stack:
            await enter(stack, credit, 2)
            coming = asyncio.create_task(come_late())
            await asyncio.sleep(0)
            assert late.share.limit == EAGER_BYTES
        # WHEN the others end, one of them in the middle of it, THEN all that they had is there again
        await coming

    asyncio.run(scenario())


def test_an_artist_who_leaves_uploads_standing_keeps_no_other_out() -> None:
    async def scenario() -> None:
        # GIVEN a node with one place more than an artist may have, and one who takes all that there are
        credit = Credit((EACH + 1) * LEAST_WINDOW_BYTES)
        begun = 0
        over = asyncio.Event()

        async def stand() -> None:
            nonlocal begun
            sender = Sender()
            async with credit.share(sender.share, "greedy", sender.on_change):
                begun += 1
                await over.wait()

        standing = [asyncio.create_task(stand()) for _ in range(2 * EACH)]
        await asyncio.sleep(0)
        # WHEN another comes THEN there is a place
        honest = Sender()
        async with credit.share(honest.share, "honest", honest.on_change):
            assert begun == EACH
            assert honest.share.limit == LEAST_WINDOW_BYTES
        # AND what waited has its turn
        over.set()
        await asyncio.gather(*standing)
        assert begun == 2 * EACH

    asyncio.run(scenario())
