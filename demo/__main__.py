# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m demo`: start a node, render a small animation on it, leave its frames in demo-out/, end the node."""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .node import ROOT, NoNode, own_node

SHOT = ROOT / "demo" / "demo.blend"
FRAMES = 6
OUTPUT = ROOT / "demo-out"

INTERRUPTED = 130
"""What a shell reports for a program that Ctrl+C ended."""

LAST_WORDS_S = 3.0
"""How long the command line gets to put the terminal in order after Ctrl+C."""


def main() -> int:
    """Run the demo; returns the exit code."""
    for name in ("SIGTERM", "SIGHUP"):  # Whichever way it ends, it does not leave a node behind.
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="relay-demo-", ignore_cleanup_errors=True) as folder:
            return _run(Path(folder))
    except NoNode as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped: the node has ended, and the job with it.", file=sys.stderr)
        return INTERRUPTED


def _run(folder: Path) -> int:
    _clear_output()
    with own_node(folder / "node") as address:
        print(f"A node on {address} renders {FRAMES} frames of {SHOT.relative_to(ROOT)}.", flush=True)
        submitted = time.time()
        code = _submit(address, folder / "client")
    if code == 0:
        # Renaming a finished frame into place keeps the time at which its last byte was written.
        arrived = sorted(frame.stat().st_mtime - submitted for frame in OUTPUT.glob("*.png"))
        first, last = arrived[0], arrived[-1]
        print(f"First frame {first:.1f} s after submitting, all {len(arrived)} after {last:.1f} s: see {OUTPUT}")
    return code


def _clear_output() -> None:
    """A frame that is here already would not be written again, and have an old time."""
    for frame in OUTPUT.glob("dominoes_*.png"):
        frame.unlink()


def _submit(address: str, data: Path) -> int:
    """Render with the command line as a person would, in this terminal; returns its exit code."""
    command = [sys.executable, "-m", "server", "submit", str(SHOT), "--to", address, "--frames", f"1-{FRAMES}"]
    with subprocess.Popen([*command, "--output", str(OUTPUT), "--data", str(data)], cwd=ROOT) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            try:
                process.wait(LAST_WORDS_S)
            except subprocess.TimeoutExpired:
                process.terminate()
            raise


if __name__ == "__main__":
    sys.exit(main())
