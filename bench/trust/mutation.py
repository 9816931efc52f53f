# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages with something wrong with them, made from right ones of every type. Pure."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from addon.protocol import codec
from addon.protocol.digest import BLAKE2B, chunk_digest
from addon.protocol.manifest import FileEntry, Manifest
from addon.protocol.messages import (
    AskClients,
    AskStore,
    AskWorkers,
    Cancel,
    ChangeClient,
    ChunkHead,
    Chunks,
    Codec,
    Collect,
    Decide,
    Delivered,
    Forget,
    Grant,
    Hello,
    JobSpec,
    Message,
    Offer,
    Ping,
    Pong,
    Ready,
    Retry,
    Revoke,
    Scope,
    Stored,
    Submit,
    Want,
    Withdraw,
)
from addon.protocol.recipe import Recipe
from addon.protocol.version import PROTOCOL, VERSION
from addon.protocol.zstd import compress

Frames = list[bytes]

MOST_BYTES = 64 << 10
"""Of one mutated frame: larger ones only measure the link."""

_SHORT_BYTES = 2000
"""Of a header of which a part may be repeated: what is repeated three times 500 times takes minutes to make."""

_IDS = [digit * 32 for digit in "0af"]

_NUMBERS = [0, 1, -1, 2**31, 2**32, -(2**63), 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e308]
_TEXTS = [
    "", "\0", "../../etc/passwd", "/", "C:\\x", "a" * 1001, "\ud800", "\U0001f600" * 300, "1-999999999", "1-100000",
    "\u202e", "blake3", "patch", "raw", "all", "0" * 32, "0" * 31, "%s%n", "١٢٣", "9" * 5000, "1," * 20_000,
]  # fmt: skip
_VALUES: list[Any] = [None, True, [], {}, [[]], [{}], [None] * 100, {"": ""}, *_NUMBERS, *_TEXTS]
_RAW = [
    b"",
    b"\0",
    b"{",
    b"[]",
    b"null",
    b'{"type":',
    b"\xff\xfe",
    b"[" * 20_000,
    b'{"a":' * 10_000,
    b"NaN",
    b"1e999999",
]


def manifest_of(content: bytes) -> Manifest:
    """Return that of one file of one chunk."""
    recipe = Recipe(BLAKE2B, (len(content),), 1, (len(content),), chunk_digest(BLAKE2B)(content))
    return Manifest(("/home/ada",), (FileEntry(0, "shot.blend", recipe),))


def right_messages(chance: random.Random) -> list[Frames]:
    """Return one right message of each type that a client sends, some of the node's, and some that go together."""
    content = chance.randbytes(1000)
    manifest = manifest_of(content)
    packed = manifest.packed
    spec = JobSpec(chance.choice(_IDS), "shot", manifest.digest, None, "1-48x2", "", 0.0)
    squeezed = compress(packed)
    messages: list[tuple[Message, bytes | None]] = [
        (hello(chance), None),
        (Ping(), None),
        (Offer(manifest.digest, len(packed), Codec.RAW), packed),
        (Offer(manifest.digest, len(packed), Codec.ZSTD), squeezed),
        (Offer(manifest.digest, len(packed), Codec.PATCH, "d" * 32), squeezed),
        (Chunks(manifest.digest, (ChunkHead(0, 1000, Codec.RAW),)), content),
        (Chunks(manifest.digest, (ChunkHead(0, 500, Codec.PATCH, "d" * 32), ChunkHead(0, 500, Codec.RAW))), content),
        (Withdraw(manifest.digest), None),
        (Want("17", 0, 1 << 20), None),
        (Grant(manifest.digest, 1 << 24), None),
        (Submit(spec), None),
        (Cancel(spec.job), None),
        (Retry(spec.job), None),
        (Forget(spec.job), None),
        (Collect(spec.job), None),
        (Delivered("17"), None),
        (AskStore(1 << 40), None),
        (AskWorkers(), None),
        (AskClients(), None),
        (Decide("123456", False), None),
        (Revoke(spec.job), None),
        (ChangeClient(spec.job, "guest", False, "jobs=2", False), None),
        (Pong(), None),
        (Ready(), None),
        (Stored(manifest.digest), None),
    ]
    return [[bytes(frame) for frame in codec.encode(message, payload)] for message, payload in messages]


