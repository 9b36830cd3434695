"""The primary/backup key/value service.

Each test brings its own starting state: a view server "vs", and servers of which pb-1 is primary, pb-2 backup, and
the others idle. Whatever the clerks ask and are told is checked for linearizability after the test, besides what the
test says itself.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from common.protocol import PING_INTERVAL, GetView, View
from labs.asking import ANSWER_WITHIN, Asking, append_tokens, use_shared_keys
from labs.cluster import Clerk, Cluster, NotInTime
from labs.faults import UNRELIABLE, Faults
from labs.grading import check_appends, expect_equal, graded, token
from labs.storm import Storm

SUITE = "pbservice"

VIEW_WITHIN: Final = 5.0
"""Seconds in which the view has to follow what happened. The original gave it 1 to 1.5."""
A_WHILE: Final = 1.5
"""Seconds in which an answer that must not come would have come."""


class Service(Asking):
    """A view server, the servers that it watches over, and clerks."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.servers: list[str] = []
        self._probes = 0

    @classmethod
    async def start(cls, cluster: Cluster, servers: int) -> "Service":
        """pb-1 is primary, pb-2 is backup if there are two, and all of them know it."""
        service = cls(cluster)
        await cluster.start("viewserver", "vs")
        try:
            for _ in range(servers):
                await service.add_server()
                if len(service.servers) <= 2:
                    await service.until_view("pb-1", "pb-2" if len(service.servers) == 2 else "")
            await service.settle()
        except NotInTime as error:
            raise NotInTime(f"could not reach the starting state: {error}") from None
        return service

    async def add_server(self) -> str:
        """Starts one more server and gives its name."""
        name = f"pb-{len(self.servers) + 1}"
        self.servers.append(name)
        await self.cluster.start("pbserver", name, viewserver="vs")
        return name

    async def clerk(self, name: str) -> Clerk:
        """Starts a clerk."""
        return await self.cluster.clerk(name, viewserver="vs")

    # --- views -------------------------------------------------------------------------------------------------------

    async def view(self) -> View:
        """What the view server says."""
        return await self.cluster.call("vs", GetView())

    async def situation(self) -> str:
        """What the view server says."""
        return str(await self.view())

    async def until(self, condition: Callable[[View], bool], what: str) -> View:
        """Waits for a view."""
        view = await self.view()

        async def holds() -> bool:
            nonlocal view
            view = await self.view()
            return condition(view)

        await self.cluster.until(holds, VIEW_WITHIN, lambda: f"{what} (the view is {view})")
        return view

    async def until_view(self, primary: str, backup: str) -> View:
        """Waits for a view with these two."""
        return await self.until(
            lambda view: (view.primary, view.backup) == (primary, backup),
            f"{primary} to be primary and {backup or 'nobody'} backup",
        )

    async def until_replaced(self, before: View, when: str) -> View:
        """Waits for a view that follows this one and has a primary and a backup."""
        return await self.until(
            lambda view: view.viewnum > before.viewnum and bool(view.backup), f"a new primary and backup {when}"
        )

    async def settle(self) -> None:
        """Waits until the primary has very likely acknowledged the current view.

        It hears of the view within a ping interval; then it answers only once its backup has the data, and its next
        Ping is the acknowledgement. The clerk that asks is a fresh one, so that it asks nobody else.
        """
        await self.cluster.sleep(2.5 * PING_INTERVAL)
        self._probes += 1
        probe = await self.clerk(f"probe-{self._probes}")
        await self.put(probe, "settled", str(self._probes))
        await self.cluster.kill(probe.name)
        await self.cluster.sleep(2.5 * PING_INTERVAL)

    async def kill_primary(self) -> View:
        """Kills the primary, and waits until its backup is primary."""
        before = await self.view()
        await self.cluster.kill(before.primary)
        return await self.until(
            lambda view: view.primary == before.backup,
            f"{before.backup}, which had been backup for long, to become primary after {before.primary} was killed",
        )

    # --- faults ------------------------------------------------------------------------------------------------------

    def make_unreliable(self) -> None:
        """All servers are unreliable from now on, also when they restart."""
        for name in self.servers:
            self.cluster.tap(name, UNRELIABLE)

    def corner(self, ck: Clerk, server: str = "") -> None:
        """From now on the clerk reaches nobody but this server, or nobody at all."""
        for name in self.cluster.names:
            if name not in (ck.name, server):
                self.cluster.cut(ck.name, name)


# --- the fifteen of 2015 ---------------------------------------------------------------------------------------------


@graded(part="B", points=2, within=40.0)
async def test_single_primary(cluster: Cluster) -> None:
    """Single primary, no backup.

    Puts, Gets and Appends at one server. Catches: whatever is wrong without any failure.
    """
    service = await Service.start(cluster, 1)
    ck = await service.clerk("ck-1")
    for key, value in (("111", "v1"), ("2", "v2"), ("1", "v1a")):
        await service.put(ck, key, value)
        await service.check(ck, key, value)
    await service.append(ck, "ak", "hello")
    await service.check(ck, "ak", "hello", "an Append to a key that was never written is a Put")
    await service.put(ck, "ak", "xx")
    await service.append(ck, "ak", "yy")
    await service.check(ck, "ak", "xxyy")


@graded(part="B", points=2, within=40.0)
async def test_add_backup(cluster: Cluster) -> None:
    """Add a backup.

    A second server comes; one Put at once, while the data may still be on its way, and one later. Catches: a
    primary that stops or forgets while it sends its data.
    """
    service = await Service.start(cluster, 1)
    ck = await service.clerk("ck-1")
    await service.put(ck, "1", "v1a")
    await service.add_server()
    await service.until_view("pb-1", "pb-2")
    await service.put(ck, "3", "33")
    await service.check(ck, "3", "33", "it was written while pb-2 became backup")
    await cluster.sleep(0.3)
    await service.put(ck, "4", "44")
    await service.check(ck, "4", "44")
    await service.check(ck, "1", "v1a", "it was written before pb-2 came")


@graded(part="B", points=2, within=60.0)
async def test_calls_to_view_server(cluster: Cluster) -> None:
    """Count RPCs to viewserver.

    A hundred Puts, while the calls to the view server are counted: two servers ping ten times a second, and nobody
    else has a reason to call. Catches: a server or a clerk that asks the view server for each operation.
    """
    service = await Service.start(cluster, 2)
    ck = await service.clerk("ck-1")
    cluster.tap("vs")
    await service.put(ck, "k", "first")
    began, before = cluster.now(), cluster.calls("vs")
    for number in range(100):
        await ck.put(f"xk{number}", str(number))
    calls, seconds = cluster.calls("vs") - before, cluster.now() - began
    allowed = 2 * int(seconds / PING_INTERVAL) + 20
    if calls > allowed:
        raise AssertionError(
            f"the view server was called {calls} times during 100 Puts, expected {allowed} at most: "
            f"two servers that ping for {seconds:.1f} s, and 20 more"
        )


