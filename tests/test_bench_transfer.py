# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bench of the transfer measures with: links, rivals, and a scene."""

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from bench import transfer
from bench.links import LINKS, Lane, Link, Relay, Traffic
from bench.padding import pad
from bench.rivals import Post, Rival, Rsync
from bench.studio import TINY, Size, Studio, work
from bench.transfer_figures import LINK_FIGURES
from server.blenders import Blender

SCENE = Size(side=60, props=12, prop=(4, 4), keys=2, textures=3, texture_side=8)
NOISE = bytes(range(256)) * 400


@pytest.mark.parametrize("link", LINKS, ids=str)
@pytest.mark.parametrize("block", [1500, 65536])
def test_a_link_passes_on_at_its_rate_after_its_delay(link: Link, block: int) -> None:
    # GIVEN a sender that always has the next block ready
    lane = Lane(link.rate, link.round_trip_s / 2)
    arrivals = [lane.arrival(5.0, block) for _ in range(1000)]
    # THEN the first block comes after its own time and the delay, and the rest at the link's rate
    assert arrivals[0] - 5 == pytest.approx(block / link.rate + link.round_trip_s / 2)
    assert 999 * block / (arrivals[-1] - arrivals[0]) == pytest.approx(link.rate)


def test_an_idle_link_saves_no_capacity_for_later() -> None:
    # GIVEN a link that had nothing to do for a second
    lane = Lane(1000.0, 0.5)
    lane.arrival(0.0, 100)
    # WHEN two blocks enter at once
    arrivals = [lane.arrival(2.0, 100) for _ in range(2)]
    # THEN they take as long as ever
    assert arrivals == pytest.approx([2.6, 2.7])


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A port that reads all that is said, answers, and hangs up; yields it."""

    def serve() -> None:
        end, _ = listener.accept()
        with end:
            while end.recv(1 << 16):
                pass
            end.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_a_relay_brings_and_counts_every_byte_both_ways() -> None:
    # GIVEN a server behind a link
    with answering(b"answer" * 50_000) as port, Relay(LINKS[0], port) as relay:
        # WHEN a client says something, ends its side, and reads the answer to its end
        with socket.create_connection(("127.0.0.1", relay.port)) as client:
            client.sendall(NOISE)
            client.shutdown(socket.SHUT_WR)
            heard = b"".join(iter(lambda: client.recv(1 << 16), b""))
        # THEN nothing is missing, and the relay has counted it
        assert heard == b"answer" * 50_000
        assert relay.traffic() == Traffic(up=len(NOISE), down=300_000)


@pytest.mark.parametrize("rival", [Rsync, Post])
def test_a_rival_leaves_the_file_at_the_other_end(rival: type[Rival], tmp_path: Path) -> None:
    if why := rival.why_not():
        pytest.skip(why)
    # GIVEN a receiver behind a link
    blend = tmp_path / "shot.blend"
    with rival(tmp_path / "away") as away, Relay(LINKS[0], away.port) as relay:
        # WHEN a file is sent, changed in one byte without another size, and sent again
        for content in (NOISE, b"?" + NOISE[1:]):
            blend.write_bytes(content)
            away.send(blend, relay.port)
            # THEN it lies there as it is
            assert (away.received / "shot.blend").read_bytes() == content


def test_the_scene_has_what_was_ordered(blender: Blender) -> None:
    with Studio(blender) as studio:
        built = studio.do("build", **asdict(SCENE))
    assert built["objects"] == 2 + 12 + 2
    assert built["vertices"] == 2 * 60**2 + 12 * 16
    assert built["largest_mesh"] == 60**2
    assert built["shape_keys"] == 3
    assert built["packed_bytes"] > 3 * 3 * 8**2


def test_each_edit_changes_what_it_says_and_little_else(blender: Blender, tmp_path: Path) -> None:
    # GIVEN an artist's session
    saves = work(blender, tmp_path, SCENE)
    files = {edit: path.read_bytes() for edit, path in saves.files["uncompressed"].items()}
    # THEN what moves something, paints it or sculpts a hundredth of a mesh changes less than a thousandth of the file
    for before, after in itertools.pairwise(["first", "nothing", "move", "colour", "sculpt"]):
        assert differing(files[before], files[after]) < len(files["first"]) / 1000
    assert differing(files["colour"], files["sculpt"]) > 36
    assert files["nothing"] != files["move"] != files["colour"]
    # AND the compressed saves are the same, compressed
    assert all(path.read_bytes().startswith(b"\x28\xb5\x2f\xfd") for path in saves.files["compressed"].values())
    # AND objects come and go
    with Studio(blender) as studio:
        assert objects(studio, saves.files["uncompressed"]["repaint"]) == 16
        assert objects(studio, saves.files["uncompressed"]["add"]) == 17
        assert objects(studio, saves.files["compressed"]["reopen"]) == 16


def test_a_padded_file_opens_as_the_small_one_that_it_was(blender: Blender, tmp_path: Path) -> None:
    # GIVEN a file that Blender saved
    small, large = tmp_path / "small.blend", tmp_path / "large.blend"
    with Studio(blender) as studio:
        built = studio.do("build", **asdict(TINY))
        studio.do("save", path=str(small), compress=False)
    # WHEN it is blown up
    pad(small, large, 3_000_000)
    # THEN Blender opens it as if nothing had happened
    assert large.stat().st_size > small.stat().st_size + 3_000_000
    with Studio(blender) as studio:
        studio.do("open", path=str(large))
        assert studio.do("census") == built


def test_where_no_blender_fits_every_figure_of_a_part_says_why() -> None:
    figures = list(transfer.run(1, ["links", "0.0"]))
    assert [figure.name for figure in figures] == [figure.name for figure in LINK_FIGURES]
    assert all(figure.value is None and "RELAY_TEST_BLENDERS" in figure.why for figure in figures)


def objects(studio: Studio, path: Path) -> int:
    studio.do("open", path=str(path))
    return int(studio.do("census")["objects"])


def differing(one: bytes, other: bytes) -> int:
    """How many bytes of two files of one size are not the same."""
    return sum(a != b for a, b in zip(one, other, strict=True))
