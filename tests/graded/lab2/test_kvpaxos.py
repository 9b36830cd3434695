"""The key/value service on Paxos: servers kv-0, kv-1 … of which a majority is enough, and no server is special.

Each test brings its own starting state. Clerks know one server, some, or all; partitions part servers, never a clerk
from its servers. Whatever the clerks ask and are told is checked for linearizability after the test, besides what the
test says itself.
"""

import asyncio
from typing import Final

from labs.asking import A_WHILE, ANSWER_WITHIN, Asking, append_tokens, use_shared_keys
from labs.cluster import Clerk, Cluster
from labs.faults import EVIL, UNRELIABLE, Faults
from labs.grading import check_appends, expect_equal, graded, token
from labs.storm import Storm

SUITE = "kvpaxos"

MEGABYTE: Final = 1_000_000


class Service(Asking):
    """The servers of one test, and its clerks. A majority of the servers has to answer what nothing holds up."""

    def __init__(self, cluster: Cluster, count: int) -> None:
        super().__init__(cluster)
        self.servers = [f"kv-{number}" for number in range(count)]

    @classmethod
    async def start(cls, cluster: Cluster, count: int) -> "Service":
        """So many servers."""
        service = cls(cluster, count)
        for name in service.servers:
            await cluster.start("kvpaxos", name, servers=service.servers)
        return service

    async def clerk(self, name: str, *numbers: int) -> Clerk:
        """A clerk that knows the servers of these numbers in this order; without any, it knows all, in random order."""
        known = [self.servers[number] for number in numbers]
        return await self.cluster.clerk(
            name, servers=known or self.cluster.random.sample(self.servers, len(self.servers))
        )

    async def clerk_each(self) -> list[Clerk]:
        """For each server a clerk that knows no other."""
        return [await self.clerk(f"ck-at-{number}", number) for number in range(len(self.servers))]

    # --- faults ------------------------------------------------------------------------------------------------------

    def tap(self, faults: Faults) -> None:
        """From now on all servers are reached, by others and by clerks, with these faults only."""
        for name in self.servers:
            self.cluster.tap(name, faults)

    def part(self, *groups: str) -> None:
        """Parts the servers into groups, such as "02" for kv-0 and kv-2."""
        self.cluster.partition(*([f"kv-{number}" for number in group] for group in groups))

    def corner(self, ck: Clerk, *numbers: int) -> None:
        """From now on the clerk reaches the servers of these numbers only."""
        for number, name in enumerate(self.servers):
            if number in numbers:
                self.cluster.join(ck.name, name)
            else:
                self.cluster.cut(ck.name, name)

    async def repartition(self, seconds: float) -> None:
        """Parts the servers at random again and again. In the end they are all together."""
        random = self.cluster.random
        end = self.cluster.now() + seconds
        while self.cluster.now() < end:
            groups: list[list[str]] = [[], [], []]
            for name in self.servers:
                random.choice(groups).append(name)
            self.cluster.partition(*groups)
            await self.cluster.sleep(random.uniform(0.0, 0.2))
        self.cluster.partition(self.servers)


# --- the thirteen of 2015 --------------------------------------------------------------------------------------------


@graded(part="B", points=1, within=60.0)
async def test_basic(cluster: Cluster) -> None:
    """Basic put/append/get.

    Catches: whatever is wrong without any failure; a server that knows only what went through itself.
    """
    service = await Service.start(cluster, 3)
    ck = await service.clerk("ck-1")
    at = await service.clerk_each()
    await service.append(ck, "app", "x")
    await service.append(ck, "app", "y")
    await service.check(ck, "app", "xy")
    await service.put(ck, "a", "aa")
    await service.check(ck, "a", "aa")
    await service.put(at[1], "a", "aaa")
    for other in (at[2], at[1], ck):
        await service.check(other, "a", "aaa", "it was put by way of kv-1")


async def concurrent_clients(cluster: Cluster, service: Service, clerks: list[Clerk]) -> None:
    """Rounds in which all clerks at once put or get one key; after each, all servers have to say the same."""
    at = await service.clerk_each()

    async def put_or_get(ck: Clerk) -> None:
        if cluster.random.random() < 0.5:
            await ck.put("b", str(cluster.random.getrandbits(30)))
        else:
            await ck.get("b")

    for _ in range(8):
        await cluster.gather(*map(put_or_get, clerks))
        await service.check_same(at, "b")


