"""The tutorial's tests. Each stands for one step of README.md, and runs in both worlds."""

from typing import Final

from common.protocol import Count, GetCount, Increment
from common.wire import Request
from labs.cluster import Cluster, NotInTime
from labs.faults import Faults
from labs.grading import expect_equal, graded

SUITE = "counter"

WITHIN: Final = 10.0
"""Seconds in which whatever nothing stands in the way of has to be answered."""
A_WHILE: Final = 1.0
"""Seconds in which an answer would have come that cannot come."""
LOSING_REPLIES: Final = Faults(request_lost=0.1, reply_lost=0.5)
COPYING: Final = Faults(reply_lost=0.2, duplicate=0.5, reorder=0.5)


async def start(cluster: Cluster, *clerks: str) -> None:
    """A server and its clerks."""
    await cluster.start("server", "counter")
    for name in clerks:
        await cluster.start("clerk", name, server="counter")


async def count(cluster: Cluster, name: str) -> int:
    """What a server, or a clerk, says that the counter shows."""
    return await answer(cluster, name, GetCount())


async def increment(cluster: Cluster, clerk: str) -> int:
    """Has a clerk add one. Gives what it says that the counter shows."""
    return await answer(cluster, clerk, Increment())


async def answer(cluster: Cluster, name: str, request: Request[Count]) -> int:
    """What the answer says, which has to come soon."""
    task = cluster.spawn(cluster.call(name, request, timeout=None))
    if not await cluster.finishes(task, WITHIN * cluster.patience):
        task.cancel()
        raise NotInTime(f"{type(request).__name__} by {name} was not answered within {WITHIN * cluster.patience:g} s")
    return task.result().value


async def increments(cluster: Cluster, clerk: str, times: int) -> list[int]:
    """One after the other. Gives what the clerk said each time."""
    return [await increment(cluster, clerk) for _ in range(times)]


async def side_by_side(cluster: Cluster, clerks: list[str], times: int, hint: str) -> None:
    """Clerks add side by side. Raises `AssertionError` unless each addition counted once, and was told its place."""
    told = await cluster.gather(*(increments(cluster, clerk, times) for clerk in clerks))
    total = len(clerks) * times
    expect_equal(f"GetCount by {clerks[0]}, after {total} increments,", await count(cluster, clerks[0]), total, hint)
    for clerk, answers in zip(clerks, told, strict=True):
        expect_equal(f"the increments by {clerk}", answers, sorted(answers), "a counter never goes back")
    every = sorted(value for answers in told for value in answers)
    twice = sorted({value for value in every if every.count(value) > 1})
    if twice:
        raise AssertionError(f"two increments were both told {twice[0]}: each has a place of its own")
    expect_equal("all increments together", every, list(range(1, total + 1)))


@graded(part="1", points=10, within=20.0)
async def test_the_server_answers(cluster: Cluster) -> None:
    """The server answers GetCount."""
    await start(cluster)
    expect_equal("GetCount by the server", await count(cluster, "counter"), 0, "nobody has added anything yet")


@graded(part="2", points=10, within=20.0)
async def test_a_clerk_asks_the_server(cluster: Cluster) -> None:
    """A clerk asks the server."""
    await start(cluster, "ck")
    cluster.tap("counter")
    expect_equal("GetCount by ck", await count(cluster, "ck"), 0, "nobody has added anything yet")
    assert cluster.calls("counter"), "expected the clerk to call the server: it cannot know the answer by itself"


@graded(part="3", points=20, within=20.0)
async def test_an_increment_counts(cluster: Cluster) -> None:
    """An increment counts."""
    await start(cluster, "ck")
    expect_equal("five increments by ck", await increments(cluster, "ck", 5), [1, 2, 3, 4, 5])
    expect_equal("GetCount by ck", await count(cluster, "ck"), 5)
    expect_equal("GetCount by the server", await count(cluster, "counter"), 5, "where does your clerk add?")


@graded(part="4", points=15, within=30.0)
async def test_clerks_add_side_by_side(cluster: Cluster) -> None:
    """Clerks add side by side."""
    clerks = ["ck-1", "ck-2", "ck-3", "ck-4"]
    await start(cluster, *clerks)
    await side_by_side(cluster, clerks, 10, "an increment is missing, or counted twice")


@graded(part="5", points=20, within=30.0)
async def test_a_clerk_tries_again(cluster: Cluster) -> None:
    """A clerk tries again until it reaches the server."""
    await start(cluster, "ck")
    cluster.cut("ck", "counter")
    task = cluster.spawn(increment(cluster, "ck"))
    if await cluster.finishes(task, A_WHILE):
        raise AssertionError(f"Increment by ck was answered ({task.result()}), though it could not reach the server")
    cluster.join("ck", "counter")
    expect_equal("Increment by ck", await task, 1, "the server could not be reached before")


@graded(part="6", points=15, within=60.0)
async def test_a_lost_reply_counts_once(cluster: Cluster) -> None:
    """An increment whose reply was lost counts once."""
    clerks = ["ck-1", "ck-2", "ck-3"]
    await start(cluster, *clerks)
    cluster.tap("counter", LOSING_REPLIES)
    hint = "half of the replies were lost, and a request that comes again must not be counted again"
    await side_by_side(cluster, clerks, 10, hint)


@graded(part="7", points=10, within=60.0)
async def test_a_late_copy_counts_once(cluster: Cluster) -> None:
    """A copy of a request that comes late counts once."""
    clerks = ["ck-1", "ck-2"]
    await start(cluster, *clerks)
    cluster.tap("counter", COPYING)
    hint = "the network made copies, and a copy may come after the client's next request"
    await side_by_side(cluster, clerks, 20, hint)
    await cluster.sleep(0.2)
    expect_equal("GetCount by ck-1, a moment later,", await count(cluster, "ck-1"), 40, hint)
