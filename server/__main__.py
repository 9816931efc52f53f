# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server`, and the program `relay-render` that an installation has for it: shells complete one word only."""

import sys
from pathlib import Path

from .cli import app, called

PROGRAM = "relay-render"
VARIABLE = "_RELAY_RENDER_COMPLETE"
"""By which a shell asks `relay-render` for completions; typer makes its name from the program's."""


def main() -> None:
    """Run the command line."""
    is_about_completion = any(word.endswith("-completion") for word in sys.argv[1:2])
    if sys.argv[1:2] == ["serve"]:
        del sys.argv[1]  # What it does without a command has a name, too.
    called_so = Path(sys.argv[0]).stem == PROGRAM
    app(prog_name=PROGRAM if called_so or is_about_completion else called(), complete_var=VARIABLE)


if __name__ == "__main__":
    main()
