"""The replicated state machine on Paxos: what is submitted to any replica is applied by all of them, in one order.

The course had no tests of it. The machine here is a list of strings: an operation adds one, and its result is its
place. Each test brings its own starting state, and whatever the replicas rsm-0, rsm-1 … say is held against the one
list that all of them must have, as far as they have it.
"""

import asyncio
from collections import Counter
from typing import Any, Final

from common.protocol import GetApplied, Submit
from labs.cluster import CallFailed, Cluster, NotInTime
from labs.faults import EVIL, UNRELIABLE, Faults
from labs.grading import expect_equal, graded
from labs.storm import Storm, expect_dead
from labs.texts import shown

SUITE = "paxosrsm"

ANSWER_WITHIN: Final = 10.0
"""Seconds in which an operation has to be applied while a majority of the replicas can be reached."""
CATCH_UP_WITHIN: Final = 15.0
"""Seconds in which every replica that reaches a majority has to have all that was applied anywhere."""
A_WHILE: Final = 1.0
"""Seconds in which an answer that must not come would have come."""
MEGABYTE: Final = 1_000_000


class Replicas:
    """The replicas of one test, and the list that they have."""

    def __init__(self, cluster: Cluster, count: int) -> None:
        self.cluster = cluster
        self.names = [f"rsm-{number}" for number in range(count)]
        self.submitted: Counter[str] = Counter()
        """How often each operation was submitted."""
        self.places: dict[int, str] = {}
        """The operations that were answered, by their places."""
        self.list: list[str] = []
        """The longest list that was seen."""
        self._lengths = dict.fromkeys(self.names, 0)

    @classmethod
    async def start(cls, cluster: Cluster, count: int) -> "Replicas":
        """So many replicas."""
        replicas = cls(cluster, count)
        for name in replicas.names:
            await cluster.start("rsm", name, peers=replicas.names)
        return replicas

    def part(self, *groups: str) -> None:
        """Parts the replicas into groups, such as "02" for rsm-0 and rsm-2."""
        self.cluster.partition(*([f"rsm-{number}" for number in group] for group in groups))

    # --- submitting --------------------------------------------------------------------------------------------------

    async def submit(self, number: int, operation: str) -> int:
        """Submits to a replica, for as long as that takes. Its place comes after all that were answered before."""
        name = self.names[number]
        said = f"Submit({shown(operation)}) at {name}"
        self.submitted[operation] += 1
        before = max(self.places, default=-1)
        place = (await self.cluster.call(name, Submit(operation), timeout=None)).index
        if place in self.places:
            raise AssertionError(f"{said} gave place {place}, which {shown(self.places[place])} has been given, too")
        if place <= before:
            raise AssertionError(
                f"{said} gave place {place}, but {shown(self.places[before])} had been given place {before} already "
                f"when it was submitted"
            )
        self.places[place] = operation
        return place

    async def answer(self, number: int, operation: str) -> int:
        """Submits what has to be applied soon."""
        return await self.finish(self.cluster.spawn(self.submit(number, operation)), f"{operation!r} at rsm-{number}")

    async def answer_all(self, *numbers: int, count: int, what: str = "") -> None:
        """Submits so many operations to each of these replicas, all at the same time."""
        tasks = [
            self.cluster.spawn(self.submit(number, what or f"{turn} at rsm-{number} after {len(self.places)}"))
            for turn in range(count)
            for number in numbers
        ]
        for task in tasks:
            await self.finish(task, f"one of {len(tasks)} operations submitted to {numbers} at the same time")

    async def finish(self, task: "asyncio.Task[int]", what: str, within: float = ANSWER_WITHIN) -> int:
        """The place of an operation under way, which has to be applied soon."""
        within *= self.cluster.patience
        if not await self.cluster.finishes(task, within):
            task.cancel()
            raise NotInTime(f"Submit was not answered within {within:g} s: {what}")
        return task.result()

    async def unanswered(self, task: "asyncio.Task[Any]", hint: str) -> None:
        """For a while, the operation may not be answered."""
        if await self.cluster.finishes(task, 1.5 * A_WHILE):
            raise AssertionError(f"Submit was answered with place {task.result()}, though {hint}")

    # --- what was applied --------------------------------------------------------------------------------------------

    async def applied(self, name: str) -> list[str]:
        """The list of a replica, held against all that has been seen of it."""
        shortest = self._lengths[name]
        operations = (await self.cluster.call(name, GetApplied())).operations
        said = f"GetApplied() at {name}"
        if len(operations) < shortest:
            raise AssertionError(f"{said} gave {len(operations)} operations, and {shortest} before that")
        for place, (one, other) in enumerate(zip(operations, self.list, strict=False)):
            expect_equal(f"{said}: place {place}", one, other, "another replica has that there")
        for place, operation in self.places.items():
            if place < len(operations):
                expect_equal(f"{said}: place {place}", operations[place], operation, "its Submit gave that place")
        for operation, times in Counter(operations).items():
            if times > self.submitted[operation]:
                raise AssertionError(
                    f"{said}: {shown(operation)} was applied {times} times, and submitted {self.submitted[operation]} "
                    f"times"
                )
        self._lengths[name] = max(self._lengths[name], len(operations))
        self.list = max(self.list, operations, key=len)
        return operations

    def forgets(self, name: str) -> None:
        """The replica restarts: its list may be as short as it likes."""
        self._lengths[name] = 0

    async def until_same(self, among: list[str] | None = None) -> list[str]:
        """Waits until all replicas that run (or these) have the same list, with all that was answered. Gives it."""
        names = among or [name for name in self.names if self.cluster.running(name)]
        lengths: dict[str, int] = {}

        async def holds() -> bool:
            for name in names:
                lengths[name] = len(await self.applied(name))
            wanted = max(*lengths.values(), len(self.list), max(self.places, default=-1) + 1)
            return all(length == wanted for length in lengths.values())

        await self.cluster.until(
            holds,
            CATCH_UP_WITHIN,
            lambda: f"all replicas to have applied the same (operations applied: {lengths}, known: {len(self.list)})",
            every=0.1,
        )
        return self.list


