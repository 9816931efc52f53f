# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a chunk stands in a file that has it often, such as one of zeros."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable


class Occurrences:
    """The places of each chunk among others, by its name."""

    def __init__(self, names: Iterable[bytes], first: int = 0) -> None:
        """`first`: the number of the first of these."""
        self._numbers: defaultdict[bytes, list[int]] = defaultdict(list)
        for number, name in enumerate(names, first):
            self._numbers[name].append(number)

    def find(self, name: bytes, start: int) -> int | None:
        """Return the first place from `start` on, else the first of all; None if the chunk is not there."""
        numbers = self._numbers.get(name)
        if numbers is None:
            return None
        at = bisect_left(numbers, start)
        return numbers[at] if at < len(numbers) else numbers[0]
