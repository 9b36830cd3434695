"""PaxosRSM: one replica without a network, told by hand what was decided; and replicas in the simulated world."""

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any

import msgspec
import pytest

from common.host import CallFailed, Handlers
from common.protocol import GetApplied, Submit
from common.wire import Request, encode
from lab2_kvpaxos.paxosrsm import rsm as module
from lab2_kvpaxos.paxosrsm.messages import FetchState, StatePart
from lab2_kvpaxos.paxosrsm.rsm import PaxosRSM
from lab2_kvpaxos.paxosrsm.server import List
from labs.cluster import Cluster
from labs.faults import EVIL
from labs.sim.run import run

PEERS = ["a", "b", "c"]


class StillHost:
    """A host on which nothing moves: no call is answered, and no task ever runs."""

    def __init__(self, name: str, lives: int) -> None:
        self.name = name
        self.lives = lives
        self.random = Random(1)

    def now(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing runs here that could wait")

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str = "") -> "asyncio.Task[None]":
        coroutine.close()
        return asyncio.create_task(asyncio.sleep(0))

    async def serve(self, handlers: Handlers) -> None:
        raise AssertionError("nobody asks here")

    async def call(self, address: str, request: Request[Any], timeout: float = 1.0) -> Any:
        raise CallFailed("nothing moves here")

    def log(self, text: str) -> None:
        pass


class Replica:
    """Replica a of three, which gets to know what a test says."""

    def __init__(self, lives: int = 0) -> None:
        self.machine = List()
        self.rsm = PaxosRSM(StillHost("a", lives), PEERS, self.machine, str)

    async def submit(self, *operations: str) -> "list[asyncio.Future[Any]]":
        """Submits these in one turn of the loop, and lets the next begin."""
        results = [self.rsm.submit(operation) for operation in operations]
        await asyncio.sleep(0)
        return results

    def decide(self, seq: int, value: bytes) -> None:
        """An instance was decided."""
        paxos = self.rsm.paxos
        paxos.core.learn(seq, value)
        paxos._after()

    def decide_ours(self, seq: int) -> None:
        """An instance was decided as this replica wanted it."""
        self.decide(seq, self.rsm.paxos.core.wanted[seq])

    @property
    def wanted(self) -> dict[int, list[str]]:
        """The operations that it proposes, by instance."""
        batch = msgspec.msgpack.Decoder(tuple[int, int, list[str]])
        return {seq: batch.decode(value)[2] for seq, value in self.rsm.paxos.core.wanted.items()}


def theirs(*operations: str, number: int = 1) -> bytes:
    """A batch of replica b."""
    return encode((1, number, list(operations)))


# --- one replica -----------------------------------------------------------------------------------------------------


def test_what_is_submitted_in_one_turn_is_one_batch() -> None:
    async def scenario() -> None:
        replica = Replica()
        results = await replica.submit("x", "y")
        assert replica.wanted == {0: ["x", "y"]}
        replica.decide_ours(0)
        assert [result.result() for result in results] == [0, 1]

    asyncio.run(scenario())


def test_a_batch_whose_instance_went_to_another_is_proposed_again() -> None:
    async def scenario() -> None:
        replica = Replica()
        (result,) = await replica.submit("mine")
        replica.decide(0, theirs("theirs"))
        assert not result.done()
        assert replica.wanted == {1: ["mine"]}
        replica.decide_ours(1)
        assert result.result() == 1
        assert replica.machine.operations == ["theirs", "mine"]

    asyncio.run(scenario())


def test_what_was_lost_comes_before_what_waits() -> None:
    async def scenario() -> None:
        replica = Replica()
        for number in range(module.WINDOW):
            await replica.submit(f"flying {number}")
        await replica.submit("waiting")
        replica.decide(0, theirs("theirs"))
        assert replica.wanted[module.WINDOW] == ["flying 0", "waiting"]

    asyncio.run(scenario())


def test_another_batch_with_the_same_number_is_not_ours() -> None:
    async def scenario() -> None:
        replica = Replica()
        (result,) = await replica.submit("mine")
        replica.decide(0, theirs("mine", number=1))
        assert not result.done()
        assert replica.wanted == {1: ["mine"]}

    asyncio.run(scenario())


def test_no_more_instances_are_in_flight_than_the_window_has() -> None:
    async def scenario() -> None:
        replica = Replica()
        for number in range(10):
            await replica.submit(str(number))
        assert len(replica.wanted) == module.WINDOW
        replica.decide_ours(0)
        assert replica.wanted[module.WINDOW] == [str(number) for number in range(module.WINDOW, 10)]

    asyncio.run(scenario())


def test_a_batch_has_its_limit_unless_one_operation_is_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BATCH", 20)
    monkeypatch.setattr(module, "WINDOW", 99)
    operations = [*["1234"] * 7, "much longer than twenty", *["12"] * 5]

    async def scenario() -> None:
        replica = Replica()
        await replica.submit(*operations)
        batches = replica.wanted
        assert [operation for batch in batches.values() for operation in batch] == operations
        lengths = {seq: len(value) for seq, value in replica.rsm.paxos.core.wanted.items()}
        assert all(lengths[seq] <= 20 or len(batch) == 1 for seq, batch in batches.items())
        assert len(batches) < len(operations)

    asyncio.run(scenario())