# --- one order -------------------------------------------------------------------------------------------------------


@graded(part="B+", points=1, within=60.0)
async def test_places(cluster: Cluster) -> None:
    """Submit gives the place of the operation.

    Ten operations one after the other at one replica. Catches: operations that are lost, doubled, or applied by one
    replica only; empty operations of the machine's own that show in the list.
    """
    replicas = await Replicas.start(cluster, 3)
    for place in range(10):
        given = await replicas.answer(0, f"operation {place}")
        expect_equal(f'the place of "operation {place}"', given, place, "it was the next one")
    expect_equal("the list", await replicas.until_same(), [f"operation {place}" for place in range(10)])


@graded(part="B+", points=1, within=60.0)
async def test_applied_before_answered(cluster: Cluster) -> None:
    """A replica has applied what it answers, and all before it.

    Operations one after the other at random replicas; whoever answers must have the whole list. Catches: an answer that
    comes with the decision, or without what was decided before it.
    """
    replicas = await Replicas.start(cluster, 3)
    for place in range(15):
        number = cluster.random.randrange(3)
        await replicas.answer(number, f"operation {place}")
        length = len(await replicas.applied(f"rsm-{number}"))
        if length <= place:
            raise AssertionError(
                f"GetApplied() at rsm-{number} gave {length} operations right after Submit there gave place {place}"
            )
    await replicas.until_same()


@graded(part="B+", points=1, within=60.0)
async def test_many_at_one_replica(cluster: Cluster) -> None:
    """Many operations at the same time at one replica.

    Catches: two operations that go for the same instance, of which one is lost.
    """
    replicas = await Replicas.start(cluster, 3)
    await replicas.answer_all(1, count=30)
    expect_equal("the number of operations applied", len(await replicas.until_same()), 30)


@graded(part="B+", points=1, within=60.0)
async def test_many_at_all_replicas(cluster: Cluster) -> None:
    """Many operations at the same time at all replicas.

    Five replicas compete for each instance. Catches: a replica that takes another's operation for its own, or skips
    those that it meets on the way to its own.
    """
    replicas = await Replicas.start(cluster, 5)
    for _ in range(3):
        await replicas.answer_all(0, 1, 2, 3, 4, count=5)
    expect_equal("the number of operations applied", len(await replicas.until_same()), 75)


