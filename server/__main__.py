# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server`."""

from .cli import app

if __name__ == "__main__":
    app(prog_name="python -m server")
