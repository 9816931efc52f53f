# SPDX-License-Identifier: GPL-3.0-or-later
"""A set of small numbers as bits, the first number in the lowest bit of the first byte."""

from collections.abc import Iterable

from .errors import RemoteProtocolError


def pack(numbers: Iterable[int], count: int) -> bytes:
    """Return the numbers, each below `count`, as (count + 7) // 8 bytes.

    >>> pack([0, 3, 9], 10).hex()
    '0902'
    """
    bits = bytearray((count + 7) // 8)
    for number in numbers:
        bits[number >> 3] |= 1 << (number & 7)
    return bytes(bits)


def unpack(bits: bytes, count: int) -> list[int]:
    """Return the numbers in ascending order. Raises RemoteProtocolError when there are more or fewer bits.

    >>> unpack(bytes.fromhex("0902"), 10)
    [0, 3, 9]
    """
    if len(bits) != (count + 7) // 8:
        raise RemoteProtocolError("A bitmap of the wrong length.")
    numbers = [8 * at + bit for at, byte in enumerate(bits) if byte for bit in range(8) if byte >> bit & 1]
    if numbers and numbers[-1] >= count:
        raise RemoteProtocolError("A bitmap with a number that is too high.")
    return numbers