@graded(part="B+", points=1, within=60.0)
async def test_equal_operations(cluster: Cluster) -> None:
    """Equal operations are all applied.

    The same string is submitted five times at once to each of three replicas. Catches: operations recognised by what
    they say, so that one is answered when another's was decided.
    """
    replicas = await Replicas.start(cluster, 3)
    await replicas.answer_all(0, 1, 2, count=5, what="same")
    await replicas.answer(0, "same")
    expect_equal("the list", await replicas.until_same(), 16 * ["same"])


@graded(part="B+", points=1, within=60.0)
async def test_any_operation(cluster: Cluster) -> None:
    """An operation may be any text of any length.

    Catches: an empty operation taken for none; operations put together from text without care.
    """
    replicas = await Replicas.start(cluster, 3)
    operations = ["", "a\nb\r\n\0", '"ключ" = {日本 🦜}', "null", "0123456789" * 100_000, ""]
    for turn, operation in enumerate(operations):
        await replicas.answer(turn % 3, operation)
    expect_equal("the list", await replicas.until_same(), operations)


@graded(part="B+", points=1, within=90.0)
async def test_unreliable(cluster: Cluster) -> None:
    """Many operations, unreliable RPC.

    Catches: an operation that is proposed again because its reply was lost, and applied twice.
    """
    replicas = await Replicas.start(cluster, 3)
    for name in replicas.names:
        cluster.tap(name, UNRELIABLE)
    for _ in range(5):
        await replicas.answer_all(0, 1, 2, count=3)
    expect_equal("the number of operations applied", len(await replicas.until_same()), 45)


@graded(part="B+", points=1, within=90.0)
async def test_evil(cluster: Cluster) -> None:
    """Many operations; lost, doubled and reordered messages.

    Catches: an old proposal taken for a new one; decisions applied in the order in which they come.
    """
    replicas = await Replicas.start(cluster, 5)
    for name in replicas.names:
        cluster.tap(name, EVIL)
    for _ in range(4):
        await replicas.answer_all(0, 1, 2, 3, 4, count=2)
    expect_equal("the number of operations applied", len(await replicas.until_same()), 40)


# --- cut off ---------------------------------------------------------------------------------------------------------


@graded(part="B+", points=1, within=60.0)
async def test_minority_waits(cluster: Cluster) -> None:
    """What a minority is asked for waits for a majority, and is applied once.

    Two of five are cut off with an operation each. Catches: an operation that is answered without a majority, given up,
    or applied twice when the partition ends.
    """
    replicas = await Replicas.start(cluster, 5)
    await replicas.answer(0, "first")
    replicas.part("01", "234")
    waiting = [cluster.spawn(replicas.submit(number, f"waiting at rsm-{number}")) for number in (0, 1)]
    for task in waiting:
        await replicas.unanswered(task, "rsm-0 and rsm-1 reach each other only, which is no majority of five")
    for number in (2, 3, 4):
        await replicas.answer(number, f"meanwhile at rsm-{number}")
    replicas.part("01234")
    for task in waiting:
        await replicas.finish(task, "what waited in a minority, when all replicas were together again")
    expect_equal("the number of operations applied", len(await replicas.until_same()), 6)


@graded(part="B+", points=1, within=90.0)
async def test_holes_are_filled(cluster: Cluster) -> None:
    """Holes are filled.

    rsm-0 and rsm-1 of five get one operation after the other, and are cut off meanwhile, four times, so that some
    instances remain open that rsm-2 has heard of. The three others have to go on. Catches: a replica that waits for an
    instance that nobody proposes in.
    """
    replicas = await Replicas.start(cluster, 5)
    for name in replicas.names:
        cluster.tap(name, Faults(request_lost=0.5, reply_lost=0.2))
    total = 0

    async def submit_soon(number: int, operation: str) -> int:
        await cluster.sleep(cluster.random.uniform(0.0, 0.1))
        return await replicas.submit(number, operation)

    for _ in range(4):
        waiting = [
            cluster.spawn(submit_soon(number, f"{turn} at rsm-{number} after {total}"))
            for turn in range(10)
            for number in (0, 1)
        ]
        await cluster.sleep(cluster.random.uniform(0.05, 0.1))
        replicas.part("01", "234")
        await replicas.answer_all(2, 3, 4, count=2)
        await replicas.until_same(["rsm-2", "rsm-3", "rsm-4"])
        replicas.part("01234")
        for task in waiting:
            await replicas.finish(task, "what waited in a minority, when all replicas were together again")
        total += 26
    expect_equal("the number of operations applied", len(await replicas.until_same()), total)


