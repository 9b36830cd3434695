"""How a `lab` command ends: its exit status, the error of a command that makes no sense, and interruptions."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import FrameType
from typing import Any, Final, TypeVar

from common.main import new_event_loop

T = TypeVar("T")

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


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs it on an event loop of its own. SIGINT and SIGTERM cancel it, and do what they did before when it has ended.

    Were an interruption raised where it arrives, it could be lost: whatever a connection's callback raises is to uvloop
    the end of that connection, and nothing more. A second one is raised there all the same.
    """
    arrived: list[int] = []
    task: asyncio.Task[T] | None = None

    def interrupt(number: int, frame: FrameType | None) -> None:
        arrived.append(number)
        if len(arrived) > 1:
            raise KeyboardInterrupt
        if task is not None and not task.done():
            task.get_loop().call_soon_threadsafe(task.cancel)  # which also wakes it

    async def cancellable() -> T:
        nonlocal task
        task = asyncio.current_task()
        if arrived and task is not None:
            task.cancel()
        return await main

    try:
        with ExitStack() as handlers:
            for number in (signal.SIGINT, signal.SIGTERM):
                if callable(signal.getsignal(number)):  # and not ignored, as in a job in the background
                    handlers.enter_context(handled(number, interrupt))
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                return runner.run(cancellable())
    finally:
        if arrived:
            signal.raise_signal(arrived[0])
