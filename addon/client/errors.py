# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the client. Every message is a sentence for the artist."""


class ClientError(Exception):
    """The client cannot do this."""


class CannotRead(ClientError):
    """The file to render cannot be read."""


class JobRefused(ClientError):
    """The node will not render this."""
