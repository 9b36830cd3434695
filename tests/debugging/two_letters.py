"""Tests that the debugger's worker runs, on the echo lab."""

import asyncio
import os

from echo_lab.roles import Count, Echo, Relay

from labs.cluster import Cluster


async def test_two_letters(cluster: Cluster) -> None:
    """Two requests are on their way to b at the same time; which comes first is a matter of luck."""
    await cluster.start("echo", "a")
    await cluster.start("echo", "b")
    await cluster.start("echo", "c")
    await cluster.gather(cluster.call("a", Relay("b", "from a")), cluster.call("c", Relay("b", "from c")))
    cluster.cut("a", "b")
    assert await cluster.call("b", Count()) == 2
    print("said by the test")
    assert await cluster.call("a", Relay("b", "x")) == "failed"


async def test_first_letter_wins(cluster: Cluster) -> None:
    """Fails where the letter of c comes first."""
    await cluster.start("echo", "a")
    await cluster.start("echo", "b")
    await cluster.start("echo", "c")
    loser = cluster.spawn(cluster.call("c", Relay("b", "from c")))
    winner = await cluster.call("a", Relay("b", "from a", timeout=0.5))
    await asyncio.wait([loser])
    first, *_ = cluster.log("b").splitlines()[2:]
    assert winner == "from a", "no reply came to a"
    assert "from a" in first, "the letter of c came first"


async def test_leaves_something_to_the_next_run(cluster: Cluster) -> None:
    """Each time in one process it is another run."""
    left = os.environ.setdefault("LEFT_BY_A_RUN", "")
    os.environ["LEFT_BY_A_RUN"] += "x"
    await cluster.start("echo", "a")
    if not left:
        await cluster.call("a", Echo("only the first time"))


async def test_ends_the_process(cluster: Cluster) -> None:
    """No exception tells it."""
    await cluster.start("echo", "a")
    os._exit(7)