@graded(part="B", points=2, within=40.0)
async def test_primary_failure(cluster: Cluster) -> None:
    """Primary failure.

    The primary is killed; the backup must have what was written before it came, while it came, and since. Catches:
    a backup that gets no data when it starts, or operations that are not forwarded.
    """
    service = await Service.start(cluster, 1)
    ck = await service.clerk("ck-1")
    await service.put(ck, "1", "v1a")
    await service.put(ck, "ak", "xx")
    await service.add_server()
    await service.until_view("pb-1", "pb-2")
    await service.put(ck, "3", "33")
    await service.settle()
    await service.put(ck, "4", "44")
    await service.append(ck, "ak", "yy")
    await service.kill_primary()
    await service.check(ck, "1", "v1a", "pb-2 should have got it with the data when it became backup")
    await service.check(ck, "3", "33", "it was written while pb-2 became backup")
    await service.check(ck, "4", "44", "pb-1 should have forwarded it to pb-2")
    await service.check(ck, "ak", "xxyy", "pb-2 should have got xx with the data, and yy forwarded")


@graded(part="B", points=2, within=40.0)
async def test_new_server_is_not_active(cluster: Cluster) -> None:
    """Kill last server, new one should not be active.

    Primary and backup are killed one after the other, then a new server comes: the data is gone, and nobody may
    answer. Catches: a fresh server that serves, or is made primary.
    """
    service = await Service.start(cluster, 2)
    ck = await service.clerk("ck-1")
    await service.put(ck, "1", "v1a")
    await service.kill_primary()
    await service.settle()
    await cluster.kill("pb-2")
    await service.add_server()
    await cluster.sleep(1.0)
    get = cluster.spawn(ck.get("1"))
    if await cluster.finishes(get, 2.0):
        expect_equal('Get("1") by ck-1', get.result(), "no answer", "all who had the data are dead")
    get.cancel()


@graded(part="B", points=3, within=90.0)
async def test_at_most_once(cluster: Cluster) -> None:
    """at-most-once Append; unreliable.

    A hundred Appends to one unreliable server. Catches: a retried Append that is executed again; a request that
    gets a new number with each retry.
    """
    service = await Service.start(cluster, 1)
    service.make_unreliable()
    ck = await service.clerk("ck-1")
    for number in range(100):
        await ck.append("counter", str(number))
    await service.check(ck, "counter", "".join(map(str, range(100))), "each Append has to be executed exactly once")


async def three_servers(cluster: Cluster) -> tuple[Service, Clerk]:
    """Primary pb-1, backup pb-2, idle pb-3, and a=aa, b=bb, c=cc."""
    service = await Service.start(cluster, 3)
    ck = await service.clerk("ck-1")
    for key in "abc":
        await service.put(ck, key, 2 * key)
        await service.check(ck, key, 2 * key)
    return service, ck


@graded(part="B", points=3, within=40.0)
async def test_put_after_backup_failure(cluster: Cluster) -> None:
    """Put() immediately after backup failure.

    The backup is killed, and a Put comes at once. Catches: a forward whose failure is a hang, or lost.
    """
    service, ck = await three_servers(cluster)
    await cluster.kill("pb-2")
    await service.put(ck, "a", "aaa")
    await service.check(ck, "a", "aaa")
    await service.until_view("pb-1", "pb-3")
    await service.settle()
    await service.check(ck, "a", "aaa", "it was written while pb-2 was dead and still backup")


@graded(part="B", points=3, within=40.0)
async def test_put_after_primary_failure(cluster: Cluster) -> None:
    """Put() immediately after primary failure.

    The primary is killed, and a Put comes at once. Catches: a clerk that stays with the dead primary, or a Put that
    is lost in the change of views.
    """
    service, ck = await three_servers(cluster)
    await cluster.kill("pb-1")
    await service.put(ck, "b", "bbb")
    await service.check(ck, "b", "bbb")
    await service.until_view("pb-2", "pb-3")
    await service.settle()
    await service.check(ck, "a", "aa")
    await service.check(ck, "b", "bbb", "it was written while pb-1 was dead and still primary")
    await service.check(ck, "c", "cc")


async def concurrent_puts(cluster: Cluster, service: Service, seconds: float) -> None:
    """Three clerks put random numbers to two keys; then both replicas have to agree about them."""
    keys = ["0", "1"]

    async def put_random(ck: Clerk) -> None:
        end = cluster.now() + seconds
        while cluster.now() < end:
            await ck.put(cluster.random.choice(keys), str(cluster.random.getrandbits(30)))

    clerks = [await service.clerk(f"ck-{number}") for number in (1, 2, 3)]
    for key in keys:
        await service.put(clerks[0], key, "x")
    await cluster.gather(*map(put_random, clerks))
    values = [await service.get(clerks[0], key) for key in keys]
    await service.kill_primary()
    for key, value in zip(keys, values, strict=True):
        await service.check(clerks[0], key, value, "that is what pb-1 had, and pb-2 should have the same")


@graded(part="B", points=3, within=60.0)
async def test_concurrent_puts(cluster: Cluster) -> None:
    """Concurrent Put()s to the same key.

    Three clerks at once, then the primary is killed. Catches: primary and backup that execute in different orders.
    """
    await concurrent_puts(cluster, await Service.start(cluster, 2), seconds=2.0)


async def concurrent_appends(cluster: Cluster, service: Service, clients: int, count: int) -> None:
    """Clerks append side by side; then both replicas must have each token once, and in the same order."""
    clerks = [await service.clerk(f"ck-{number}") for number in range(clients)]
    await cluster.gather(*(append_tokens(ck, client, "k", count) for client, ck in enumerate(clerks)))
    value = await service.get(clerks[0], "k")
    check_appends('Get("k") from pb-1', value, [count] * clients)
    await service.kill_primary()
    from_backup = await service.get(clerks[0], "k")
    check_appends('Get("k") from pb-2, after pb-1 was killed,', from_backup, [count] * clients)
    expect_equal('Get("k") from pb-2', from_backup, value, "that is what pb-1 had, and both execute in one order")


@graded(part="B", points=3, within=60.0)
async def test_concurrent_appends(cluster: Cluster) -> None:
    """Concurrent Append()s to the same key.

    Three clerks, fifty Appends each, then the primary is killed. Catches: lost, doubled or reordered Appends.
    """
    await concurrent_appends(cluster, await Service.start(cluster, 2), clients=3, count=50)