@graded(part="B", points=1, within=90.0)
async def test_concurrent_clients(cluster: Cluster) -> None:
    """Concurrent clients.

    Fifteen clerks, each of which knows one server only. Catches: a Get that is answered from what the server has
    itself; servers that execute in different orders.
    """
    service = await Service.start(cluster, 3)
    clerks = [await service.clerk(f"ck-{number}", cluster.random.randrange(3)) for number in range(15)]
    await concurrent_clients(cluster, service, clerks)


def slack(cluster: Cluster) -> int:
    """Bytes that a server may hold beyond what it needs.

    The simulation counts objects, so a few values that are still on their way are all that is excused. A real process
    keeps what it has freed for later use, as much as it once needed at the same time.
    """
    return 3 * MEGABYTE if cluster.world == "sim" else 30 * MEGABYTE


@graded(part="B", points=2, within=150.0)
async def test_frees_log_memory(cluster: Cluster) -> None:
    """server frees Paxos log memory.

    Many values of a megabyte are put to five keys in turn. Then no server may hold much more than the last five.
    Catches: Paxos that is never told that an instance is done with, or told much later; a log of one's own; values kept
    for requests that may come again.
    """
    count = 15 if cluster.world == "sim" else 60  # the more, the less does it matter what a process keeps
    service = await Service.start(cluster, 3)
    ck = await service.clerk("ck-1")
    at = await service.clerk_each()
    for clerk in at:
        await service.put(clerk, "a", "aa")
    before = [cluster.memory(name) for name in service.servers]
    values = [chr(ord("A") + number % 26) * MEGABYTE for number in range(count)]
    for number, value in enumerate(values):
        await service.put(ck, str(number % 5), value)
    for number, value in list(enumerate(values))[-5:]:
        await service.check(at[number % 3], str(number % 5), value, "that was put last")
    for _ in range(2):
        for clerk in at:
            await service.put(clerk, "a", "aa")
            await service.check(clerk, "a", "aa")
    await cluster.sleep(A_WHILE)
    allowed = 5 * MEGABYTE + slack(cluster)
    for name, held in zip(service.servers, before, strict=True):
        grown = cluster.memory(name) - held
        if grown > allowed:
            raise AssertionError(
                f"{name} holds {grown:,} bytes more than before {count} values of {MEGABYTE:,} bytes were put to 5 "
                f"keys, expected {allowed:,} more at most: the log is not needed any more"
            )


@graded(part="B", points=1, within=60.0)
async def test_no_partition(cluster: Cluster) -> None:
    """No partition.

    Five servers. Catches: a server that does not see what went through another.
    """
    service = await Service.start(cluster, 5)
    at = await service.clerk_each()
    await service.put(at[0], "1", "12")
    await service.put(at[2], "1", "13")
    await service.check(at[3], "1", "13")


@graded(part="B", points=1, within=60.0)
async def test_progress_in_majority(cluster: Cluster) -> None:
    """Progress in majority.

    Three of five servers can reach each other. Catches: a majority that waits for the others.
    """
    service = await Service.start(cluster, 5)
    at = await service.clerk_each()
    await service.put(at[0], "1", "13")
    service.part("234", "01")
    await service.put(at[2], "1", "14")
    await service.check(at[4], "1", "14")


async def minority(
    cluster: Cluster, *groups: str
) -> "tuple[Service, list[Clerk], asyncio.Task[None], asyncio.Task[str]]":
    """A Put at kv-0 and a Get at kv-1, which are cut off from the others; these go on."""
    service = await Service.start(cluster, 5)
    at = await service.clerk_each()
    await service.put(at[2], "1", "14")
    service.part("234", *groups)
    put, get = cluster.spawn(at[0].put("1", "15")), cluster.spawn(at[1].get("1"))
    hint = "kv-0 and kv-1 reach at most each other, which is no majority of five"
    await service.unanswered(put, 'Put("1", "15") by ck-at-0', hint)
    await service.unanswered(get, 'Get("1") by ck-at-1', hint, within=0.0)
    await service.check(at[4], "1", "14", "Put 15 was asked of a minority")
    await service.put(at[3], "1", "16")
    await service.check(at[4], "1", "16")
    await service.unanswered(put, 'Put("1", "15") by ck-at-0', hint, within=0.0)
    await service.unanswered(get, 'Get("1") by ck-at-1', hint, within=0.0)
    return service, at, put, get


