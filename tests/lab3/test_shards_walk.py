"""Long random walks: groups come, go, come back with other servers, and shards move, with every kind of trouble.

Messages are lost, come twice and late; replicas lag and lose their memory; groups sleep through many configurations,
and some are named that never live. When the walk is over, everything that is to be done gets done: then each shard
must be where it belongs, with all that was ever written, and nowhere else.
"""

from typing import Final

import pytest

from common.protocol import NOBODY
from lab3_shardkv.shardkv import core
from lab3_shardkv.shardkv.messages import Owner
from tests.lab3 import planted_shards
from tests.lab3.groups import SHARDS, MakeGroup, World

WALKS: Final = 200
STEPS: Final = 1500
CONFIGS: Final = 25
KEPT: Final = 60
"""Lines of the trace that a failure shows."""
PHANTOM: Final = 9
"""A group that never lives."""

ODDS: Final = {
    "follow": 10,
    "send": 25,
    "deliver": 35,
    "duplicate": 8,
    "lose": 5,
    "ask": 15,
    "ask again": 8,
    "catch up": 10,
    "lose memory": 1,
    "configure": 2,
    "sleep": 1,
    "wake": 2,
    "retire": 1,
}


class Walk:
    """One walk. It is the same for the same seed."""

    def __init__(self, seed: int, make: MakeGroup = core.Group) -> None:
        self.world = World(seed, make)
        self.random = self.world.random
        self.living: dict[int, list[str]] = {}
        """The servers of each group's last incarnation."""
        self.incarnations = 0
        self.asleep: set[int] = set()
        """Places of groups that do not answer."""
        for gid in (1, 2, 3):
            self.incarnate(gid)

    def incarnate(self, gid: int) -> None:
        """A group begins to live, with new servers."""
        self.incarnations += 1
        self.living[gid] = [f"{gid}-{self.incarnations}-{letter}" for letter in "xyz"]
        self.world.add(gid, self.living[gid])

    def configure(self, last: bool = False) -> None:
        """The masters decide on something: a shard or all go somewhere, or a group is replaced by another."""
        world, random = self.world, self.random
        old = world.configs[-1]
        groups = dict(old.groups)
        shards = list(old.shards)
        for gid in (1, 2, 3):
            if gid not in groups and (random.random() < 0.5 or last or old.num == 0):
                if random.random() < 0.2 or world.find(Owner(gid, self.living[gid])) is None:
                    self.incarnate(gid)
                groups[gid] = self.living[gid]
        first = old.num == 0  # whoever has a shard first has to live: it serves without asking anybody
        if not last and not first and random.random() < 0.3:
            groups[PHANTOM] = ["nobody-x", "nobody-y", "nobody-z"]
        if not last and not first and groups and random.random() < 0.25:
            del groups[random.choice(list(groups))]
        if last:
            groups.pop(PHANTOM, None)
        owners = [*groups, NOBODY] if random.random() < 0.1 and not last and not first else list(groups)
        for shard in range(SHARDS):
            if shards[shard] not in groups or random.random() < 0.5:
                shards[shard] = random.choice(owners or [NOBODY])
        world.configure(shards, groups)

    def step(self, verb: str) -> None:
        """Does one thing."""
        world, random = self.world, self.random
        awake = [group for place, group in enumerate(world.groups) if place not in self.asleep]
        group = random.choice(awake or world.groups)
        lagging = random.randrange(1, len(group.replicas))
        match verb:
            case "follow":
                world.follow(group)
            case "send":
                world.send(group)
            case "deliver" | "duplicate" if world.under_way:
                place = random.randrange(len(world.under_way))
                message = world.under_way[place]
                if verb == "deliver":
                    del world.under_way[place]
                receiver = world.find(message.handover.to if message.answer is None else message.sender)
                if receiver in awake:
                    world.deliver(message)
            case "lose" if world.under_way:
                del world.under_way[random.randrange(len(world.under_way))]
            case "ask":
                world.ask(random.randrange(4))
            case "ask again":
                world.ask_again()
            case "catch up":
                group.catch_up(lagging, random.randrange(8))
            case "lose memory":
                group.lose_memory(lagging)
            case "configure" if len(world.configs) < CONFIGS:
                self.configure()
            case "sleep" if len(self.asleep) < 2:
                self.asleep.add(random.randrange(len(world.groups)))
            case "retire" if world.configs[-1].groups.get(group.gid) != group.servers and group.front.config.num > 0:
                if all(holding.state == "gone" for holding in group.front.holdings):
                    world.trace.append(f"{group.gid} {group.servers[0]} is shut down")
                    world.groups.remove(group)
                    self.asleep.clear()
            case "wake":
                self.asleep.clear()


def walk(seed: int, make: MakeGroup = core.Group, steps: int = STEPS) -> Walk:
    """A walk, and the peace after it. Raises `AssertionError` if something is wrong, with the end of the trace."""
    walk = Walk(seed, make)
    try:
        for verb in walk.random.choices(list(ODDS), list(ODDS.values()), k=steps):
            walk.step(verb)
        walk.configure(last=True)
        walk.world.peace()
        walk.world.check_end()
    except AssertionError as error:
        trace = "\n".join(walk.world.trace[-KEPT:])
        raise AssertionError(f"walk {seed}: {error}\n{trace}") from error
    return walk


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MAX_PART", 12)
    monkeypatch.setattr(core, "MAX_CLIENTS", 2)


@pytest.mark.parametrize("seeds", [range(first, first + 20) for first in range(0, WALKS, 20)], ids=str)
def test_each_shard_is_served_by_one_group_at_most_and_ends_where_it_belongs(seeds: range) -> None:
    moves = sum(walk(seed).world.moves for seed in seeds)
    assert moves > 20 * len(seeds) / 10, "expected walks in which shards move"


@pytest.mark.parametrize("mistake", planted_shards.ALL, ids=lambda mistake: mistake.__name__)
def test_a_planted_mistake_is_met(mistake: type[core.Group]) -> None:
    def walks() -> None:
        for seed in range(WALKS):
            walk(seed, mistake)

    with pytest.raises(AssertionError, match="walk"):
        walks()
