# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the protocol layer. Every docstring is fit to be shown to a person."""


class ProtocolError(Exception):
    """The conversation with the other side cannot go on."""


class LocalProtocolError(ProtocolError):
    """This side was about to break the protocol: a bug here, not at the peer."""


class RemoteProtocolError(ProtocolError):
    """The other side sent something that the protocol does not allow."""


class InvalidFrames(ValueError):
    """The list of frames is not one that can be rendered."""


class UnsafePath(ValueError):
    """A file name from the other side does not stay inside its folder."""