@graded(part="B", points=3, within=90.0)
async def test_concurrent_puts_unreliable(cluster: Cluster) -> None:
    """Concurrent Put()s to the same key; unreliable.

    As before with unreliable servers. Catches: an operation executed at the backup and not at the primary when the
    reply was lost; a retry that comes late and changes the order.
    """
    service = await Service.start(cluster, 2)
    service.make_unreliable()
    await concurrent_puts(cluster, service, seconds=3.0)


async def crash_and_restart(service: Service, over: asyncio.Event, at_once: bool = False) -> None:
    """Crashes one server after the other, in each part that it can play, and starts it again. Then it is over.

    At most one server is down at a time, and the next one goes down only when the view has settled.
    """
    cluster = service.cluster
    parts = ["primary", "primary", "backup", "backup", "idle"]
    cluster.random.shuffle(parts)
    for part in parts:
        before = await service.view()
        players = {"primary": before.primary, "backup": before.backup}
        players["idle"] = next(name for name in service.servers if name not in players.values())
        victim = players[part]
        await cluster.kill(victim)
        if at_once:
            await cluster.restart(victim)
        if part != "idle":
            await service.until_replaced(before, f"after {victim}, the {part}, was killed{' and restarted' * at_once}")
        await service.settle()
        if not at_once:
            await cluster.restart(victim)
            await cluster.sleep(3 * PING_INTERVAL)
    over.set()


@graded(part="B", points=3, within=120.0)
async def test_repeated_crashes(cluster: Cluster) -> None:
    """Repeated failures/restarts.

    Three servers crash one after the other and come back, while two clerks put and get. Catches: a transfer that
    fails or is incomplete; a clerk that hangs.
    """
    service = await Service.start(cluster, 3)
    over = asyncio.Event()

    async def put_and_get(ck: Clerk, client: int) -> None:
        written: dict[str, str] = {}
        while not over.is_set():
            key = str(client * 1_000_000 + cluster.random.randrange(10))
            if key in written:
                expect_equal(
                    f'Get("{key}") by {ck.name}', await ck.get(key), written[key], "no one else writes that key"
                )
            written[key] = str(cluster.random.getrandbits(30))
            await ck.put(key, written[key])
            await cluster.sleep(0.01)

    clerks = [await service.clerk(f"ck-{client}") for client in range(2)]
    await cluster.gather(
        crash_and_restart(service, over), *(put_and_get(ck, client) for client, ck in enumerate(clerks))
    )
    await service.put(clerks[0], "aaa", "bbb")
    await service.check(clerks[0], "aaa", "bbb")


@graded(part="B", points=4, within=120.0)
async def test_repeated_crashes_unreliable(cluster: Cluster) -> None:
    """Repeated failures/restarts with concurrent updates to same key; unreliable.

    Three unreliable servers crash one after the other and come back, as unreliable as before, while two clerks
    append to one key. Catches: Appends lost or doubled when views change; a duplicate table that stays behind.
    """
    service = await Service.start(cluster, 3)
    service.make_unreliable()
    over = asyncio.Event()
    counts = [0, 0]

    async def append(ck: Clerk, client: int) -> None:
        while not over.is_set():
            await ck.append("0", token(client, counts[client]))
            counts[client] += 1
            await cluster.sleep(0.01)

    clerks = [await service.clerk(f"ck-{client}") for client in range(2)]
    await cluster.gather(crash_and_restart(service, over), *(append(ck, client) for client, ck in enumerate(clerks)))
    check_appends('Get("0") by ck-0', await service.get(clerks[0], "0"), counts)
    await service.put(clerks[0], "aaa", "bbb")
    await service.check(clerks[0], "aaa", "bbb")


async def two_clerks(cluster: Cluster, servers: int) -> tuple[Service, Clerk, Clerk]:
    """A service with a=1, a clerk that knows pb-1 as primary and reaches nobody else, and one that knows nothing."""
    service = await Service.start(cluster, servers)
    ck_old, ck_new = await service.clerk("ck-old"), await service.clerk("ck-new")
    await service.put(ck_old, "a", "1")
    await service.check(ck_old, "a", "1")
    service.corner(ck_old, "pb-1")
    return service, ck_old, ck_new


async def not_stale(cluster: Cluster, get: "asyncio.Task[str]", stale: str, hint: str) -> None:
    """A Get that only an old primary can hear may give anything but this value. Giving nothing is best."""
    if await cluster.finishes(get, A_WHILE) and get.result() == stale:
        raise AssertionError(f'Get("a") by ck-old gave "{stale}", which had been overwritten: {hint}')


async def delayed_get(cluster: Cluster) -> tuple[Service, "asyncio.Task[str]"]:
    """A Get on its way to pb-1, which is no longer primary, arrives when a=111 has been written at pb-2."""
    service, ck_old, ck_new = await two_clerks(cluster, 2)
    cluster.hold("ck-old", "pb-1")
    cluster.cut("pb-1", "vs")
    await service.until(lambda view: view.primary == "pb-2", "pb-2 to be primary after pb-1 was cut off from vs")
    get = cluster.spawn(ck_old.get("a"))
    await service.put(ck_new, "a", "111")
    await service.check(ck_new, "a", "111")
    cluster.release("ck-old", "pb-1")
    return service, get


@graded(part="B", points=3, within=60.0)
async def test_old_primary_serves_no_gets(cluster: Cluster) -> None:
    """Old primary does not serve Gets.

    pb-1 is cut off from the view server, so pb-2 is primary and a=111 is written there. Then a Get that was on its
    way to pb-1 arrives. Catches: Gets answered without asking the backup; a backup that confirms in an old view.
    """
    service, get = await delayed_get(cluster)
    await not_stale(cluster, get, "1", "pb-1 is no longer primary, and pb-2 should have told it so")
    await service.check(await service.clerk("ck-2"), "a", "111")
    get.cancel()


@graded(part="B", points=3, within=60.0)
async def test_partitioned_old_primary_completes_no_gets(cluster: Cluster) -> None:
    """Partitioned old primary does not complete Gets.

    As before, with pb-3 as the next backup; then pb-2 is killed, so that the old primary cannot even reach the
    backup it had. Catches: a primary that answers from its own data when its backup does not reply.
    """
    service, ck_old, ck_new = await two_clerks(cluster, 3)
    cluster.hold("ck-old", "pb-1")
    cluster.cut("pb-1", "vs")
    await service.until_view("pb-2", "pb-3")
    await service.settle()
    get = cluster.spawn(ck_old.get("a"))
    await service.put(ck_new, "a", "2")
    await service.check(ck_new, "a", "2")
    await cluster.kill("pb-2")
    cluster.release("ck-old", "pb-1")
    await not_stale(cluster, get, "1", "pb-1 could not ask its backup, so it must not answer")
    await service.until(lambda view: view.primary == "pb-3", "pb-3 to be primary after pb-2 was killed")
    await service.check(ck_new, "a", "2", "pb-3 was backup when it was written")
    get.cancel()


