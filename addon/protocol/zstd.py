# SPDX-License-Identifier: GPL-3.0-or-later
"""One door to zstd, whichever of its modules this Python has.

A frame that one of them made can be read with each of them, with and without a prefix. Every function may be called
from several threads at once, and lets other threads run meanwhile.
"""

import functools
import importlib
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Protocol

from .digest import Buffer
from .errors import LocalProtocolError

MODULES = ("compression.zstd", "backports.zstd", "zstandard")
"""In order of preference: Python 3.14's own, our wheel, and what blender.org's builds carry."""

_MIN_PREFIX = 8
"""Bytes. The standard library refuses a shorter one, which could save nothing anyway."""

Compressor = Callable[[Buffer], bytes]


class DamagedFrame(ValueError):
    """These bytes are not the zstd frame that was expected."""


def name() -> str | None:
    """Return which of MODULES is used; None: this Python has no zstd."""
    backend = _backend(MODULES)
    return backend.name if backend else None


def compress(data: Buffer, level: int = 1, prefix: Buffer | None = None) -> bytes:
    """Return `data` as one frame, which tells its size.

    What `data` has in common with `prefix` costs next to nothing (1 MiB against the like of it: 0.7 ms and 200 bytes),
    and `decompress` needs the same prefix. Raises LocalProtocolError where there is no zstd.
    """
    backend = _present()
    if prefix is not None and len(prefix) >= _MIN_PREFIX:
        return backend.patcher(level, prefix, len(data))(data)
    idle = backend.idle[level]
    try:
        compressor = idle.pop()
    except IndexError:
        compressor = backend.compressor(level)
    compressed = compressor(data)
    idle.append(compressor)
    return compressed


def decompress(data: Buffer, size: int, prefix: Buffer | None = None) -> bytes:
    """Return the `size` bytes that the frame at the beginning of `data` holds; what follows it is not looked at.

    Takes memory for some `size` bytes, never more, whatever the frame says. Raises DamagedFrame unless it holds exactly
    that many, LocalProtocolError where there is no zstd.
    """
    backend = _present()
    if prefix is not None and len(prefix) < _MIN_PREFIX:
        prefix = None
    try:
        content = backend.decompress(data, size, prefix) if backend.content_size(data) == size else None
    except backend.error as error:
        raise DamagedFrame("A zstd frame that cannot be read.") from error
    if content is None or len(content) != size:
        raise DamagedFrame(f"A zstd frame that does not hold {size} bytes.")
    return content


def decompress_start(data: Buffer, size: int) -> bytes:
    """Return the first `size` bytes, or fewer, of what the frame holds that `data` is the beginning of.

    Raises DamagedFrame, and LocalProtocolError where there is no zstd.
    """
    backend = _present()
    try:
        return backend.decompress_start(data, size)
    except backend.error as error:
        raise DamagedFrame("A zstd frame that cannot be read.") from error


class _Backend(Protocol):
    name: str
    error: type[Exception]
    idle: defaultdict[int, list[Compressor]]
    """Compressors by their level, each for one thread at a time. A new one for each chunk halves the speed: it begins
    with a megabyte of memory that the system must clear."""

    def compressor(self, level: int) -> Compressor: ...

    def patcher(self, level: int, prefix: Buffer, size: int) -> Compressor:
        """Return what compresses `size` bytes once."""

    def content_size(self, data: Buffer) -> int | None:
        """Return what the frame says, None if it does not."""

    def decompress(self, data: Buffer, size: int, prefix: Buffer | None) -> bytes: ...

    def decompress_start(self, data: Buffer, size: int) -> bytes: ...