def test_instances_are_applied_in_their_order_whatever_order_they_are_decided_in() -> None:
    async def scenario() -> None:
        replica = Replica()
        replica.decide(1, theirs("second", number=2))
        assert replica.machine.operations == []
        replica.decide(0, theirs("first"))
        assert replica.machine.operations == ["first", "second"]
        assert replica.rsm.paxos.core.done[0] == 1, "what is applied may be forgotten"

    asyncio.run(scenario())


def test_holes_are_filled_with_nothing_and_its_own_batches_stay() -> None:
    async def scenario() -> None:
        replica = Replica()
        await replica.submit("mine")
        replica.decide(3, theirs("late"))
        replica.rsm._fill_holes()
        assert replica.wanted == {0: ["mine"], 1: [], 2: []}

    asyncio.run(scenario())


def test_an_operation_whose_waiter_went_away_is_applied_all_the_same() -> None:
    async def scenario() -> None:
        replica = Replica()
        (result,) = await replica.submit("x")
        result.cancel()
        replica.decide_ours(0)
        assert replica.machine.operations == ["x"]

    asyncio.run(scenario())


def test_who_lost_its_memory_proposes_when_it_knows_what_a_majority_knew() -> None:
    async def scenario() -> None:
        replica = Replica(lives=1)
        await replica.submit("mine")
        assert replica.wanted == {}
        replica.rsm._known_by_others = {"b": 0}
        replica.decide(0, theirs("theirs"))
        assert replica.wanted == {}, "one other is no majority"
        replica.rsm._known_by_others = {"b": 0, "c": 1}
        replica.rsm._propose()
        assert replica.wanted == {}, "c knew of an instance that is not applied here"
        replica.decide(1, theirs("more", number=2))
        assert replica.wanted == {2: ["mine"]}

    asyncio.run(scenario())


def test_state_is_given_in_parts_of_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PART", 4)

    async def scenario() -> None:
        replica = Replica()
        give = replica.rsm.handlers[FetchState]
        replica.decide(0, theirs("x", "y", "z"))
        state = replica.machine.snapshot()
        assert len(state) == 7
        assert give(FetchState(-1, 0)) == StatePart(1, 0, 7, state[:4])
        replica.decide(1, theirs("later", number=2))
        assert give(FetchState(1, 4)) == StatePart(1, 4, 7, state[4:])
        newer = replica.machine.snapshot()
        assert give(FetchState(1, 4)) == StatePart(2, 0, len(newer), newer[:4]), "that state is gone: begin anew"

    asyncio.run(scenario())


# --- replicas in the simulated world ---------------------------------------------------------------------------------


async def start(cluster: Cluster) -> None:
    """Three replicas."""
    for name in PEERS:
        await cluster.start("rsm", name, peers=PEERS)


async def lists(cluster: Cluster) -> list[list[str]]:
    """What each replica has applied."""
    return [(await cluster.call(name, GetApplied())).operations for name in PEERS]


async def all_have(cluster: Cluster, count: int) -> list[str]:
    """Waits until every replica has applied so many operations, the same, and gives them."""

    async def have() -> bool:
        return [len(operations) for operations in await lists(cluster)] == [count] * len(PEERS)

    await cluster.until(have, within=20.0, what=f"expected {count} operations at each replica")
    first, *rest = await lists(cluster)
    assert all(operations == first for operations in rest)
    return first


def passes(scenario: Any, seed: int) -> None:
    """Runs a scenario that has to pass."""
    outcome = run(scenario, "lab2_kvpaxos", seed)
    assert outcome.status == "passed", outcome.message


@pytest.mark.parametrize("seed", range(5))
def test_every_submission_is_applied_once_whatever_the_network_repeats(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await start(cluster)
        for name in PEERS:
            cluster.tap(name, EVIL)
        wanted = [f"{number} at {name}" for number in range(10) for name in PEERS]
        places = await cluster.gather(*(cluster.call(text[-1], Submit(text), timeout=None) for text in wanted))
        operations = await all_have(cluster, len(wanted))
        assert [operations[place.index] for place in places] == wanted

    passes(scenario, seed)


@pytest.mark.parametrize("seed", range(3))
def test_who_lost_its_memory_gets_the_state_in_parts(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PART", 100)

    async def scenario(cluster: Cluster) -> None:
        await start(cluster)
        for number in range(50):
            await cluster.call("a", Submit(f"operation {number}"))
        before = await all_have(cluster, 50)
        await cluster.sleep(3.0)  # so that all hear that all are done
        await cluster.kill("b")
        await cluster.restart("b")
        assert await all_have(cluster, 50) == before
        assert "got the state after" in cluster.log("b")
        await cluster.call("b", Submit("one more"))
        assert await all_have(cluster, 51) == [*before, "one more"]

    passes(scenario, seed)
