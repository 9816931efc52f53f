# SPDX-License-Identifier: GPL-3.0-or-later
"""The artists' files on a node; store.py says how."""

from .errors import BaseMissing, FileBusy, NoRoom
from .housekeeping import Pruned, StoreReport
from .receipt import Present, Receipt
from .store import Store, place

__all__ = ["BaseMissing", "FileBusy", "NoRoom", "Present", "Pruned", "Receipt", "Store", "StoreReport", "place"]
