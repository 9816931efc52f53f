# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.protocol import bitmap
from addon.protocol.errors import RemoteProtocolError

COUNTS = st.integers(0, 100)


@given(COUNTS, st.sets(st.integers(0, 99)))
def test_numbers_come_back_in_order(count: int, any_numbers: set[int]) -> None:
    numbers = {number for number in any_numbers if number < count}
    assert bitmap.unpack(bitmap.pack(numbers, count), count) == sorted(numbers)


def test_the_first_number_is_the_lowest_bit_of_the_first_byte() -> None:
    assert bitmap.pack([0], 9) == b"\x01\x00"
    assert bitmap.pack([8], 9) == b"\x00\x01"
    assert bitmap.unpack(b"\x80\x01", 9) == [7, 8]


@given(COUNTS, st.binary(max_size=14))
def test_bits_of_another_length_are_refused(count: int, bits: bytes) -> None:
    if len(bits) != (count + 7) // 8:
        with pytest.raises(RemoteProtocolError):
            bitmap.unpack(bits, count)


@pytest.mark.parametrize(("bits", "count"), [(b"\x08", 3), (b"\x00\x80", 15), (b"\xff", 7)])
def test_a_number_that_is_too_high_is_refused(bits: bytes, count: int) -> None:
    assert bitmap.unpack(bits, count + 1)[-1] == count
    with pytest.raises(RemoteProtocolError):
        bitmap.unpack(bits, count)