@graded(part="B", points=1, within=60.0)
async def test_no_progress_in_minority(cluster: Cluster) -> None:
    """No progress in minority.

    Two of five servers can reach each other. Catches: reads without a majority; answers before an agreement.
    """
    _, _, put, get = await minority(cluster, "01")
    put.cancel()
    get.cancel()


@graded(part="B", points=2, within=90.0)
async def test_completion_after_heal(cluster: Cluster) -> None:
    """Completion after heal.

    kv-0 and kv-1 reach nobody at first. Then kv-0 comes to a majority, and later kv-1. What had been asked of them has
    to be answered then, and not before. Catches: a server that gives up, or does not catch up.
    """
    service, at, put, get = await minority(cluster, "0", "1")
    service.part("0234", "1")
    await service.finish(put, 'Put("1", "15") by ck-at-0, which is with a majority now,')
    await service.unanswered(get, 'Get("1") by ck-at-1', "kv-1 reaches nobody", within=A_WHILE / 2)
    for number in (4, 0):
        await service.check(at[number], "1", "15", "that was put last")
    service.part("012", "34")
    await service.finish(get, 'Get("1") by ck-at-1, which is with a majority now,')
    await service.check(at[1], "1", "15", "that was put last")


@graded(part="B", points=1, within=90.0)
async def test_basic_unreliable(cluster: Cluster) -> None:
    """Basic put/get, unreliable.

    Catches: a server that takes a lost message for a refused one; an Append that is executed again.
    """
    service = await Service.start(cluster, 3)
    service.tap(UNRELIABLE)
    ck = await service.clerk("ck-1")
    at = await service.clerk_each()
    await service.put(ck, "a", "aa")
    await service.check(ck, "a", "aa")
    await service.put(at[1], "a", "aaa")
    for other in (at[2], at[1], ck):
        await service.check(other, "a", "aaa", "it was put by way of kv-1")


@graded(part="B", points=1, within=120.0)
async def test_sequences_unreliable(cluster: Cluster) -> None:
    """Sequence of puts, unreliable.

    Five clerks side by side append to a key of their own, and read it twice, six times. Catches: an Append executed
    again, at this server or at another; a Get that is behind.
    """
    service = await Service.start(cluster, 3)
    service.tap(UNRELIABLE)

    async def append_and_read(client: int) -> None:
        key, value = str(client), ""
        for turn in range(6):
            ck = await service.clerk(f"ck-{client}-{turn}")
            await service.check(ck, key, value, "nobody else writes that key")
            for digit in "012":
                await ck.append(key, digit)
            value += "012"
            await cluster.sleep(0.1)
            for _ in range(2):
                await service.check(ck, key, value, "nobody else writes that key")

    await cluster.gather(*map(append_and_read, range(5)))


@graded(part="B", points=2, within=120.0)
async def test_concurrent_clients_unreliable(cluster: Cluster) -> None:
    """Concurrent clients, unreliable.

    Fifteen clerks that know all servers. Catches: as before, and an old Put that comes late, for the second time.
    """
    service = await Service.start(cluster, 3)
    service.tap(UNRELIABLE)
    clerks = [await service.clerk(f"ck-{number}") for number in range(15)]
    await concurrent_clients(cluster, service, clerks)


@graded(part="B", points=2, within=120.0)
async def test_concurrent_appends_unreliable(cluster: Cluster) -> None:
    """Concurrent Append to same key, unreliable.

    Five clerks, five Appends each. Catches: Appends that are lost, doubled, or in another order at some servers.
    """
    service = await Service.start(cluster, 3)
    service.tap(UNRELIABLE)
    clerks = [await service.clerk(f"ck-{client}") for client in range(5)]
    await service.put(clerks[0], "k", "")
    await cluster.gather(*(append_tokens(ck, client, "k", 5) for client, ck in enumerate(clerks)))
    value = await service.check_same(await service.clerk_each(), "k")
    check_appends('Get("k") by ck-at-0', value, [5] * 5)


