# SPDX-License-Identifier: GPL-3.0-or-later
import contextlib
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from addon.protocol import zstd
from addon.protocol.errors import LocalProtocolError
from addon.protocol.zstd import DamagedFrame

ROOT = Path(__file__).parents[2]

Use = Callable[[str], None]

anything = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""For tests whose fixtures stay the same from example to example."""


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Let zstd find one module alone."""

    def use(module: str) -> None:
        pytest.importorskip(module, reason=f"{module} is not installed")
        monkeypatch.setattr(zstd, "MODULES", (module,))

    return use


@pytest.fixture(params=zstd.MODULES)
def module(request: pytest.FixtureRequest, use: Use) -> str:
    """Each of the modules, alone."""
    use(request.param)
    return str(request.param)


def changed(data: bytes) -> bytes:
    """`data` with a few bytes replaced, inserted and taken out, at its beginning, in its middle and near its end."""
    half = len(data) // 2
    return b"new" + data[:half] + b"inserted" + data[half + 20 : -100] + b"x" + data[-99:]


def test_uses_the_first_module_that_is_there(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setattr(zstd, "MODULES", ("no_such_module", module))
    assert zstd.name() == module


def test_without_any_module_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zstd, "MODULES", ("no_such_module",))
    assert zstd.name() is None
    with pytest.raises(LocalProtocolError):
        zstd.compress(b"")
    with pytest.raises(LocalProtocolError):
        zstd.decompress(b"", 0)
    with pytest.raises(LocalProtocolError):
        zstd.decompress_start(b"", 0)


@pytest.mark.parametrize("reader", zstd.MODULES)
@pytest.mark.parametrize("writer", zstd.MODULES)
def test_what_one_module_wrote_another_reads(writer: str, reader: str, use: Use) -> None:
    # GIVEN frames that one module made, with and without a prefix
    old = random.Random(0).randbytes(100_000)
    new = changed(old)
    use(writer)
    plain, patch, levels = zstd.compress(new), zstd.compress(new, prefix=old), zstd.compress(new, level=3)

    # WHEN another reads them THEN the bytes are the same
    use(reader)
    assert zstd.decompress(plain, len(new)) == new
    assert zstd.decompress(patch, len(new), prefix=old) == new
    assert zstd.decompress(levels, len(new)) == new


@pytest.mark.parametrize("size", [1 << 14, 1 << 18, 1 << 20, 12 << 20])
def test_a_small_change_of_a_prefix_costs_little(module: str, size: int) -> None:
    # GIVEN bytes in which nothing repeats, as many as a chunk or the longest manifest has, and a changed copy
    old = random.Random(size).randbytes(size)
    new = changed(old)

    # WHEN the copy is compressed against them
    patch = zstd.compress(new, prefix=old)

    # THEN what both have in common is found all over: a block of 128 KiB takes some 12 bytes
    assert len(patch) < 100 + size // 10_000
    assert zstd.decompress(patch, len(new), old) == new


def test_a_prefix_too_short_to_help_is_no_prefix(module: str) -> None:
    for length in range(10):
        assert zstd.decompress(zstd.compress(b"content", prefix=b"c" * length), 7, b"c" * length) == b"content"


def test_a_wrong_prefix_never_gives_more_bytes_than_asked(module: str) -> None:
    old = random.Random(0).randbytes(5000)
    patch = zstd.compress(changed(old), prefix=old)
    for prefix in (None, b"", old[:100], old[::-1], old * 2):
        with contextlib.suppress(DamagedFrame):
            wrong = zstd.decompress(patch, len(changed(old)), prefix)
            assert len(wrong) == len(changed(old))


@anything
@given(data=st.binary(max_size=3000), prefix=st.none() | st.binary(max_size=3000), level=st.integers(-5, 5))
def test_round_trip(module: str, data: bytes, prefix: bytes | None, level: int) -> None:
    for buffer in (data, bytearray(data), memoryview(data)):
        assert zstd.decompress(zstd.compress(buffer, level, prefix), len(data), prefix) == data