def hello(chance: random.Random) -> Hello:
    """Return that of somebody new."""
    return Hello(PROTOCOL, VERSION, chance.randbytes(16).hex(), "fuzz", Scope.ALL)


def mutate(chance: random.Random, frames: Frames, others: Sequence[Frames]) -> Frames:
    """Return the message with one to three things wrong; `others`: messages to take parts of."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        frames = chance.choice(_MUTATIONS)(chance, list(frames), others)
    return [frame[:MOST_BYTES] for frame in frames] or [b""]


def _field(chance: random.Random, frames: Frames, _: Sequence[Frames]) -> Frames:
    """Something in the header's JSON is another thing, twice there, gone, or somewhere deep."""
    try:
        header = json.loads(frames[0])
    except (ValueError, RecursionError, IndexError):
        return frames
    holder, key = _somewhere(chance, header)
    if holder is None:
        return frames
    match chance.randrange(5):
        case 0:
            del holder[key]
        case 1:
            holder[key] = _deep(chance)
        case 2:
            holder[key] = [holder[key]] * (chance.choice((1, 2, 500)) if len(frames[0]) < _SHORT_BYTES else 1)
        case _:
            holder[key] = chance.choice(_VALUES)
    return [json.dumps(header).encode("utf-8", "surrogatepass"), *frames[1:]]


def _somewhere(chance: random.Random, value: Any) -> tuple[Any, Any]:
    """A container within, and one of its keys; None for what holds nothing."""
    found: tuple[Any, Any] = (None, None)
    while isinstance(value, dict | list) and value:
        key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        found = value, key
        value = value[key]
        if chance.random() < 0.3:
            break
    return found


def _deep(chance: random.Random) -> Any:
    value: Any = 0
    for _ in range(chance.choice((10, 300))):
        value = [value] if chance.random() < 0.5 else {"a": value}
    return value


def _bytes(chance: random.Random, frames: Frames, __: Sequence[Frames]) -> Frames:
    """A few bytes of a frame are others, or one place has more or fewer of them."""
    at = chance.randrange(len(frames)) if frames else 0
    changed = bytearray(frames[at] if frames else b"")
    for _ in range(chance.choice((1, 2, 8))):
        place = chance.randrange(len(changed) + 1)
        match chance.randrange(3):
            case 0:
                changed[place : place + 1] = chance.randbytes(1)
            case 1:
                del changed[place : place + chance.choice((1, 4, 1000))]
            case _:
                changed[place:place] = chance.randbytes(chance.choice((1, 4, 100)))
    frames[at : at + 1] = [bytes(changed)]
    return frames


def _cut_short(chance: random.Random, frames: Frames, _: Sequence[Frames]) -> Frames:
    return [frame[: chance.randrange(len(frame) + 1)] for frame in frames]


def _count(chance: random.Random, frames: Frames, others: Sequence[Frames]) -> Frames:
    """More frames or fewer, or those of another message."""
    match chance.randrange(4):
        case 0:
            return frames[: chance.randrange(len(frames) + 1)]
        case 1:
            return frames * chance.choice((2, 3, 20))
        case 2:
            return frames[:1] + chance.choice(others)[1:]
        case _:
            return frames[::-1]


def _raw(chance: random.Random, frames: Frames, _: Sequence[Frames]) -> Frames:
    return [chance.choice((*_RAW, chance.randbytes(chance.choice((1, 30, 2000))))), *frames[1:]]


_MUTATIONS: list[Callable[[random.Random, Frames, Sequence[Frames]], Frames]] = [
    _field, _field, _field, _field, _bytes, _cut_short, _count, _raw,
]  # fmt: skip