# --- what the suite of 2015 let through: unreliable servers and crashes ----------------------------------------------


@graded(part="B+", points=1, within=120.0)
async def test_at_most_once_with_backup(cluster: Cluster) -> None:
    """at-most-once Append; two unreliable servers.

    A hundred Appends to an unreliable primary with an unreliable backup, then the primary is killed. Catches: a
    duplicate filter that works only without a backup.
    """
    service = await Service.start(cluster, 2)
    service.make_unreliable()
    ck = await service.clerk("ck-1")
    for number in range(100):
        await ck.append("counter", str(number))
    expected = "".join(map(str, range(100)))
    await service.check(ck, "counter", expected, "each Append has to be executed exactly once")
    await service.kill_primary()
    await service.check(ck, "counter", expected, "that is what pb-1 had")


@graded(part="B+", points=1, within=120.0)
async def test_ten_appenders_unreliable(cluster: Cluster) -> None:
    """Concurrent Append()s to the same key; unreliable.

    Ten clerks, ten Appends each, unreliable servers, then the primary is killed. Catches: an Append executed at one
    replica only, or at both in another order, after a lost reply.
    """
    service = await Service.start(cluster, 2)
    service.make_unreliable()
    await concurrent_appends(cluster, service, clients=10, count=10)


@graded(part="B+", points=1, within=120.0)
async def test_reads_never_go_back(cluster: Cluster) -> None:
    """Reads never go back; unreliable servers that restart at once.

    Two clerks append to one key and read it, while servers crash and come back before anybody could notice by their
    silence. What a clerk saw once must be the beginning of all that it sees later. Catches: a restarted server that
    goes on in its old part without data; stale reads.
    """
    service = await Service.start(cluster, 3)
    service.make_unreliable()
    over = asyncio.Event()
    counts = [0, 0]

    async def append_and_read(ck: Clerk, client: int) -> None:
        seen = ""
        while not over.is_set():
            await ck.append("0", token(client, counts[client]))
            counts[client] += 1
            value = await ck.get("0")
            if not value.startswith(seen):
                expect_equal(f'the beginning of Get("0") by {ck.name}', value[: len(seen)], seen, "it saw that before")
            seen = value
            await cluster.sleep(0.01)

    clerks = [await service.clerk(f"ck-{client}") for client in range(2)]
    await cluster.gather(
        crash_and_restart(service, over, at_once=True),
        *(append_and_read(ck, client) for client, ck in enumerate(clerks)),
    )
    check_appends('Get("0") by ck-0', await service.get(clerks[0], "0"), counts)


@graded(part="B+", points=1, within=60.0)
async def test_primary_restarts_at_once(cluster: Cluster) -> None:
    """A primary that restarts at once has lost its data, and the service has not.

    pb-1 is killed and started again before the view server could miss it. Catches: a server that goes on as primary
    with nothing, because the view still says so; a restart that nobody notices.
    """
    service = await Service.start(cluster, 2)
    ck = await service.clerk("ck-1")
    await service.put(ck, "a", "1")
    await cluster.kill("pb-1")
    await cluster.restart("pb-1")
    await service.check(ck, "a", "1", "pb-1 has restarted with nothing, but pb-2 has the data")
    await service.put(ck, "a", "2")
    await service.until_view("pb-2", "pb-1")
    await service.settle()
    await service.kill_primary()
    await service.check(ck, "a", "2", "pb-1 should have got it when it became backup")


@graded(part="B+", points=1, within=60.0)
async def test_lone_primary_restarts(cluster: Cluster) -> None:
    """A lone primary that restarts does not go on with nothing.

    The only server is killed and started again before the view server could miss it. What it had is gone, so nothing
    that it could answer is right. Catches: a server that takes its old part again because the view still names it.
    """
    service = await Service.start(cluster, 1)
    ck = await service.clerk("ck-1")
    await service.put(ck, "a", "1")
    await cluster.kill("pb-1")
    await cluster.restart("pb-1")
    get = cluster.spawn(ck.get("a"))
    if await cluster.finishes(get, A_WHILE):
        raise AssertionError(
            f'Get("a") by ck-1 gave {get.result()!r}, expected no answer: pb-1 had "1" and lost it when it restarted, '
            f"and a primary that restarted may never go on as primary"
        )
    get.cancel()


# --- old primaries ---------------------------------------------------------------------------------------------------


async def heals(service: Service, get: "asyncio.Task[str]", expected: str) -> None:
    """When all links are up again, the Get has to be answered."""
    service.cluster.heal()
    value = await service.finish(get, 'Get("a") by ck-old, whose links had been healed,')
    expect_equal('Get("a") by ck-old', value, expected, "that was written when it asked for the last time")


@graded(part="B+", points=1, within=60.0)
async def test_delayed_get_finishes(cluster: Cluster) -> None:
    """A Get that met an old primary is answered after healing.

    As in "Old primary does not serve Gets", then all links come back. Catches: a clerk or an old primary that hangs
    for ever.
    """
    service, get = await delayed_get(cluster)
    await not_stale(cluster, get, "1", "pb-1 is no longer primary, and pb-2 should have told it so")
    await heals(service, get, "111")


@graded(part="B+", points=1, within=60.0)
async def test_get_after_put(cluster: Cluster) -> None:
    """A Get that begins after a Put does not give an older value.

    The clerk of the old primary asks only when a=111 has been answered to another. Catches: stale reads.
    """
    service, ck_old, ck_new = await two_clerks(cluster, 2)
    cluster.cut("pb-1", "vs")
    await service.until(lambda view: view.primary == "pb-2", "pb-2 to be primary after pb-1 was cut off from vs")
    await service.put(ck_new, "a", "111")
    get = cluster.spawn(ck_old.get("a"))
    await not_stale(cluster, get, "1", "pb-1 is no longer primary, and pb-2 should have told it so")
    await heals(service, get, "111")