@graded(part="B+", points=1, within=90.0)
async def test_lagging_replica_catches_up(cluster: Cluster) -> None:
    """A replica that was cut off catches up by itself.

    rsm-2 of three misses three hundred operations. When it is back, nobody submits anything. Catches: a replica that
    catches up only when it is asked for something; one that needs a round of its own for each instance that it missed.
    """
    replicas = await Replicas.start(cluster, 3)
    replicas.part("01", "2")
    for _ in range(15):
        await replicas.answer_all(0, 1, count=10)
    await replicas.until_same(["rsm-0", "rsm-1"])
    replicas.part("012")
    await replicas.until_same()


@graded(part="B+", points=1, within=90.0)
async def test_submits_during_catch_up(cluster: Cluster) -> None:
    """Operations that come while a replica catches up are applied once, after what it missed.

    rsm-2 of three misses eighty operations, with ten waiting at it, and gets twenty more when it is back. Catches: an
    operation that waits for ever because its instance was decided, or even forgotten, before it looked.
    """
    replicas = await Replicas.start(cluster, 3)
    replicas.part("01", "2")
    waiting = [cluster.spawn(replicas.submit(2, f"early {turn}")) for turn in range(10)]
    for _ in range(8):
        await replicas.answer_all(0, 1, count=5)
    replicas.part("012")
    waiting += [cluster.spawn(replicas.submit(2, f"late {turn}")) for turn in range(20)]
    await replicas.answer_all(0, 1, count=5)
    for task in waiting:
        await replicas.finish(task, "what was submitted to rsm-2, which is no longer cut off")
    expect_equal("the number of operations applied", len(await replicas.until_same()), 120)


# --- death, sleep and loss of memory ---------------------------------------------------------------------------------


@graded(part="B+", points=1, within=90.0)
async def test_replicas_die(cluster: Cluster) -> None:
    """A replica dies with operations under way.

    rsm-0 and later rsm-3 of five are killed while all are busy. What they had not answered may be applied, once, or
    not. Catches: an operation that was answered and is lost; a replica that waits for the dead.
    """
    replicas = await Replicas.start(cluster, 5)
    for dead in (0, 3):
        doomed = [cluster.spawn(try_to_submit(replicas, dead, f"doomed {turn} at rsm-{dead}")) for turn in range(10)]
        others = [
            cluster.spawn(replicas.submit(number, f"{dead} {number} {turn}"))
            for turn in range(5)
            for number in (1, 2, 4)
        ]
        await cluster.sleep(cluster.random.uniform(0.0, 0.05))
        await cluster.kill(f"rsm-{dead}")
        for doomed_task in doomed:
            await doomed_task
        for task in others:
            await replicas.finish(task, f"what was submitted to another replica than rsm-{dead}, which was killed")
        await replicas.until_same()
    await replicas.answer_all(1, 2, 4, count=3)
    await replicas.until_same()


async def try_to_submit(replicas: Replicas, number: int, operation: str) -> None:
    """Submits to a replica that may die before it answers."""
    try:
        await replicas.submit(number, operation)
    except CallFailed:
        await expect_dead(replicas.cluster, replicas.names[number], f"Submit({operation!r})")


@graded(part="B+", points=1, within=90.0)
async def test_replica_sleeps(cluster: Cluster) -> None:
    """A replica sleeps with operations under way, and the others go on.

    rsm-0 of three, which was busy, is stopped (SIGSTOP) for two seconds. Catches: others that wait for it; a replica
    that goes on where it was as if nothing had been decided since.
    """
    replicas = await Replicas.start(cluster, 3)
    await replicas.answer_all(0, count=5)
    asleep = [cluster.spawn(replicas.submit(0, f"asleep {turn}")) for turn in range(10)]
    await cluster.sleep(cluster.random.uniform(0.0, 0.02))
    cluster.pause("rsm-0")
    for _ in range(4):
        await replicas.answer_all(1, 2, count=3)
    await cluster.sleep(A_WHILE)
    cluster.resume("rsm-0")
    for task in asleep:
        await replicas.finish(task, "what was submitted to rsm-0, which is awake again")
    expect_equal("the number of operations applied", len(await replicas.until_same()), 39)