@graded(part="B", points=2, within=120.0)
async def test_holes(cluster: Cluster) -> None:
    """Tolerates holes in paxos sequence.

    Clerks keep kv-0 and kv-1 busy, and suddenly these two are cut off, so that some instance remains open. The three
    others have to go on, and later all together. Catches: a server that waits for an instance that nobody proposes in.
    """
    service = await Service.start(cluster, 5)
    ck = await service.clerk("ck-at-2", 2)
    clients = [[await service.clerk(f"ck-{client}-at-{number}", number) for number in (0, 1)] for client in range(5)]
    for _ in range(3):
        service.part("01234")
        await service.put(ck, "q", "q")
        over = asyncio.Event()

        async def put_and_get(client: int, over: asyncio.Event) -> None:
            key, last = str(client), ""
            await clients[client][0].put(key, last)
            while not over.is_set():
                ck = cluster.random.choice(clients[client])
                if cluster.random.random() < 0.5:
                    last = str(cluster.random.getrandbits(30))
                    await ck.put(key, last)
                else:
                    expect_equal(f'Get("{key}") by {ck.name}', await ck.get(key), last, "nobody else writes that key")
                await cluster.sleep(0.02)

        busy = [cluster.spawn(put_and_get(client, over)) for client in range(5)]
        await cluster.sleep(A_WHILE / 2)
        service.part("234", "01")
        await service.check(ck, "q", "q")
        await service.put(ck, "q", "qq")
        await service.check(ck, "q", "qq")
        service.part("01234")
        over.set()
        for client, task in enumerate(busy):
            await service.finish(task, f"what client {client} had asked of kv-0 or kv-1 before they were cut off")
        await service.check(ck, "q", "qq")


@graded(part="B", points=3, within=150.0)
async def test_many_clients_changing_partitions(cluster: Cluster) -> None:
    """Many clients, changing partitions.

    Ten clerks append to a key of their own and read it, while five unreliable servers are parted anew several times in
    a second. Catches: whatever goes wrong rarely: Appends lost, or executed again by another server.
    """
    service = await Service.start(cluster, 5)
    service.tap(UNRELIABLE)
    clerks = [await service.clerk(f"ck-{client}") for client in range(10)]
    end = cluster.now() + 5.0

    async def append_and_get(client: int, ck: Clerk) -> None:
        key, value = str(client), ""
        await ck.put(key, value)
        while cluster.now() < end:
            if cluster.random.random() < 0.5:
                more = str(cluster.random.getrandbits(20))
                await ck.append(key, more)
                value += more
            else:
                expect_equal(f'Get("{key}") by {ck.name}', await ck.get(key), value, "nobody else writes that key")
            await cluster.sleep(0.01)

    busy = [cluster.spawn(append_and_get(client, ck)) for client, ck in enumerate(clerks)]
    await service.repartition(end - cluster.now())
    for client, task in enumerate(busy):
        await service.finish(
            task, f"what ck-{client} had asked before all servers were together again", 3 * ANSWER_WITHIN
        )


# --- what the suite of 2015 let through: servers that die, hang, sleep, or come back ---------------------------------


@graded(part="B+", points=1, within=120.0)
async def test_servers_die(cluster: Cluster) -> None:
    """Two of five servers die under load.

    Five clerks append to one key; kv-0, which has proposed from the start, is killed, and later another server.
    Catches: an operation that is answered and lost with its server; a clerk or a server that waits for the dead.
    """
    service = await Service.start(cluster, 5)
    await service.put(await service.clerk("ck-at-0", 0), "k", "")
    clerks = [await service.clerk(f"ck-{client}") for client in range(5)]
    counts = [0] * 5
    over = asyncio.Event()

    async def append(ck: Clerk, client: int) -> None:
        while not over.is_set():
            await ck.append("k", token(client, counts[client]))
            counts[client] += 1
            await cluster.sleep(0.04)

    busy = [cluster.spawn(append(ck, client)) for client, ck in enumerate(clerks)]
    await cluster.sleep(cluster.random.uniform(0.2, 0.6))
    await cluster.kill("kv-0")
    await cluster.sleep(cluster.random.uniform(0.5, 1.5))
    dead = cluster.random.randrange(1, 5)
    await cluster.kill(f"kv-{dead}")
    await cluster.sleep(A_WHILE)
    over.set()
    for client, task in enumerate(busy):
        await service.finish(task, f"an Append by ck-{client} while kv-1 to kv-4 but for kv-{dead} were alive")
    alive = [number for number in range(1, 5) if number != dead]
    value = await service.check_same([await service.clerk(f"ck-at-{number}", number) for number in alive], "k")
    check_appends(f'Get("k") by ck-at-{alive[0]}', value, counts)


