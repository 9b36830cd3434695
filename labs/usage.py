"""How a `lab` command ends: its exit status, and the error of a command that makes no sense."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Final

PASSED: Final = 0
FAILED: Final = 1
BAD_USAGE: Final = 2
INCONCLUSIVE: Final = 3
INTERRUPTED: Final = 130


class BadUsage(ValueError):
    """The command makes no sense. The text is one line for the user."""


@contextmanager
def handled(
    number: signal.Signals, handler: Callable[[int, FrameType | None], object] | signal.Handlers
) -> Iterator[None]:
    """Within, the signal does this. Afterwards it does again what it did before."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def discard(*descriptors: int) -> None:
    """From now on these take whatever is written to them, and throw it away: nobody can read it any more."""
    with open(os.devnull, "w") as nowhere:
        for descriptor in descriptors:
            os.dup2(nowhere.fileno(), descriptor)


def interruptible() -> AbstractContextManager[None]:
    """SIGTERM ends it as a Ctrl-C does."""
    return handled(signal.SIGTERM, signal.default_int_handler)