@graded(part="B+", points=1, within=60.0)
async def test_pings_that_hang(cluster: Cluster) -> None:
    """An old primary whose Pings hang serves no Gets.

    As before, but pb-1's Pings do not fail: they get no reply, so pb-1 has no reason to think that something is
    wrong. Catches: Gets without the backup, hidden by a server that gives up its part when a Ping fails.
    """
    service, ck_old, ck_new = await two_clerks(cluster, 2)
    cluster.hold("pb-1", "vs")
    await service.until(lambda view: view.primary == "pb-2", "pb-2 to be primary after pb-1's Pings did not arrive")
    await service.put(ck_new, "a", "111")
    get = cluster.spawn(ck_old.get("a"))
    await not_stale(cluster, get, "1", "pb-1 is no longer primary, and pb-2 should have told it so")
    cluster.release("pb-1", "vs")
    await heals(service, get, "111")


@graded(part="B+", points=1, within=60.0)
async def test_primary_that_slept(cluster: Cluster) -> None:
    """A primary that slept serves no Gets when it wakes.

    pb-1 is stopped (SIGSTOP) for longer than five intervals, and a Get waits for it when it wakes. Catches: a
    primary that trusts what it knew before, without asking its backup.
    """
    service, ck_old, ck_new = await two_clerks(cluster, 2)
    cluster.pause("pb-1")
    await service.until(lambda view: view.primary == "pb-2", "pb-2 to be primary after pb-1 was paused")
    await service.put(ck_new, "a", "111")
    get = cluster.spawn(ck_old.get("a"))
    await cluster.sleep(0.2)
    cluster.resume("pb-1")
    await not_stale(cluster, get, "1", "pb-1 has slept, and is no longer primary")
    await heals(service, get, "111")


async def check_old_append(service: Service, ck: Clerk, answered: bool, by_whom: str) -> None:
    """The service has to know of an Append that was answered, and may know of one that was not."""
    value = await service.get(ck, "k")
    if answered or value:
        expect_equal(f'Get("k") by {ck.name}', value, "old", f'Append("k", "old") by ck-old was answered by {by_whom}')


async def finish_old_append(service: Service, ck: Clerk, append: "asyncio.Task[None]") -> None:
    """When all links are up again, the Append has to be answered, and executed exactly once."""
    service.cluster.heal()
    await service.finish(append, 'Append("k", "old") by ck-old, whose links had been healed,')
    await service.check(ck, "k", "old", "the Append has to be executed exactly once")


@graded(part="B+", points=1, within=60.0)
async def test_old_primary_completes_no_append(cluster: Cluster) -> None:
    """An old primary completes no Append.

    pb-2 is primary and pb-3 its backup, while pb-1, whose Pings hang, still forwards to pb-2, which by then has done
    more as primary than pb-1 had. Catches: a server that executes what an old primary forwards, or takes it for what it
    has executed already, so that the old primary answers, and pb-3 never hears of it.
    """
    service, ck_old, ck_new = await two_clerks(cluster, 3)
    cluster.hold("pb-1", "vs")
    await service.until_view("pb-2", "pb-3")
    await service.settle()
    for number in range(10):
        await service.put(ck_new, "b", str(number))
    append = cluster.spawn(ck_old.append("k", "old"))
    answered = await cluster.finishes(append, A_WHILE)
    await service.kill_primary()
    await check_old_append(service, ck_new, answered, "an old primary, but pb-3 knows nothing of it")
    cluster.release("pb-1", "vs")
    await finish_old_append(service, ck_new, append)


@graded(part="B+", points=1, within=60.0)
async def test_backup_executes_nothing_by_itself(cluster: Cluster) -> None:
    """A backup executes nothing that a clerk asks of it.

    pb-1 was primary and is backup now; a clerk that reaches only pb-1 still takes it for primary. Catches: a server
    that serves clerks in whatever part it plays.
    """
    service, ck_old, ck_new = await two_clerks(cluster, 2)
    cluster.cut("pb-1", "vs")
    await service.until_view("pb-2", "")
    cluster.join("pb-1", "vs")
    await service.until_view("pb-2", "pb-1")
    await service.settle()
    append = cluster.spawn(ck_old.append("k", "old"))
    answered = await cluster.finishes(append, A_WHILE)
    await check_old_append(service, ck_new, answered, "a backup, but the primary knows nothing of it")
    await finish_old_append(service, ck_new, append)
    await service.kill_primary()
    await service.check(ck_new, "k", "old", "pb-1 was backup when it was appended")


@graded(part="B+", points=1, within=60.0)
async def test_mutual_forwarding(cluster: Cluster) -> None:
    """Old and new primary, each the other's backup, do not wait for each other for ever.

    pb-1 does not hear that pb-2 is primary and itself backup. It forwards an Append to pb-2 while pb-2 sends its data
    to pb-1. Catches: a lock held during a call, by which the two block each other even after the network has healed.
    """
    service, ck_old, ck_new = await two_clerks(cluster, 2)
    cluster.tap("vs", Faults(request_lost=1.0), sources=["pb-1"])
    await service.until_view("pb-2", "")
    cluster.hold("pb-1", "pb-2")
    old = cluster.spawn(ck_old.append("k", "O"))
    await cluster.sleep(0.1)
    cluster.tap("vs", Faults(reply_lost=1.0), sources=["pb-1"])
    await service.until_view("pb-2", "pb-1")
    new = cluster.spawn(ck_new.append("k", "N"))
    await cluster.sleep(0.2)
    cluster.release("pb-1", "pb-2")
    await cluster.sleep(0.2)
    cluster.untap("vs")
    cluster.heal()
    await service.finish(new, 'Append("k", "N") by ck-new, after the network had healed,')
    await service.finish(old, 'Append("k", "O") by ck-old, after the network had healed,')
    value = await service.get(ck_new, "k")
    expect_equal('Get("k") by ck-new, sorted,', "".join(sorted(value)), "NO", "each Append has to be executed once")


# --- duplicates ------------------------------------------------------------------------------------------------------


async def append_without_reply(service: Service, ck: Clerk, other: Clerk) -> "asyncio.Task[None]":
    """An Append of D to the key k that is executed at pb-1, while no reply ever reaches the clerk."""
    cluster = service.cluster
    await service.get(ck, "k")  # now it knows its primary
    cluster.tap("pb-1", Faults(reply_lost=1.0), sources=[ck.name])
    append = cluster.spawn(ck.append("k", "D"))

    async def executed() -> bool:
        return await other.get("k") == "D"

    await cluster.until(executed, ANSWER_WITHIN, 'Append("k", "D") by ck-1 to be executed, though its reply is lost')
    return append


