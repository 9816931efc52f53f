# SPDX-License-Identifier: GPL-3.0-or-later
import contextlib
import dataclasses
import json
import re
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.protocol import codec
from addon.protocol.digest import Buffer
from addon.protocol.errors import LocalProtocolError, RemoteProtocolError
from addon.protocol.limits import HIGHEST_PRIORITY, LOWEST_PRIORITY, MAX_CHUNK_BYTES, MAX_MANIFEST_BYTES
from addon.protocol.messages import (
    AskStore,
    ChunkHead,
    Chunks,
    ClientMessage,
    Codec,
    Hello,
    JobSpec,
    Need,
    NodeMessage,
    Offer,
    Piece,
    Submit,
    Want,
)

IDENTIFIER = st.text("0123456789abcdef", min_size=32, max_size=32)
LINE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=50)
SPECIAL = {
    "client": IDENTIFIER,
    "process": IDENTIFIER,
    "digest": IDENTIFIER,
    "job": IDENTIFIER,
    "manifest": IDENTIFIER,
    "frames": st.just("1-4"),
    "name": st.just("a/b.png"),
    "output": st.from_regex(r"[0-9a-z-]{1,32}", fullmatch=True),
    "title": LINE,
    "host": LINE,
    "version": LINE,
    "offset": st.integers(0, 100),
    "limit": st.integers(100, 200),
    "taken": st.integers(0, 100),
    "last_use": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "number": st.integers(0, 2**40),
    "size": st.integers(1, 2 * MAX_CHUNK_BYTES),
    "code": st.text("0123456789", min_size=6, max_size=6),
    "frame": st.integers(0, 2**20 - 2),
    "after": st.integers(0, 2**40),
    "priority": st.integers(LOWEST_PRIORITY, HIGHEST_PRIORITY),
    "shrink_to": st.none() | st.integers(0, 2**60),
}
BASES = st.sampled_from(Codec).flatmap(
    lambda codec: st.tuples(st.just(codec), IDENTIFIER if codec == Codec.PATCH else st.just(""))
)
"""A codec, and what it is a change of where it is one."""


def messages_of(kind: type) -> st.SearchStrategy[typing.Any]:
    hints = typing.get_type_hints(kind)
    values = {field.name: value_of(field.name, hints[field.name]) for field in dataclasses.fields(kind)}
    if "codec" not in values:
        return st.builds(kind, **values)
    del values["codec"], values["base"]
    return BASES.flatmap(lambda pair: st.builds(kind, codec=st.just(pair[0]), base=st.just(pair[1]), **values))


def value_of(name: str, hint: typing.Any) -> st.SearchStrategy[typing.Any]:
    if name in SPECIAL:
        return SPECIAL[name]
    if dataclasses.is_dataclass(hint):
        return messages_of(typing.cast(type, hint))
    if typing.get_origin(hint) is tuple:
        return st.lists(value_of("", typing.get_args(hint)[0]), max_size=3).map(tuple)
    if hint is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if hint is str:
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
    return st.from_type(hint)


def frames_of(message: typing.Any) -> list[Buffer]:
    return codec.encode(message, b"payload" if isinstance(message, codec.WITH_PAYLOAD) else None)


@given(st.one_of([messages_of(kind) for kind in typing.get_args(ClientMessage)]))
def test_every_client_message_survives_the_wire(message: ClientMessage) -> None:
    assert codec.decode_from_client(frames_of(message))[0] == message


@given(st.one_of([messages_of(kind) for kind in typing.get_args(NodeMessage)]))
def test_every_node_message_survives_the_wire(message: NodeMessage) -> None:
    assert codec.decode_from_node(frames_of(message))[0] == message


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_garbage_is_refused_and_nothing_else(frames: list[bytes]) -> None:
    with pytest.raises(RemoteProtocolError):
        codec.decode_from_client(frames)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(
    st.sampled_from(typing.get_args(ClientMessage)).flatmap(
        lambda kind: st.fixed_dictionaries({field.name: JSON for field in dataclasses.fields(kind)}).map(
            lambda fields: {**fields, "type": codec.wire_name(kind)}
        )
    )
)
def test_wrong_types_are_refused_or_read_but_never_crash(fields: dict[str, object]) -> None:
    with contextlib.suppress(RemoteProtocolError):
        codec.decode_from_client([json.dumps(fields).encode()])


def test_fields_of_a_newer_version_are_skipped() -> None:
    header = {
        "type": "hello",
        "protocol": 9,
        "version": "9.0",
        "client": "0" * 32,
        "process": "0" * 32,
        "host": "h",
        "mood": "good",
    }
    message, _ = codec.decode_from_client([json.dumps(header).encode()])
    assert isinstance(message, Hello)
    assert message.protocol == 9


