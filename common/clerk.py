"""A clerk as a process: it does what the messages of common/protocol.py ask of it, one operation at a time."""

import asyncio
from typing import Protocol

from common.host import Host
from common.protocol import Append, Done, Get, Put, Value


class KeyValue(Protocol):
    """Any key/value client. Each operation is tried until it has an answer, and done once."""

    async def get(self, key: str) -> str:
        """The value of `key`, or the empty string."""

    async def put(self, key: str, value: str) -> None:
        """Makes `value` the value of `key`."""

    async def append(self, key: str, value: str) -> None:
        """Adds `value` to the end of the value of `key`."""


async def serve_clerk(host: Host, clerk: KeyValue) -> None:
    """Lets others have `clerk` do things."""
    one_at_a_time = asyncio.Lock()

    async def get(request: Get) -> Value:
        async with one_at_a_time:
            return Value(await clerk.get(request.key))

    async def put(request: Put) -> Done:
        async with one_at_a_time:
            await clerk.put(request.key, request.value)
        return Done()

    async def append(request: Append) -> Done:
        async with one_at_a_time:
            await clerk.append(request.key, request.value)
        return Done()

    await host.serve({Get: get, Put: put, Append: append})
