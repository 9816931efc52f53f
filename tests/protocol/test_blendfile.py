# SPDX-License-Identifier: GPL-3.0-or-later
import contextlib
import gzip
import mmap
import random
import struct
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from addon.protocol import zstd
from addon.protocol.blendfile import (
    HEAD_BYTES,
    BlendHeader,
    NotABlend,
    TruncatedBlend,
    check_complete,
    read_header,
    read_seek_table,
)
from addon.protocol.blocks import Memory
from server.blenders import Blender

LEGACY = (
    b"BLENDER-v403"
    + struct.pack("<4siQii", b"DATA", 5, 0, 0, 1)
    + b"12345"
    + struct.pack("<4siQii", b"ENDB", 0, 0, 0, 0)
)
LARGE = (
    b"BLENDER17-01v0502"
    + struct.pack("<4siQqq", b"DATA", 0, 0, 5, 1)
    + b"12345"
    + struct.pack("<4siQqq", b"ENDB", 0, 0, 0, 0)
)
SMALL_FILES = [LEGACY, LARGE, gzip.compress(LEGACY, mtime=0), gzip.compress(LARGE, mtime=0)]

SAVE = """
import os
import bpy
for compress in (False, True):
    path = os.path.join(os.environ["FOLDER"], "compressed.blend" if compress else "plain.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path, compress=compress, copy=True)
"""


