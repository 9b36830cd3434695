"""One asyncio on every Python: the few tools whose order of events depends on the version, or on addresses in memory.

Everything else in asyncio that a server may use takes the same turns of the loop on all supported versions; the tests
compare the digests of runs that use it.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


async def wait_for(fut: Awaitable[T], timeout: float | None) -> T:
    """As since Python 3.12: no task of its own, so fewer turns of the loop."""
    if timeout is not None and timeout <= 0:
        future = asyncio.ensure_future(fut)
        if not future.done():
            future.cancel()
            await asyncio.wait([future])
        try:
            return future.result()
        except asyncio.CancelledError as error:
            raise TimeoutError from error
    async with asyncio.timeout(timeout):
        return await fut


async def wait(condition: Any) -> bool:
    """`Condition.wait`, as since Python 3.13: a waiter that is cancelled wakes another, lest a notification be lost."""
    if not condition.locked():
        raise RuntimeError("cannot wait on un-acquired lock")
    waiter = asyncio.get_running_loop().create_future()
    condition.release()
    try:
        condition._waiters.append(waiter)
        try:
            await waiter
        finally:
            condition._waiters.remove(waiter)
            await _acquire(condition)
    except BaseException:
        condition.notify(1)
        raise
    return True


async def _acquire(condition: Any) -> None:
    """Takes the condition's lock, however often this task is cancelled meanwhile."""
    cancelled = None
    while True:
        try:
            await condition.acquire()
            break
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


_python_as_completed = asyncio.as_completed


def as_completed(fs: Iterable[Any], *, timeout: float | None = None) -> Iterator[Any]:
    """Python's puts coroutines into a set, and so starts them in the order of their addresses."""
    futures = [asyncio.ensure_future(f) for f in dict.fromkeys(fs)]
    return _python_as_completed(futures, timeout=timeout)
