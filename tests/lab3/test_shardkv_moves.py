"""ShardKV in the simulated world: what befalls shards on their way, beyond what is asked of every solution."""

from typing import Any, Final

import pytest

from common.protocol import Config, GetShards, Join, Leave, Move, Query, shard_of
from lab3_shardkv.shardkv import core
from labs.cluster import Clerk, Cluster
from labs.faults import EVIL
from labs.sim.run import run

MASTERS: Final = ["sm-0", "sm-1", "sm-2"]
KEYS: Final = "0123456789"
SETTLED_WITHIN: Final = 20.0


def servers_of(gid: int, incarnation: str = "") -> list[str]:
    """The names of a group's servers."""
    return [f"kv-{gid}-{number}{incarnation}" for number in range(3)]


class Service:
    """Masters, groups, and a clerk of each kind."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.clerk = Clerk(cluster, "ck")
        self.expected = dict.fromkeys(KEYS, "")

    async def start(self, *gids: int) -> None:
        """Groups join in this order. The first has all shards, with a key in each, before the second comes."""
        for name in MASTERS:
            await self.cluster.start("shardmaster", name, servers=MASTERS)
        await self.cluster.start("masterclerk", "mck", servers=MASTERS)
        await self.cluster.start("clerk", "ck", masters=MASTERS)
        for gid in gids:
            await self.start_group(gid)
            await self.join(gid)
            if gid == gids[0]:
                await self.write()
        await self.settle(*gids)

    async def start_group(self, gid: int, incarnation: str = "") -> None:
        """Starts the servers of a group."""
        servers = servers_of(gid, incarnation)
        for name in servers:
            await self.cluster.start("shardkv", name, gid=gid, masters=MASTERS, servers=servers)

    async def join(self, gid: int, incarnation: str = "") -> None:
        """A group joins."""
        await self.cluster.call("mck", Join(gid, servers_of(gid, incarnation)))

    async def write(self) -> None:
        """Adds something to every key."""
        for key in KEYS:
            await self.clerk.append(key, "x")
            self.expected[key] += "x"

    async def check(self) -> None:
        """Every key has what was written."""
        for key in KEYS:
            assert await self.clerk.get(key) == self.expected[key]

    async def config(self) -> Config:
        """The newest configuration."""
        return await self.cluster.call("mck", Query(-1))

    async def settle(self, *gids: int, without: tuple[str, ...] = (), within: float = SETTLED_WITHIN) -> None:
        """Waits until each shard is where it belongs, and nowhere else in these groups."""
        config = await self.config()
        names = [(gid, name) for gid in gids for name in servers_of(gid) if name not in without]

        async def is_so() -> bool:
            for gid, name in names:
                here = await self.cluster.call(name, GetShards())
                wanted = ["serving" if owner == gid else "gone" for owner in config.shards]
                if here.num != config.num or [shard.state for shard in here.shards] != wanted:
                    return False
            return True

        await self.cluster.until(is_so, within=within, what=f"shards as in {config}")


def passes(scenario: Any, seed: int) -> None:
    """Runs a scenario that has to pass."""

    async def with_service(cluster: Cluster) -> None:
        await scenario(Service(cluster), cluster)

    outcome = run(with_service, "lab3_shardkv", seed)
    assert outcome.status == "passed", outcome.message


@pytest.mark.parametrize("seed", range(5))
def test_a_group_that_never_lived_harms_nobody_once_it_has_left(seed: int) -> None:
    async def scenario(service: Service, cluster: Cluster) -> None:
        await service.start(100, 101)
        await service.join(102)  # its servers are not there
        await cluster.sleep(1.0)
        config = await service.config()
        served = [key for key in KEYS if config.shards[shard_of(key, 10)] != 102]
        assert len(served) == 7
        for key in served:
            assert await service.clerk.get(key) == "x", "what does not move is served"
        await cluster.call("mck", Leave(102))
        await service.settle(100, 101)
        await service.write()
        await service.check()
        await service.start_group(102)
        await service.join(102)
        await service.settle(100, 101, 102)
        await service.check()

    passes(scenario, seed)


@pytest.mark.parametrize("seed", range(3))
def test_the_only_group_is_replaced_by_one_with_its_number(seed: int) -> None:
    async def scenario(service: Service, cluster: Cluster) -> None:
        await service.start(100)
        await cluster.call("mck", Leave(100))
        await service.start_group(100, "-new")
        await service.join(100, "-new")
        await service.check()

        async def old_ones_are_empty() -> bool:
            said = [await cluster.call(name, GetShards()) for name in servers_of(100)]
            return all(shard.state == "gone" for here in said for shard in here.shards)

        await cluster.until(old_ones_are_empty, within=SETTLED_WITHIN, what="the old servers have nothing")
        for name in servers_of(100):
            await cluster.kill(name)
        await service.write()
        await service.check()

    passes(scenario, seed)


@pytest.mark.parametrize("seed", range(6))
def test_a_group_moves_its_shards_although_some_of_its_servers_see_nobody_else(seed: int) -> None:
    """Two of the three replicas reach neither masters nor the other group: perhaps one of them leads."""

    async def scenario(service: Service, cluster: Cluster) -> None:
        await service.start(100, 101)
        alone = [name for number, name in enumerate(servers_of(100)) if number != seed % 3]
        for name in alone:
            for other in (*MASTERS, *servers_of(101)):
                cluster.cut(name, other)
        await cluster.call("mck", Leave(100))
        await service.settle(100, 101)
        await service.check()

    passes(scenario, seed)


@pytest.mark.parametrize("seed", range(5))
def test_servers_that_lose_their_memory_while_shards_move(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MAX_PART", 500)

    async def scenario(service: Service, cluster: Cluster) -> None:
        await service.start(100, 101)
        for number in range(200):
            await service.clerk.put(f"0{number}", "v" * 50)
        shard = shard_of("0", 10)
        for name in (*servers_of(100), *servers_of(101)):
            cluster.tap(name, EVIL)
        restarted = [servers_of(gid)[seed % 3] for gid in (100, 101)]
        for round_number in range(6):
            await cluster.call("mck", Move(shard, 100 + round_number % 2), timeout=None)
            if round_number in (1, 3):
                await cluster.sleep(0.05 * cluster.random.random())
                name = restarted[round_number // 2]
                await cluster.kill(name)
                await cluster.restart(name)
            await service.write()
        await service.settle(100, 101)
        await service.check()
        for number in range(200):
            assert await service.clerk.get(f"0{number}") == "v" * 50

    passes(scenario, seed)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("seed", range(3))
def test_one_of_each_group_is_dead_when_shards_move(seed: int, place: int) -> None:
    """One of the three led. That it is dead is noticed within two seconds."""

    async def scenario(service: Service, cluster: Cluster) -> None:
        await service.start(100, 101)
        dead = servers_of(101)[place], servers_of(100)[(place + seed) % 3]
        for name in dead:
            await cluster.kill(name)
        for shard in range(10):
            await cluster.call("mck", Move(shard, 101))
        await service.settle(100, 101, without=dead, within=2.0)
        await service.check()

    passes(scenario, seed)


@pytest.mark.parametrize("gid", [100, 101])
@pytest.mark.parametrize("place", range(3))
def test_a_server_dies_while_a_large_shard_is_on_its_way(gid: int, place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MAX_PART", 200)

    async def scenario(service: Service, cluster: Cluster) -> None:
        await service.start(100)
        for number in range(150):
            await service.clerk.put(f"0{number}", "v" * 50)
        await service.start_group(101)
        shard = shard_of("0", 10)
        await service.join(101)
        await cluster.call("mck", Move(shard, 101))

        async def half_of_it_is_there() -> bool:
            here = [(await cluster.call(name, GetShards())).shards[shard] for name in servers_of(101)]
            return any(each.state == "arriving" and each.keys > 30 for each in here)

        await cluster.until(half_of_it_is_there, within=5.0, what="a part of the shard has come", every=0.002)
        dead = servers_of(gid)[place]
        await cluster.kill(dead)
        await service.settle(100, 101, without=(dead,), within=4.0)
        await service.check()
        assert [await service.clerk.get(f"0{number}") for number in range(150)] == ["v" * 50] * 150

    passes(scenario, 10 * gid + place)


@pytest.mark.parametrize("seed", range(3))
def test_a_clerk_leaves_a_server_that_knows_less_than_itself(seed: int) -> None:
    """It lost its memory and reaches nobody who could help: for ever it will say that the shard is not its group's."""

    async def scenario(service: Service, cluster: Cluster) -> None:
        await service.start(100)
        first, *others = servers_of(100)
        await cluster.kill(first)
        cluster.partition([first], others)
        await cluster.restart(first)
        await cluster.start("clerk", "newcomer", masters=MASTERS)
        newcomer = Clerk(cluster, "newcomer")
        reading = cluster.spawn(newcomer.get("0"))
        assert await cluster.finishes(reading, within=5.0)
        assert reading.result() == "x"

    passes(scenario, seed)
