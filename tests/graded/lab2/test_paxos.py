"""Paxos, as a library of its own: the peers px-0, px-1 … agree on the values of numbered instances.

Each test brings its own starting state. Whatever a peer says is held against all that was proposed, decided and done
with before: an instance has one value for ever, somebody proposed it, nobody forgets what another still needs.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from common.protocol import Decided, DoneUpTo, Forgotten, Max, Min, Pending, Start, Status
from labs.cluster import CallFailed, Cluster
from labs.faults import EVIL, NONE, UNRELIABLE, Faults
from labs.grading import expect_equal, graded
from labs.storm import Storm, expect_dead

SUITE = "paxos"

DECIDE_WITHIN: Final = 30.0
"""Seconds in which peers that reach a majority have to agree. The original gave them as long."""
FORGET_WITHIN: Final = 12.0
"""Seconds in which everybody has to hear that everybody is done, while agreements go on. As in the original."""
A_WHILE: Final = 1.0
"""Seconds in which something that must not happen would have happened."""
STEP: Final = 0.3
"""Seconds that a request takes where links have to be cut between two phases."""
UNDER_WAY: Final = 0.1
"""Seconds after a partition in which calls that were under way may still be answered."""
MEGABYTE: Final = 1_000_000


class Peers:
    """The peers of one test, and all that they were asked and have said."""

    def __init__(self, cluster: Cluster, names: list[str]) -> None:
        self.cluster = cluster
        self.names = names
        self.proposed: dict[int, list[str]] = {}
        self.decided: dict[int, tuple[str, str]] = {}
        """For each instance its value, and who was the first to say so."""
        self.done = dict.fromkeys(names, -1)
        """For each peer the highest instance that it was told to be done with."""
        self._knowing: set[tuple[str, int]] = set()
        """Peers and the instances that they have called decided."""
        self._lowest = dict.fromkeys(names, 0)
        self._highest = dict.fromkeys(names, -1)

    @classmethod
    async def start(cls, cluster: Cluster, count: int, absent: Sequence[int] = ()) -> "Peers":
        """So many peers, of whom the absent do not start."""
        peers = cls(cluster, [f"px-{number}" for number in range(count)])
        for number in range(count):
            if number not in absent:
                await peers.add(number)
        return peers

    async def add(self, number: int) -> None:
        """Starts a peer."""
        await self.cluster.start("paxos", self.names[number], peers=self.names)

    async def restart(self, number: int) -> None:
        """Kills a peer and starts it again. It has forgotten everything."""
        name = self.names[number]
        await self.cluster.kill(name)
        await self.cluster.restart(name)
        self._knowing = {(who, seq) for who, seq in self._knowing if who != name}
        self._lowest[name], self._highest[name] = 0, -1

    @property
    def running(self) -> list[str]:
        """The peers that have been started and not killed."""
        return [name for name in self.names if self.cluster.running(name)]

    # --- what a peer is asked ----------------------------------------------------------------------------------------

    async def propose(self, number: int, seq: int, value: str) -> None:
        """Start(seq, value) at a peer."""
        self.proposed.setdefault(seq, []).append(value)
        await self.cluster.call(self.names[number], Start(seq, value))

    async def propose_everywhere(self, seq: int, value: str = "") -> None:
        """Every peer that runs proposes a value of its own, or all of them this one."""
        for number, name in enumerate(self.names):
            if self.cluster.running(name):
                await self.propose(number, seq, value or f"{seq} by {name}")

    async def finish(self, number: int, seq: int) -> None:
        """Done(seq) at a peer."""
        name = self.names[number]
        self.done[name] = max(self.done[name], seq)
        await self.cluster.call(name, DoneUpTo(seq))

    async def finish_everywhere(self, seq: int) -> None:
        """Done(seq) at every peer."""
        for number in range(len(self.names)):
            await self.finish(number, seq)

    async def min(self, number: int) -> int:
        """Min() at a peer. It never falls, and never passes an instance that a peer is not done with."""
        name = self.names[number]
        before = self._lowest[name]
        lowest = (await self.cluster.call(name, Min())).seq
        if lowest < before:
            raise AssertionError(f"Min() at {name} gave {lowest}, and {before} before that: it must never fall")
        if lowest > min(self.done.values()) + 1:
            who = min(self.done, key=self.done.__getitem__)
            raise AssertionError(f"Min() at {name} gave {lowest}, but {who} is only done up to {self.done[who]}")
        self._lowest[name] = max(lowest, self._lowest[name])
        return lowest

    async def max(self, number: int) -> int:
        """Max() at a peer. It never falls."""
        name = self.names[number]
        before = self._highest[name]
        highest = (await self.cluster.call(name, Max())).seq
        if highest < before:
            raise AssertionError(f"Max() at {name} gave {highest}, and {before} before that: it must never fall")
        self._highest[name] = max(highest, self._highest[name])
        return highest

    async def status(self, name: str, seq: int) -> Decided | Pending | Forgotten:
        """Status(seq) at a peer, held against all that has been said before."""
        knew = (name, seq) in self._knowing
        status = await self.cluster.call(name, Status(seq))
        said = f"Status({seq}) at {name} gave"
        if isinstance(status, Decided):
            value, who = self.decided.setdefault(seq, (status.value, name))
            expect_equal(f"{said} Decided: its value", status.value, value, f"that is what {who} called decided")
            if value not in self.proposed.get(seq, []):
                raise AssertionError(f"{said} Decided({value!r}), which nobody had proposed")
            self._knowing.add((name, seq))
        elif isinstance(status, Forgotten) and seq > min(self.done.values()):
            who = min(self.done, key=self.done.__getitem__)
            raise AssertionError(f"{said} Forgotten, but {who} is only done up to {self.done[who]}")
        elif isinstance(status, Pending) and knew:
            raise AssertionError(f"{said} Pending, but it had called {self.decided[seq][0]!r} decided before")
        return status

    # --- what is waited for ------------------------------------------------------------------------------------------

    async def knowing(self, seq: int, among: Sequence[str] | None = None) -> list[str]:
        """Those peers (of all that run, or of these) that know the instance to be decided."""
        asked = self.running if among is None else among
        found = await self.cluster.gather(*(self.status(name, seq) for name in asked))
        return [name for name, status in zip(asked, found, strict=True) if isinstance(status, Decided)]

    async def until_decided(self, seq: int, among: Sequence[str] | None = None, count: int | None = None) -> str:
        """Waits until all of these peers (or so many of them) know the decision. Gives its value."""
        asked = self.running if among is None else list(among)
        wanted = len(asked) if count is None else count
        known: list[str] = []

        async def holds() -> bool:
            nonlocal known
            known = await self.knowing(seq, asked)
            return len(known) >= wanted

        def what() -> str:
            known_by = ", ".join(known) or "none"
            return f"instance {seq} to be decided at {wanted} of {', '.join(asked)} (so far at {known_by})"

        await self.cluster.until(holds, DECIDE_WITHIN, what)
        return self.decided[seq][0]

    async def expect_knowing(self, seq: int, names: Sequence[str], hint: str) -> None:
        """Exactly these peers have to know the decision."""
        expect_equal(f"asking every peer who knows instance {seq} decided", await self.knowing(seq), list(names), hint)

    async def expect_undecided(self, seq: int, hint: str) -> None:
        """For a while, nobody may call the instance decided."""
        await self.cluster.sleep(2 * A_WHILE)
        await self.expect_knowing(seq, [], hint)

    async def until_min(self, seq: int, among: Sequence[int] | None = None) -> None:
        """Waits until Min() is `seq` at all peers, or at these."""
        asked = range(len(self.names)) if among is None else among
        found: list[int] = []

        async def holds() -> bool:
            nonlocal found
            found = [await self.min(number) for number in asked]
            return all(lowest == seq for lowest in found)

        await self.cluster.until(holds, FORGET_WITHIN, lambda: f"Min() to be {seq} everywhere (it is {found})", 0.1)

    async def spread_done(self, first: int) -> None:
        """Each peer has an agreement of its own, in which it can say what it is done with: `first` and so on."""
        for number in range(len(self.names)):
            await self.propose(number, first + number, "z")
        for number in range(len(self.names)):
            await self.until_decided(first + number)

    async def forget(self, seq: int) -> None:
        """Everybody is done up to `seq`, the newest instance, and learns that in three (or so) more."""
        await self.finish_everywhere(seq)
        await self.spread_done(seq + 1)
        await self.until_min(seq + 1)

    # --- calls -------------------------------------------------------------------------------------------------------

    def count_calls(self) -> None:
        """From now on the calls between peers are counted."""
        for name in self.names:
            self.cluster.tap(name)

    @property
    def calls(self) -> int:
        """The calls that were counted so far."""
        return sum(self.cluster.calls(name) for name in self.names)

    async def calls_within(self, seconds: float) -> int:
        """The calls in so many seconds from now."""
        before = self.calls
        await self.cluster.sleep(seconds)
        return self.calls - before


# --- the nineteen of 2015 --------------------------------------------------------------------------------------------


@graded(part="A", points=1, within=60.0)
async def test_single_proposer(cluster: Cluster) -> None:
    """Single proposer.

    One peer of three proposes. Catches: whatever is wrong without any failure; a decision that is not told.
    """
    peers = await Peers.start(cluster, 3)
    await peers.propose(0, 0, "hello")
    await peers.until_decided(0)


@graded(part="A", points=1, within=60.0)
async def test_many_proposers_same_value(cluster: Cluster) -> None:
    """Many proposers, same value.

    All three propose 77. Catches: proposers that block each other.
    """
    peers = await Peers.start(cluster, 3)
    await peers.propose_everywhere(1, "77")
    await peers.until_decided(1)


@graded(part="A", points=1, within=60.0)
async def test_many_proposers_different_values(cluster: Cluster) -> None:
    """Many proposers, different values.

    All three propose, each its own. Catches: a proposer that announces its own value where another's was accepted.
    """
    peers = await Peers.start(cluster, 3)
    await peers.propose_everywhere(2)
    await peers.until_decided(2)


@graded(part="A", points=1, within=90.0)
async def test_out_of_order_instances(cluster: Cluster) -> None:
    """Out-of-order instances.

    Instances 7, 6 and 5 first, then 4 and 3, and nobody ever proposes 0, 1 or 2. Catches: instances that wait for
    those before them; Max() that knows only one's own proposals.
    """
    peers = await Peers.start(cluster, 3)
    for number, seq in ((0, 7), (0, 6), (1, 5)):
        await peers.propose(number, seq, f"{seq}00")
    await peers.until_decided(7)
    for number, seq in ((0, 4), (1, 3)):
        await peers.propose(number, seq, f"{seq}00")
    for seq in (6, 5, 4, 3):
        await peers.until_decided(seq)
    for number in range(3):
        expect_equal(f"Max() at px-{number}", await peers.max(number), 7, "it knows that instance 7 is decided")


@graded(part="A", points=1, within=90.0)
async def test_deaf_proposer(cluster: Cluster) -> None:
    """Deaf proposer.

    px-0 and px-4 of five can call, but nobody can call them, not even they themselves. They learn a decision only by
    proposing. Catches: a peer that sends itself messages over the network; a proposer that does not give way to what
    was accepted before.
    """
    peers = await Peers.start(cluster, 5)
    await peers.propose(0, 0, "hello")
    await peers.until_decided(0)
    for name in ("px-0", "px-4"):
        cluster.deafen(name)
    await peers.propose(1, 1, "goodbye")
    await peers.until_decided(1, count=3)
    await cluster.sleep(A_WHILE)
    await peers.expect_knowing(1, ["px-1", "px-2", "px-3"], "nobody could tell px-0 and px-4")
    await peers.propose(0, 1, "xxx")
    await peers.until_decided(1, count=4)
    await cluster.sleep(A_WHILE)
    await peers.expect_knowing(1, ["px-0", "px-1", "px-2", "px-3"], "nobody could tell px-4")
    await peers.propose(4, 1, "yyy")
    await peers.until_decided(1)


@graded(part="A", points=1, within=90.0)
async def test_forgetting(cluster: Cluster) -> None:
    """Forgetting.

    Six peers are done with instance 0, and all but px-0 with instance 1, too; then each of them proposes once more.
    Catches: Min() that looks at one peer only, or at the highest instead of the lowest; done peers that never say so.
    """
    peers = await Peers.start(cluster, 6)
    for number in range(6):
        expect_equal(f"Min() at px-{number}", await peers.min(number), 0, "nobody is done with anything")
    for number, seq in ((0, 0), (1, 1), (2, 2), (0, 6), (1, 7)):
        await peers.propose(number, seq, f"{seq}{seq}")
    for seq in (0, 1):
        await peers.until_decided(seq)
        for number in range(6):
            expect_equal(f"Min() at px-{number}", await peers.min(number), 0, "nobody is done with anything")
    for number in range(6):
        await peers.finish(number, 0)
    for number in range(1, 6):
        await peers.finish(number, 1)
    for number in range(6):
        await peers.propose(number, 8 + number, "xx")
    await peers.until_min(1)


@graded(part="A", points=1, within=90.0)
async def test_lots_of_forgetting(cluster: Cluster) -> None:
    """Lots of forgetting.

    Three unreliable peers agree on twenty instances in random order, while they are told again and again, in random
    order, that they are done with this or that. Catches: peers that fail, or say something else than before, where an
    instance goes while messages about it are under way.
    """
    instances = 20
    peers = await Peers.start(cluster, 3)
    for name in peers.names:
        cluster.tap(name, UNRELIABLE)
    random = cluster.random
    end = cluster.now() + 3.0

    async def propose() -> None:
        for seq in random.sample(range(instances), instances):
            await peers.propose(random.randrange(3), seq, str(random.getrandbits(30)))
            await cluster.sleep(random.uniform(0.0, 0.1))

    async def finish() -> None:
        while cluster.now() < end:
            seq, number = random.randrange(instances), random.randrange(3)
            if seq >= await peers.min(number) and isinstance(await peers.status(f"px-{number}", seq), Decided):
                await peers.finish(number, seq)
            await cluster.sleep(0.01)

    await cluster.gather(propose(), finish())
    for name in peers.names:
        cluster.untap(name)
    for seq in range(instances):
        await cluster.until(
            partial(settled, peers, seq), DECIDE_WITHIN, f"instance {seq} to be decided or forgotten somewhere"
        )


async def settled(peers: Peers, seq: int) -> bool:
    """Some peer knows that the instance is decided, or forgotten."""
    found = await peers.cluster.gather(*(peers.status(name, seq) for name in peers.names))
    return any(not isinstance(status, Pending) for status in found)


def slack(cluster: Cluster) -> int:
    """Bytes that a process may hold beyond what it needs.

    The simulation counts objects, so half a value more than one is a leak. A real process keeps what it has freed for
    later use, as much as it once needed at the same time.
    """
    return 3 * MEGABYTE // 2 if cluster.world == "sim" else 30 * MEGABYTE


@graded(part="A", points=2, within=150.0)
async def test_frees_forgotten_memory(cluster: Cluster) -> None:
    """Paxos frees forgotten instance memory.

    Ten values of a megabyte are decided, and then forgotten; ten others are forgotten one by one; and so on. In the end
    no peer may hold much more than before. Then all propose other values for forgotten instances. Catches: instances
    kept, in whole or in part; a forgotten instance that a late Start opens again, or that is not called Forgotten.
    """
    rounds = 2 if cluster.world == "sim" else 6  # the more, the less does it matter what a process keeps
    peers = await Peers.start(cluster, 3)
    await peers.propose(0, 0, "x")
    await peers.until_decided(0)
    before = [cluster.memory(name) for name in peers.names]
    seq = 0
    for turn in range(rounds):
        for letter in "abcdefghij":
            seq += 1
            await peers.propose(seq % 3, seq, letter * MEGABYTE)
            await peers.until_decided(seq)
            if turn % 2:
                await peers.finish_everywhere(seq)
        await peers.forget(seq)
        seq += 3
    await cluster.sleep(A_WHILE)
    for name, held in zip(peers.names, before, strict=True):
        grown = cluster.memory(name) - held
        if grown > slack(cluster):
            raise AssertionError(
                f"{name} holds {grown:,} bytes more than before {10 * rounds} values of {MEGABYTE:,} bytes were "
                f"decided and forgotten, expected {slack(cluster):,} more at most: everybody is done with them"
            )
    for seq in range(3):
        await peers.propose_everywhere(seq, "again")
    await cluster.sleep(A_WHILE)
    for seq in range(3):
        for name in peers.names:
            expect_equal(f"Status({seq}) at {name}", await peers.status(name, seq), Forgotten(), "it is below Min()")


@graded(part="A", points=1, within=90.0)
async def test_max_after_done(cluster: Cluster) -> None:
    """Paxos Max() after Done()s.

    Instances 0 to 10 are decided, and everybody is done with them; and so it goes on, until there is nothing that has
    not been forgotten. Catches: Max() that looks only at what has not.
    """
    peers = await Peers.start(cluster, 3)
    for seq in range(11):
        await peers.propose(0, seq, "z")
        await peers.until_decided(seq)
    await peers.finish_everywhere(10)
    await peers.propose_everywhere(10, "z")
    await cluster.sleep(A_WHILE / 2)
    for number in range(3):
        expect_equal(f"Max() at px-{number}", await peers.max(number), 10, "instance 10 was decided, if not forgotten")
    await peers.forget(10)
    for number in range(3):
        expect_equal(f"Max() at px-{number}", await peers.max(number), 13, "instance 13 is decided")
    await peers.finish_everywhere(16)
    for number in range(3):
        await peers.propose(number, 14 + number, "z")
    await cluster.sleep(A_WHILE)
    for number in range(3):
        await peers.max(number)  # must not have fallen


@graded(part="A", points=1, within=90.0)
async def test_rpc_count(cluster: Cluster) -> None:
    """RPC counts aren't too high.

    Five agreements one after the other with a single proposer may take nine calls each (three to prepare, three to
    accept, three to decide), five others with three proposers 45 each. Catches: proposers that try again without
    need; decisions that are told again and again; chatter.
    """
    peers = await Peers.start(cluster, 3)
    peers.count_calls()
    for seq in range(5):
        await peers.propose(0, seq, "x")
        await peers.until_decided(seq)
    await cluster.sleep(2 * A_WHILE)
    serial = peers.calls
    print(f"{serial / 5:g} calls for each of 5 agreements with one proposer")
    if serial > 5 * 9:
        raise AssertionError(
            f"5 agreements one after the other, with one proposer, took {serial} calls, expected {5 * 9} at most"
        )
    for seq in range(5, 10):
        await cluster.gather(*(peers.propose(number, seq, f"{seq} by px-{number}") for number in range(3)))
    for seq in range(5, 10):
        await peers.until_decided(seq)
    await cluster.sleep(2 * A_WHILE)
    concurrent = peers.calls - serial
    print(f"{concurrent / 5:g} calls for each of 5 agreements with three proposers")
    if concurrent > 5 * 45:
        raise AssertionError(
            f"5 agreements with three proposers each took {concurrent} calls, expected {5 * 45} at most"
            f" ({serial / 5:g} calls for each one with a single proposer)"
        )


async def many_instances(peers: Peers, count: int, active: int) -> None:
    """All peers propose in all instances, of which only so many are under way at a time."""
    for seq in range(count):
        if seq >= active:
            await peers.until_decided(seq - active)
        await peers.propose_everywhere(seq)
    for seq in range(count - active, count):
        await peers.until_decided(seq)


@graded(part="A", points=1, within=120.0)
async def test_many_instances(cluster: Cluster) -> None:
    """Many instances.

    Three peers all propose in fifty instances, five at a time. Catches: acceptors that accept without looking at what
    they promised; promises that are not kept.
    """
    await many_instances(await Peers.start(cluster, 3), 50, active=5)


@graded(part="A", points=1, within=90.0)
async def test_minority_proposal_ignored(cluster: Cluster) -> None:
    """Minority proposal ignored.

    Three of five peers decide before a fourth comes and proposes something else. Catches: a decision that is not found
    out by who was not there.
    """
    peers = await Peers.start(cluster, 5, absent=[0, 4])
    await peers.propose(1, 1, "111")
    await peers.until_decided(1)
    await peers.add(0)
    await peers.propose(0, 1, "222")
    expect_equal("instance 1 at four peers", await peers.until_decided(1), "111", "it was decided before px-0 came")


@graded(part="A", points=1, within=120.0)
async def test_many_instances_unreliable(cluster: Cluster) -> None:
    """Many instances, unreliable RPC.

    As before with unreliable peers, three instances at a time. Catches: a proposer that gives up; majorities counted
    wrong; votes counted twice.
    """
    peers = await Peers.start(cluster, 3)
    for name in peers.names:
        cluster.tap(name, UNRELIABLE)
    await many_instances(peers, 50, active=3)


def part(cluster: Cluster, *groups: str) -> None:
    """Parts the peers into groups, such as "02" for px-0 and px-2."""
    cluster.partition(*([f"px-{number}" for number in group] for group in groups))


@graded(part="A", points=1, within=60.0)
async def test_no_decision_if_partitioned(cluster: Cluster) -> None:
    """No decision if partitioned.

    Five peers in three parts, none of which is a majority. Catches: majorities counted wrong, or counted among those
    who answer.
    """
    peers = await Peers.start(cluster, 5)
    part(cluster, "02", "13", "4")
    await peers.propose(1, 0, "111")
    await peers.expect_undecided(0, "px-1 reaches px-3 only, which is no majority of five")


@graded(part="A", points=1, within=60.0)
async def test_decision_in_majority_partition(cluster: Cluster) -> None:
    """Decision in majority partition.

    A proposer that is in a minority at first finds itself in a majority later. Catches: a proposer that gives up.
    """
    peers = await Peers.start(cluster, 5)
    part(cluster, "02", "13", "4")
    await peers.propose(1, 0, "111")
    await cluster.sleep(A_WHILE)
    part(cluster, "0", "123", "4")
    await peers.until_decided(0, count=3)
    await peers.expect_knowing(0, ["px-1", "px-2", "px-3"], "px-0 and px-4 are cut off")


@graded(part="A", points=1, within=60.0)
async def test_all_agree_after_full_heal(cluster: Cluster) -> None:
    """All agree after full heal.

    Three of five have decided; the two others propose something else while they are still cut off. Catches: a proposer
    that was cut off and does not give way to what was decided without it.
    """
    peers = await Peers.start(cluster, 5)
    part(cluster, "0", "123", "4")
    await peers.propose(1, 0, "111")
    await peers.until_decided(0, count=3)
    await peers.propose(0, 0, "1000")
    await peers.propose(4, 0, "1004")
    await cluster.sleep(A_WHILE / 2)
    part(cluster, "01234")
    await peers.until_decided(0)


async def switch(cluster: Cluster, peers: Peers, unreliable: bool) -> None:
    """Twenty times {0, 1, 2} decide, then px-2 goes over to {3, 4} and carries the decision there."""
    for seq in range(20):
        if unreliable:
            for name in peers.names:
                cluster.tap(name, UNRELIABLE)
        part(cluster, "012", "34")
        await cluster.sleep(UNDER_WAY)
        for number in range(5) if unreliable else (0, 3):
            await peers.propose(number, seq, f"{seq} by px-{number}")
        await peers.until_decided(seq, count=3)
        await peers.expect_knowing(seq, ["px-0", "px-1", "px-2"], "px-3 and px-4 are cut off")
        part(cluster, "01", "234")
        for name in peers.names:
            cluster.untap(name)
        await peers.until_decided(seq)


@graded(part="A", points=1, within=120.0)
async def test_one_peer_switches(cluster: Cluster) -> None:
    """One peer switches partitions.

    Three of five decide what px-0 proposed; then one of them goes over to the two others, where px-3 has proposed
    something else. Catches: an acceptor that does not tell what it has accepted.
    """
    await switch(cluster, await Peers.start(cluster, 5), unreliable=False)


@graded(part="A", points=2, within=120.0)
async def test_one_peer_switches_unreliable(cluster: Cluster) -> None:
    """One peer switches partitions, unreliable.

    As before, but all five propose, and all are unreliable until px-2 has changed sides. Catches: the same, and a
    proposer that takes over a value, but not the one with the highest number.
    """
    await switch(cluster, await Peers.start(cluster, 5), unreliable=True)


@graded(part="A", points=2, within=120.0)
async def test_many_requests_changing_partitions(cluster: Cluster) -> None:
    """Many requests, changing partitions.

    Five unreliable peers all propose in one instance after the other, while they are parted anew several times in a
    second. When all has healed, everything has to be decided everywhere. Catches: whatever goes wrong rarely.
    """
    peers = await Peers.start(cluster, 5)
    for name in peers.names:
        cluster.tap(name, UNRELIABLE)
    random = cluster.random
    end = cluster.now() + 6.0

    async def repartition() -> None:
        while cluster.now() < end:
            groups: list[list[str]] = [[], [], []]
            for name in peers.names:
                random.choice(groups).append(name)
            cluster.partition(*groups)
            await cluster.sleep(random.uniform(0.0, 0.2))

    async def propose() -> None:
        while cluster.now() < end:
            open_instances = [seq for seq in peers.proposed if len(await peers.knowing(seq)) < len(peers.names)]
            if len(open_instances) < 10:
                await peers.propose_everywhere(len(peers.proposed))
            await cluster.sleep(random.uniform(0.0, 0.2))

    await cluster.gather(repartition(), propose())
    part(cluster, "01234")
    for name in peers.names:
        cluster.untap(name)
    for seq in peers.proposed:
        await peers.until_decided(seq)


# --- what the suite of 2015 let through: what a peer says, and what it does not say ----------------------------------


@graded(part="A+", points=1, within=30.0)
async def test_nothing_is_known_at_first(cluster: Cluster) -> None:
    """Nothing is known at first.

    Catches: Max() that is 0 where it should be -1, as if there were an instance 0.
    """
    peers = await Peers.start(cluster, 3)
    for number, name in enumerate(peers.names):
        expect_equal(f"Max() at {name}", await peers.max(number), -1, "nothing was ever proposed")
        expect_equal(f"Min() at {name}", await peers.min(number), 0, "nobody is done with anything")
        expect_equal(f"Status(0) at {name}", await peers.status(name, 0), Pending(), "nothing was ever proposed")


@graded(part="A+", points=1, within=60.0)
async def test_any_value(cluster: Cluster) -> None:
    """A value may be any text, an instance any number.

    Among others the empty string is decided by three of five, and carried to the two others. Catches: an empty value
    taken for none; tables with a row for each number.
    """
    peers = await Peers.start(cluster, 5)
    values = {0: "a\nb\r\n\0", 1: '"ключ" = {日本 🦜}', 2: "", 1_000_000_000: "far", 3: "null"}
    for seq, value in values.items():
        await peers.propose(0, seq, value)
        expect_equal(f"instance {seq}", await peers.until_decided(seq), value)
    for number in range(5):
        expect_equal(f"Max() at px-{number}", await peers.max(number), 1_000_000_000)
    part(cluster, "012", "34")
    await peers.propose(0, 4, "")
    await peers.until_decided(4, count=3)
    part(cluster, "01", "234")
    await peers.propose(3, 4, "not empty")
    expect_equal("instance 4", await peers.until_decided(4), "", "px-2 knew that this is decided")


@graded(part="A+", points=1, within=90.0)
async def test_nothing_to_agree_on(cluster: Cluster) -> None:
    """Where there is nothing to agree on, nothing is said.

    Start for instances that are decided or forgotten, and Status for any, must not make peers call each other.
    Catches: a protocol run again for what is known; Status that asks around; a Start below Min() that opens the
    instance in secret.
    """
    peers = await Peers.start(cluster, 3)
    for seq in range(20):
        await peers.propose(0, seq, "first")
    for seq in range(20):
        await peers.until_decided(seq)
    await peers.forget(20)
    for seq in range(24, 44):
        await peers.propose(0, seq, "first")
    for seq in range(24, 44):
        await peers.until_decided(seq)
    peers.count_calls()
    await cluster.sleep(A_WHILE)
    idle = await peers.calls_within(A_WHILE)
    began, before = cluster.now(), peers.calls
    for seq in (*range(20), *range(24, 44), 1000):
        for name in peers.names:
            await peers.status(name, seq)
        if seq != 1000:
            await peers.propose_everywhere(seq, "second")
    await cluster.sleep(A_WHILE)
    calls, seconds = peers.calls - before, cluster.now() - began
    if calls > 2 * idle * seconds / A_WHILE + 20:
        raise AssertionError(
            f"three peers called each other {calls} times in {seconds:.1f} s during Status and Start for 40 instances "
            f"that were decided or forgotten, and {idle} times in {A_WHILE:g} s before: there was nothing to agree on"
        )
    for seq in (*range(20), *range(24, 44)):
        for name in peers.names:
            await peers.status(name, seq)


@graded(part="A+", points=1, within=60.0)
async def test_calls_while_cut_off(cluster: Cluster) -> None:
    """A proposer that reaches nobody does not try without a pause.

    All that px-0 sends is lost, and it learns so at once. Catches: a proposer that tries again in a busy loop, or does
    not try again at all.
    """
    most = 200
    peers = await Peers.start(cluster, 5)
    for name in peers.names[1:]:
        cluster.tap(name, Faults(request_lost=1.0), sources=["px-0"])
    await peers.propose(0, 0, "alone")
    seconds = 2 * A_WHILE
    calls = await peers.calls_within(seconds)
    if calls > most * 4 * seconds:
        raise AssertionError(
            f"px-0, which reaches nobody, made {calls} calls in {seconds:g} s for one proposal, expected at most "
            f"{most} a second to each of 4 peers: it has to pause before it tries again"
        )
    for name in peers.names[1:]:
        cluster.untap(name)
    await peers.until_decided(0, among=["px-0"])


@graded(part="A+", points=1, within=90.0)
async def test_decision_is_told_again(cluster: Cluster) -> None:
    """A decision reaches every peer, although messages are lost.

    Only px-0 proposes, thirty times, and the three are unreliable. Who sent something knows that it was lost, and can
    send it again. Catches: a decision that is told once, whether it arrives or not.
    """
    peers = await Peers.start(cluster, 3)
    for name in peers.names:
        cluster.tap(name, UNRELIABLE)
    for seq in range(30):
        await peers.propose(0, seq, f"{seq}")
    for seq in range(30):
        await peers.until_decided(seq)


# --- forgetting ------------------------------------------------------------------------------------------------------


@graded(part="A+", points=1, within=60.0)
async def test_done_never_goes_back(cluster: Cluster) -> None:
    """A lower Done() after a higher one changes nothing.

    Catches: a peer that takes the latest Done() for the highest, so that nothing is ever forgotten, or Min() falls.
    """
    peers = await Peers.start(cluster, 3)
    for seq in range(11):
        await peers.propose(seq % 3, seq, f"{seq}")
    for seq in range(11):
        await peers.until_decided(seq)
    for number in range(3):
        for seq in (4, 10, 3):
            await peers.finish(number, seq)
    await peers.spread_done(11)
    await peers.until_min(11)
    await peers.finish_everywhere(5)
    await peers.spread_done(14)
    await peers.until_min(11)


@graded(part="A+", points=1, within=60.0)
async def test_not_forgotten_too_early(cluster: Cluster) -> None:
    """Nothing is forgotten while one peer may need it.

    px-2 is cut off while five instances are decided; the two others are done with them, and go on. Then px-2 proposes
    something else in each of the five. Catches: a peer that frees what it is itself done with.
    """
    peers = await Peers.start(cluster, 3)
    part(cluster, "01", "2")
    for seq in range(5):
        await peers.propose(seq % 2, seq, f"{seq}")
        await peers.until_decided(seq, count=2)
    for number in (0, 1):
        await peers.finish(number, 4)
        await peers.propose(number, 5 + number, "z")
    for seq in range(7):
        await peers.until_decided(seq, count=2)
    part(cluster, "012")
    for seq in range(5):
        await peers.propose(2, seq, "late")
    for seq in range(5):
        await peers.until_decided(seq)


@graded(part="A+", points=1, within=60.0)
async def test_done_goes_both_ways(cluster: Cluster) -> None:
    """Done() of both sides becomes known by an agreement.

    Two peers are done; only px-0 proposes after that. Both have to learn what the other is done with. Catches: Done()
    that is told by proposers only, or by acceptors only.
    """
    peers = await Peers.start(cluster, 2)
    for seq in range(3):
        await peers.propose(0, seq, f"{seq}")
        await peers.until_decided(seq)
    await peers.finish_everywhere(2)
    for seq in range(3, 8):
        await peers.propose(0, seq, f"{seq}")
        await peers.until_decided(seq)
    await peers.until_min(3)


@graded(part="A+", points=1, within=90.0)
async def test_late_messages_are_forgotten(cluster: Cluster) -> None:
    """A late message does not bring a forgotten instance back.

    What px-2 says to px-1 about ten values of a megabyte takes four seconds. Until then px-0 and px-2 have decided the
    ten, all three are done with them, and px-1 knows that. Catches: a late Prepare or Accept that opens the instance
    again, where it then stays.
    """
    peers = await Peers.start(cluster, 3)
    for number in range(3):
        await peers.propose(number, number, "x")
    for seq in range(3):
        await peers.until_decided(seq)
    before = cluster.memory("px-1")
    for number in (0, 1):  # they will not need what px-2 is going to propose, and say so in advance
        await peers.finish(number, 12)
        await peers.propose(number, 13 + number, "z")
        await peers.until_decided(13 + number)
    await peers.propose(2, 15, "z")
    await peers.until_decided(15)
    cluster.tap("px-1", Faults(delay=4.0), sources=["px-2"])
    for seq in range(3, 13):
        await peers.propose(2, seq, str(seq % 10) * MEGABYTE)
    for seq in range(3, 13):
        await peers.until_decided(seq, among=["px-0", "px-2"])
    await peers.finish(2, 12)
    cluster.untap("px-1")
    await peers.propose(2, 16, "z")
    await peers.until_decided(16)
    await peers.until_min(13)
    await cluster.sleep(4.0 + A_WHILE)
    for seq in range(3, 13):
        expect_equal(f"Status({seq}) at px-1", await peers.status("px-1", seq), Forgotten(), "it is below Min()")
    grown = cluster.memory("px-1") - before
    if grown > slack(cluster):
        raise AssertionError(
            f"px-1 holds {grown:,} bytes more than before, expected {slack(cluster):,} more at most: it got messages "
            f"about instances 3 to 12, which had long been forgotten"
        )


@graded(part="A+", points=1, within=60.0)
async def test_forgotten_proposal_ends(cluster: Cluster) -> None:
    """A proposer stops when its instance is forgotten.

    What px-2 sends is lost, so it tries again and again, until the others have decided the instance and everybody is
    done with it. Catches: a proposer that goes on for ever because a forgotten instance is not a decided one.
    """
    peers = await Peers.start(cluster, 3)
    for name in ("px-0", "px-1"):
        cluster.tap(name, Faults(request_lost=1.0), sources=["px-2"])
    await cluster.sleep(A_WHILE)
    idle = await peers.calls_within(2 * A_WHILE)
    await peers.propose(2, 0, "lonely")
    await cluster.sleep(A_WHILE)
    await peers.finish_everywhere(0)
    for seq in range(4):
        await peers.propose(seq % 2, seq, "popular")
    for seq in range(1, 4):
        await peers.until_decided(seq, among=["px-0", "px-1"])
    await cluster.sleep(A_WHILE)
    busy = await peers.calls_within(2 * A_WHILE)
    if busy > 2 * idle + 10:
        raise AssertionError(
            f"px-2 called {busy} times in {2 * A_WHILE:g} s, and {idle} times before it ever proposed: instance 0, "
            f"which it proposed, has been decided and forgotten"
        )


# --- proposers that are in trouble -----------------------------------------------------------------------------------


@graded(part="A+", points=1, within=90.0)
async def test_proposers_die(cluster: Cluster) -> None:
    """Proposers die half-way, and others take over.

    px-0 and then px-1 of five are killed a moment after they proposed in twenty instances. Whatever they got decided
    has to stay. Catches: a value that is decided without a majority having accepted it; instances that only their first
    proposer could finish.
    """
    peers = await Peers.start(cluster, 5)
    for name in peers.names:
        cluster.tap(name, Faults(delay=0.005, reorder=0.3))
    for number in (0, 1):
        for seq in range(20):
            await peers.propose(number, seq, f"{seq} by px-{number}")
        await cluster.sleep(cluster.random.uniform(0.0, 0.06))
        await peers.knowing(0)
        await cluster.kill(f"px-{number}")
    for seq in range(20):
        await peers.propose_everywhere(seq)
    for seq in range(20):
        await peers.until_decided(seq)


@graded(part="A+", points=1, within=90.0)
async def test_proposer_sleeps(cluster: Cluster) -> None:
    """A proposer that slept between two phases does not undo a decision.

    px-0 proposes in ten instances and is stopped (SIGSTOP) a moment later. The others decide; then px-0 wakes and goes
    on where it was. Catches: an old Accept that is taken although a newer number was promised or accepted.
    """
    peers = await Peers.start(cluster, 5)
    for name in peers.names:
        cluster.tap(name, Faults(delay=0.02))
    for seq in range(10):
        await peers.propose(0, seq, f"{seq} by px-0")
    await cluster.sleep(cluster.random.uniform(0.0, 0.1))
    cluster.pause("px-0")
    for seq in range(10):
        await peers.propose(1 + seq % 4, seq, f"{seq} by px-{1 + seq % 4}")
    for seq in range(10):
        await peers.until_decided(seq, among=peers.names[1:])
    cluster.resume("px-0")
    for seq in range(10):
        await peers.until_decided(seq)


@graded(part="A+", points=1, within=60.0)
async def test_peer_that_lost_its_memory(cluster: Cluster) -> None:
    """A peer that lost its memory does not vote.

    px-0 and px-2 decide while px-1 is cut off. Then px-2 is killed and started again, which makes it empty, and px-0 is
    cut off. Catches: a peer that votes again where it may have voted before, so that px-1 and px-2 decide anew.
    """
    peers = await Peers.start(cluster, 3)
    part(cluster, "02", "1")
    await peers.propose(0, 0, "old")
    await peers.until_decided(0, count=2)
    await peers.restart(2)
    part(cluster, "12", "0")
    await peers.propose(1, 0, "new")
    await cluster.sleep(2 * A_WHILE)
    await peers.knowing(0)
    part(cluster, "012")
    await peers.until_decided(0, among=["px-0", "px-1"])


@graded(part="A+", points=1, within=90.0)
async def test_dead_minority(cluster: Cluster) -> None:
    """Two of five may die, three may not.

    Catches: an agreement that needs more than a majority, or is content with less when some are dead.
    """
    peers = await Peers.start(cluster, 5)
    await peers.propose(0, 0, "all")
    await peers.until_decided(0)
    for name in ("px-0", "px-3"):
        await cluster.kill(name)
    await peers.propose(1, 1, "three")
    await peers.until_decided(1)
    await cluster.kill("px-1")
    await peers.propose(4, 2, "two")
    await peers.expect_undecided(2, "px-2 and px-4 are the only ones alive, which is no majority of five")
    for seq in (0, 1):
        await peers.expect_knowing(seq, ["px-2", "px-4"], "it was decided before")


@graded(part="A+", points=1, within=120.0)
async def test_hanging_minority(cluster: Cluster) -> None:
    """Two of five hang, and the others do not wait for them.

    px-3 and px-4 are stopped (SIGSTOP): calls to them do not fail, they get no reply. Catches: a proposer that asks
    one peer after the other, or waits for all of them.
    """
    peers = await Peers.start(cluster, 5)
    awake = peers.names[:3]
    for name in peers.names[3:]:
        cluster.pause(name)
    durations: list[float] = []
    for seq in range(9):
        began = cluster.now()
        await peers.propose(seq % 3, seq, f"{seq}")
        await peers.until_decided(seq, among=awake)
        durations.append(cluster.now() - began)
    median = sorted(durations)[len(durations) // 2]
    if median > A_WHILE:
        raise AssertionError(
            f"each second agreement of three peers took more than {median:.2f} s while two others hung, expected "
            f"{A_WHILE:g} s at most: three of five are a majority, and need not wait"
        )
    for name in peers.names[3:]:
        cluster.resume(name)


@graded(part="A+", points=1, within=60.0)
async def test_own_vote(cluster: Cluster) -> None:
    """A peer needs no network to vote for itself.

    Of three peers px-2 is dead, and nobody can call px-0, not even px-0: with px-1 and its own vote it has a majority.
    Catches: a peer that sends itself messages over the network.
    """
    peers = await Peers.start(cluster, 3)
    await cluster.kill("px-2")
    cluster.deafen("px-0")
    await peers.propose(0, 0, "own")
    await peers.until_decided(0)


@graded(part="A+", points=1, within=60.0)
async def test_many_agreements_at_once(cluster: Cluster) -> None:
    """Many agreements go on at the same time.

    Messages take 0.3 s, and px-0 proposes in twenty instances at once. Catches: a peer that begins with one agreement
    when it is through with another.
    """
    peers = await Peers.start(cluster, 3)
    for name in peers.names:
        cluster.tap(name, Faults(delay=STEP))
    began = cluster.now()
    for seq in range(20):
        await peers.propose(0, seq, f"{seq}")
    for seq in range(20):
        await peers.until_decided(seq, among=["px-0"])
    seconds = cluster.now() - began
    allowed = 20 * STEP * cluster.patience
    if seconds > allowed:
        raise AssertionError(
            f"20 agreements, proposed at the same time, took {seconds:.1f} s, expected {allowed:g} s at most: "
            f"each has to wait for its own two or three messages of {STEP:g} s, and not for the other agreements"
        )


@graded(part="A+", points=1, within=120.0)
async def test_one_way_ring(cluster: Cluster) -> None:
    """Every peer can call two others, and that is enough.

    Five peers in a ring, of which each can only call the next two: with itself a majority. All of them propose.
    Catches: a proposer that needs somebody whom it cannot reach, or gives up while others get in its way.
    """
    peers = await Peers.start(cluster, 5)
    for number in range(5):
        for step in (3, 4):
            cluster.cut(f"px-{number}", f"px-{(number + step) % 5}")
    for seq in range(5):
        await peers.propose_everywhere(seq)
        await peers.until_decided(seq)


# --- messages in the wrong order -------------------------------------------------------------------------------------


async def slow_peers(cluster: Cluster) -> Peers:
    """Five peers whose requests take a step each. Replies come at once."""
    peers = await Peers.start(cluster, 5)
    for name in peers.names:
        cluster.tap(name, Faults(delay=STEP))
    return peers


@graded(part="A+", points=1, within=60.0)
async def test_minority_of_promises(cluster: Cluster) -> None:
    """A minority of promises is not enough.

    px-0 has decided with px-1 and px-2, who have not heard so. px-4's Prepare goes to px-3 only; but when it has its
    two promises, it reaches px-1 and px-2, too. Catches: promises counted wrong, where it looks right because a
    majority accepts.
    """
    peers = await slow_peers(cluster)
    part(cluster, "012", "34")
    await peers.propose(0, 0, "old")
    await cluster.sleep(1.5 * STEP)  # px-0's Accepts are under way; what follows them is cut off
    part(cluster, "0", "1", "2", "34")
    await cluster.sleep(STEP)
    await peers.knowing(0)
    await peers.propose(4, 0, "new")
    await cluster.sleep(STEP / 2)  # px-4's Prepare is under way to px-3
    part(cluster, "0", "1234")
    await peers.until_decided(0, among=peers.names[1:])
    part(cluster, "01234")
    await peers.propose(0, 0, "last")
    await peers.until_decided(0)


@graded(part="A+", points=1, within=90.0)
async def test_highest_accepted_value_wins(cluster: Cluster) -> None:
    """Of several accepted values, the one with the highest number is proposed again.

    px-0 is cut off when its Prepare is under way, so that it alone accepts its value. Then px-1, px-2 and px-3 decide
    the empty string, and px-1 and px-2 are cut off. px-4 hears of px-0's value and of the decided one. Catches: a
    proposer that takes over any accepted value, such as the first or the last that it hears of, or takes an empty one
    for none.
    """
    peers = await slow_peers(cluster)
    await peers.propose(0, 0, "old")
    await cluster.sleep(STEP / 2)
    part(cluster, "0", "1", "2", "3", "4")
    await cluster.sleep(2 * STEP)
    part(cluster, "0", "123", "4")
    await peers.propose(1, 0, "")
    await cluster.sleep(1.5 * STEP)  # the Accepts are under way; what follows them is cut off
    part(cluster, "0", "1", "2", "3", "4")
    await cluster.sleep(2 * STEP)
    await peers.knowing(0)
    first, last = cluster.random.sample(["px-0", "px-3"], 2)
    cluster.tap(first, NONE)
    cluster.tap(last, Faults(delay=STEP / 2))
    part(cluster, "034", "1", "2")
    await peers.propose(4, 0, "newest")
    await peers.until_decided(0, among=["px-4"])
    part(cluster, "01234")
    for number in range(5):
        await peers.propose(number, 0, "last")
    await peers.until_decided(0)


@graded(part="A+", points=1, within=90.0)
async def test_accepting_is_promising(cluster: Cluster) -> None:
    """Who accepted a number accepts no lower one after that.

    px-0's Accept to px-1 takes long. Meanwhile px-4 gets promises from px-2 and px-3, and decides with px-3 and px-1,
    which never saw its Prepare. Then the old Accept comes to px-1. Catches: an acceptor that promises only in reply to
    a Prepare, and lets an older value replace the decided one.
    """
    peers = await slow_peers(cluster)
    await peers.propose(0, 0, "old")
    await cluster.sleep(STEP / 2)
    part(cluster, "01", "2", "3", "4")
    cluster.tap("px-1", Faults(delay=7 * STEP), sources=["px-0"])
    await cluster.sleep(STEP)  # px-0's Accept is under way to px-1
    part(cluster, "0", "1", "234")
    await peers.propose(4, 0, "new")
    await cluster.sleep(STEP / 2)  # px-4's Prepare is under way to px-2 and px-3
    cluster.cut("px-4", "px-2")
    cluster.join("px-4", "px-1")
    await cluster.sleep(STEP)  # px-4's Accept is under way to px-1 and px-3
    part(cluster, "0", "1", "2", "3", "4")
    await cluster.sleep(2 * STEP)
    await peers.knowing(0)
    await cluster.sleep(4 * STEP)  # px-0's Accept has come to px-1
    for name in peers.names:
        cluster.untap(name)
    part(cluster, "012", "3", "4")
    await peers.propose(2, 0, "newest")
    await peers.until_decided(0, among=["px-2"])
    part(cluster, "01234")
    for number in range(5):
        await peers.propose(number, 0, "last")
    await peers.until_decided(0)


@graded(part="A+", points=1, within=120.0)
async def test_many_instances_evil(cluster: Cluster) -> None:
    """Many instances; lost, doubled and reordered messages.

    Five peers all propose in thirty instances, five at a time. Catches: a vote counted twice; an old message taken for
    a new one.
    """
    peers = await Peers.start(cluster, 5)
    for name in peers.names:
        cluster.tap(name, EVIL)
    await many_instances(peers, 30, active=5)


@graded(part="A+", points=1, within=150.0)
async def test_peers_in_a_storm(cluster: Cluster) -> None:
    """Whatever happens to five peers of which two die, they agree.

    Random peers propose, and say that they are done, while links, messages and peers fail in all manners. Then all but
    the dead recover, and everything has to be decided. Catches: what nobody thought of.
    """
    peers = await Peers.start(cluster, 5)
    storm = Storm(cluster, peers.names, deaths=cluster.random.randrange(3))
    random = cluster.random
    over = asyncio.Event()

    async def propose() -> None:
        while not over.is_set():
            seq = len(peers.proposed)
            numbers: list[int] = cluster.choose(
                "proposers", lambda: random.sample(range(5), random.randrange(1, 6)), []
            )
            for number in numbers:
                await ask(peers, number, seq)
            await cluster.sleep(random.uniform(0.0, 0.1))

    async def look() -> None:
        while not over.is_set():
            name, seq = random.choice(peers.names), random.randrange(len(peers.proposed) + 1)
            try:
                await peers.status(name, seq)
            except CallFailed:
                await expect_dead(cluster, name, f"Status({seq})")
            await cluster.sleep(0.02)

    async def rage() -> None:
        await storm.rage(5.0)
        over.set()

    await cluster.gather(rage(), propose(), look())
    meanwhile = len(peers.decided)
    for seq in peers.proposed:
        await peers.propose_everywhere(seq)
    for seq in peers.proposed:
        await peers.until_decided(seq)
    overtaken = [seq for seq, values in peers.proposed.items() if peers.decided[seq][0] != values[0]]
    cluster.sometimes("an instance is decided while the storm rages", meanwhile > 0)
    cluster.sometimes("the value that was proposed first loses against another", len(overtaken) > 0)


async def ask(peers: Peers, number: int, seq: int) -> None:
    """Proposes at a peer that may die before it answers."""
    name = peers.names[number]
    try:
        await peers.propose(number, seq, f"{seq} by {name}")
    except CallFailed:
        await expect_dead(peers.cluster, name, f"Start({seq}, …)")
