# SPDX-License-Identifier: GPL-3.0-or-later
"""The page's own files."""

import re
from pathlib import Path

STATIC = Path(__file__).parents[1] / "server" / "web" / "static"


def test_the_browser_is_told_of_all_modules_at_once() -> None:
    # Else it asks for one after the other, as it finds them named: a tenth of the first load.
    told = re.findall(r'<link rel="modulepreload" href="/static/([a-z]+\.js)">', (STATIC / "index.html").read_text())
    assert sorted([*told, "page.js"]) == sorted(path.name for path in STATIC.glob("*.js"))
