# SPDX-License-Identifier: GPL-3.0-or-later
import contextlib
import functools
import math
import random
import struct
import subprocess
import sys
from array import array
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from addon.protocol import byteshuffle, codecs, zstd
from addon.protocol.codecs import Encoder, decodable, decode, encode
from addon.protocol.digest import Buffer
from addon.protocol.errors import RemoteProtocolError
from addon.protocol.messages import Codec

ROOT = Path(__file__).parents[2]

WORDS = [Codec.SHUFFLE, Codec.DELTA_1, Codec.DELTA_2, Codec.DELTA_3, Codec.DELTA_4]
EVERY = [Codec.RAW, Codec.ZSTD, Codec.PATCH, *WORDS]

GRID = 200
"""Vertices along each side of the surface below."""


anything = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""For tests whose fixtures stay the same from example to example."""


@functools.cache
def surface() -> bytes:
    """Positions of a displaced grid, three 32-bit floats a vertex: 480 KB of mesh data."""
    rng = random.Random(0)
    return array(
        "f",
        (
            coordinate
            for y in range(GRID)
            for x in range(GRID)
            for coordinate in (x / 99 - 1, y / 99 - 1, math.sin(x / 30) * math.cos(y / 20) + rng.gauss(0, 1e-5))
        ),
    ).tobytes()


@functools.cache
def faces() -> bytes:
    """Vertices of that grid's quads, four 32-bit indices a face."""
    corners = (0, 1, GRID + 1, GRID)
    return array(
        "i", (y * GRID + x + corner for y in range(GRID - 1) for x in range(GRID - 1) for corner in corners)
    ).tobytes()


@pytest.fixture(params=["numpy", "without numpy"])
def python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """This Python, and one without numpy."""
    if request.param == "numpy":
        pytest.importorskip("numpy", reason="numpy is not installed")
    else:
        for name in ("STRIDES", "shuffle", "unshuffle"):
            monkeypatch.setattr(codecs, name, getattr(byteshuffle, name))
    return str(request.param)


def rearranged(data: bytes, stride: int, order: str = "<") -> bytes:
    """What docs/protocol.md says about SHUFFLE and DELTA, word by word."""
    count = len(data) // 4
    words = struct.unpack_from(f"{order}{count}I", data)
    if stride:
        differences = ((word - before) % 2**32 for word, before in zip(words, [0] * stride + [*words], strict=False))
        signed = (value - 2**32 if value >= 2**31 else value for value in differences)
        words = tuple(2 * value if value >= 0 else -2 * value - 1 for value in signed)
    packed = struct.pack(f"{order}{count}I", *words)
    return b"".join(packed[place::4] for place in range(4)) + data[count * 4 :]


def test_every_codec_is_here_in_a_python_that_has_all() -> None:
    pytest.importorskip("numpy", reason="numpy is not installed")
    assert sorted(decodable()) == sorted(Codec)


@given(data=st.binary(max_size=200), stride=st.integers(0, 4))
def test_words_are_rearranged_as_described(data: bytes, stride: int) -> None:
    wordcodec = pytest.importorskip("addon.protocol.wordcodec", reason="numpy is not installed")
    assert bytes(wordcodec.shuffle(data, stride)) == rearranged(data, stride)
    assert bytes(wordcodec.unshuffle(rearranged(data, stride), stride)) == data


@pytest.mark.parametrize("stride", range(5))
@pytest.mark.parametrize("words", [3 << 13, 1 << 15, (1 << 15) + 1, (1 << 15) + 3, (1 << 16) + 2])
def test_blocks_join_without_a_seam(words: int, stride: int) -> None:
    wordcodec = pytest.importorskip("addon.protocol.wordcodec", reason="numpy is not installed")
    data = random.Random(words).randbytes(words * 4 + words % 4)
    assert bytes(wordcodec.shuffle(data, stride)) == rearranged(data, stride)
    assert bytes(wordcodec.unshuffle(rearranged(data, stride), stride)) == data


@given(words=st.binary(max_size=50).map(lambda word: word * 4), stride=st.integers(0, 4))
def test_a_words_value_counts_not_its_order_in_memory(words: bytes, stride: int) -> None:
    # GIVEN words that are to this machine what the wire's are to one of the other byte order
    wordcodec = pytest.importorskip("addon.protocol.wordcodec", reason="numpy is not installed")
    swapped = array("I", words)
    swapped.byteswap()

    # WHEN they are rearranged THEN the bytes go by their weight
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wordcodec, "WORD", wordcodec.WORD.newbyteorder("S"))
        patch.setattr(wordcodec, "SIGNED", wordcodec.SIGNED.newbyteorder("S"))
        shuffled = bytes(wordcodec.shuffle(swapped.tobytes(), stride))
        assert shuffled == rearranged(words, stride)
        assert bytes(wordcodec.unshuffle(shuffled, stride)) == swapped.tobytes()