@graded(part="B+", points=1, within=60.0)
async def test_dead_majority(cluster: Cluster) -> None:
    """One of three servers alone answers nothing.

    Catches: a server that is content with itself when the others are dead.
    """
    service = await Service.start(cluster, 3)
    ck = await service.clerk("ck-1", 2)
    other = await service.clerk("ck-2", 2)
    await service.put(ck, "a", "1")
    await cluster.kill("kv-0")
    await service.put(ck, "a", "2")
    await cluster.kill("kv-1")
    put, get = cluster.spawn(ck.put("a", "3")), cluster.spawn(other.get("a"))
    await service.unanswered(put, 'Put("a", "3") by ck-1', "two of three servers are dead", within=2 * A_WHILE)
    await service.unanswered(get, 'Get("a") by ck-2', "two of three servers are dead", within=0.0)
    put.cancel()
    get.cancel()


@graded(part="B+", points=1, within=60.0)
async def test_clerk_asks_others(cluster: Cluster) -> None:
    """A clerk asks another server where one does not answer.

    Of five servers kv-0 is dead and kv-1 hangs (SIGSTOP); the clerk knows these two first. Catches: a clerk that stays
    with one server, or waits for ever for a reply; a server that waits for one that hangs.
    """
    service = await Service.start(cluster, 5)
    ck = await service.clerk("ck-1", 0, 1, 2, 3, 4)
    await service.put(ck, "a", "1")
    await cluster.kill("kv-0")
    await service.put(ck, "a", "2")
    cluster.pause("kv-1")
    new = await service.clerk("ck-2", 0, 1, 2, 3, 4)
    for clerk in (new, ck):
        await service.append(clerk, "a", "2")
    for clerk in (new, ck):
        await service.check(clerk, "a", "222", "kv-2, kv-3 and kv-4 are a majority")
    cluster.resume("kv-1")


@graded(part="B+", points=1, within=60.0)
async def test_server_that_was_cut_off(cluster: Cluster) -> None:
    """A server that was cut off gives no old values.

    kv-0 has answered from the start; then it is cut off, and a=2 is written by way of the others. A Get that comes to
    kv-0 only then has to wait until kv-0 is back. Catches: Gets answered from what the server has itself, because it
    has proposed for long.
    """
    service = await Service.start(cluster, 3)
    old, new = await service.clerk("ck-old", 0), await service.clerk("ck-new", 1, 2)
    await service.put(old, "a", "1")
    await service.check(old, "a", "1")
    service.part("0", "12")
    await service.put(new, "a", "2")
    get = cluster.spawn(old.get("a"))
    await service.unanswered(get, 'Get("a") by ck-old', "kv-0 reaches nobody", within=1.5 * A_WHILE)
    service.part("012")
    value = await service.finish(get, 'Get("a") by ck-old, whose server is no longer cut off,')
    expect_equal('Get("a") by ck-old', value, "2", "it was asked after Put 2 was answered")


@graded(part="B+", points=1, within=60.0)
async def test_server_that_slept(cluster: Cluster) -> None:
    """A server that slept gives no old values.

    kv-0 has answered from the start; then it is stopped (SIGSTOP) for three seconds, and a=2 is written by way of the
    others. When it wakes, a Get waits for it, and it is the others' messages that come late. Catches: a server that
    trusts what it knew before it slept.
    """
    service = await Service.start(cluster, 3)
    old, new = await service.clerk("ck-old", 0), await service.clerk("ck-new", 1, 2)
    await service.put(old, "a", "1")
    await service.check(old, "a", "1")
    cluster.pause("kv-0")
    for name in ("kv-1", "kv-2"):
        cluster.hold(name, "kv-0")
    await service.put(new, "a", "2")
    await cluster.sleep(3 * A_WHILE)
    get = cluster.spawn(old.get("a"))
    await cluster.sleep(A_WHILE / 5)
    cluster.resume("kv-0")
    await cluster.finishes(get, A_WHILE)
    for name in ("kv-1", "kv-2"):
        cluster.release(name, "kv-0")
    value = await service.finish(get, 'Get("a") by ck-old, whose server is awake again,')
    expect_equal('Get("a") by ck-old', value, "2", "it was asked after Put 2 was answered")