def offer(**wrong: object) -> bytes:
    return json.dumps({"type": "offer", "manifest": "0" * 32, "size": 5, "codec": "raw", **wrong}).encode()


def chunks(**wrong: object) -> bytes:
    head = {"number": 0, "size": 5, "codec": "raw", **wrong}
    return json.dumps({"type": "chunks", "manifest": "0" * 32, "chunks": [head]}).encode()


@pytest.mark.parametrize(
    "header",
    [
        b'{"type":"want","transfer":"x","offset":5,"limit":1}',
        b'{"type":"want","transfer":"x","offset":-1,"limit":1}',
        b'{"type":"want","transfer":"x","offset":true,"limit":1}',
        b'{"type":"welcome","protocol":1,"version":"","node":"","blenders":[]}',
        b'{"type":"hello","protocol":1,"version":"1","client":"short","process":"short","host":"h"}',
        b'{"type":"hello","protocol":NaN,"version":"1","client":"short","process":"short","host":"h"}',
        b'{"type":"offer","manifest":"0","size":5,"codec":"raw"}',
        offer(size=0),
        offer(size=MAX_MANIFEST_BYTES + 1),
        offer(codec="lzma"),
        offer(codec="patch"),
        offer(codec="patch", base="../x"),
        offer(codec="zstd", base="0" * 32),
        chunks(number=-1),
        chunks(size=0),
        chunks(size=2 * MAX_CHUNK_BYTES + 1),
        chunks(codec="patch"),
        chunks(size="5"),
        b'{"type":"chunks","manifest":"00000000000000000000000000000000","chunks":{"number":0}}',
        b'{"type":"withdraw","manifest":"../../etc/passwd"}',
        b'{"type":"ask_store","shrink_to":-1}',
        b"[" * 5000,
    ],
)
def test_values_out_of_bounds_are_refused(header: bytes) -> None:
    payload = [b"bytes"] if re.match(rb'\{"type": ?"(offer|chunks)"', header) else []
    with pytest.raises(RemoteProtocolError):
        codec.decode_from_client([header, *payload])


def test_a_number_of_four_hundred_digits_is_refused() -> None:
    spec = JobSpec("0" * 32, "shot", "0" * 32, None, "1", "", created=0.5)
    (header, *_) = codec.encode(Submit(spec))
    huge = bytes(header).replace(b"0.5", b"1" + b"0" * 400)
    assert huge != bytes(header)
    with pytest.raises(RemoteProtocolError, match="too large"):
        codec.decode_from_client([huge])


def test_values_within_bounds_are_not() -> None:
    codec.decode_from_client([offer(), b"bytes"])
    codec.decode_from_client([offer(size=MAX_MANIFEST_BYTES, codec="patch", base="1" * 32), b"bytes"])
    codec.decode_from_client([chunks(), b"bytes"])
    codec.decode_from_client([chunks(size=2 * MAX_CHUNK_BYTES, codec="patch", base="1" * 32), b"bytes"])


def test_a_payload_goes_with_the_messages_that_have_one() -> None:
    with pytest.raises(LocalProtocolError):
        codec.encode(Want("x", 0, 1), b"bytes")
    with pytest.raises(LocalProtocolError):
        codec.encode(Piece("x", 0))
    with pytest.raises(LocalProtocolError):
        codec.encode(AskStore(), b"bytes")
    for message in (Offer("0" * 32, 5, Codec.RAW), Chunks("0" * 32, (ChunkHead(0, 1, Codec.RAW),))):
        with pytest.raises(RemoteProtocolError):
            codec.decode_from_client(codec.encode(message, b"p")[:1])
    with pytest.raises(RemoteProtocolError):
        codec.decode_from_node(codec.encode(Need("0" * 32, 1), b"p")[:1])


def test_a_message_goes_one_way() -> None:
    for frames in (codec.encode(Need("0" * 32, 1), b"p"), codec.encode(Piece("x", 0), b"p")):
        with pytest.raises(RemoteProtocolError):
            codec.decode_from_client(frames)
    with pytest.raises(RemoteProtocolError):
        codec.decode_from_node(codec.encode(Offer("0" * 32, 5, Codec.RAW), b"p"))


def test_submit_carries_a_whole_job() -> None:
    spec = JobSpec("0" * 32, "shot.blend", "1" * 32, "Scene", "1-10,20", "group", 1.5)
    assert codec.decode_from_client(codec.encode(Submit(spec)))[0] == Submit(spec)