@graded(part="B+", points=1, within=40.0)
async def test_equal_appends(cluster: Cluster) -> None:
    """Equal Appends one after the other are all executed.

    Catches: duplicates recognised by what they say and not by who says it for the how-manieth time.
    """
    service = await Service.start(cluster, 2)
    clerks = [await service.clerk(f"ck-{number}") for number in (1, 2)]
    for _ in range(3):
        for ck in clerks:
            await service.append(ck, "k", "z")
    await service.append(clerks[0], "k", "z")
    await service.check(clerks[0], "k", "zzzzzzz", "seven Appends were answered")
    await service.kill_primary()
    await service.check(clerks[0], "k", "zzzzzzz", "seven Appends were answered")


@graded(part="B+", points=1, within=40.0)
async def test_backup_knows_duplicates(cluster: Cluster) -> None:
    """A retry that goes to the former backup is not executed again.

    The primary executes an Append and dies before any reply gets through. Catches: a duplicate table that only the
    primary has; an Append lost with its primary.
    """
    service = await Service.start(cluster, 2)
    ck, other = await service.clerk("ck-1"), await service.clerk("ck-2")
    append = await append_without_reply(service, ck, other)
    await service.kill_primary()
    await service.finish(append, 'Append("k", "D") by ck-1')
    await service.check(other, "k", "D", "pb-1 and pb-2 had executed it before the retry came to pb-2")


@graded(part="B+", points=1, within=60.0)
async def test_duplicates_move_with_data(cluster: Cluster) -> None:
    """A new backup knows which requests were executed before it came.

    An Append is executed while there is no backup; then pb-2 gets the data, pb-1 dies, and the retry comes. Catches:
    a transfer without the duplicate table.
    """
    service = await Service.start(cluster, 1)
    ck, other = await service.clerk("ck-1"), await service.clerk("ck-2")
    append = await append_without_reply(service, ck, other)
    service.corner(ck)
    await service.add_server()
    await service.until_view("pb-1", "pb-2")
    await service.settle()
    await service.kill_primary()
    cluster.heal()
    await service.finish(append, 'Append("k", "D") by ck-1')
    await service.check(other, "k", "D", "pb-1 had executed it, and pb-2 should have learned that with the data")


@graded(part="B+", points=1, within=60.0)
async def test_late_retry(cluster: Cluster) -> None:
    """A retry that comes seconds later is still a duplicate.

    The clerk is cut off for four seconds while another one goes on. Catches: duplicate entries that expire, or are
    replaced by those of other clerks.
    """
    service = await Service.start(cluster, 2)
    ck, other = await service.clerk("ck-1"), await service.clerk("ck-2")
    append = await append_without_reply(service, ck, other)
    service.corner(ck)
    for number in range(20):
        await other.append("k", "e")
        await other.put(f"other-{number}", str(number))
    await cluster.sleep(4.0)
    cluster.untap("pb-1")
    cluster.heal()
    await service.finish(append, 'Append("k", "D") by ck-1, which is no longer cut off,')
    await service.check(other, "k", "D" + 20 * "e", "D was executed before the other clerk's Appends")


@graded(part="B+", points=1, within=40.0)
async def test_clerk_restarts(cluster: Cluster) -> None:
    """A clerk that restarts is a new clerk.

    Catches: a clerk that counts from 1 again under its old name, so that what it asks is taken for a duplicate.
    """
    service = await Service.start(cluster, 2)
    ck = await service.clerk("ck-1")
    for letter in "abc":
        await service.append(ck, "k", letter)
        await cluster.kill("ck-1")
        await cluster.restart("ck-1")
    await service.check(ck, "k", "abc", "three Appends were answered")


# --- forwarding ------------------------------------------------------------------------------------------------------


@graded(part="B+", points=1, within=60.0)
async def test_no_answer_before_backup(cluster: Cluster) -> None:
    """A Put is not answered before the backup has it.

    The primary cannot reach its backup, which is alive. If it answers all the same and dies, the Put is lost. Catches:
    a forward whose failure is ignored, or made good later.
    """
    service = await Service.start(cluster, 2)
    ck, other = await service.clerk("ck-1"), await service.clerk("ck-2")
    await service.put(ck, "a", "1")
    cluster.cut("pb-1", "pb-2")
    put = cluster.spawn(ck.put("a", "2"))
    answered = await cluster.finishes(put, A_WHILE)
    await service.kill_primary()
    value = await service.get(other, "a")
    if answered:
        expect_equal('Get("a") by ck-2', value, "2", "the Put had been answered, though pb-2 could not be reached")
    await service.finish(put, 'Put("a", "2") by ck-1')
    await service.check(other, "a", "2")


@graded(part="B+", points=1, within=60.0)
async def test_retried_append_reaches_backup(cluster: Cluster) -> None:
    """A retried Append reaches the backup, too.

    For a second and a half all that pb-1 says to pb-2 is lost. Then a retry and another clerk's Append may wait side by
    side. Catches: an operation that is noted as executed before the backup has it, so that its retry is answered as a
    duplicate and never forwarded; new values that are forwarded, and not what an Append adds.
    """
    service = await Service.start(cluster, 2)
    ck, other = await service.clerk("ck-1"), await service.clerk("ck-2")
    await service.get(ck, "k")
    cluster.tap("pb-2", Faults(request_lost=1.0), sources=["pb-1"])
    append = cluster.spawn(ck.append("k", "R"))
    await cluster.sleep(1.2)
    later = cluster.spawn(other.append("k", "S"))
    await cluster.sleep(0.3)
    cluster.untap("pb-2")
    await service.finish(append, 'Append("k", "R") by ck-1')
    await service.finish(later, 'Append("k", "S") by ck-2')
    await service.kill_primary()
    value = await service.get(ck, "k")
    hint = "both Appends were answered, so pb-2 should have had each of them, once, when pb-1 was killed"
    expect_equal('Get("k") by ck-1, sorted,', "".join(sorted(value)), "RS", hint)


@graded(part="B+", points=1, within=60.0)
async def test_lost_reply_of_backup(cluster: Cluster) -> None:
    """A lost reply of the backup does not make the two differ.

    The backup has executed A, but pb-1 does not hear of it; then B comes from another clerk, and only then A's retry.
    Catches: an operation that only the backup has executed, and later meets in another order at the primary.
    """
    service = await Service.start(cluster, 2)
    ck, other = await service.clerk("ck-1"), await service.clerk("ck-2")
    await service.get(ck, "k")
    cluster.tap("pb-2", Faults(reply_lost=1.0), sources=["pb-1"])
    before = cluster.calls("pb-2")
    append = cluster.spawn(ck.append("k", "A"))
    await cluster.until(lambda: cluster.calls("pb-2") > before, ANSWER_WITHIN, "pb-1 to forward an Append to pb-2")
    service.corner(ck)
    await cluster.sleep(0.2)
    cluster.untap("pb-2")
    await service.append(other, "k", "B")
    cluster.heal()
    await service.finish(append, 'Append("k", "A") by ck-1')
    value = await service.get(other, "k")
    expect_equal('Get("k") by ck-2, sorted,', "".join(sorted(value)), "AB", "each Append has to be executed once")
    await service.kill_primary()
    await service.check(other, "k", value, "that is what pb-1 had, and both execute in one order")