@graded(part="B+", points=1, within=60.0)
async def test_server_that_lost_its_memory(cluster: Cluster) -> None:
    """A server that lost its memory does not take part in a majority.

    kv-0 and kv-2 write a=2 while kv-1 is cut off. Then kv-2 is killed and started again, which makes it empty, and kv-0
    is cut off. kv-1 and kv-2 together know nothing of a=2. Catches: a server that votes again where it may have voted
    before.
    """
    service = await Service.start(cluster, 3)
    at = await service.clerk_each()
    await service.put(at[1], "a", "1")
    service.part("02", "1")
    await service.put(at[0], "a", "2")
    await cluster.kill("kv-2")
    await cluster.restart("kv-2")
    service.part("12", "0")
    get = cluster.spawn(at[1].get("a"))
    if await cluster.finishes(get, 2 * A_WHILE):
        expect_equal('Get("a") by ck-at-1', get.result(), "2", "kv-2 has forgotten that it voted for Put 2")
    service.part("012")
    value = await service.finish(get, 'Get("a") by ck-at-1, when all servers were together again,')
    expect_equal('Get("a") by ck-at-1', value, "2", "it was asked after Put 2 was answered")
    await service.put(at[1], "a", "3")
    await service.check(at[0], "a", "3")


@graded(part="B+", points=1, within=60.0)
async def test_deaf_server(cluster: Cluster) -> None:
    """A server that the others cannot call still serves its clerks.

    kv-0 can call the others, but they cannot call it. Catches: a server that waits to be told what it could ask.
    """
    service = await Service.start(cluster, 3)
    at = await service.clerk_each()
    for name in ("kv-1", "kv-2"):
        cluster.cut(name, "kv-0")
    for number in range(5):
        await service.append(at[1], "k", str(number))
        await service.check(at[0], "k", "a".join(map(str, range(number + 1))), "kv-0 can ask the others")
        await service.append(at[0], "k", "a")
    await service.check(at[2], "k", "0a1a2a3a4a")


# --- catching up -----------------------------------------------------------------------------------------------------


@graded(part="B+", points=1, within=60.0)
async def test_heal_is_noticed(cluster: Cluster) -> None:
    """When a partition ends, waiting operations are answered within three seconds.

    Each of five servers is cut off from all others, and gets an operation, one a little later than the other. After
    seven seconds they are together again. Catches: pauses between two tries that grow without a limit.
    """
    service = await Service.start(cluster, 5)
    at = await service.clerk_each()
    for clerk in at:
        await service.append(clerk, "a", "1")
    service.part("0", "1", "2", "3", "4")
    appends: list[asyncio.Task[None]] = []
    for clerk in at:
        appends.append(cluster.spawn(clerk.append("a", "2")))
        await cluster.sleep(0.7)
    await cluster.sleep(7.0 - 5 * 0.7)
    service.part("01234")
    await cluster.until(
        lambda: all(append.done() for append in appends),
        3.0,
        lambda: f"five Appends to be answered when all servers were together again ({[a.done() for a in appends]})",
    )
    await service.check(at[0], "a", "1111122222")


@graded(part="B+", points=1, within=90.0)
async def test_many_wait_at_one_server(cluster: Cluster) -> None:
    """Many clients wait at a server that is cut off, and all are answered when it is back.

    kv-2 of three misses forty operations while ten clerks wait at it. Catches: a server that does one thing at a time,
    or loses those who wait while it catches up.
    """
    service = await Service.start(cluster, 3)
    ck = await service.clerk("ck-1", 0, 1)
    waiting = [await service.clerk(f"ck-at-2-{client}", 2) for client in range(10)]
    service.part("01", "2")
    appends = [cluster.spawn(clerk.append("k", token(client, 0))) for client, clerk in enumerate(waiting)]
    for number in range(40):
        await service.append(ck, "k", token(10, number))
    service.part("012")
    for client, append in enumerate(appends):
        await service.finish(append, f'Append("k", …) by ck-at-2-{client}, when all servers were together again,')
    check_appends('Get("k") by ck-1', await service.get(ck, "k"), [1] * 10 + [40])