@graded(part="B+", points=1, within=90.0)
async def test_lost_memory(cluster: Cluster) -> None:
    """A replica that lost its memory does no harm.

    rsm-0 and rsm-2 apply what rsm-1, which is cut off, does not see. Then rsm-2 is killed and started again, which
    makes it empty, and rsm-0 is cut off. Catches: a replica that votes again where it may have voted before; a list of
    its own.
    """
    replicas = await Replicas.start(cluster, 3)
    await replicas.answer_all(0, 1, 2, count=3)
    replicas.part("02", "1")
    await replicas.answer_all(0, count=3)
    await cluster.kill("rsm-2")
    await cluster.restart("rsm-2")
    replicas.forgets("rsm-2")
    replicas.part("12", "0")
    waiting = cluster.spawn(replicas.submit(1, "waiting"))
    await cluster.finishes(waiting, 2 * A_WHILE)
    for name in replicas.names:
        await replicas.applied(name)
    replicas.part("012")
    await replicas.finish(waiting, "what was submitted to rsm-1, when all replicas were together again")
    await replicas.answer(0, "at last")
    await replicas.until_same(["rsm-0", "rsm-1"])
    await replicas.applied("rsm-2")


@graded(part="B+", points=1, within=150.0)
async def test_memory(cluster: Cluster) -> None:
    """What everybody has applied is kept once.

    A replica has to hold operations of a megabyte in its list, and nowhere else. Catches: instances that Paxos is never
    told to forget, or a log of one's own.
    """
    count = 10 if cluster.world == "sim" else 40  # the more, the less does it matter what a process keeps
    replicas = await Replicas.start(cluster, 3)
    await replicas.answer_all(0, 1, 2, count=1)
    before = [cluster.memory(name) for name in replicas.names]
    for turn in range(count):
        await replicas.answer(turn % 3, chr(ord("A") + turn % 26) * MEGABYTE)
    await replicas.answer_all(0, 1, 2, count=2)
    await cluster.sleep(2 * A_WHILE)
    allowed = (count + 3 if cluster.world == "sim" else count + 30) * MEGABYTE
    for name, held in zip(replicas.names, before, strict=True):
        grown = cluster.memory(name) - held
        if grown > allowed:
            raise AssertionError(
                f"{name} holds {grown:,} bytes more than before it applied {count} operations of {MEGABYTE:,} bytes, "
                f"expected {allowed:,} more at most: it needs them once"
            )


# --- everything at once ----------------------------------------------------------------------------------------------


@graded(part="B+", points=1, within=180.0)
async def test_replicas_in_a_storm(cluster: Cluster) -> None:
    """Whatever happens to five replicas of which two die, all others apply the same.

    Operations come to all replicas while links, messages and replicas fail in all manners. Then all but the dead
    recover, and everything has to be applied. Catches: what nobody thought of.
    """
    replicas = await Replicas.start(cluster, 5)
    storm = Storm(cluster, replicas.names, deaths=cluster.random.randrange(3))
    over = asyncio.Event()

    async def submit(number: int) -> None:
        turn = 0

        def draw() -> str:
            return "same" if cluster.random.random() < 0.1 else f"{turn} at rsm-{number}"

        while not over.is_set() and cluster.running(replicas.names[number]):
            turn += 1
            operation = cluster.choose(f"operations at rsm-{number}", draw, "")
            if operation:
                await try_to_submit(replicas, number, operation)
            await cluster.sleep(cluster.random.uniform(0.0, 0.08))

    async def look() -> None:
        while not over.is_set():
            name = cluster.random.choice(storm.survivors)
            try:
                await replicas.applied(name)
            except CallFailed:
                await expect_dead(cluster, name, "GetApplied()")
            await cluster.sleep(0.2)

    async def rage() -> None:
        await storm.rage(6.0)
        over.set()

    busy = [cluster.spawn(submit(number)) for number in range(5)]
    await cluster.gather(rage(), look())
    for task in busy:
        if not await cluster.finishes(task, 3 * ANSWER_WITHIN * cluster.patience):
            raise NotInTime("what was submitted during the storm was not answered when it had long been over")
    applied = await replicas.until_same()
    unanswered = Counter(applied) - Counter(replicas.places.values())
    cluster.sometimes("an operation is applied whose replica died before it answered", unanswered.total() > 0, 200)
