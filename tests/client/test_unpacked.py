# SPDX-License-Identifier: GPL-3.0-or-later
import gzip
import random
import struct
import threading
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from addon.client.errors import CannotRead
from addon.client.snapshot import OpenFile, Snapshot
from addon.client.unpacked import KEPT_BYTES, MAX_FRAME_BYTES, LookAhead, Unpacked, open_source
from addon.protocol import zstd
from addon.protocol.blocks import MAX_HEAD_BYTES
from tests.protocol.blends import scene

SCENE = scene(range(400))
"""Some 900 KB."""


def compressed(pieces: Sequence[bytes]) -> bytes:
    """A file as Blender compresses it: each piece in a frame of its own, and a seek table."""
    frames = [zstd.compress(piece) for piece in pieces]
    sizes = [(len(frame), len(piece)) for frame, piece in zip(frames, pieces, strict=True)]
    return b"".join(frames) + seek_table(sizes)


def seek_table(sizes: Sequence[tuple[int, int]]) -> bytes:
    """Of frames with these packed and unpacked sizes."""
    entries = b"".join(struct.pack("<II", *each) for each in sizes)
    body = entries + struct.pack("<IBI", len(sizes), 0, 0x8F92EAB1)
    return struct.pack("<II", 0x184D2A5E, len(body)) + body


def frames_of(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_every_kind_of_blend_is_read_as_the_blend_it_holds(tmp_path: Path) -> None:
    for content in (SCENE, gzip.compress(SCENE, mtime=0), compressed(frames_of(SCENE, 100_000))):
        with open_source(written(tmp_path / "shot.blend", content)) as source:
            assert source.size == len(SCENE)
            assert source.read(0, source.size) == SCENE


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=12),
    reads=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=12),
)
def test_any_part_can_be_read(sizes: list[int], reads: list[tuple[float, float]], tmp_path: Path) -> None:
    # GIVEN frames of any sizes, empty ones too
    content = b"BLENDER-v403" + random.Random(sum(sizes)).randbytes(sum(sizes))
    pieces = [content[:12]]
    for size in sizes:
        start = sum(map(len, pieces))
        pieces.append(content[start : start + size])
    source = open_source(written(tmp_path / "shot.blend", compressed(pieces)))
    assert isinstance(source, Unpacked)

    # WHEN anything is read THEN it is what stands there
    with ThreadPoolExecutor(1) as pool:
        look = LookAhead(source, pool)
        for share, rest in reads:
            offset = int(share * len(content))
            length = int(rest * (len(content) - offset))
            assert source.read(offset, length) == content[offset : offset + length]
            # THEN who looks for a head there finds a head's length of it at least
            seen = look(offset, length) if length else b""
            assert content[offset:].startswith(seen)
            assert len(seen) >= min(length, MAX_HEAD_BYTES)
    source.close()


def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    # GIVEN a file of 256 MB that compresses to nothing
    path = written(tmp_path / "shot.blend", compressed([SCENE[:1000], *[bytes(1 << 20)] * 256]))
    with open_source(path) as source:
        # WHEN all of it is read
        tracemalloc.start()
        try:
            for offset in range(0, source.size - (1 << 20), 1 << 20):
                source.read(offset, 1 << 20)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    # THEN only what is near was in memory
    assert peak < KEPT_BYTES + (8 << 20)


def test_threads_that_want_the_same_frame_decompress_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a decompressor that is not done before four have asked for the same frame
    pieces = frames_of(SCENE, 200_000)
    source = open_source(written(tmp_path / "shot.blend", compressed(pieces)))
    assert isinstance(source, Unpacked)
    asked = threading.Barrier(4)
    decompress = zstd.decompress
    done = []

    def slowly(data: bytes, size: int) -> bytes:
        done.append(size)
        asked.wait(timeout=20)
        return decompress(data, size)

    def ask(first: bool) -> bytes:
        if not first:
            asked.wait(timeout=20)
        return source.read(210_000, 10)

    monkeypatch.setattr(zstd, "decompress", slowly)
    # WHEN they have THEN all four get it
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, [True, False, False, False])) == {SCENE[210_000:210_010]}
    assert done == [200_000]
    source.close()


def test_a_damaged_frame_gets_a_sentence_and_holds_nobody_up(tmp_path: Path) -> None:
    # GIVEN a file whose second frame is damaged
    pieces = frames_of(SCENE, 100_000)
    content = bytearray(compressed(pieces))
    second = len(zstd.compress(pieces[0]))
    content[second : second + 8] = bytes(8)
    with open_source(written(tmp_path / "shot.blend", bytes(content))) as source:
        # WHEN it is read there, once and again THEN that is said, and the rest can be read
        for _ in range(2):
            with pytest.raises(CannotRead, match=r"shot\.blend is damaged"):
                source.read(150_000, 10)
        assert source.read(50_000, 10) == SCENE[50_000:50_010]


@pytest.mark.parametrize(
    "content",
    [
        zstd.compress(SCENE),  # cut short: the seek table is missing
        zstd.compress(SCENE) + seek_table([(len(zstd.compress(SCENE)), MAX_FRAME_BYTES + 1)]),
        zstd.compress(SCENE) + seek_table([(len(zstd.compress(SCENE)), 0)]),
        zstd.compress(b"a letter") + seek_table([(len(zstd.compress(b"a letter")), 8)]),
        gzip.compress(SCENE, mtime=0)[:-1],
        gzip.compress(b"a letter", mtime=0),
        b"\x28\xb5\x2f\xfd",
        b"x",
    ],
)
def test_what_cannot_be_decompressed_here_is_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    with open_source(written(tmp_path / "shot.blend", content)) as source:
        assert isinstance(source, Snapshot)
        assert source.read(0, source.size) == content


def test_without_a_decoder_a_compressed_file_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = compressed(frames_of(SCENE, 100_000))
    monkeypatch.setattr(zstd, "MODULES", ("no_such_module",))
    with open_source(written(tmp_path / "shot.blend", content)) as source:
        assert isinstance(source, Snapshot)


def test_an_old_blend_is_decompressed_into_a_file_without_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    with open_source(written(tmp_path / "old.blend", gzip.compress(SCENE, mtime=0)), folder) as source:
        assert isinstance(source, OpenFile)
        assert source.read(0, source.size) == SCENE
        assert list(folder.iterdir()) == []


def test_a_disk_without_room_for_that_gets_a_sentence(tmp_path: Path) -> None:
    path = written(tmp_path / "old.blend", gzip.compress(SCENE, mtime=0))
    with pytest.raises(CannotRead, match="cannot be decompressed: No such file"):
        open_source(path, tmp_path / "nowhere")


def test_payloads_with_frames_of_their_own_are_known_by_them(tmp_path: Path) -> None:
    # GIVEN a payload that begins and ends where frames do
    pieces = [SCENE[:1000], SCENE[1000:50_000], SCENE[50_000:80_000], SCENE[80_000:]]
    content = compressed(pieces)
    with open_source(written(tmp_path / "shot.blend", content)) as source:
        assert isinstance(source, Unpacked)
        # THEN it is known where they stand in the file, and of others that they have none
        extent = source.packed_extent((1000, 79_000))
        assert extent is not None
        packed = source.packed.read(*extent)
        assert packed == zstd.compress(pieces[1]) + zstd.compress(pieces[2])
        assert source.packed_extent((1000, len(SCENE) - 1000)) is not None
        assert source.packed_extent((1000, 78_999)) is None
        assert source.packed_extent((1001, 78_999)) is None
        assert source.packed_extent((1000, len(SCENE))) is None