@graded(part="B+", points=1, within=90.0)
async def test_lagging_server_catches_up(cluster: Cluster) -> None:
    """A server that was cut off catches up without any client.

    kv-2 of three misses ten Puts of a megabyte, which the others have to keep for it. When it is back, nobody asks for
    anything, and yet the others can soon forget. Catches: a server that catches up only when it is asked.
    """
    service = await Service.start(cluster, 3)
    ck = await service.clerk("ck-1", 0, 1)
    await service.put(ck, "a", "x" * MEGABYTE)
    await cluster.sleep(A_WHILE)
    before = cluster.memory("kv-0")
    service.part("01", "2")
    for number in range(10):
        await service.put(ck, "a", str(number) * MEGABYTE)
    service.part("012")
    allowed = slack(cluster)

    def caught_up() -> bool:
        return cluster.memory("kv-0") - before <= allowed

    await cluster.until(
        caught_up,
        15.0,
        lambda: (
            f"kv-0 to hold at most {allowed:,} bytes more than before kv-2 was cut off (it holds "
            f"{cluster.memory('kv-0') - before:,} more): kv-2 is back, and should by itself get what it missed"
        ),
        every=0.2,
    )
    await cluster.kill("kv-0")
    await service.check(ck, "a", "9" * MEGABYTE, "that was put last")


@graded(part="B+", points=1, within=120.0)
async def test_memory_grows_with_clients_only(cluster: Cluster) -> None:
    """What a server remembers does not grow with the number of operations.

    Four clerks do four hundred Puts to four keys, and as many Gets. What tells a repeated request is one number a
    client. Catches: a set of all requests ever seen, or of all replies; instances that are forgotten, but not
    altogether.
    """
    service = await Service.start(cluster, 3)
    clerks = [await service.clerk(f"ck-{client}", client % 3) for client in range(4)]

    async def put(ck: Clerk, count: int) -> None:
        for number in range(count):
            await ck.put(ck.name, f"{number:5}")
            await ck.get(ck.name)

    await cluster.gather(*(put(ck, 50) for ck in clerks))
    await cluster.sleep(2 * A_WHILE)
    before = [cluster.memory(name) for name in service.servers]
    await cluster.gather(*(put(ck, 100) for ck in clerks))
    await cluster.sleep(2 * A_WHILE)
    allowed = 10_000 if cluster.world == "sim" else slack(cluster)
    for name, held in zip(service.servers, before, strict=True):
        grown = cluster.memory(name) - held
        if grown > allowed:
            raise AssertionError(
                f"{name} holds {grown:,} bytes more than 400 Puts and Gets by 4 clients before, expected {allowed:,}"
                " more at most: clients and keys are the same"
            )


# --- at most once ----------------------------------------------------------------------------------------------------


@graded(part="B+", points=1, within=60.0)
async def test_late_retry_at_another_server(cluster: Cluster) -> None:
    """A retry that comes seconds later, to another server, is still a duplicate.

    An Append is executed by kv-0, but no reply gets through; four seconds and many operations later the clerk asks
    kv-1. Catches: a duplicate table that is one server's own, or whose entries expire.
    """
    service = await Service.start(cluster, 3)
    ck, other = await service.clerk("ck-1", 0, 1), await service.clerk("ck-2")
    service.corner(ck, 0)
    cluster.tap("kv-0", Faults(reply_lost=1.0), sources=[ck.name])
    append = cluster.spawn(ck.append("k", "D"))

    async def executed() -> bool:
        return await other.get("k") == "D"

    await cluster.until(executed, ANSWER_WITHIN, 'Append("k", "D") by ck-1 to be executed, though its reply is lost')
    service.corner(ck)
    for number in range(20):
        await other.append("k", "e")
        await other.put(f"other-{number}", str(number))
    await cluster.sleep(4.0)
    service.corner(ck, 1)
    await service.finish(append, 'Append("k", "D") by ck-1, which reaches kv-1 now,')
    await service.check(other, "k", "D" + 20 * "e", "D was executed before the other clerk's Appends, and only then")


@graded(part="B+", points=1, within=90.0)
async def test_two_servers_propose_one_operation(cluster: Cluster) -> None:
    """An operation that two servers propose is executed once.

    A clerk asks kv-0, which is cut off and can only wait; then it asks kv-1, and is answered. When kv-0 is back, it
    still has the same operation to propose. Five times. Catches: duplicates that are recognised when the request comes,
    and not when it is executed.
    """
    service = await Service.start(cluster, 3)
    ck, other = await service.clerk("ck-1", 0, 1), await service.clerk("ck-2", 0)
    for number in range(5):
        service.part("0", "12")
        service.corner(ck, 0)
        append = cluster.spawn(ck.append("k", token(0, number)))
        await cluster.sleep(cluster.random.uniform(0.1, 0.5))
        service.corner(ck, 1)
        await service.finish(append, 'Append("k", …) by ck-1, which reaches kv-1 now,')
        service.part("012")
        await service.get(other, "k")
        await cluster.sleep(A_WHILE / 2)
        check_appends('Get("k") by ck-2', await service.get(other, "k"), [number + 1])


