# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from addon.protocol.address import Address, InvalidAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("render-box", Address("render-box", 7460)),
        (" render-box.local:7000 ", Address("render-box.local", 7000)),
        ("192.168.1.20", Address("192.168.1.20", 7460)),
        ("[fe80::1]:9", Address("fe80::1", 9)),
        ("::1", Address("::1", 7460)),
    ],
)
def test_reads_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "a b", "tcp://box", "box:0", "box:70000", "box:x", "box:99999999999", "-x", "[::1", "bo/x"]
)
def test_says_when_it_is_none(text: str) -> None:
    with pytest.raises(InvalidAddress):
        parse_address(text)
