# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the page is served, as the owner writes it."""

import pytest

from server.cli.node import _page


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1", "127.0.0.1", None),
        ("0.0.0.0:8080", "0.0.0.0", 8080),
        ("localhost:0", "localhost", 0),
        ("::1", "::1", None),
        ("[::1]", "::1", None),
        ("[::7460]", "::7460", None),
        ("[::1]:8080", "::1", 8080),
    ],
)
def test_a_port_is_only_taken_where_one_is_named(text: str, host: str, port: int | None) -> None:
    page = _page(text, None)
    assert page is not None
    assert (page.host, page.port) == (host, port)


def test_it_can_be_left_out() -> None:
    assert _page("off", None) is None