# --- transfer --------------------------------------------------------------------------------------------------------


@graded(part="B+", points=1, within=60.0)
async def test_primary_dies_before_transfer(cluster: Cluster) -> None:
    """A backup that did not get the data never serves.

    pb-2 has become backup, but what pb-1 sends it does not arrive, and pb-1 dies. What was written is gone, and nobody
    may answer. Catches: a view acknowledged before the backup has the data.
    """
    service = await Service.start(cluster, 1)
    ck, other = await service.clerk("ck-1"), await service.clerk("ck-2")
    await service.put(ck, "a", "1")
    await service.add_server()
    cluster.hold("pb-1", "pb-2")
    await service.until_view("pb-1", "pb-2")
    await cluster.sleep(5 * PING_INTERVAL)
    await cluster.kill("pb-1")
    get = cluster.spawn(other.get("a"))
    if await cluster.finishes(get, 2.0):
        expect_equal('Get("a") by ck-2', get.result(), "1", "pb-2 answered without having got the data of pb-1")
    get.cancel()


@graded(part="B+", points=1, within=60.0)
async def test_primary_dies_around_transfer(cluster: Cluster) -> None:
    """A backup that becomes primary has all the data.

    pb-1 dies at a random moment around the transfer to a new backup, on a link that loses most requests. If pb-2
    becomes primary, everything must be there. Catches: a view acknowledged before the transfer is complete.
    """
    service = await Service.start(cluster, 1)
    ck = await service.clerk("ck-1")
    keys = [f"key-{number}" for number in range(50)]
    for key in keys:
        await ck.put(key, key)
    await service.add_server()
    cluster.tap("pb-2", Faults(request_lost=0.85), sources=["pb-1"])
    await service.until_view("pb-1", "pb-2")
    await cluster.sleep(cluster.random.uniform(0.0, 4 * PING_INTERVAL))
    await cluster.kill("pb-1")
    await cluster.sleep(A_WHILE)
    if (await service.view()).primary == "pb-2":
        for key in keys:
            await service.check(ck, key, key, "pb-2 became primary, so it should have had all the data")


@graded(part="B+", points=1, within=60.0)
async def test_late_transfer(cluster: Cluster) -> None:
    """A transfer that comes late is refused.

    The first thing that pb-1 sends to its new backup is under way for six seconds. When it arrives, pb-1 has sent its
    data again, died, and pb-2 is primary. Catches: data accepted from anybody, or for an old view.
    """
    delay = 6.0
    service = await Service.start(cluster, 1)
    ck = await service.clerk("ck-1")
    await service.put(ck, "a", "1")
    await service.add_server()
    cluster.tap("pb-2", Faults(delay=delay), sources=["pb-1"])
    await service.until_view("pb-1", "pb-2")
    await cluster.sleep(3 * PING_INTERVAL)
    cluster.tap("pb-2", sources=["pb-1"])
    sent = cluster.now()
    await service.settle()
    await service.kill_primary()
    await service.put(ck, "a", "2")
    await cluster.sleep(max(0.0, sent + delay + PING_INTERVAL - cluster.now()))
    await service.check(ck, "a", "2", "pb-2 was primary when the data that pb-1 had sent long ago came")


@graded(part="B+", points=1, within=90.0)
async def test_appends_during_transfer(cluster: Cluster) -> None:
    """Operations during a transfer are neither lost nor doubled.

    Three clerks append while a new backup gets two megabytes over a link that delays and reorders; then the primary is
    killed. Catches: operations overwritten by older data that comes later, or missed between the two.
    """
    service = await Service.start(cluster, 1)
    clerks = [await service.clerk(f"ck-{client}") for client in range(3)]
    big = {f"big-{number}": str(number) * 100_000 for number in range(10)}
    for key, value in big.items():
        await clerks[0].put(key, value)
    over = asyncio.Event()
    counts = [0, 0, 0]

    async def append(ck: Clerk, client: int) -> None:
        while not over.is_set():
            await ck.append("k", token(client, counts[client]))
            counts[client] += 1

    async def add_backup() -> None:
        await cluster.sleep(0.1)
        await service.add_server()
        cluster.tap("pb-2", Faults(delay=0.02, reorder=0.5), sources=["pb-1"])
        await service.until_view("pb-1", "pb-2")
        await service.settle()
        over.set()

    await cluster.gather(add_backup(), *(append(ck, client) for client, ck in enumerate(clerks)))
    check_appends('Get("k") from pb-1', await service.get(clerks[0], "k"), counts)
    await service.kill_primary()
    check_appends('Get("k") from pb-2, after pb-1 was killed,', await service.get(clerks[0], "k"), counts)
    for key, value in big.items():
        await service.check(clerks[0], key, value, "pb-2 should have got it when it became backup")


# --- clerks and the view server --------------------------------------------------------------------------------------


@graded(part="B+", points=1, within=60.0)
async def test_clerk_keeps_trying(cluster: Cluster) -> None:
    """A clerk tries until it has an answer.

    It asks before there is any server, and later it is cut off from everybody for five seconds. Catches: a clerk that
    gives up.
    """
    await cluster.start("viewserver", "vs")
    service = Service(cluster)
    ck = await service.clerk("ck-1")
    put = cluster.spawn(ck.put("a", "1"))
    await cluster.sleep(0.5)
    await service.add_server()
    await service.finish(put, 'Put("a", "1") by ck-1, which had asked before there was a server,')
    service.corner(ck)
    get = cluster.spawn(ck.get("a"))
    await cluster.sleep(5.0)
    cluster.heal()
    value = await service.finish(get, 'Get("a") by ck-1, which had been cut off for 5 s,')
    expect_equal('Get("a") by ck-1', value, "1")


