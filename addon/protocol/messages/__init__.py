# SPDX-License-Identifier: GPL-3.0-or-later
"""Every message of the protocol as a frozen dataclass; docs/protocol.md says when each is sent.

`Hello` and `Refused` keep their fields for ever: they are how two versions tell each other apart.
"""

from ..frame_order import FrameOrder
from .checks import as_line, as_text
from .clients import AskClients, ChangeClient, ClientList, ClientStatus, Decide, PairingRequest, Revoke
from .connection import Hello, Ping, Pong, Ready, Refusal, Refused, Scope, Welcome
from .jobs import (
    FINISHED,
    Cancel,
    Collect,
    Forget,
    JobChanged,
    JobGone,
    JobSpec,
    JobState,
    JobStatus,
    Move,
    Pause,
    Prioritize,
    Resume,
    Retry,
    Submit,
)
from .logs import AskLog, Log
from .outputs import Announce, Delivered, Grant, Output, Piece, Preview, Want
from .store import AskStore, StoreStatus
from .uploads import ChunkHead, Chunks, Codec, Need, Offer, Stored, Withdraw
from .workers import AskWorkers, Workers, WorkerState, WorkerStatus

__all__ = [
    "FINISHED",
    "Announce",
    "AskClients",
    "AskLog",
    "AskStore",
    "AskWorkers",
    "Cancel",
    "ChangeClient",
    "ChunkHead",
    "Chunks",
    "ClientList",
    "ClientMessage",
    "ClientStatus",
    "Codec",
    "Collect",
    "Decide",
    "Delivered",
    "Forget",
    "FrameOrder",
    "Grant",
    "Hello",
    "JobChanged",
    "JobGone",
    "JobSpec",
    "JobState",
    "JobStatus",
    "Log",
    "Message",
    "Move",
    "Need",
    "NodeMessage",
    "Offer",
    "Output",
    "PairingRequest",
    "Pause",
    "Piece",
    "Ping",
    "Pong",
    "Preview",
    "Prioritize",
    "Ready",
    "Refusal",
    "Refused",
    "Resume",
    "Retry",
    "Revoke",
    "Scope",
    "StoreStatus",
    "Stored",
    "Submit",
    "Want",
    "Welcome",
    "Withdraw",
    "WorkerState",
    "WorkerStatus",
    "Workers",
    "as_line",
    "as_text",
]

ClientMessage = (
    Hello
    | Ping
    | Offer
    | Chunks
    | Withdraw
    | Want
    | Grant
    | Submit
    | Cancel
    | Pause
    | Resume
    | Prioritize
    | Move
    | Retry
    | Forget
    | Collect
    | Delivered
    | AskStore
    | AskLog
    | AskWorkers
    | AskClients
    | Decide
    | Revoke
    | ChangeClient
)
NodeMessage = (
    Welcome
    | Refused
    | Pong
    | Need
    | Stored
    | Piece
    | Grant
    | JobChanged
    | JobGone
    | Ready
    | Preview
    | Announce
    | StoreStatus
    | Log
    | Workers
    | ClientList
)
Message = ClientMessage | NodeMessage
