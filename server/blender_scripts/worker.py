# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node runs inside Blender: `blender -b ... --python worker.py`, or `python worker.py` with the bpy wheel.

It stands alone there: the standard library, bpy and the folder beside it are all it may import.
"""

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
importlib.import_module("relay_worker.main").main()
