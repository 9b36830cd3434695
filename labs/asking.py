"""Asking clerks: what the suites of all key/value services do with a service, whatever is inside it."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

from labs.cluster import Clerk, Cluster, NotInTime
from labs.grading import expect_equal, token

T = TypeVar("T")

ANSWER_WITHIN: Final = 10.0
"""Seconds in which an operation has to be answered that nothing stands in the way of."""
A_WHILE: Final = 1.0
"""Seconds in which an answer that must not come would have come."""


class Asking:
    """A service in a cluster, as its clerks see it: what has to be answered soon, and what may not be answered."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def situation(self) -> str:
        """What a reader should know when something was not answered, such as the view. Nothing by default."""
        return ""

    async def get(self, ck: Clerk, key: str) -> str:
        """A Get that has to be answered soon."""
        return await self.answer(ck.get(key), f'Get("{key}") by {ck.name}')

    async def put(self, ck: Clerk, key: str, value: str) -> None:
        """A Put that has to be answered soon."""
        await self.answer(ck.put(key, value), f'Put("{key}", …) by {ck.name}')

    async def append(self, ck: Clerk, key: str, value: str) -> None:
        """An Append that has to be answered soon."""
        await self.answer(ck.append(key, value), f'Append("{key}", …) by {ck.name}')

    async def check(self, ck: Clerk, key: str, expected: str, hint: str = "") -> None:
        """A Get that has to be answered soon, with this value."""
        expect_equal(f'Get("{key}") by {ck.name}', await self.get(ck, key), expected, hint)

    async def check_same(self, clerks: Sequence[Clerk], key: str) -> str:
        """A Get by each of these clerks, one after the other. Nobody writes, so all have to be told the same."""
        value = await self.get(clerks[0], key)
        for ck in clerks[1:]:
            await self.check(ck, key, value, f"that is what {clerks[0].name} was told a moment before")
        return value

    async def answer(self, operation: Coroutine[Any, Any, T], what: str, within: float = ANSWER_WITHIN) -> T:
        """The operation's result. Raises `NotInTime`, which says what was asked, if it does not come soon."""
        return await self.finish(self.cluster.spawn(operation), what, within)

    async def finish(self, task: "asyncio.Task[T]", what: str, within: float = ANSWER_WITHIN) -> T:
        """The result of an operation under way, which has to come soon."""
        within *= self.cluster.patience
        if not await self.cluster.finishes(task, within):
            task.cancel()
            situation = await self.situation()
            raise NotInTime(f"{what} was not answered within {within:g} s" + (f": {situation}" if situation else ""))
        return task.result()

    async def unanswered(self, task: "asyncio.Task[Any]", what: str, hint: str, within: float = A_WHILE) -> None:
        """For a while, the operation may not be answered."""
        if await self.cluster.finishes(task, within):
            raise AssertionError(f"{what} was answered ({task.result()!r}), though {hint}")


async def append_tokens(ck: Clerk, client: int, key: str, count: int) -> None:
    """Appends the tokens 0 to count - 1 of a client."""
    for number in range(count):
        await ck.append(key, token(client, number))


async def use_shared_keys(ck: Clerk, over: asyncio.Event, keys: Sequence[str] = "abc") -> None:
    """Gets, Puts and Appends to keys that other clerks use, too, until it is over."""
    cluster = ck.cluster
    random = cluster.random
    number = 0

    def draw() -> list[str]:
        key, kind = random.choice(keys), random.random()
        return ["get" if kind < 0.4 else "put" if kind < 0.5 else "append", key]

    while not over.is_set():
        number += 1
        operation: list[str] = cluster.choose(ck.name, draw, [])
        match operation:
            case ["get", key]:
                await ck.get(key)
            case ["put", key]:
                await ck.put(key, f"{ck.name}:{number} ")
            case ["append", key]:
                await ck.append(key, f"{ck.name}:{number} ")
        await cluster.sleep(random.uniform(0.0, 0.06))
