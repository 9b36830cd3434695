"""The two worlds are one contract: the same script gets the same answers from processes and from the simulation."""

import asyncio
import uuid
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

import pytest
from echo_lab.roles import Count, Echo, Keep, Misbehave, Mistyped, Relay, Texts, Unknown
from plays import play

from common.main import new_event_loop
from labs.cluster import Cluster
from labs.faults import Faults
from labs.process.cluster import ProcessCluster
from labs.process.processes import Keepers

HERE: Final = Path(__file__).parent


async def told(answer: Awaitable[Any]) -> object:
    """What an answer says: itself, or the kind of error."""
    try:
        return await answer
    except Exception as error:
        return type(error).__name__


async def script(cluster: Cluster) -> list[object]:
    """Everything that a test can do to a cluster whose outcome is no matter of chance, nor of speed."""
    heard: list[object] = []

    async def hear(*answers: Awaitable[Any]) -> None:
        heard.extend([await told(answer) for answer in answers])

    async def ask_b(count: int, timeout: float = 60.0) -> None:
        """a asks b for an echo; then, or soon, b has answered so many of them."""

        async def has_counted() -> bool:
            return await cluster.call("b", Count(), timeout=None) == count

        await hear(cluster.call("a", Relay("b", "x", timeout=timeout), timeout=None))
        await cluster.until(has_counted, within=60, what=f"b counts {count}, having told a {heard[-1]}")

    await cluster.start("echo", "a")
    await cluster.start("echo", "b")
    await ask_b(1)
    await hear(
        cluster.start("echo", "a"),
        cluster.restart("a"),
        cluster.call("a", Relay("nobody", "x")),
        cluster.call("a", Unknown()),
        cluster.call("a", Echo(7)),  # type: ignore[arg-type]
        cluster.call("a", Keep(-1)),
        cluster.call("a", Mistyped()),
        cluster.call("a", Echo("x", seconds=60), timeout=0.1),
        cluster.call("b", Texts()),
    )
    cluster.cut("a", "b")
    await ask_b(1)
    cluster.join("a", "b")
    await ask_b(2)
    cluster.partition(["a"], ["b"])
    await ask_b(2)
    cluster.heal()
    cluster.deafen("b")
    await ask_b(2)
    await hear(cluster.call("b", Relay("b", "itself")), cluster.call("b", Relay("a", "out")))
    cluster.undeafen("b")
    cluster.tap("b", Faults())
    await ask_b(3)
    cluster.tap("b", Faults(request_lost=1))
    await ask_b(3)
    cluster.tap("b", Faults(reply_lost=1))
    await ask_b(4)
    cluster.tap("b", Faults(duplicate=1))
    await ask_b(6)
    cluster.tap("b", Faults(delay=0.05))
    await ask_b(7)
    cluster.tap("b", Faults(reply_lost=1, silent=True))
    await ask_b(8, timeout=1.0)
    heard.append(cluster.calls("b"))
    cluster.untap("b")
    cluster.hold("a", "b")
    await ask_b(8, timeout=1.0)
    cluster.release("a", "b")
    await ask_b(10)
    cluster.hold("a", "b")
    relayed: list[asyncio.Task[object]] = []
    for text in ["x", "y"]:
        relayed.append(cluster.spawn(told(cluster.call("a", Relay("b", text, timeout=60)))))
        await cluster.until(lambda: len(cluster.held("a", "b")) == len(relayed), 60.0, "what was sent to be held")
    heard.extend((each.number, each.method, each.params) for each in cluster.held("a", "b"))
    first, second = (each.number for each in cluster.held("a", "b"))
    cluster.deliver("a", "b", second)
    cluster.drop("a", "b", first)
    with pytest.raises(ValueError, match="held from a to b"):
        cluster.deliver("a", "b", first)
    await hear(*relayed)
    cluster.release("a", "b")
    cluster.pause("b")
    await hear(cluster.call("a", Relay("b", "x", timeout=1.0)), cluster.call("b", Count(), timeout=0.1))
    heard.append(cluster.running("b"))
    cluster.resume("b")
    await ask_b(13)
    under_way = [cluster.spawn(told(cluster.call("a", Relay("b", "x", seconds=60)))) for _ in range(3)]
    await cluster.sleep(0.1)
    await cluster.kill("b")
    await hear(*under_way)
    await hear(cluster.call("a", Relay("b", "x")), cluster.call("b", Count()))
    heard.append(cluster.running("b"))
    for change in (cluster.pause, cluster.resume):
        with pytest.raises(ValueError, match="expected a running server"):
            change("b")
    cluster.cut("b", "a")
    await cluster.restart("b")
    await ask_b(1)
    await hear(cluster.call("b", Relay("a", "x")))
    await hear(cluster.call("b", Misbehave("exits")))
    heard.append(cluster.running("b"))
    await hear(cluster.call("a", Relay("b", "x")), cluster.call("b", Count()), cluster.restart("b"))
    return heard


def by_processes() -> list[object]:
    """What the script hears from processes."""

    async def play(keepers: Keepers) -> list[object]:
        async with ProcessCluster("echo_lab", keepers.get("echo_lab", [HERE])) as cluster:
            return await script(cluster)

    keepers = Keepers(f"test-{uuid.uuid4().hex}")
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(play(keepers))
    finally:
        keepers.close()


def by_simulation() -> list[object]:
    """What it hears in the simulation."""
    heard: list[object] = []

    async def scenario(cluster: Cluster) -> None:
        heard.extend(await script(cluster))

    outcome = play(scenario)
    assert "b (echo) ended by itself" in outcome.message  # so the script ends
    return heard


def test_both_worlds_give_the_same_answers() -> None:
    assert by_simulation() == by_processes()
