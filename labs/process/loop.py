"""An event loop that no interruption leaves in the middle of something."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import ExitStack
from types import FrameType
from typing import Any, TypeVar

from common.main import new_event_loop
from labs.usage import handled

T = TypeVar("T")


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