@anything
@given(data=st.binary(min_size=1, max_size=300), cut=st.integers(0, 10_000), size=st.integers(0, 400))
def test_a_cut_frame_or_another_size_is_refused(module: str, data: bytes, cut: int, size: int) -> None:
    frame = zstd.compress(data)
    with pytest.raises(DamagedFrame):
        zstd.decompress(frame[: cut % len(frame)], len(data))
    if size != len(data):
        with pytest.raises(DamagedFrame):
            zstd.decompress(frame, size)


@anything
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=200).map(lambda rest: b"\x28\xb5\x2f\xfd" + rest),
        st.builds(
            lambda frame, at, byte: frame[: at % len(frame)] + bytes([byte]) + frame[at % len(frame) + 1 :],
            st.sampled_from([b"x" * 5000, bytes(range(250)) * 9, random.Random(1).randbytes(500)]).map(zstd.compress),
            st.integers(0, 10_000),
            st.integers(0, 255),
        ),
    ),
    size=st.integers(0, 6000),
)
def test_any_other_bytes_are_refused_or_have_the_size(module: str, data: bytes, size: int) -> None:
    with contextlib.suppress(DamagedFrame):
        assert len(zstd.decompress(data, size)) == size
    with contextlib.suppress(DamagedFrame):
        assert len(zstd.decompress_start(data, size)) <= size


def test_what_follows_a_frame_is_not_looked_at(module: str) -> None:
    assert zstd.decompress(zstd.compress(b"content") + b"more", 7) == b"content"


def test_the_start_of_a_frame_that_is_cut_short(module: str) -> None:
    data = random.Random(0).randbytes(300_000)
    head = zstd.compress(data)[:200_000]
    assert zstd.decompress_start(head, 17) == data[:17]


def test_many_threads_at_once(module: str) -> None:
    # GIVEN more threads than cores
    def round_trips(seed: int) -> bool:
        rng = random.Random(seed)
        blocks = [rng.randbytes(rng.randrange(1, 50_000)) * 3 for _ in range(30)]
        return all(zstd.decompress(zstd.compress(block), len(block)) == block for block in blocks)

    # WHEN all use the same compressors THEN no bytes are mixed up
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(round_trips, range(8)))


BOMBS = """
import resource, struct, sys
from addon.protocol import zstd

zstd.MODULES = (sys.argv[1],)
content = bytes(256 << 20)
honest = zstd.compress(content)
prefix = content[:4096]
patch = zstd.compress(content, prefix=prefix)
forged = bytearray(honest)
assert struct.unpack_from("<I", forged, 6)[0] == len(content)  # RFC 8878, section 3.1.1.1: Frame_Content_Size
struct.pack_into("<I", forged, 6, 1000)
silent = b"\\x28\\xb5\\x2f\\xfd\\x00\\x88" + honest[10:]  # no size, a window of 128 MiB
declared = struct.pack("<Q", 1000) + honest[10:]
wide = [b"\\x28\\xb5\\x2f\\xfd\\xc0" + window + declared for window in (b"\\x88", b"\\xff")]
del content

used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20),) * 2)
for bomb in (honest, patch, bytes(forged), silent, *wide):
    for base in (None, prefix):
        try:
            zstd.decompress(bomb, 1000, base)
        except zstd.DamagedFrame:
            print("refused")
assert zstd.decompress(zstd.compress(b"x" * 1000), 1000) == b"x" * 1000
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says how much memory a process may use")
def test_a_bomb_takes_no_memory(module: str) -> None:
    # GIVEN frames of a few kilobytes for 256 MiB: with the true size, a false one or none,
    # with windows of 128 MiB and 2 TiB, and made against a prefix
    # WHEN a process that may take 32 MiB more decodes them as 1000 bytes
    command = [sys.executable, "-c", BOMBS, module]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    # THEN it refuses each, and goes on
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["refused"] * 12