@graded(part="B+", points=1, within=60.0)
async def test_equal_appends(cluster: Cluster) -> None:
    """Equal Appends are all executed.

    Catches: duplicates recognised by what they say and not by who says it for the how-manieth time.
    """
    service = await Service.start(cluster, 3)
    clerks = [await service.clerk(f"ck-{number}") for number in range(4)]

    async def append(ck: Clerk) -> None:
        for _ in range(3):
            await ck.append("k", "z")

    await cluster.gather(*map(append, clerks))
    for ck in await service.clerk_each():
        await service.check(ck, "k", 12 * "z", "twelve Appends were answered")


@graded(part="B+", points=1, within=60.0)
async def test_clerk_restarts(cluster: Cluster) -> None:
    """A clerk that restarts is a new clerk.

    Catches: a clerk that counts from 1 again under its old name, so that what it asks is taken for a duplicate.
    """
    service = await Service.start(cluster, 3)
    ck = await service.clerk("ck-1")
    for letter in "abc":
        await service.append(ck, "k", letter)
        await cluster.kill("ck-1")
        await cluster.restart("ck-1")
    await service.check(ck, "k", "abc", "three Appends were answered")


@graded(part="B+", points=1, within=60.0)
async def test_any_text(cluster: Cluster) -> None:
    """Keys and values may be any text of any length.

    The empty string, line ends, letters of all scripts, a megabyte; written by way of one server and read by way of
    another. Catches: operations put together from text without care.
    """
    service = await Service.start(cluster, 3)
    at = await service.clerk_each()
    values = {
        "": "no key",
        "empty": "",
        "ends": "a\nb\r\n\0",
        "日本 🦜": '"ключ" = {value}',
        "long": "0123456789" * 100_000,
    }
    for key, value in values.items():
        await service.put(at[0], key, value)
        await service.append(at[1], key, " and more")
    for key, value in values.items():
        await service.check(at[2], key, value + " and more")
    await service.check(at[2], "never written", "", "a key that was never written holds the empty string")


# --- everything at once ----------------------------------------------------------------------------------------------


@graded(part="B+", points=1, within=120.0)
async def test_shared_keys_evil(cluster: Cluster) -> None:
    """Clients that share keys; lost, doubled and reordered messages.

    Five clerks read and write three keys by way of three servers. Catches: whatever is not linearizable: reads that
    are behind or go back, an old request that comes a second time.
    """
    service = await Service.start(cluster, 3)
    service.tap(EVIL)
    clerks = [await service.clerk(f"ck-{client}") for client in range(5)]
    over = asyncio.Event()
    busy = [cluster.spawn(use_shared_keys(ck, over)) for ck in clerks]
    await cluster.sleep(4.0)
    over.set()
    for ck, task in zip(clerks, busy, strict=True):
        await service.finish(task, f"what {ck.name} had asked last", within=3 * ANSWER_WITHIN)


@graded(part="B+", points=1, within=180.0)
async def test_servers_in_a_storm(cluster: Cluster) -> None:
    """Whatever happens to five servers of which two die, the service is linearizable.

    Clerks that share keys go on while links, messages and servers fail in all manners. Then all but the dead recover,
    and everything has to be answered. Catches: what nobody thought of.
    """
    service = await Service.start(cluster, 5)
    storm = Storm(cluster, service.servers, deaths=cluster.random.randrange(3))
    clerks = [await service.clerk(f"ck-{client}") for client in range(5)]
    over = asyncio.Event()
    busy = [cluster.spawn(use_shared_keys(ck, over)) for ck in clerks]
    await storm.rage(6.0)
    over.set()
    for ck, task in zip(clerks, busy, strict=True):
        await service.finish(task, f"what {ck.name} had asked when the storm was over", within=3 * ANSWER_WITHIN)
    at = [await service.clerk(f"ck-at-{name}", service.servers.index(name)) for name in storm.survivors]
    for key in "abc":
        await service.check_same(at, key)
    cluster.sometimes("a request is sent again after its reply was lost", cluster.seen.repeated > 0)
    cluster.sometimes("a request reaches a server twice", cluster.seen.duplicates > 0)
    cluster.sometimes("a server dies", len(storm.survivors) < len(service.servers))
