"""How a `lab` command ends: its exit status, and the error of a command that makes no sense."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

PASSED: Final = 0
FAILED: Final = 1
BAD_USAGE: Final = 2
INCONCLUSIVE: Final = 3
INTERRUPTED: Final = 130


class BadUsage(ValueError):
    """The command makes no sense. The text is one line for the user."""


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends it as a Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