@given(data=st.binary(max_size=200))
def test_without_numpy_the_bytes_are_the_same(data: bytes) -> None:
    assert bytes(byteshuffle.shuffle(data)) == rearranged(data, 0)
    assert bytes(byteshuffle.unshuffle(rearranged(data, 0))) == data


@anything
@given(data=st.binary(max_size=500), codec=st.sampled_from(EVERY), base=st.binary(max_size=500))
def test_round_trip_of_each_codec(python: str, data: bytes, codec: Codec, base: bytes) -> None:
    # GIVEN bytes in a codec that this Python has
    if codec not in decodable():
        with pytest.raises(RemoteProtocolError):
            decode(codec, data, len(data), base)
        return
    payload = zstd.compress(data, prefix=base) if codec == Codec.PATCH else codecs._encode(codec, data)

    # WHEN they are decoded, from whatever a socket gives THEN they are the same
    for buffer in (bytes(payload), bytearray(payload), memoryview(payload)):
        assert bytes(decode(codec, buffer, len(data), base)) == data


@anything
@given(
    data=st.binary(max_size=300) | st.binary(min_size=1, max_size=9).map(lambda unit: unit * 999),
    allowed=st.sets(st.sampled_from(EVERY)),
    base=st.none() | st.binary(max_size=300),
)
def test_what_is_encoded_can_be_decoded(python: str, data: bytes, allowed: set[Codec], base: bytes | None) -> None:
    codec, payload = encode(data, allowed, base)
    assert codec in allowed or codec == Codec.RAW
    assert len(payload) < len(data) or payload is data
    assert bytes(decode(codec, payload, len(data), base)) == data


@pytest.mark.parametrize(("data", "part"), [(surface(), 0.8), (faces(), 0.01)], ids=["positions", "indices"])
@pytest.mark.parametrize("size", [1 << 16, 1 << 18])
def test_mesh_data_gets_much_smaller_than_by_zstd(data: bytes, part: float, size: int) -> None:
    pytest.importorskip("numpy", reason="numpy is not installed")
    codec, payload = encode(data[:size], EVERY)
    assert codec in WORDS
    assert len(payload) < part * len(zstd.compress(data[:size]))


@pytest.mark.parametrize("stride", range(1, 5))
def test_finds_how_far_apart_like_words_are(stride: int) -> None:
    # GIVEN vectors of so many numbers, each of which walks by itself
    pytest.importorskip("numpy", reason="numpy is not installed")
    rng = random.Random(stride)
    walks = [accumulate(rng.randrange(-500, 500) for _ in range(5000)) for _ in range(stride)]
    far_apart = [(number * 0x12345678) % 2**31 for number in range(1, stride + 1)]
    words = [start + step for steps in zip(*walks, strict=True) for start, step in zip(far_apart, steps, strict=True)]

    # WHEN they are encoded THEN each is taken as the difference to its own last one
    codec, _ = encode(array("I", words).tobytes(), EVERY)
    assert codec == f"delta{stride}"


def test_what_does_not_compress_is_not_copied(python: str) -> None:
    chunk = random.Random(0).randbytes(1 << 20)
    for data in (chunk, memoryview(chunk), b"x", b""):
        codec, payload = encode(data, EVERY)
        assert codec == Codec.RAW
        assert payload is data
        assert decode(codec, payload, len(data)) is data


def test_text_goes_without_rearranging(python: str) -> None:
    text = Path(__file__).read_bytes()
    codec, payload = encode(text, EVERY)
    assert codec == Codec.ZSTD
    assert len(payload) < len(text) / 2


def test_a_changed_copy_goes_as_a_patch(python: str) -> None:
    # GIVEN a chunk and the one that was in its place before
    old = random.Random(0).randbytes(64 << 10)
    new = old[:5000] + b"moved" + old[5005:]

    # WHEN it is encoded
    codec, payload = encode(new, EVERY, old)

    # THEN next to nothing travels, and without the base it is nothing
    assert codec == Codec.PATCH
    assert len(payload) < 100
    assert bytes(decode(codec, payload, len(new), old)) == new
    with pytest.raises(RemoteProtocolError):
        decode(codec, payload, len(new))


def test_a_base_that_has_nothing_in_common_does_not_matter() -> None:
    pytest.importorskip("numpy", reason="numpy is not installed")
    chunk = surface()
    assert encode(chunk, EVERY, random.Random(0).randbytes(len(chunk))) == encode(chunk, EVERY)


def test_the_smaller_of_patch_and_codec_goes() -> None:
    # GIVEN bytes that compress, and a base that has half of them
    rng = random.Random(0)
    known, words = rng.randbytes(20_000), b"".join(rng.randbytes(2) + b"ab" for _ in range(5000))

    # WHEN they are encoded THEN it is as a patch, but it is not if that saves less
    assert encode(known + words, EVERY, known)[0] == Codec.PATCH
    assert encode(words, EVERY, known)[0] == Codec.SHUFFLE


