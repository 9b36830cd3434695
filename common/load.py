"""Load: many clerks in one process, each doing one operation after the other, as fast as it is answered.

It is a role like any other, so that whoever measures never imports a lab: it starts the process, asks it to run, and
reads how long the operations took.
"""

import asyncio
from collections.abc import Callable
from itertools import chain
from typing import Literal

from common.clerk import KeyValue
from common.host import Host
from common.wire import Reply, Request

Kind = Literal["get", "put", "append"]


class LoadDone(Reply):
    """What the clerks have done. Times are seconds from asking a clerk to its answer."""

    operations: int
    seconds: float
    """From the first operation's begin to the last one's end."""
    median: float
    slow: float
    """One operation in a hundred took longer."""
    slowest: float


class RunLoad(Request[LoadDone]):
    """Writes every key once, then lets `clerks` clerks do `operation` for so many seconds.

    Each walks over all the keys, from a place of its own. Before appends the values are emptied, otherwise they have
    `value_size` characters.
    """

    clerks: int
    seconds: float
    operation: Kind
    value_size: int
    keys: int
    prefix: str = ""
    """What all keys begin with. Without it they differ in their first character, so that all shards get some."""


async def serve_load(host: Host, make_clerk: Callable[[], KeyValue]) -> None:
    """Answers `RunLoad`. Clerks are made when they are needed first, and used again."""
    clerks: list[KeyValue] = []

    async def run(request: RunLoad) -> LoadDone:
        while len(clerks) < request.clerks:
            clerks.append(make_clerk())
        return await _run(host, clerks[: request.clerks], request)

    await host.serve({RunLoad: run})


async def _run(host: Host, clerks: list[KeyValue], request: RunLoad) -> LoadDone:
    keys = [f"{request.prefix}{str(number)[::-1]}-key" for number in range(request.keys)]
    value = "v" * request.value_size
    at_first = "" if request.operation == "append" else value
    share = len(clerks)
    await asyncio.gather(*(_write(clerk, keys[place::share], at_first) for place, clerk in enumerate(clerks)))
    began = host.now()
    end = began + request.seconds
    took: list[float] = []
    places = [place * len(keys) // share for place in range(share)]
    await asyncio.gather(
        *(
            _work(host, clerk, request.operation, keys, place, value, end, took)
            for place, clerk in zip(places, clerks, strict=True)
        )
    )
    seconds = host.now() - began
    took.sort()
    count = len(took)
    return LoadDone(count, seconds, took[count // 2], took[count * 99 // 100], took[-1])


async def _write(clerk: KeyValue, keys: list[str], value: str) -> None:
    for key in keys:
        await clerk.put(key, value)


async def _work(
    host: Host, clerk: KeyValue, operation: Kind, keys: list[str], place: int, value: str, end: float, took: list[float]
) -> None:
    now = host.now()
    while True:
        for number in chain(range(place, len(keys)), range(place)):
            key = keys[number]
            if operation == "get":
                await clerk.get(key)
            elif operation == "put":
                await clerk.put(key, value)
            else:
                await clerk.append(key, value)
            before, now = now, host.now()
            took.append(now - before)
            if now >= end:
                return