class _Standard:
    """The standard library's module, and its backport to older Pythons."""

    def __init__(self, name: str, zstd: Any) -> None:
        self.name = name
        self.error: type[Exception] = zstd.ZstdError
        self.idle: defaultdict[int, list[Compressor]] = defaultdict(list)
        self._zstd = zstd

    def compressor(self, level: int) -> Compressor:
        return self._whole(self._zstd.ZstdCompressor(level=level))

    def patcher(self, level: int, prefix: Buffer, size: int) -> Compressor:
        names = self._zstd.CompressionParameter
        window_log, hash_log = _logs(len(prefix), size)
        options = {names.compression_level: level, names.window_log: window_log, names.hash_log: hash_log}
        return self._whole(self._zstd.ZstdCompressor(options=options, zstd_dict=self._prefix(prefix)))

    def content_size(self, data: Buffer) -> int | None:
        size: int | None = self._zstd.get_frame_info(data).decompressed_size
        return size

    def decompress(self, data: Buffer, size: int, prefix: Buffer | None) -> bytes:
        zstd_dict = None if prefix is None else self._prefix(prefix)
        return bytes(self._zstd.ZstdDecompressor(zstd_dict=zstd_dict).decompress(data, max_length=size))

    def decompress_start(self, data: Buffer, size: int) -> bytes:
        return bytes(self._zstd.ZstdDecompressor().decompress(data, max_length=size))

    def _prefix(self, prefix: Buffer) -> Any:
        return self._zstd.ZstdDict(prefix, is_raw=True).as_prefix

    @staticmethod
    def _whole(compressor: Any) -> Compressor:
        return functools.partial(compressor.compress, mode=compressor.FLUSH_FRAME)


class _Zstandard:
    """The `zstandard` package. It has no prefixes, but dictionaries of any content, which give the same frames."""

    name = "zstandard"

    def __init__(self, zstd: Any) -> None:
        self.error: type[Exception] = zstd.ZstdError
        self.idle: defaultdict[int, list[Compressor]] = defaultdict(list)
        self._zstd = zstd

    def compressor(self, level: int) -> Compressor:
        compressor: Compressor = self._zstd.ZstdCompressor(level=level).compress
        return compressor

    def patcher(self, level: int, prefix: Buffer, size: int) -> Compressor:
        window_log, hash_log = _logs(len(prefix), size)
        parameters = self._zstd.ZstdCompressionParameters.from_level(level, window_log=window_log, hash_log=hash_log)
        compressor = self._zstd.ZstdCompressor(dict_data=self._dictionary(prefix), compression_params=parameters)
        patch: Compressor = compressor.compress
        return patch

    def content_size(self, data: Buffer) -> int | None:
        size = int(self._zstd.frame_content_size(data))
        return size if size >= 0 else None

    def decompress(self, data: Buffer, size: int, prefix: Buffer | None) -> bytes:
        dictionary = None if prefix is None else self._dictionary(prefix)
        return bytes(self._zstd.ZstdDecompressor(dict_data=dictionary).decompress(data, max_output_size=size))

    def decompress_start(self, data: Buffer, size: int) -> bytes:
        return bytes(self._zstd.ZstdDecompressor().stream_reader(data).read(size))

    def _dictionary(self, prefix: Buffer) -> Any:
        return self._zstd.ZstdCompressionDict(prefix, dict_type=self._zstd.DICT_TYPE_RAWCONTENT)


def _logs(prefix: int, size: int) -> tuple[int, int]:
    """Return (window log, hash log) to compress `size` bytes after a prefix; binary logarithms of bytes and of entries.

    The window must reach from the data's end to the prefix's beginning; decoders take up to 128 MiB unasked (RFC 8878,
    section 3.1.1.1.2). Of a prefix zstd indexes no more than the last 8 bytes for each entry of its hash table
    (ZSTD_loadDictionaryContent), which at level 1 would make 64 KiB; every third byte is entered.
    """
    window_log = (prefix + size).bit_length()
    hash_log = prefix.bit_length() - 2
    return min(max(window_log, 10), 27), min(max(hash_log, 12), 22)


def _present() -> _Backend:
    backend = _backend(MODULES)
    if backend is None:
        raise LocalProtocolError("This Python has no zstd.")
    return backend


@functools.cache
def _backend(modules: tuple[str, ...]) -> _Backend | None:
    for candidate in modules:
        try:
            zstd = importlib.import_module(candidate)
        except ImportError:
            continue
        return _Zstandard(zstd) if candidate == "zstandard" else _Standard(candidate, zstd)
    return None
