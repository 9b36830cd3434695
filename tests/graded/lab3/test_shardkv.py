"""The sharded key/value service: masters sm-0 to sm-2, and groups 100, 101 … of three servers each, kv-100-0 and so on.

Each test brings its own starting state. It changes configurations by way of a master clerk, mck, and looks at what the
servers say that they have: a change is carried out when each shard is served by the group that the newest
configuration gives it to, and is gone everywhere else. Whatever the clerks ask and are told is checked for
linearizability after the test, besides what the test says itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from common.protocol import DEFAULT_SHARDS, Config, GetShards, Join, Leave, Move, Query, Shards, shard_of
from labs.asking import A_WHILE, ANSWER_WITHIN, Asking, use_shared_keys
from labs.cluster import CallFailed, Clerk, Cluster
from labs.faults import EVIL, UNRELIABLE, Faults
from labs.grading import check_appends, expect_equal, graded, token
from labs.storm import Storm

SUITE = "shardkv"

SETTLE_WITHIN: Final = 15.0
"""Seconds in which a new configuration has to be carried out that nothing stands in the way of."""
A, B, C = 100, 101, 102
"""The groups."""
KEYS: Final = sorted("0123456789", key=lambda key: shard_of(key, DEFAULT_SHARDS))
"""A key in each shard, in the order of the shards."""
MEGABYTE: Final = 1_000_000

Change = Join | Leave | Move


class Service(Asking):
    """The masters and the groups of one test, and its clerks."""

    def __init__(self, cluster: Cluster, groups: int) -> None:
        super().__init__(cluster)
        self.masters = [f"sm-{number}" for number in range(3)]
        self.groups = {gid: [f"kv-{gid}-{number}" for number in range(3)] for gid in range(A, A + groups)}

    @classmethod
    async def start(cls, cluster: Cluster, groups: int, *joined: int, asleep: tuple[int, ...] = ()) -> "Service":
        """Masters and so many groups (but for those that are not to start yet). Some join, one after the other."""
        service = cls(cluster, groups)
        for name in service.masters:
            await cluster.start("shardmaster", name, servers=service.masters)
        for gid in service.groups:
            if gid not in asleep:
                await service.start_group(gid)
        await service.master_clerk("mck")
        for gid in joined:
            await service.join(gid)
        if joined:
            await service.settle()
        return service

    async def start_group(self, gid: int) -> None:
        """Starts the servers of a group."""
        for name in self.groups[gid]:
            await self.cluster.start("shardkv", name, gid=gid, masters=self.masters, servers=self.groups[gid])

    async def clerk(self, name: str) -> Clerk:
        """A clerk that knows the masters."""
        return await self.cluster.clerk(name, masters=self.masters)

    async def master_clerk(self, name: str) -> None:
        """A clerk of the masters."""
        await self.cluster.start("masterclerk", name, servers=self.masters)

    # --- configurations ----------------------------------------------------------------------------------------------

    async def change(self, change: Change, by: str = "mck") -> None:
        """A new configuration, however long the masters take for it."""
        await self.cluster.call(by, change, timeout=None)

    async def join(self, *gids: int) -> None:
        """Groups join, one after the other."""
        for gid in gids:
            await self.answer(self.change(Join(gid, self.groups[gid])), f"Join({gid}, …) by mck")

    async def leave(self, *gids: int) -> None:
        """Groups leave, one after the other."""
        for gid in gids:
            await self.answer(self.change(Leave(gid)), f"Leave({gid}) by mck")

    async def move(self, shard: int, gid: int) -> None:
        """A shard moves to a group."""
        await self.answer(self.change(Move(shard, gid)), f"Move({shard}, {gid}) by mck")

    async def config(self) -> Config:
        """The newest configuration."""
        return await self.answer(self.cluster.call("mck", Query(-1), timeout=None), "Query(-1) by mck")

    async def shard_at(self, gid: int) -> int:
        """A shard that the newest configuration gives to a group."""
        return (await self.config()).shards.index(gid)

    # --- what the servers say that they have -------------------------------------------------------------------------

    async def look(self, *away: str) -> dict[str, Shards]:
        """What the servers say that live and are not away."""
        running = [name for name in self.servers(*away) if name in self.cluster.names and self.cluster.running(name)]

        async def ask(name: str) -> Shards | None:
            try:
                return await self.cluster.call(name, GetShards(), timeout=A_WHILE)
            except CallFailed:
                return None

        said = await self.cluster.gather(*map(ask, running))
        return {name: shards for name, shards in zip(running, said, strict=True) if shards is not None}

    def servers(self, *away: str) -> list[str]:
        """The servers of all groups, without those that are away."""
        return [name for group in self.groups.values() for name in group if name not in away]

    def group_of(self, name: str) -> int:
        """The group of a server."""
        return next(gid for gid, group in self.groups.items() if name in group)

    async def situation(self) -> str:
        """What the servers say that they have, in few words."""
        return _told(await self.look())

    async def until(
        self, holds: Callable[[dict[str, Shards]], bool], what: str, *away: str, within: float = SETTLE_WITHIN
    ) -> None:
        """Waits until what the servers say is as it should be."""
        said: dict[str, Shards] = {}

        async def look() -> bool:
            nonlocal said
            said = await self.look(*away)
            return holds(said)

        await self.cluster.until(look, within, lambda: f"{what} ({_told(said)})", every=0.05)

    async def settle(self, *away: str, within: float = SETTLE_WITHIN) -> Config:
        """Waits until the newest configuration is carried out, at all servers that live and are not away."""
        config = await self.config()

        def settled(said: dict[str, Shards]) -> bool:
            return all(self._has_settled(self.group_of(name), shards, config) for name, shards in said.items())

        await self.until(
            settled, f"configuration {config.num} to be carried out, {_owners(config)}", *away, within=within
        )
        return config

    def _has_settled(self, gid: int, said: Shards, config: Config) -> bool:
        """Whether a server has what the configuration gives to its group, and nothing else."""
        if gid in config.groups and said.num != config.num:
            return False
        return all(
            _state(said, shard) == ("serving" if owner == gid else "gone") for shard, owner in enumerate(config.shards)
        )

    async def until_leaving(self, shard: int, gid: int) -> None:
        """Waits until no server of a group serves a shard any more, and then so long that the others know it, too."""
        await self.until(
            lambda said: all(_state(said[name], shard) == "leaving" for name in self.groups[gid] if name in said),
            f"shard {shard} to be leaving group {gid}, since it is another's in the newest configuration",
        )
        await self.cluster.sleep(A_WHILE / 2)

    async def expect_keys(self, counts: list[int]) -> None:
        """Waits until the newest configuration is carried out, and so many keys are in each shard, and no copies."""
        config = await self.settle()

        def as_expected(said: dict[str, Shards]) -> bool:
            return all(
                has.keys == (counts[has.shard] if config.shards[has.shard] == self.group_of(name) else 0)
                for name, shards in said.items()
                for has in shards.shards
            )

        await self.until(as_expected, f"{counts} keys to be in the shards, {_owners(config)}, and none anywhere else")

    # --- faults ------------------------------------------------------------------------------------------------------

    def tap(self, faults: Faults, *names: str) -> None:
        """From now on the servers of the groups and these others are reached with these faults only."""
        for name in (*self.servers(), *names):
            self.cluster.tap(name, faults)

    def part(self, *parts: Iterable[str]) -> None:
        """Parts servers. Without any parts, all servers of all groups are together again."""
        self.cluster.partition(*(parts or [self.servers()]))

    def part_groups(self, one: int, other: int) -> None:
        """Two groups cannot reach each other any more."""
        self.part(self.groups[one], self.groups[other])

    def corner(self, ck: Clerk, *names: str) -> None:
        """From now on the clerk reaches these only."""
        for name in self.cluster.names:
            if name != ck.name:
                (self.cluster.join if name in names else self.cluster.cut)(ck.name, name)

    def free(self, ck: Clerk) -> None:
        """The clerk reaches everybody again."""
        self.corner(ck, *self.cluster.names)

    # --- operations --------------------------------------------------------------------------------------------------

    async def put_all(self, ck: Clerk) -> None:
        """Puts to the key of each shard the key itself."""
        for key in KEYS:
            await self.put(ck, key, key)

    async def check_all(self, ck: Clerk, values: dict[str, str] | None = None, hint: str = "") -> None:
        """Each of these keys has its value, by default what `put_all` gave it."""
        for key, value in (values or dict(zip(KEYS, KEYS, strict=True))).items():
            await self.check(ck, key, value, hint or "nobody else writes that key")


def _state(said: Shards, shard: int) -> str:
    """The state of a shard at a server. Who knows no configuration yet has nothing."""
    return said.shards[shard].state if shard < len(said.shards) else "gone"


def _told(said: dict[str, Shards]) -> str:
    """What servers say, in few words: those that say the same stand together, and what is gone is not told."""
    who: dict[str, list[str]] = {}
    for name, shards in said.items():
        parts = []
        for state in ("serving", "arriving", "leaving"):
            found = [str(shard.shard) for shard in shards.shards if shard.state == state]
            parts += [f"{state} {' '.join(found)}"] if found else []
        who.setdefault(f"in configuration {shards.num}, {', '.join(parts) or 'nothing'}", []).append(name)
    return "; ".join(f"{' '.join(names)}: {what}" for what, names in who.items()) or "no server answers"


def _owners(config: Config) -> str:
    """Which shards a configuration gives to whom."""
    owned = [
        f"{' '.join(str(shard) for shard, owner in enumerate(config.shards) if owner == gid)} at {gid}"
        for gid in sorted(set(config.shards))
    ]
    return "shards " + ", ".join(owned)


# --- the five of 2015 ------------------------------------------------------------------------------------------------


async def rewrite(service: Service, ck: Clerk, values: dict[str, str]) -> None:
    """Each key still has its value, and gets another."""
    for key, value in values.items():
        await service.check(ck, key, value, "that was put before the last configuration")
        values[key] = str(service.cluster.random.getrandbits(30))
        await service.put(ck, key, values[key])


async def put_random(service: Service, ck: Clerk, count: int) -> dict[str, str]:
    """Puts a random value to the key of each shard and to so many random keys."""
    random = service.cluster.random
    values = {key: str(random.getrandbits(30)) for key in (*KEYS, *(str(random.getrandbits(30)) for _ in range(count)))}
    for key, value in values.items():
        await service.put(ck, key, value)
    return values


@graded(part="B", points=4, within=120.0)
async def test_basic_join_leave(cluster: Cluster) -> None:
    """Basic Join/Leave.

    Three groups join one after the other, then two leave; after each change all keys are read and written. Catches:
    shards that are not handed over, or arrive with what they once held.
    """
    service = await Service.start(cluster, 3, A)
    ck = await service.clerk("ck-1")
    await service.put(ck, "a", "x")
    await service.append(ck, "a", "b")
    await service.check(ck, "a", "xb")
    values = {"a": "xb"} | await put_random(service, ck, 10)
    for gid in (B, C):
        await service.join(gid)
        await service.settle()
        await rewrite(service, ck, values)
    for gid in (A, B):
        await service.leave(gid)
        await service.settle()
        await rewrite(service, ck, values)


@graded(part="B", points=4, within=90.0)
async def test_shards_really_move(cluster: Cluster) -> None:
    """Shards really move.

    When a second group has its share, nobody can reach the first any more: exactly the keys in the other shards can
    be read. Catches: a group that answers for all; shards that are never handed over.
    """
    service = await Service.start(cluster, 2, A)
    await service.put_all(await service.clerk("ck-1"))
    await service.join(B)
    config = await service.settle()
    await service.check_all(await service.clerk("ck-2"))
    for name in service.groups[A]:
        cluster.deafen(name)
    gets = [cluster.spawn((await service.clerk(f"ck-at-{shard}")).get(key)) for shard, key in enumerate(KEYS)]
    for shard, (key, get) in enumerate(zip(KEYS, gets, strict=True)):
        if config.shards[shard] == B:
            value = await service.finish(get, f'Get("{key}"), whose shard {shard} group {B} has,')
            expect_equal(f'Get("{key}")', value, key)
    await cluster.sleep(2 * A_WHILE)
    for shard, (key, get) in enumerate(zip(KEYS, gets, strict=True)):
        if config.shards[shard] == A:
            hint = f"group {A} has its shard {shard}, and cannot be reached"
            await service.unanswered(get, f'Get("{key}")', hint, within=0.0)
            get.cancel()


@graded(part="B", points=4, within=150.0)
async def test_dead_replicas(cluster: Cluster) -> None:
    """Reconfiguration with some dead replicas.

    Of each of three groups one server is dead. Groups join, and leave again, and are killed as soon as their shards
    are gone. Catches: a group that needs all of another's servers; one that is still needed when it has left.
    """
    service = await Service.start(cluster, 3, A)
    ck = await service.clerk("ck-1")
    await service.put(ck, "a", "b")
    await service.check(ck, "a", "b")
    for group in service.groups.values():
        await cluster.kill(cluster.random.choice(group))
    values = {"a": "b"} | await put_random(service, ck, 10)
    for gid in (B, C):
        await service.join(gid)
        await service.settle()
        await rewrite(service, ck, values)
    for gid in (A, B):
        await service.leave(gid)
        await service.settle()
        for name in service.groups[gid]:
            if cluster.running(name):
                await cluster.kill(name)
        await rewrite(service, ck, values)


async def append_and_move(cluster: Cluster, faults: Faults | None) -> None:
    """Eleven clients append to a key each and read it, and move shards at random."""
    service = await Service.start(cluster, 3, A, B, C)
    if faults:
        service.tap(faults)
    clerks = [await service.clerk(f"ck-{client}") for client in range(11)]
    for client in range(11):
        await service.master_clerk(f"mck-{client}")

    async def run(client: int, ck: Clerk) -> None:
        key, value = str(client), ""
        for _ in range(3):
            more = str(cluster.random.getrandbits(20))
            await ck.append(key, more)
            value += more
            expect_equal(f'Get("{key}") by {ck.name}', await ck.get(key), value, "nobody else writes that key")
            move = Move(cluster.random.randrange(DEFAULT_SHARDS), cluster.random.choice([A, B, C]))
            await service.change(move, f"mck-{client}")
            await cluster.sleep(cluster.random.uniform(0.0, 0.03))

    busy = [cluster.spawn(run(client, ck)) for client, ck in enumerate(clerks)]
    for client, task in enumerate(busy):
        await service.finish(task, f"what ck-{client} and mck-{client} asked", within=3 * ANSWER_WITHIN)


@graded(part="B", points=4, within=150.0)
async def test_concurrent_moves(cluster: Cluster) -> None:
    """Concurrent Put/Get/Move.

    Eleven clients append to a key each and read it, and move shards at random between three groups. Catches: whatever
    is lost or stuck when operations and many changes meet.
    """
    await append_and_move(cluster, None)


@graded(part="B", points=4, within=150.0)
async def test_concurrent_moves_unreliable(cluster: Cluster) -> None:
    """Concurrent Put/Get/Move (unreliable).

    The same with servers that lose requests and replies. Catches: an Append that is executed again where its shard
    has moved to; a handing over that is taken for done, or for not done, because a reply was lost.
    """
    await append_and_move(cluster, UNRELIABLE)


# --- what the suite of 2015 let through: where the data is -----------------------------------------------------------


@graded(part="B+", points=1, within=60.0)
async def test_nobody_serves_at_first(cluster: Cluster) -> None:
    """Operations wait until a group joins.

    Catches: a group that takes itself for the owner of all shards; a clerk that fails where there is no group.
    """
    service = await Service.start(cluster, 1)
    ck = await service.clerk("ck-1")
    put = cluster.spawn(ck.put("a", "1"))
    await service.unanswered(put, 'Put("a", "1") by ck-1', "no group has joined")
    await service.join(A)
    await service.finish(put, f'Put("a", "1") by ck-1, when group {A} had joined,')
    await service.check(ck, "a", "1")


@graded(part="B+", points=2, within=90.0)
async def test_moved_shards_are_deleted(cluster: Cluster) -> None:
    """A shard that has moved is deleted where it was.

    Three keys in each shard. A second group joins, then the first leaves, and is shut down. At each step each key is
    at one group only. Catches: copies that stay behind; a group that never gets rid of its shards.
    """
    service = await Service.start(cluster, 2, A)
    ck = await service.clerk("ck-1")
    values = {key + more: key + more for key in KEYS for more in ("", "a", "b")}
    for key, value in values.items():
        await service.put(ck, key, value)
    await service.expect_keys([3] * DEFAULT_SHARDS)
    await service.join(B)
    await service.expect_keys([3] * DEFAULT_SHARDS)
    await service.leave(A)
    await service.expect_keys([3] * DEFAULT_SHARDS)
    for name in service.groups[A]:
        await cluster.kill(name)
    await service.check_all(ck, values, f"group {B} had all shards before group {A} was shut down")


def slack(cluster: Cluster) -> int:
    """Bytes that a server may hold beyond what it needs.

    The simulation counts objects, so a few values that are still on their way are all that is excused. A real process
    keeps what it has freed for later use, as much as it once needed at the same time.
    """
    return 3 * MEGABYTE if cluster.world == "sim" else 40 * MEGABYTE


@graded(part="B+", points=1, within=150.0)
async def test_memory_of_moved_shards(cluster: Cluster) -> None:
    """Memory does not grow with the number of moves.

    A shard with some megabytes goes to and fro between two groups. Catches: what was moved and is still kept, in the
    log, for requests that may come again, or for somebody who may ask once more.
    """
    service = await Service.start(cluster, 2, A, B)
    ck = await service.clerk("ck-1")
    shard = await service.shard_at(A)
    keys = [f"{KEYS[shard]}-{number}" for number in range(8)]

    async def there_and_back() -> dict[str, int]:
        for gid in (B, A):
            await service.move(shard, gid)
            await service.settle()
        for key in keys:
            await service.append(ck, key, "x")
        return {name: cluster.memory(name) for name in service.servers()}

    for key in keys:
        await service.put(ck, key, "x" * MEGABYTE)
    before = await there_and_back()
    for _ in range(1 if cluster.world == "sim" else 8):
        after = await there_and_back()
    await service.expect_keys([len(keys) if each == shard else 0 for each in range(DEFAULT_SHARDS)])
    allowed = slack(cluster)
    for name in service.servers():
        grown = after[name] - before[name]
        if grown > allowed:
            raise AssertionError(
                f"{name} holds {grown:,} bytes more than it did when shard {shard} with {len(keys)} values of a "
                f"megabyte had come back for the first time, expected {allowed:,} more at most"
            )


@graded(part="B+", points=1, within=60.0)
async def test_any_key(cluster: Cluster) -> None:
    """Keys may begin with any character, or have none.

    They are written to one group, read from two, and read from the second alone. Catches: a shard that is found by
    characters and not by bytes; a shard that is forgotten because no digit leads to it.
    """
    service = await Service.start(cluster, 2, A)
    ck = await service.clerk("ck-1")
    values = {key: f"of {key}" for key in ("", "\0", "\n", " ", "~", "\x7f", "é", "ÿ", "Ω", "ключ", "日本", "🦜")}
    for key, value in values.items():
        await service.put(ck, key, value)
    shards = [shard_of(key, DEFAULT_SHARDS) for key in values]
    await service.join(B)
    await service.expect_keys([shards.count(shard) for shard in range(DEFAULT_SHARDS)])
    await service.check_all(ck, values)
    await service.leave(A)
    await service.expect_keys([shards.count(shard) for shard in range(DEFAULT_SHARDS)])
    await service.check_all(ck, values)


@graded(part="B+", points=1, within=90.0)
async def test_group_comes_back(cluster: Cluster) -> None:
    """A group that left and comes back has the newest values.

    Three times a group leaves, all keys are written, and it joins again. Catches: old values and old notes of what
    was executed, found again in a drawer.
    """
    service = await Service.start(cluster, 2, A, B)
    ck = await service.clerk("ck-1")
    values = dict.fromkeys(KEYS, "")
    for turn in range(3):
        for change in (service.leave, service.join):
            for key in values:
                await service.append(ck, key, f"{turn}{change.__name__[0]} ")
                values[key] += f"{turn}{change.__name__[0]} "
            await change(B)
            await service.settle()
            await service.check_all(ck, values)


@graded(part="B+", points=1, within=90.0)
async def test_last_group_leaves(cluster: Cluster) -> None:
    """The last group leaves, and the data waits for the next that joins.

    While there is no group, nobody answers. Then another group joins, and leaves, and joins again. Catches: data that
    is thrown away because nobody is to have it; a group that goes on serving because nobody else does.
    """
    service = await Service.start(cluster, 2, A)
    ck, other = await service.clerk("ck-1"), await service.clerk("ck-2")
    await service.put_all(ck)
    for leaving in (A, B):
        await service.leave(leaving)
        if leaving == A:
            await service.until_leaving(0, A)
        get = cluster.spawn(ck.get("1"))
        await cluster.sleep(A_WHILE)
        append = cluster.spawn(other.append("2", "+"))
        await service.unanswered(append, 'Append("2", "+") by ck-2', "there is no group")
        await service.join(B)
        await service.finish(append, f'Append("2", "+") by ck-2, when group {B} had joined,')
        expect_equal('Get("1") by ck-1', await service.finish(get, 'Get("1") by ck-1'), "1")
        await service.settle()
    await service.check_all(ck, {key: key if key != "2" else "2++" for key in KEYS})


@graded(part="B+", points=1, within=90.0)
async def test_group_starts_late(cluster: Cluster) -> None:
    """A group whose servers are not there yet gets its shards when they are.

    It joins, and its servers start two seconds later. Catches: a shard that is sent once; a group that stops because
    another does not answer.
    """
    service = await Service.start(cluster, 2, A, asleep=(B,))
    ck, other = await service.clerk("ck-1"), await service.clerk("ck-2")
    await service.put_all(ck)
    await service.join(B)
    config = await service.config()
    shard = config.shards.index(B)
    await service.until_leaving(shard, A)
    get = cluster.spawn(other.get(KEYS[shard]))
    for key in (key for key, gid in zip(KEYS, config.shards, strict=True) if gid == A):
        await service.append(ck, key, "+")
    await service.unanswered(get, f'Get("{KEYS[shard]}") by ck-2', f"group {B} has its shard, and is not there")
    await service.start_group(B)
    expect_equal(f'Get("{KEYS[shard]}") by ck-2', await service.finish(get, f"Get at group {B}"), KEYS[shard])
    await service.settle()
    await service.check_all(
        ck, {key: key + ("+" if gid == A else "") for key, gid in zip(KEYS, config.shards, strict=True)}
    )


# --- while a move is held up -----------------------------------------------------------------------------------------


@graded(part="B+", points=2, within=120.0)
async def test_untouched_shards_go_on(cluster: Cluster) -> None:
    """Shards that do not move are served while another cannot move.

    A shard shall move, but the two groups cannot reach each other. All other shards of both groups are written and
    read meanwhile, and the one that moves is not. Catches: a group that stops for a new configuration; one that
    serves what it has given up, or does not have yet.
    """
    service = await Service.start(cluster, 2, A, B)
    ck, other, stale = [await service.clerk(name) for name in ("ck-1", "ck-2", "ck-stale")]
    await service.put_all(ck)
    shard = await service.shard_at(A)
    key = KEYS[shard]
    await service.check(stale, key, key)
    service.corner(stale, *service.groups[A])
    service.part_groups(A, B)
    await service.move(shard, B)
    await service.until_leaving(shard, A)
    append, get = cluster.spawn(other.append(key, "+")), cluster.spawn(stale.get(key))
    values = {key: key + "+" for key in KEYS}
    for untouched in KEYS:
        if untouched != key:
            await service.append(ck, untouched, "+")
            await service.check(ck, untouched, values[untouched])
    hint = f"its shard {shard} is group {B}'s, and group {A} cannot have handed it over"
    await service.unanswered(append, f'Append("{key}", "+") by ck-2', hint)
    await service.unanswered(get, f'Get("{key}") by ck-stale, which reaches group {A} only,', hint, within=0.0)
    service.part()
    await service.finish(append, f'Append("{key}", "+") by ck-2, when the groups could reach each other again,')
    service.free(stale)
    value = await service.finish(get, f'Get("{key}") by ck-stale, which reaches everybody again,')
    assert value in (key, values[key]), f'Get("{key}") by ck-stale gave {value!r}, which was never there'
    await service.settle()
    await service.check_all(ck, values)


@graded(part="B+", points=1, within=120.0)
async def test_served_as_they_arrive(cluster: Cluster) -> None:
    """A shard is served as soon as it has arrived.

    A third group gets shards from two others, and cannot be reached by one of them. Catches: a group that serves none
    of its new shards before it has all of them.
    """
    service = await Service.start(cluster, 3, A, B)
    ck, other = await service.clerk("ck-1"), await service.clerk("ck-2")
    await service.put_all(ck)
    before = (await service.config()).shards
    service.part_groups(A, C)
    await service.join(C)
    after = (await service.config()).shards
    of_a, of_b = ([s for s in range(DEFAULT_SHARDS) if (before[s], after[s]) == (gid, C)] for gid in (A, B))
    assert of_a, f"expected group {C} to get a shard of each group, but {before} became {after}"
    assert of_b, f"expected group {C} to get a shard of each group, but {before} became {after}"
    get = cluster.spawn(other.get(KEYS[of_a[0]]))
    for shard in of_b:
        await service.check(ck, KEYS[shard], KEYS[shard], f"group {B} can hand it over to group {C}")
    hint = f"its shard {of_a[0]} is group {C}'s, and group {A} cannot have handed it over"
    await service.unanswered(get, f'Get("{KEYS[of_a[0]]}") by ck-2', hint)
    service.part()
    expect_equal("Get by ck-2", await service.finish(get, f"Get at group {C}"), KEYS[of_a[0]])
    await service.settle()
    await service.check_all(ck)


@graded(part="B+", points=2, within=120.0)
async def test_changes_pile_up(cluster: Cluster) -> None:
    """Many configurations come while the first cannot be carried out.

    Two groups cannot reach each other while shards move to and fro between them, and one leaves and joins again. Then
    they can. Catches: a configuration that is left out, or begun before the last is done; a shard that comes back to
    a group that never got rid of it.
    """
    service = await Service.start(cluster, 2, A, B)
    clerks = [await service.clerk(f"ck-{client}") for client in range(4)]
    config = await service.config()
    shards = [config.shards.index(A), config.shards.index(B)]
    keys = [KEYS[shards[client % 2]] for client in range(4)]
    for client, ck in enumerate(clerks):
        await service.append(ck, keys[client], token(client, 0))
    service.part_groups(A, B)
    await service.move(shards[0], B)
    appends = [cluster.spawn(ck.append(keys[client], token(client, 1))) for client, ck in enumerate(clerks)]
    for gid in (A, B, A):
        await service.move(shards[1], gid)
        await service.move(shards[0], gid)
    await service.leave(B)
    await service.join(B)
    await service.leave(A)
    await service.join(A)
    await cluster.sleep(A_WHILE)
    service.part()
    await service.settle(within=2 * SETTLE_WITHIN)
    for client, append in enumerate(appends):
        await service.finish(append, f"Append by ck-{client}, which was asked for while the groups were apart,")
    for first in (0, 1):
        value = await service.get(clerks[0], keys[first])
        counts = [2 if client % 2 == first else 0 for client in range(4)]
        check_appends(f'Get("{keys[first]}") by ck-0', value, counts)


@graded(part="B+", points=1, within=120.0)
async def test_groups_give_to_each_other(cluster: Cluster) -> None:
    """Two groups give shards to each other at the same time.

    Two master clerks exchange a shard of each of two groups, again and again, while clerks append to both. Catches:
    two groups that wait for each other: each for a shard, or for a lock.
    """
    service = await Service.start(cluster, 2, A, B)
    clerks = [await service.clerk(f"ck-{client}") for client in range(4)]
    await service.master_clerk("mck-1")
    config = await service.config()
    one, other = config.shards.index(A), config.shards.index(B)
    over = asyncio.Event()
    counts = [0] * 4

    async def append(ck: Clerk, client: int) -> None:
        while not over.is_set():
            await ck.append(KEYS[(one, other)[client % 2]], token(client, counts[client]))
            counts[client] += 1
            await cluster.sleep(0.02)

    busy = [cluster.spawn(append(ck, client)) for client, ck in enumerate(clerks)]
    for turn in range(8):
        to_one, to_other = (B, A) if turn % 2 == 0 else (A, B)
        await cluster.gather(
            service.change(Move(one, to_one), "mck"),
            service.change(Move(other, to_other), "mck-1"),
            cluster.sleep(cluster.random.uniform(0.0, 0.4)),
        )
    over.set()
    for client, task in enumerate(busy):
        await service.finish(task, f"the last Append by ck-{client}", within=2 * ANSWER_WITHIN)
    await service.settle()
    for first, shard in enumerate((one, other)):
        value = await service.get(clerks[0], KEYS[shard])
        expected = [count if client % 2 == first else 0 for client, count in enumerate(counts)]
        check_appends(f'Get("{KEYS[shard]}") by ck-0', value, expected)


@graded(part="B+", points=1, within=120.0)
async def test_requests_behind_a_configuration(cluster: Cluster) -> None:
    """A request that was taken in before its shard was given up is not executed after it.

    The servers of each group have trouble to agree, while six clerks append to one key and read it without a pause,
    and its shard moves to and fro. Catches: a server that looks who has the shard when a request comes, and not when
    its turn in the log has come; an answer from a shard that is not there any more.
    """
    service = await Service.start(cluster, 2, A, B)
    clerks = [await service.clerk(f"ck-{client}") for client in range(6)]
    shard = await service.shard_at(A)
    for group in service.groups.values():
        for name in group:
            cluster.tap(name, Faults(request_lost=0.1, reorder=0.5, delay=0.01), sources=group)
    over = asyncio.Event()
    counts = [0] * 6

    async def append_and_get(ck: Clerk, client: int) -> None:
        while not over.is_set():
            await ck.append(KEYS[shard], token(client, counts[client]))
            counts[client] += 1
            await ck.get(KEYS[shard])

    busy = [cluster.spawn(append_and_get(ck, client)) for client, ck in enumerate(clerks)]
    for turn in range(6):
        await service.move(shard, A if turn % 2 else B)
        await cluster.sleep(cluster.random.uniform(0.2, 0.7))
    over.set()
    for client, task in enumerate(busy):
        await service.finish(task, f"what ck-{client} had asked last", within=2 * ANSWER_WITHIN)
    await service.settle()
    check_appends(f'Get("{KEYS[shard]}") by ck-0', await service.get(clerks[0], KEYS[shard]), counts)


@graded(part="B+", points=1, within=120.0)
async def test_changes_without_a_pause(cluster: Cluster) -> None:
    """Groups come and go faster than their shards.

    Three groups leave and join at random, at any time, while clerks append to a key in each of four shards. Catches:
    a group that is not there any more when it is needed; a shard that is fetched from where it no longer is.
    """
    service = await Service.start(cluster, 3, A, B, C)
    clerks = [await service.clerk(f"ck-{client}") for client in range(4)]
    over = asyncio.Event()
    counts = [0] * 4

    async def append(ck: Clerk, client: int) -> None:
        while not over.is_set():
            await ck.append(KEYS[client], token(client, counts[client]))
            counts[client] += 1
            await cluster.sleep(0.02)

    busy = [cluster.spawn(append(ck, client)) for client, ck in enumerate(clerks)]
    here = [A, B, C]
    for _ in range(14):
        gid = cluster.random.choice([A, B, C])
        if gid not in here:
            here.append(gid)
            await service.join(gid)
        elif len(here) > 1:
            here.remove(gid)
            await service.leave(gid)
        await cluster.sleep(cluster.random.uniform(0.0, 0.15))
    over.set()
    for client, task in enumerate(busy):
        await service.finish(task, f"the last Append by ck-{client}", within=3 * ANSWER_WITHIN)
    await service.settle(within=2 * SETTLE_WITHIN)
    for client in range(4):
        value = await service.get(clerks[0], KEYS[client])
        check_appends(f'Get("{KEYS[client]}") by ck-0', value, [n if c == client else 0 for c, n in enumerate(counts)])


# --- at most once ----------------------------------------------------------------------------------------------------


async def execute_unheard(service: Service, ck: Clerk, gid: int, key: str) -> "asyncio.Task[None]":
    """An Append of "D" that a group executes; but no reply of its servers reaches the clerk."""
    cluster = service.cluster
    for name in service.groups[gid]:
        cluster.tap(name, Faults(reply_lost=1.0), sources=[ck.name])
    append = cluster.spawn(ck.append(key, "D"))
    other = await service.clerk(f"{ck.name}-other")

    async def executed() -> bool:
        return await other.get(key) == "D"

    what = f'Append("{key}", "D") by {ck.name} to be executed by group {gid}, though its reply is lost'
    await cluster.until(executed, ANSWER_WITHIN, what)
    return append


@graded(part="B+", points=2, within=60.0)
async def test_retry_where_the_shard_has_moved(cluster: Cluster) -> None:
    """A retry that comes to the shard's new group is still a duplicate.

    An Append is executed, but its reply is lost; the shard moves, and the clerk asks again: first those that do not
    serve the shard, then the new group. Catches: notes of what was executed that stay behind when a shard moves; a
    clerk that takes a refused request for a new one when it asks elsewhere.
    """
    service = await Service.start(cluster, 2, A, B)
    ck = await service.clerk("ck-1")
    shard = await service.shard_at(A)
    append = await execute_unheard(service, ck, A, KEYS[shard])
    service.part_groups(A, B)
    await service.move(shard, B)
    await service.until_leaving(shard, A)
    for name in service.groups[A]:
        cluster.untap(name)
    await cluster.sleep(A_WHILE)
    service.part()
    await service.finish(append, f'Append("{KEYS[shard]}", "D") by ck-1')
    await service.settle()
    await service.check(await service.clerk("ck-2"), KEYS[shard], "D", "it was appended once, and asked for again")


@graded(part="B+", points=1, within=60.0)
async def test_arriving_notes_replace_none(cluster: Cluster) -> None:
    """A shard that arrives does not undo what is known of a client.

    A clerk has written to group 101, and later to group 100, whose reply is lost. Then the shard of the earlier write
    moves to group 100, and the clerk asks again. Catches: notes of what was executed that replace newer ones.
    """
    service = await Service.start(cluster, 2, A, B)
    ck = await service.clerk("ck-1")
    config = await service.config()
    here, there = config.shards.index(A), config.shards.index(B)
    await service.put(ck, KEYS[there], "first")
    append = await execute_unheard(service, ck, A, KEYS[here])
    await service.move(there, A)
    await service.settle()
    await cluster.sleep(A_WHILE)
    for name in service.groups[A]:
        cluster.untap(name)
    await service.finish(append, f'Append("{KEYS[here]}", "D") by ck-1')
    await service.check(ck, KEYS[here], "D", "it was appended once, and asked for again")
    await service.check(ck, KEYS[there], "first")


@graded(part="B+", points=1, within=60.0)
async def test_wrong_group_leaves_no_trace(cluster: Cluster) -> None:
    """What a group refused it executes when it has the shard.

    Three clerks append to a shard that is on its way to group 101 and cannot arrive; later it does, and then it goes
    back. Catches: a request that is noted as executed though it was refused.
    """
    service = await Service.start(cluster, 2, A, B)
    clerks = [await service.clerk(f"ck-{client}") for client in range(3)]
    shard = await service.shard_at(A)
    key = KEYS[shard]
    for client, ck in enumerate(clerks):
        await service.append(ck, key, token(client, 0))
    service.part_groups(A, B)
    await service.move(shard, B)
    await service.until_leaving(shard, A)
    appends = [cluster.spawn(ck.append(key, token(client, 1))) for client, ck in enumerate(clerks)]
    hint = f"its shard {shard} has left group {A} and cannot have come to group {B}"
    await service.unanswered(appends[0], f'Append("{key}", …) by ck-0', hint, within=2 * A_WHILE)
    service.part()
    for client, append in enumerate(appends):
        await service.finish(
            append, f'Append("{key}", …) by ck-{client}, when the groups could reach each other again,'
        )
    await service.settle()
    check_appends(f'Get("{key}") by ck-0', await service.get(clerks[0], key), [2] * 3)
    await service.move(shard, A)
    await cluster.gather(*(ck.append(key, token(client, 2)) for client, ck in enumerate(clerks)))
    check_appends(f'Get("{key}") by ck-0', await service.get(clerks[0], key), [3] * 3)


@graded(part="B+", points=1, within=90.0)
async def test_late_request_after_return(cluster: Cluster) -> None:
    """A request that was held up does nothing when its shard has been away and is back.

    A clerk's Append sticks on the way to kv-100-0 while another server executes it. The shard goes to the other group,
    where the clerk appends more, and comes back; then the old request arrives. Catches: notes of what was executed
    that are thrown away with the shard and do not come back with it.
    """
    service = await Service.start(cluster, 2, A, B)
    ck, other = await service.clerk("ck-1"), await service.clerk("ck-2")
    shard = await service.shard_at(A)
    key, first = KEYS[shard], service.groups[A][0]
    service.corner(ck, first, *service.masters)
    await service.append(ck, key, token(0, 0))
    cluster.hold(ck.name, first)
    before = cluster.calls(first)
    append = cluster.spawn(ck.append(key, token(0, 1)))
    await cluster.until(
        lambda: cluster.calls(first) > before, ANSWER_WITHIN, f"ck-1 to ask {first}, the only it reaches"
    )
    service.free(ck)
    await service.finish(append, f'Append("{key}", …) by ck-1, which {first} does not answer,')
    for number, gid in enumerate((B, A)):
        await service.move(shard, gid)
        await service.settle()
        if gid == B:
            await service.append(ck, key, token(0, 2))
        await service.append(other, key, token(1, number))
    cluster.release(ck.name, first)
    await cluster.sleep(A_WHILE)
    check_appends(f'Get("{key}") by ck-2', await service.get(other, key), [3, 2])


# --- servers that missed what happened -------------------------------------------------------------------------------


@graded(part="B+", points=2, within=90.0)
async def test_cut_off_server_of_the_old_group(cluster: Cluster) -> None:
    """A server that was cut off while its shard moved gives no old values.

    kv-100-0 reaches nobody, but a clerk reaches it; the others of its group hand the shard over, and it is written at
    the new group. Catches: reads of what a server has itself; a shard that is given up by each server for itself.
    """
    service = await Service.start(cluster, 2, A, B)
    old, new = await service.clerk("ck-old"), await service.clerk("ck-new")
    shard = await service.shard_at(A)
    key, alone = KEYS[shard], service.groups[A][0]
    await service.put(old, key, "1")
    service.corner(old, alone, *service.masters)
    await service.check(old, key, "1")
    service.part([alone], [*service.masters, *service.servers(alone)])
    await service.move(shard, B)
    await service.settle(alone)
    await service.put(new, key, "2")
    get = cluster.spawn(old.get(key))
    hint = f"it reaches {alone} and the masters only, and {alone} reaches nobody"
    await service.unanswered(get, f'Get("{key}") by ck-old', hint)
    service.part([*service.masters, *service.servers()])
    service.free(old)
    value = await service.finish(get, f'Get("{key}") by ck-old, which reaches everybody again,')
    expect_equal(f'Get("{key}") by ck-old', value, "2", f"it was asked after Put 2 was answered by group {B}")
    await service.settle()


@graded(part="B+", points=1, within=90.0)
async def test_server_slept_while_its_shard_moved(cluster: Cluster) -> None:
    """A server that slept while its shard moved gives no old values.

    kv-100-0 is stopped (SIGSTOP), its shard moves and is written. When it wakes, a Get waits for it, and the messages
    of the others come late. Catches: a server that trusts what it knew before it slept.
    """
    service = await Service.start(cluster, 2, A, B)
    old, new = await service.clerk("ck-old"), await service.clerk("ck-new")
    shard = await service.shard_at(A)
    key, (asleep, *others) = KEYS[shard], service.groups[A]
    await service.put(old, key, "1")
    service.corner(old, asleep, *service.masters)
    await service.check(old, key, "1")
    cluster.pause(asleep)
    for name in others:
        cluster.hold(name, asleep)
    await service.move(shard, B)
    await service.settle(asleep)
    await service.put(new, key, "2")
    get = cluster.spawn(old.get(key))
    await cluster.sleep(A_WHILE / 5)
    cluster.resume(asleep)
    if await cluster.finishes(get, A_WHILE):
        expect_equal(
            f'Get("{key}") by ck-old', get.result(), "2", f"it was asked after Put 2 was answered by group {B}"
        )
    for name in others:
        cluster.release(name, asleep)
    service.free(old)
    value = await service.finish(get, f'Get("{key}") by ck-old, which reaches everybody again,')
    expect_equal(f'Get("{key}") by ck-old', value, "2", f"it was asked after Put 2 was answered by group {B}")
    await service.settle()


@graded(part="B+", points=1, within=90.0)
async def test_lagging_server_hands_nothing_over(cluster: Cluster) -> None:
    """A shard is not handed over by a server that has missed the last writes.

    kv-100-2 is cut off from its group while a key is written; then it alone of its group reaches the group that the
    shard moves to. Catches: a shard that a server hands over as it has it, without its group's log.
    """
    service = await Service.start(cluster, 2, A, B)
    ck, other = await service.clerk("ck-1"), await service.clerk("ck-2")
    shard = await service.shard_at(A)
    key, (*majority, lagging) = KEYS[shard], service.groups[A]
    await service.put(ck, key, "old")
    await service.until(
        lambda said: lagging in said and any(has.keys for has in said[lagging].shards),
        f"{lagging} to have what its group has written",
    )
    service.part(majority, [lagging, *service.groups[B]])
    await service.put(ck, key, "new")
    await service.move(shard, B)
    get = cluster.spawn(other.get(key))
    if await cluster.finishes(get, 2 * A_WHILE):
        expect_equal(f'Get("{key}") by ck-2', get.result(), "new", f"{lagging} has missed the last Put")
    service.part()
    value = await service.finish(get, f'Get("{key}") by ck-2, when all servers were together again,')
    expect_equal(f'Get("{key}") by ck-2', value, "new", "that was put last")
    await service.settle()


@graded(part="B+", points=2, within=90.0)
async def test_kept_until_received(cluster: Cluster) -> None:
    """A shard is kept until the other group has it, and not only one of its servers.

    kv-101-0 is cut off from its group, and is the only one that group 100 reaches; then it dies. Catches: a server
    that takes a shard, or says that it has it, before that is in its group's log; data that is lost with it.
    """
    service = await Service.start(cluster, 2, A, B)
    ck = await service.clerk("ck-1")
    await service.put_all(ck)
    shard = await service.shard_at(A)
    first, *others = service.groups[B]
    service.part_groups(A, B)
    await service.move(shard, B)
    await service.until_leaving(shard, A)
    service.part([first, *service.groups[A]], others)
    await cluster.sleep(2 * A_WHILE)
    for name, said in (await service.look()).items():
        if name in service.groups[A]:
            hint = f"{first}, the only one that it reaches of group {B}, has no majority"
            expect_equal(f"the state of shard {shard} at {name}", _state(said, shard), "leaving", hint)
    await cluster.kill(first)
    service.part()
    await service.settle()
    await service.check_all(ck)


async def move_without_one(cluster: Cluster, gid: int) -> None:
    """A shard moves to and fro while one server of a group sleeps: each in turn. In the end one dies on the way."""
    service = await Service.start(cluster, 2, A, B)
    ck = await service.clerk("ck-1")
    shard = await service.shard_at(A)
    values = {f"{KEYS[shard]}-{number}": str(number) * 100_000 for number in range(8)}
    for key, value in values.items():
        await service.put(ck, key, value)

    async def begin() -> None:
        service.part_groups(A, B)
        await service.move(shard, B)
        await service.until_leaving(shard, A)

    for name in service.groups[gid]:
        await begin()
        cluster.pause(name)
        service.part()
        await service.settle(name)
        cluster.resume(name)
        await service.move(shard, A)
        await service.settle()
    await service.check_all(ck, values)
    await begin()
    for one, other in ((A, B), (B, A)):
        for name in service.groups[one]:
            cluster.tap(name, Faults(delay=0.02), sources=service.groups[other])
    service.part()
    await cluster.sleep(cluster.random.uniform(0.0, 0.4))
    await cluster.kill(cluster.random.choice(service.groups[gid]))
    await service.settle()
    await service.check_all(ck, values)


@graded(part="B+", points=1, within=150.0)
async def test_giver_without_one(cluster: Cluster) -> None:
    """A group hands a shard over while one of its servers sleeps or dies.

    Catches: a move that ends with the server that drives it; a shard of which only a part has come.
    """
    await move_without_one(cluster, A)


@graded(part="B+", points=1, within=150.0)
async def test_receiver_without_one(cluster: Cluster) -> None:
    """A group takes a shard over while one of its servers sleeps or dies.

    Catches: a part of a shard that only the dead one had; a group that stays with one server of the other.
    """
    await move_without_one(cluster, B)


@graded(part="B+", points=1, within=120.0)
async def test_server_without_memory(cluster: Cluster) -> None:
    """A server that restarts learns what its group has.

    kv-100-0 is killed, shards move meanwhile, it starts again with nothing, and a shard moves once more. Catches: a
    state for those that were away that has no configuration, or not all shards in it.
    """
    service = await Service.start(cluster, 2, A, B)
    ck = await service.clerk("ck-1")
    await service.put_all(ck)
    config = await service.config()
    restarted = service.groups[A][0]
    await cluster.kill(restarted)
    for gid, other in ((A, B), (B, A)):
        await service.move(config.shards.index(gid), other)
    await service.settle()
    await cluster.restart(restarted)
    await service.expect_keys([1] * DEFAULT_SHARDS)
    await service.move(config.shards.index(A), A)
    await service.expect_keys([1] * DEFAULT_SHARDS)
    service.corner(ck, restarted, *service.masters)
    for key, gid in zip(KEYS, (await service.config()).shards, strict=True):
        if gid == A:
            await service.check(ck, key, key, f"{restarted} is the only one of its group that ck-1 reaches")


@graded(part="B+", points=1, within=120.0)
async def test_server_that_missed_configurations(cluster: Cluster) -> None:
    """A server that was cut off during many changes catches up.

    kv-101-2 reaches nobody while shards move and a group leaves and joins. A clerk that it served before does not stay
    with it. When it is back, it serves what its group has, with either of the others. Catches: a server that follows
    configurations without their data; a clerk that believes for ever that the group does not have the shard.
    """
    service = await Service.start(cluster, 2, A, B)
    ck, loyal = await service.clerk("ck-1"), await service.clerk("ck-loyal")
    await service.put_all(ck)
    *others, away = service.groups[B]
    shard, new = await service.shard_at(B), await service.shard_at(A)
    service.corner(loyal, away, *service.masters)
    await service.check(loyal, KEYS[shard], KEYS[shard], f"{away} is the only one of its group that ck-loyal reaches")
    service.free(loyal)
    everybody = [*service.masters, *service.servers()]
    service.part([away], [name for name in everybody if name != away])
    for gid in (A, B):
        await service.move(shard, gid)
        await service.settle(away)
    await service.leave(A)
    await service.settle(away)
    await service.check(loyal, KEYS[new], KEYS[new], f"{away} knows nothing of shard {new}, but the others have it")
    for key in KEYS:
        await service.append(ck, key, "+")
    await service.join(A)
    await service.settle(away)
    service.part(everybody)
    config = await service.settle()
    service.corner(ck, away, *service.masters)
    for other in others:
        service.part([away], [other])
        for key, gid in zip(KEYS, config.shards, strict=True):
            if gid == B:
                await service.check(ck, key, f"{key}+", f"ck-1 reaches {away}, and that does not reach {other}")
        service.part()


# --- masters ---------------------------------------------------------------------------------------------------------


@graded(part="B+", points=1, within=120.0)
async def test_master_cut_off(cluster: Cluster) -> None:
    """A master that is cut off from the others holds up nothing.

    sm-0 still reaches all groups and clerks, but not the other masters, when shards are about to move. Catches: a
    server that stays with one master; one that believes a master that cannot know.
    """
    service = await Service.start(cluster, 2, A)
    ck = await service.clerk("ck-1")
    await service.put_all(ck)
    await service.join(B)
    cluster.partition(["sm-0"], ["sm-1", "sm-2"])
    await service.settle()
    await service.leave(A)
    await service.settle()
    new = await cluster.clerk("ck-2", masters=["sm-0", "sm-1", "sm-2"])
    await service.check_all(new)
    cluster.partition(service.masters)
    await service.join(A)
    await service.settle()
    await service.check_all(ck)


@graded(part="B+", points=1, within=120.0)
async def test_masters_sleep_and_die(cluster: Cluster) -> None:
    """Two of three masters are enough.

    sm-0 sleeps while shards move, and wakes; then sm-1 dies. Catches: a server or a clerk that waits for a master that
    hangs, or for one that is dead.
    """
    service = await Service.start(cluster, 2, A)
    ck = await service.clerk("ck-1")
    await service.put_all(ck)
    cluster.pause("sm-0")
    await service.join(B)
    await service.settle()
    await service.check_all(await cluster.clerk("ck-2", masters=["sm-0", "sm-1", "sm-2"]))
    cluster.resume("sm-0")
    await cluster.kill("sm-1")
    await service.leave(A)
    await service.settle()
    await service.check_all(await cluster.clerk("ck-3", masters=["sm-1", "sm-2", "sm-0"]))
    await service.check_all(ck)


@graded(part="B+", points=1, within=60.0)
async def test_no_master_is_needed(cluster: Cluster) -> None:
    """While nothing changes, no master is needed.

    All masters die, and a server of each group. Catches: a clerk or a server that asks the masters for each operation.
    """
    service = await Service.start(cluster, 2, A, B)
    ck = await service.clerk("ck-1")
    await service.put_all(ck)
    for name in service.masters:
        await cluster.kill(name)
    await service.check_all(ck)
    for group in service.groups.values():
        await cluster.kill(cluster.random.choice(group))
    for key in KEYS:
        await service.append(ck, key, "+")
    await service.check_all(ck, {key: f"{key}+" for key in KEYS})


# --- everything at once ----------------------------------------------------------------------------------------------


async def change_at_random(service: Service, by: str, over: asyncio.Event) -> None:
    """Moves a few shards, and has the second group leave and join, until it is over."""
    random = service.cluster.random
    while not over.is_set():
        lot = random.random()
        if lot < 0.7:
            await service.change(Move(random.randrange(4), random.choice([A, B])), by)
        elif lot < 0.8:
            await service.change(Leave(B), by)
        else:
            await service.change(Join(B, service.groups[B]), by)
        await service.cluster.sleep(random.uniform(0.0, 0.3))


async def share_keys(
    service: Service, masters: int, during: Callable[[], Awaitable[None]], patience: int = 1
) -> list[Clerk]:
    """Five clerks use a key in each of four shards during something, while master clerks change configurations.

    Afterwards everything has to be answered, and the last configuration to be carried out.
    """
    cluster = service.cluster
    clerks = [await service.clerk(f"ck-{client}") for client in range(5)]
    changing = [f"mck-{number}" for number in range(masters)]
    for name in changing:
        await service.master_clerk(name)
    over = asyncio.Event()
    busy = [cluster.spawn(use_shared_keys(ck, over, KEYS[:4])) for ck in clerks]
    busy += [cluster.spawn(change_at_random(service, name, over)) for name in changing]
    await during()
    over.set()
    for name, task in zip([*(ck.name for ck in clerks), *changing], busy, strict=True):
        await service.finish(task, f"what {name} had asked last", within=(1 + patience) * ANSWER_WITHIN)
    await service.settle(within=(1 + patience) * SETTLE_WITHIN)
    return clerks


@graded(part="B+", points=2, within=120.0)
async def test_shared_keys(cluster: Cluster) -> None:
    """Clients that share keys while shards move.

    Catches: whatever is not linearizable: a group that serves a little longer than it should, or before it has all.
    """
    service = await Service.start(cluster, 2, A, B)
    await share_keys(service, 1, lambda: cluster.sleep(4.0))


@graded(part="B+", points=2, within=150.0)
async def test_shared_keys_evil(cluster: Cluster) -> None:
    """Clients that share keys while shards move; lost, doubled and reordered messages.

    Masters lose messages, too, and two clerks of theirs change configurations. Catches: an old request that comes a
    second time; part of a shard that comes again when the shard has long been written, or gone.
    """
    service = await Service.start(cluster, 2, A, B)
    service.tap(EVIL, *service.masters)
    await share_keys(service, 2, lambda: cluster.sleep(4.0), patience=2)


@graded(part="B+", points=2, within=180.0)
async def test_storm(cluster: Cluster) -> None:
    """Whatever happens to masters and groups, the service is linearizable.

    Clerks that share keys go on while shards move, and links, messages and servers fail in all manners. Then all but
    the dead recover: everything has to be answered, and each shard to be in one place. Catches: what nobody thought of.
    """
    service = await Service.start(cluster, 2, A, B)
    storm = Storm(cluster, service.masters, *service.groups.values(), deaths=cluster.random.randrange(4))
    clerks = await share_keys(service, 2, lambda: storm.rage(6.0), patience=2)
    for key in KEYS[:4]:
        await service.check_same([*clerks[:2], await service.clerk(f"ck-after-{key}")], key)
