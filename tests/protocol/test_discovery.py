# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says of itself in the network, and what of a stranger's words is believed."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.protocol.address import Address, parse_address
from addon.protocol.discovery import (
    LONGEST_NAME,
    SERVICE,
    Advertisement,
    as_name,
    fingerprint,
    read_address,
    read_records,
)

KEY = b"x" * 40
GOOD = {b"version": b"0.1.0", b"protocol": b"1", b"key": b"0123456789", b"name": b"box"}


def as_bytes(records: dict[str, str]) -> dict[bytes, bytes | None]:
    return {key.encode(): value.encode() for key, value in records.items()}


@given(st.text(min_size=1, max_size=300))
def test_what_a_node_says_is_read_as_it_is_whatever_its_machine_is_called(name: str) -> None:
    own = Advertisement(name.encode("utf-8", "ignore").decode(), "0.1.0", 1, fingerprint(KEY))
    # THEN each record fits into a TXT record, and all but the name's look is read again
    assert all(len(f"{key}={value}".encode()) <= 255 for key, value in own.records.items())
    read = read_records(as_bytes(own.records))
    assert read is not None
    assert (read.version, read.protocol, read.fingerprint) == (own.version, own.protocol, own.fingerprint)
    # AND its names are such as DNS has them, and become an address that can be typed
    assert len(own.label) <= 63
    assert own.instance == f"{own.label}.{SERVICE}"
    address = read_address(own.host, 7460)
    assert address is not None
    assert parse_address(str(address)) == address


def test_a_nodes_name_in_the_network_is_readable_and_its_own() -> None:
    own = Advertisement("Render Box.studio.example", "0.1.0", 1, "3f9a2c0011")
    assert own.host == "render-box-3f9a2c.local."
    assert Advertisement("Render Box", "0.1.0", 1, "aaaaaa0011").host != own.host
    assert Advertisement("Büro", "0.1.0", 1, "3f9a2c0011").host == "buro-3f9a2c.local."
    assert Advertisement("机器", "0.1.0", 1, "3f9a2c0011").host == "node-3f9a2c.local."


def test_a_fingerprint_gives_nothing_of_the_key_away() -> None:
    assert fingerprint(KEY) == fingerprint(KEY) != fingerprint(b"y" * 40)
    assert len(fingerprint(KEY)) == 10
    assert KEY[:5].hex() not in fingerprint(KEY)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"version", b"0.1\x1b[0m"),
        (b"version", b"1" * 30),
        (b"version", None),
        (b"protocol", b"one"),
        (b"protocol", "\u0661".encode()),  # A digit, though not of ours.
        (b"protocol", b"99999"),
        (b"key", b"../../etc"),
        (b"key", b"0123456789\n"),
        (b"key", b"\xff\xfe"),
    ],
)
def test_what_no_node_writes_is_no_node(field: bytes, value: bytes | None) -> None:
    assert read_records({**GOOD}) is not None
    assert read_records({**GOOD, field: value}) is None


@pytest.mark.parametrize(
    "host",
    [
        "example.org.",
        "a.b.local.",
        ".local.",
        "-x.local.",
        "x\n.local.",
        "x.local.\n",
        "é.local.",
        "x" * 64 + ".local.",
        None,
    ],
)
def test_only_a_plain_name_of_the_local_network_is_an_address(host: str | None) -> None:
    assert read_address("Box-1.local.", 7460) == Address("box-1.local", 7460)
    assert read_address(host, 7460) is None


@pytest.mark.parametrize("port", [0, -1, 65536, None])
def test_a_port_that_is_none_is_no_address(port: int | None) -> None:
    assert read_address("box.local.", port) is None


@given(st.text(max_size=500))
def test_a_strangers_name_ends_no_line_and_hides_nothing(text: str) -> None:
    name = as_name(text)
    assert len(name) <= LONGEST_NAME
    assert not {unicodedata.category(each) for each in name} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert name == " ".join(name.split())


def test_hostile_names_are_shown_for_what_they_are() -> None:
    assert as_name("box\x1b[2J\u202egnp\u2028next") == "box?[2J?gnp?next"
    read = read_records({**GOOD, b"name": b"\xff\x00" + b" " * 80})
    assert read is not None
    assert read.name == "\ufffd?"
    nameless = read_records({**GOOD, b"name": None})
    assert nameless is not None
    assert nameless.name == "a node without a name"
