# SPDX-License-Identifier: GPL-3.0-or-later
"""Outputs on their way home, over a connection that breaks."""

import asyncio
from pathlib import Path
from typing import Any

from addon.client.delivery import Deliveries
from addon.protocol.digest import new_digest
from addon.protocol.messages import Delivered, Output, Piece, Want

CONTENT = b"a frame"
DIGEST = new_digest()
DIGEST.update(CONTENT)
OUTPUT = Output("7", "e" * 32, 1, "", "shot_001.png", len(CONTENT), DIGEST.hexdigest())


def test_a_frame_whose_acknowledgement_was_lost_is_acknowledged_again_and_told_of_once(tmp_path: Path) -> None:
    async def deliver() -> None:
        sent: asyncio.Queue[Any] = asyncio.Queue()
        told: list[Path] = []
        deliveries = Deliveries(
            sent.put_nowait, lambda _: tmp_path / "shot_001.png", lambda _, path: told.append(path), lambda *_: None
        )
        # GIVEN a frame that has come home
        deliveries.announce(OUTPUT)
        assert await sent.get() == Want("7", 0, len(CONTENT))
        deliveries.piece(Piece("7", 0), CONTENT)
        assert await sent.get() == Delivered("7")
        # WHEN the connection breaks, and the node announces it once more
        deliveries.pause()
        deliveries.announce(OUTPUT)
        # THEN it is acknowledged, and the artist hears nothing new
        assert await sent.get() == Delivered("7")
        await asyncio.sleep(0)
        assert told == [tmp_path / "shot_001.png"]
        assert (tmp_path / "shot_001.png").read_bytes() == CONTENT

    asyncio.run(deliver())