@graded(part="B+", points=1, within=60.0)
async def test_slow_view_server(cluster: Cluster) -> None:
    """A slow view server does not slow down the service.

    pb-1 is alone, and its Pings take 0.4 s. Puts must not wait for them. Catches: a lock held during the Ping.
    """
    service = await Service.start(cluster, 1)
    ck = await service.clerk("ck-1")
    await service.put(ck, "k", "first")
    cluster.tap("vs", Faults(delay=4 * PING_INTERVAL), sources=["pb-1"])
    slow: list[int] = []
    for _ in range(3):  # a busy machine may be slow once or twice
        await cluster.sleep(PING_INTERVAL)
        durations = []
        for number in range(20):
            began = cluster.now()
            await ck.put("k", str(number))
            durations.append(cluster.now() - began)
            await cluster.sleep(cluster.random.uniform(0.05, 0.15))
        slow.append(sum(duration > PING_INTERVAL for duration in durations))
        if slow[-1] < 3:
            return
    raise AssertionError(
        f"{', '.join(map(str, slow))} of 20 Puts took more than {PING_INTERVAL} s, expected fewer than 3: "
        f"while a Ping of pb-1 waited for its reply, pb-1 did nothing else"
    )


@graded(part="B+", points=1, within=60.0)
async def test_any_text(cluster: Cluster) -> None:
    """Keys and values may be any text of any length.

    The empty string, line ends, letters of all scripts, a megabyte; read at the primary and, after it was killed, at
    the former backup. Catches: values put together from text without care.
    """
    service = await Service.start(cluster, 2)
    ck = await service.clerk("ck-1")
    values = {
        "": "no key",
        "empty": "",
        "ends": "a\nb\r\n\0",
        "日本 🦜": '"ключ" = {value}',
        "long": "0123456789" * 100_000,
    }
    for key, value in values.items():
        await service.put(ck, key, value)
        await service.append(ck, key, " and more")
    for _ in range(2):
        for key, value in values.items():
            await service.check(ck, key, value + " and more")
        await service.check(ck, "never written", "", "a key that was never written holds the empty string")
        if (await service.view()).primary == "pb-1":
            await service.kill_primary()


# --- everything at once ----------------------------------------------------------------------------------------------


async def settled_view(service: Service) -> View:
    """Waits for a view that stays: primary and backup have all the data, and the view is acknowledged. Gives it."""
    for _ in range(10):
        view = await service.until(lambda view: bool(view.backup), "a primary and a backup, since all servers live")
        await service.settle()
        if await service.view() == view:
            return view
    raise NotInTime(
        f"the view went on changing ({await service.view()}) though all servers lived and the links were up"
    )


@graded(part="B+", points=2, within=240.0)
async def test_servers_in_a_storm(cluster: Cluster) -> None:
    """Whatever happens while a server with the data lives, the service is linearizable.

    Clerks that share keys go on while links, messages and servers fail in all manners: some that read and write, some
    that only read and so notice nothing when their primary is an old one, and guests, who ask the view service first.
    Three times a server is killed, and a storm begins as soon as the view service has noticed, in which the others
    sleep, but forget nothing. Then all recover, and everything has to be answered. Catches: what nobody thought of.
    """
    service = await Service.start(cluster, 5)
    storm = Storm(cluster, ["vs"], service.servers, slowness=cluster.random.choice([1.0, 4.0]))
    readers = [await service.clerk(f"reader-{number}") for number in range(2)]
    clerks = [await service.clerk(f"ck-{number}") for number in range(cluster.random.randrange(2))]
    over, changes_under_load = asyncio.Event(), 0

    async def watch() -> None:
        nonlocal changes_under_load
        view = await service.view()
        while not over.is_set():
            await cluster.sleep(PING_INTERVAL / 2)
            previous, view = view, await service.view()
            if view != previous and cluster.history.in_flight():
                changes_under_load += 1

    busy = [cluster.spawn(read_shared_keys(ck, over)) for ck in readers]
    busy += [cluster.spawn(use_shared_keys(ck, over)) for ck in clerks]
    busy += [cluster.spawn(receive_guests(service, line, over)) for line in range(2)]
    watching = cluster.spawn(watch())
    for _ in range(3):
        view = await settled_view(service)
        await lose_one_and_rage(service, storm, view)
    await settled_view(service)
    over.set()
    await watching
    for task in busy:
        await service.finish(task, "what a clerk had asked when the storm was over", within=3 * ANSWER_WITHIN)
    values = {key: await service.get(readers[0], key) for key in "abc"}
    await service.kill_primary()
    for key, value in values.items():
        await service.check(readers[1], key, value, "the primary said so before it was killed, and nobody wrote since")
    cluster.sometimes("a request is sent again after its reply was lost", cluster.seen.repeated > 0)
    cluster.sometimes("a request reaches a server twice", cluster.seen.duplicates > 0)
    cluster.sometimes("the view changes while operations are in flight", changes_under_load > 0)
    cluster.sometimes("nobody is left in the view who was there at first", view.primary not in ("pb-1", "pb-2"))


async def read_shared_keys(ck: Clerk, over: asyncio.Event) -> None:
    """Gets of keys that others write, until it is over."""
    random = ck.cluster.random_of(ck.name)
    while not over.is_set():
        key = ck.cluster.choose(ck.name, lambda: random.choice("abc"), "")
        if key:
            await ck.get(key)
        await ck.cluster.sleep(random.uniform(0.0, 0.06))


async def receive_guests(service: Service, line: int, over: asyncio.Event) -> None:
    """One clerk after the other, each of which appends once or twice and goes, until it is over."""
    cluster, random = service.cluster, service.cluster.random_of(f"guests-{line}")
    number = 0
    while not over.is_set():
        number += 1
        keys: list[str] = cluster.choose(f"guests-{line}", lambda: random.choices("abc", k=random.randrange(1, 3)), [])
        if keys:
            guest = await service.clerk(f"guest-{line}-{number}")
            for turn, key in enumerate(keys):
                await guest.append(key, f"{guest.name}:{turn} ")
            await cluster.kill(guest.name)
        await cluster.sleep(random.uniform(0.0, 0.3))


async def lose_one_and_rage(service: Service, storm: Storm, view: View) -> None:
    """Kills a server of this settled view, and a storm begins when its place is taken.

    Only then does the storm begin, since the data would be lost to the service if the only one that had it fell silent
    before the view service knew. The server comes back at once, or when the storm is over.
    """
    cluster = service.cluster
    idle = next(name for name in service.servers if name not in (view.primary, view.backup))
    candidates = [view.primary, view.primary, view.backup, idle]
    victim: list[str] = cluster.choose(
        "victim", lambda: [cluster.random.choice(candidates), cluster.random.choice(["at once", "later"])], []
    )
    if victim:
        await cluster.kill(victim[0])
        if victim[1] == "at once":
            await cluster.restart(victim[0])
        if victim[0] != idle:
            await service.until(lambda now: now.viewnum > view.viewnum, f"a new view, since {victim[0]} was killed")
    await storm.rage(3.0)
    if victim and victim[1] == "later":
        await cluster.restart(victim[0])