@pytest.fixture(scope="session", params=["plain", "compressed"])
def saved(
    request: pytest.FixtureRequest,
    blender: Blender,
    run_in_blender: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A file that a real Blender saved."""
    folder = tmp_path_factory.mktemp("saved")
    run_in_blender(blender, SAVE, FOLDER=str(folder))
    return folder / f"{request.param}.blend"


def test_reads_what_blender_saved(saved: Path, blender: Blender) -> None:
    # GIVEN a file straight from Blender
    data = saved.read_bytes()

    # WHEN its head is read
    header = read_header(data[:HEAD_BYTES])

    # THEN it names that Blender, and the whole of it is complete
    compressed = saved.stem == "compressed"
    assert header == BlendHeader(blender.version[:2], compressed, large=blender.version >= (5, 0, 0))
    check_complete(data)


def test_finds_every_cut_through_what_blender_saved(saved: Path) -> None:
    # GIVEN a file straight from Blender
    data = saved.read_bytes()
    chosen = random.Random(0).sample(range(len(data)), 200)
    cuts = {*range(64), *range(len(data) - 64, len(data)), *chosen}

    # WHEN it is cut at its ends and anywhere between THEN each cut is noticed
    for length in sorted(cuts):
        with pytest.raises((NotABlend, TruncatedBlend)):
            check_complete(memoryview(data)[:length])


def test_takes_a_mapped_file(saved: Path) -> None:
    # GIVEN a file that is mapped, not read WHEN it is checked THEN nothing holds on to the map afterwards
    with saved.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        check_complete(mapped)


@pytest.mark.parametrize("module", zstd.MODULES)
def test_every_zstd_decoder_finds_the_version(
    module: str, saved: Path, blender: Blender, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN only one of the decoders
    pytest.importorskip(module, reason=f"{module} is not installed")
    monkeypatch.setattr(zstd, "MODULES", (module,))

    # WHEN a head is read THEN the version is found
    assert read_header(saved.read_bytes()[:HEAD_BYTES]).version == blender.version[:2]


def test_without_a_zstd_decoder_a_version_is_unknown(
    saved: Path, blender: Blender, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a Python without any decoder
    monkeypatch.setattr(zstd, "MODULES", ("no_such_module",))
    data = saved.read_bytes()

    # WHEN a file is read THEN a plain one keeps its version, and a compressed one can still be told from a cut one
    expected = None if saved.stem == "compressed" else blender.version[:2]
    assert read_header(data[:HEAD_BYTES]).version == expected
    check_complete(data)
    with pytest.raises(TruncatedBlend):
        check_complete(data[:-1])


@pytest.mark.parametrize(
    ("head", "header"),
    [
        (b"BLENDER-v279REND", BlendHeader((2, 79), compressed=False, large=False)),
        (b"BLENDER-v300REND", BlendHeader((3, 0), compressed=False, large=False)),
        (b"BLENDER-v405REND", BlendHeader((4, 5), compressed=False, large=False)),
        (b"BLENDER17-01v0500REND", BlendHeader((5, 0), compressed=False, large=True)),
        (b"BLENDER17-01v1203REND", BlendHeader((12, 3), compressed=False, large=True)),
        (gzip.compress(b"BLENDER-v279REND", mtime=0), BlendHeader((2, 79), compressed=True, large=False)),
    ],
)
def test_reads_versions(head: bytes, header: BlendHeader) -> None:
    assert read_header(head) == header


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"", "This file is empty: save it again in Blender."),
        (b"BLENDER_v248REND", "This .blend is from a 32-bit Blender: open it in Blender 4.5 and save it again."),
        (b"BLENDER-V248REND", "This .blend is from a big-endian machine: open it in Blender 4.5 and save it again."),
        (b"BLENDER17-02v0701", "This .blend has a newer layout than this Relay Render knows: update Relay Render."),
        (b"BLEND", "This file is not a .blend: choose one that Blender saved."),
        (b"\x89PNG\r\n\x1a\n", "This file is not a .blend: choose one that Blender saved."),
        (b"\x28\xb5\x2f\xfd rubbish", "This file is not a .blend: choose one that Blender saved."),
        (gzip.compress(b"a letter", mtime=0), "This file is not a .blend: choose one that Blender saved."),
    ],
)
def test_says_why_it_cannot_use_a_file(head: bytes, sentence: str) -> None:
    with pytest.raises(NotABlend) as caught:
        read_header(head)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("data", SMALL_FILES, ids=["4.x", "5.x", "gzip 4.x", "gzip 5.x"])
def test_finds_every_cut_through_a_small_file(data: bytes) -> None:
    # GIVEN a complete file WHEN it is cut at any byte THEN that is noticed
    check_complete(data)
    for length in range(len(data)):
        with pytest.raises((NotABlend, TruncatedBlend)):
            check_complete(data[:length])


def test_finds_a_damaged_gzip_stream() -> None:
    data = bytearray(gzip.compress(LEGACY, mtime=0))
    data[-5] ^= 0xFF  # the checksum
    with pytest.raises(TruncatedBlend, match="damaged"):
        check_complete(data)


@pytest.mark.parametrize(
    "data", [LEGACY[:-1], gzip.compress(LEGACY, mtime=0)[:-1], gzip.compress(LEGACY, mtime=0)[:-8] + bytes(8)]
)
def test_a_mapped_file_that_is_damaged_can_be_closed_while_the_error_is_handled(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.blend"
    path.write_bytes(data)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        try:
            check_complete(mapped)
        except TruncatedBlend:
            mapped.close()
        assert mapped.closed


def test_a_seek_table_gives_every_frame_its_place() -> None:
    # GIVEN two frames, and a table that tells their sizes
    first, second = zstd.compress(b"first" * 100), zstd.compress(b"second" * 100)
    entries = struct.pack("<IIII", len(first), 500, len(second), 600)
    data = first + second + _seek_frame(entries, 2)

    # WHEN it is read
    table = read_seek_table(Memory(data))

    # THEN the frames can be found in it
    assert table is not None
    assert list(table.packed) == [0, len(first), len(first) + len(second)]
    assert list(table.unpacked) == [0, 500, 1100]


@pytest.mark.parametrize("count", [3, 1 << 20, 0xFFFFFFFF])
def test_a_seek_table_that_claims_more_frames_than_it_has_is_none(count: int) -> None:
    assert read_seek_table(Memory(_seek_frame(struct.pack("<II", 0, 0), count))) is None


def _seek_frame(entries: bytes, count: int) -> bytes:
    body = entries + struct.pack("<IBI", count, 0, 0x8F92EAB1)
    return struct.pack("<II", 0x184D2A5E, len(body)) + body


def test_a_bomb_is_not_unpacked_to_find_a_version() -> None:
    # GIVEN a head that would unpack to a quarter of a gigabyte of one letter
    frame = zstd.compress(LEGACY + b"x" * (1 << 28))
    assert len(frame) < HEAD_BYTES

    # WHEN it is read THEN only the first bytes are unpacked
    tracemalloc.start()
    try:
        assert read_header(frame).version == (4, 3)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(
            lambda start, rest: start + rest,
            st.sampled_from(
                [
                    b"BLENDER-v403",
                    b"BLENDER17-01v0502",
                    b"\x28\xb5\x2f\xfd",
                    b"\x1f\x8b\x08",
                    b"\x1f\x8b\x08" + b"\0" * 7,
                ]
            ),
            st.binary(max_size=200),
        ),
        st.builds(
            lambda data, at, byte: data[: at % len(data)] + bytes([byte]) + data[at % len(data) + 1 :],
            st.sampled_from(SMALL_FILES),
            st.integers(0, 10_000),
            st.integers(0, 255),
        ),
    )
)
@example(struct.pack("<4sIBI", b"\x28\xb5\x2f\xfd", 0xFFFFFFFF, 0xFF, 0x8F92EAB1))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    read_seek_table(Memory(data))
    for read in (read_header, check_complete):
        with contextlib.suppress(NotABlend, TruncatedBlend):
            read(data)
