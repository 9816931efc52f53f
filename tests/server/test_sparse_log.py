# SPDX-License-Identifier: GPL-3.0-or-later
import logging

import pytest

from server.sparse_log import LINES, SPAN_S, Sparse


def test_what_others_cause_fills_no_log_and_what_was_left_out_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    # GIVEN a logger whose lines others can cause
    now = 0.0
    log = logging.getLogger("relay.strangers")
    sparse = Sparse(lambda: now)
    log.addFilter(sparse)
    # WHEN they cause far too many
    for number in range(LINES + 7):
        log.warning("message %d", number)
    # THEN so many are said, and an error of ours is said all the same
    assert [record.message for record in caplog.records] == [f"message {number}" for number in range(LINES)]
    log.error("ours")
    assert caplog.records[-1].message == "ours (7 lines before this one were left out)"
    # AND later ones are said again
    now = SPAN_S
    log.warning("late")
    assert caplog.records[-1].message == "late"
    log.removeFilter(sparse)
