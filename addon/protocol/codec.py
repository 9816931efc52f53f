# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages to ZeroMQ frames and back.

A message is one frame of JSON, ``{"type": "want", "transfer": ..., ...}``, and for some kinds a second frame with the
payload. Unknown fields are skipped, so that a field can be added without a new protocol version.
"""

import dataclasses
import enum
import functools
import json
import math
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from .digest import Buffer
from .errors import LocalProtocolError, RemoteProtocolError
from .limits import MAX_HEADER_BYTES
from .messages import Chunks, ClientMessage, Log, Message, Need, NodeMessage, Offer, Piece, Preview

WITH_PAYLOAD = (Offer, Chunks, Need, Piece, Preview, Log)
_CLIENT_TYPES: tuple[type, ...] = typing.get_args(ClientMessage)
_NODE_TYPES: tuple[type, ...] = typing.get_args(NodeMessage)


def wire_name(kind: type) -> str:
    """The "type" of a message class on the wire: JobChanged is ``job_changed``."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__).lstrip("_")


_BY_NAME = {wire_name(kind): kind for kind in _CLIENT_TYPES + _NODE_TYPES}


def encode(message: Message, payload: Buffer | None = None) -> list[Buffer]:
    """Return the frames of `message`: [header] or [header, payload]."""
    if (payload is not None) != isinstance(message, WITH_PAYLOAD):
        raise LocalProtocolError(f"{type(message).__name__} goes {'with' if payload is None else 'without'} a payload.")
    fields = {"type": wire_name(type(message)), **dataclasses.asdict(message)}
    header = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()
    if len(header) > MAX_HEADER_BYTES:
        raise LocalProtocolError(f"{type(message).__name__} has a header of {len(header)} bytes.")
    return [header] if payload is None else [header, payload]


def decode_from_client(frames: Sequence[Buffer]) -> tuple[ClientMessage, Buffer]:
    """Return the message of a client and its payload (empty for most). Raises RemoteProtocolError."""
    message, payload = _decode(frames, _CLIENT_TYPES)
    return typing.cast(ClientMessage, message), payload


def decode_from_node(frames: Sequence[Buffer]) -> tuple[NodeMessage, Buffer]:
    """Return the message of a node and its payload (empty for most). Raises RemoteProtocolError."""
    message, payload = _decode(frames, _NODE_TYPES)
    return typing.cast(NodeMessage, message), payload


def _decode(frames: Sequence[Buffer], allowed: tuple[type, ...]) -> tuple[object, Buffer]:
    if not frames or len(frames[0]) > MAX_HEADER_BYTES:
        raise RemoteProtocolError("A message without a header, or with one that is too long.")
    fields = _parse(bytes(frames[0]))
    kind = _BY_NAME.get(str(fields.pop("type", None)))
    if kind is None or kind not in allowed:
        raise RemoteProtocolError("A message of a kind that this version does not know.")
    if len(frames) != (2 if kind in WITH_PAYLOAD else 1):
        raise RemoteProtocolError(f"{kind.__name__} with {len(frames)} frames.")
    return build(kind, fields), frames[1] if len(frames) == 2 else b""


def build(kind: type, fields: object) -> Any:
    """Return an instance of the dataclass `kind` from parsed JSON, every field's type checked.

    Raises RemoteProtocolError. Used for the wire and for records on disk.
    """
    try:
        return _decoder(kind)(fields)
    except (KeyError, TypeError, ValueError) as error:
        raise RemoteProtocolError(f"{kind.__name__}: {error}") from error


def _parse(header: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(header, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError("A message whose header is not JSON.") from error
    if not isinstance(fields, dict):
        raise RemoteProtocolError("A message whose header is not an object.")
    return fields


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of the protocol")


@functools.cache
def _decoder(hint: Any) -> Callable[[object], Any]:
    """A function that turns parsed JSON into a value of type `hint`, or raises TypeError, ValueError or KeyError."""
    if dataclasses.is_dataclass(hint):
        return _dataclass_decoder(typing.cast(type, hint))
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        inner = [part for part in typing.get_args(hint) if part is not type(None)]
        required = _decoder(inner[0])
        return lambda value: None if value is None else required(value)
    if typing.get_origin(hint) is tuple:
        return _tuple_decoder(_decoder(typing.get_args(hint)[0]))
    if typing.get_origin(hint) is dict:
        return _dict_decoder(_decoder(typing.get_args(hint)[1]))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint
    return _scalar_decoder(hint)


def _dataclass_decoder(kind: type) -> Callable[[object], Any]:
    hints = typing.get_type_hints(kind)
    fields = [(field.name, _decoder(hints[field.name]), _is_required(field)) for field in dataclasses.fields(kind)]

    def decode(value: object) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"{kind.__name__} is not an object")
        return kind(**{name: inner(value[name]) for name, inner, required in fields if required or name in value})

    return decode


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _tuple_decoder(inner: Callable[[object], Any]) -> Callable[[object], Any]:
    def decode(value: object) -> Any:
        if not isinstance(value, list):
            raise TypeError("a list was expected")
        return tuple(inner(item) for item in value)

    return decode


def _dict_decoder(inner: Callable[[object], Any]) -> Callable[[object], Any]:
    def decode(value: object) -> Any:
        if not isinstance(value, dict):
            raise TypeError("an object was expected")
        return {name: inner(item) for name, item in value.items()}

    return decode


def _scalar_decoder(hint: type) -> Callable[[object], Any]:
    def decode(value: object) -> Any:
        if hint is float and type(value) is int:
            try:
                value = float(value)
            except OverflowError:
                raise ValueError("a number is too large") from None
        if type(value) is not hint:
            raise TypeError(f"{value!r:.40} is not of type {hint.__name__}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("a number is not finite")
        return value

    return decode
