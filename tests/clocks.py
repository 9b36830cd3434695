"""Clocks for tests of what happens when time has run out."""

import time
from collections.abc import Callable


class Hurried:
    """Stands for the module `time`. Once `over` holds nothing is waited for any more, so that time then flies.

    Whoever waits for so many seconds that something happens in them takes a few more looks, on any machine.
    """

    def __init__(self, over: Callable[[], bool], stride: float) -> None:
        self._over = over
        self._stride = stride
        self._ahead = 0.0

    def monotonic(self) -> float:
        """Real seconds, and a stride more at each look from then on."""
        if self._over():
            self._ahead += self._stride
        return time.monotonic() + self._ahead
