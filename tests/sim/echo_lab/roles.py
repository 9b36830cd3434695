"""Servers that echo and call each other, one that uses all of asyncio, and one that makes every mistake on request."""

import asyncio
from collections.abc import Awaitable, Callable

from common.host import BadRequest, CallFailed, Host, every
from common.protocol import Max, Number
from common.wire import Request
from echo_lab import mischief


class Echo(Request[str]):
    """The same text again, after so many seconds."""

    text: str
    seconds: float = 0.0


class Relay(Request[str]):
    """Asks `to` for an echo. If none comes, the answer is `failed`."""

    to: str
    text: str
    seconds: float = 0.0
    timeout: float = 2.0


class Insist(Request[str]):
    """Asks `to` for an echo until one comes."""

    to: str
    text: str


class Lend(Request[str]):
    """Locks itself up, and then asks `to` to do the same (nobody, if `to` is empty)."""

    to: str = ""


class Count(Request[int]):
    """How many Echoes this server has begun to answer. Each incarnation starts at 0."""


class Texts(Request[list[str]]):
    """The texts of all Echoes, in the order in which they came."""


class Keep(Request[int]):
    """Holds so many bytes from now on. The answer is how many it held before."""

    size: int


class Misbehave(Request[str]):
    """Does one of the things that a server must not do."""

    how: str


class Unknown(Request[str]):
    """A request that no server answers."""


class Mistyped(Request[int]):
    """A request whose answer is a text, in spite of what it says."""


async def echo(host: Host, greeting: str = "hello") -> None:
    """Answers all of the above."""
    texts: list[str] = []
    kept = b""
    lock = asyncio.Lock()

    async def on_echo(request: Echo) -> str:
        texts.append(request.text)
        try:
            if request.seconds:
                await host.sleep(request.seconds)
        finally:
            host.log(f"done with {request.text}")
        return request.text

    async def on_relay(request: Relay) -> str:
        try:
            return await host.call(request.to, Echo(request.text, request.seconds), timeout=request.timeout)
        except CallFailed as error:
            host.log(f"call failed: {error}")
            return "failed"

    async def on_insist(request: Insist) -> str:
        while True:
            try:
                return await host.call(request.to, Echo(request.text))
            except CallFailed:
                await host.sleep(0.01)

    async def on_lend(request: Lend) -> str:
        async with lock:
            return await host.call(request.to, Lend(), timeout=60.0) if request.to else "lent"

    def on_count(_request: Count) -> int:
        return len(texts)

    async def on_max(_request: Max) -> Number:  # what a peer of Paxos is asked
        if "be slow" in texts:
            await host.sleep(1.0)
        return Number(len(texts) - 1)

    def on_texts(_request: Texts) -> list[str]:
        return texts

    def on_keep(request: Keep) -> int:
        nonlocal kept
        if request.size < 0:
            raise BadRequest("expected a size of at least 0")
        before, kept = len(kept), bytes(request.size)
        return before

    async def on_misbehave(request: Misbehave) -> str:
        await host.sleep(0.01)
        outcome = mischief.MISDEEDS[request.how](host)
        if outcome is not None:
            await outcome
        return "nobody minded"

    def on_mistyped(_request: Mistyped) -> str:
        return "not a number"

    await host.serve(
        {
            Echo: on_echo,
            Relay: on_relay,
            Insist: on_insist,
            Lend: on_lend,
            Count: on_count,
            Max: on_max,
            Texts: on_texts,
            Keep: on_keep,
            Misbehave: on_misbehave,
            Mistyped: on_mistyped,
        }
    )
    print(greeting, "from", host.name)


async def ticker(host: Host) -> None:
    """Writes a line into its log ten times a second."""
    await host.serve({Count: lambda _: 0})
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        host.log(f"tick {ticks}")

    host.spawn(every(host, 0.1, tick))


async def gossip(host: Host, peers: list[str]) -> None:
    """Talks to its peers for ever, with every tool of asyncio that looks at time or at more than one task."""
    heard = asyncio.Queue[str]()
    lock, turn, few = asyncio.Lock(), asyncio.Condition(), asyncio.Semaphore(2)

    async def on_echo(request: Echo) -> str:
        await heard.put(request.text)
        async with turn:
            turn.notify_all()
        return f"{request.text} heard by {host.name}"

    async def tell(peer: str) -> str:
        async with few:
            try:
                return await host.call(peer, Echo(f"{host.random.random():.3f}"), timeout=0.05)
            except CallFailed:
                return f"{peer} says nothing"

    async def with_gather() -> None:
        await asyncio.gather(*(tell(peer) for peer in peers))

    async def with_wait() -> None:
        tasks = {asyncio.create_task(tell(peer)) for peer in peers}
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in [*done, *pending]:
            host.log(await task)

    async def with_as_completed() -> None:
        for next_one in asyncio.as_completed([tell(peer) for peer in peers], timeout=1.0):
            host.log(await next_one)

    async def with_wait_for() -> None:
        try:
            await asyncio.wait_for(heard.get(), 0.003)
        except TimeoutError:
            await tell(peers[0])

    async def with_timeout() -> None:
        try:
            async with asyncio.timeout(0.002), turn:
                await turn.wait()
        except TimeoutError:
            await tell(peers[-1])

    async def with_task_group() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for peer in peers:
                    group.create_task(tell(peer))
                if host.random.random() < 0.3:
                    raise CallFailed("enough of this")
        except* CallFailed:
            host.log("stopped all tasks of the group")

    async def with_lock() -> None:
        async with lock:
            await asyncio.shield(tell(peers[0]))

    ways: list[Callable[[], Awaitable[None]]] = [
        with_gather,
        with_wait,
        with_as_completed,
        with_wait_for,
        with_timeout,
        with_task_group,
        with_lock,
    ]

    async def talk() -> None:
        while True:
            await host.random.choice(ways)()
            await asyncio.sleep(0)

    await host.serve({Echo: on_echo})
    for _ in range(3):
        host.spawn(talk())


async def silent(_host: Host) -> None:
    """Ends without serving."""


async def broken(host: Host) -> None:
    """Makes a mistake after it has begun to serve."""
    await host.serve({Count: lambda _: 0})
    await host.sleep(0.5)
    raise ZeroDivisionError("one of its own")


ROLES = {"echo": echo, "ticker": ticker, "gossip": gossip, "silent": silent, "broken": broken}