def test_one_encoder_takes_chunks_as_they_come(python: str) -> None:
    # GIVEN chunks of every kind in one batch, some of them alike
    noise = random.Random(0).randbytes(60_000)
    text = Path(__file__).read_bytes()
    meshes = [surface()[start : start + 60_000] for start in (0, 60_000, 120_000)]
    chunks = [noise, *meshes, text, faces(), noise, bytes(60_000), faces(), b"x", *meshes, noise]

    # WHEN one encoder takes them all
    encoder = Encoder(EVERY)
    encoded = [encoder.encode(chunk) for chunk in chunks]

    # THEN each can be decoded, and has become about as small as it would have alone
    for chunk, (codec, payload) in zip(chunks, encoded, strict=True):
        assert bytes(decode(codec, payload, len(chunk))) == chunk
        assert len(payload) <= len(encode(chunk, EVERY)[1]) + 0.05 * len(chunk)


def test_many_threads_at_once(python: str) -> None:
    chunks = [surface()[start : start + 50_000] for start in range(0, 400_000, 50_000)] * 4

    def round_trip(chunk: bytes) -> bool:
        codec, payload = encode(chunk, EVERY)
        return bytes(decode(codec, payload, len(chunk))) == chunk

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(round_trip, chunks))


def test_a_chunk_at_an_odd_address(python: str) -> None:
    chunk = memoryview(b"x" + surface())[1:]
    codec, payload = encode(chunk, EVERY)
    assert bytes(decode(codec, payload, len(chunk))) == chunk


def test_without_zstd_everything_goes_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zstd, "MODULES", ("no_such_module",))
    assert decodable() == (Codec.RAW,)
    assert encode(bytes(5000), EVERY, bytes(5000)) == (Codec.RAW, bytes(5000))
    for codec in EVERY[1:]:
        with pytest.raises(RemoteProtocolError):
            decode(codec, b"payload", 7, b"base")


def test_without_numpy_it_still_imports() -> None:
    # GIVEN a Python that cannot import numpy
    script = "import sys; sys.modules['numpy'] = None; from addon.protocol import codecs; print(*codecs.decodable())"

    # WHEN the codecs are imported THEN all but the differences are there
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["raw", "zstd", "patch", "shuffle"]


def damaged(payload: Buffer) -> st.SearchStrategy[bytes]:
    """`payload`, whole, cut short, with a byte changed, or with something after it."""
    whole = bytes(payload)
    at = st.integers(0, max(len(whole) - 1, 0))
    return st.one_of(
        st.just(whole),
        at.map(lambda end: whole[:end]),
        st.binary(max_size=20).map(lambda rest: whole + rest),
        st.builds(lambda at, byte: whole[:at] + bytes([byte]) + whole[at + 1 :], at, st.integers(0, 255)),
    )


PAYLOADS = st.binary(max_size=300) | st.one_of(
    [
        damaged(codecs._encode(codec, data))
        for codec in EVERY
        for data in (b"content" * 30, bytes(5000), surface()[:999])
    ]
)


@anything
@given(
    codec=st.sampled_from(EVERY),
    payload=PAYLOADS,
    size=st.sampled_from([0, 1, 210, 999, 5000]) | st.integers(0, 6000),
    base=st.none() | st.sampled_from([b"", b"content" * 30]),
)
def test_a_hostile_payload_gives_its_size_or_one_error(
    python: str, codec: Codec, payload: bytes, size: int, base: bytes | None
) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert len(decode(codec, payload, size, base)) == size


@anything
@given(codec=st.sampled_from(EVERY), cut=st.integers(1, 100), more=st.integers(1, 100))
def test_a_payload_of_another_length_is_refused(python: str, codec: Codec, cut: int, more: int) -> None:
    assume(codec in decodable())
    data = surface()[:999]
    payload = codecs._encode(codec, data)
    for size in (len(data) - cut, len(data) + more):
        with pytest.raises(RemoteProtocolError):
            decode(codec, payload, size, b"base of a patch")
    with pytest.raises(RemoteProtocolError):
        decode(codec, payload[:-cut], len(data), b"base of a patch")


BOMBS = """
import resource
from addon.protocol import codecs, zstd
from addon.protocol.errors import RemoteProtocolError
from addon.protocol.messages import Codec

bomb = zstd.compress(bytes(256 << 20))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20),) * 2)
for codec in Codec:
    try:
        codecs.decode(codec, bomb, 1 << 20, bytes(1000))
    except RemoteProtocolError:
        print("refused")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says how much memory a process may use")
def test_a_bomb_takes_no_memory() -> None:
    # GIVEN 20 KB that stand for 256 MiB
    # WHEN a process that may take 32 MiB more decodes them as a chunk, in every codec THEN it refuses
    done = subprocess.run([sys.executable, "-c", BOMBS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["refused"] * len(Codec)
