"""The shard master: replicas sm-0, sm-1 … of one history of configurations, of which a majority is enough.

Each test brings its own starting state. Clerks know one master, some, or all. Besides what a test says itself, the
whole history is looked at: each configuration has to follow from the one before by one change that somebody asked for,
evenly shared out, with as few shards as possible in new hands; and every master has to have the same.
"""

import asyncio
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from common.protocol import DEFAULT_SHARDS, NOBODY, Config, Join, Leave, Min, Move, Query
from labs.cluster import CallFailed, Cluster, NotInTime
from labs.faults import EVIL, UNRELIABLE, Faults
from labs.grading import expect_equal, graded
from labs.storm import Storm

SUITE = "shardmaster"

ANSWER_WITHIN: Final = 10.0
"""Seconds in which an operation has to be answered while a majority of the masters can be reached."""
A_WHILE: Final = 1.0
"""Seconds in which an answer that must not come would have come."""
MEGABYTE: Final = 1_000_000

Change = Join | Leave | Move
NEWEST: Final = Query(-1)


# --- what a configuration has to be ----------------------------------------------------------------------------------


def said(request: Change | Query) -> str:
    """A request for people."""
    fields = (getattr(request, field) for field in request.__struct_fields__)
    return f"{type(request).__name__}({', '.join(map(repr, fields))})"


def shown(config: Config) -> str:
    """A configuration for people."""
    return f"configuration {config.num} (groups {sorted(config.groups)}, shards {config.shards})"


def changes_nothing(config: Config, change: Change) -> bool:
    """After this change everything is as in `config`."""
    if isinstance(change, Join):
        return change.gid in config.groups
    if isinstance(change, Leave):
        return change.gid not in config.groups
    there = change.gid in config.groups and 0 <= change.shard < len(config.shards)
    return not there or is_where_it_was(config, change)


def is_where_it_was(config: Config, change: Change) -> bool:
    """A Move of a shard to the group that has it. Whether that makes a configuration more is left open."""
    return isinstance(change, Move) and (change.shard, change.gid) in enumerate(config.shards)


def check_shared_out(config: Config, gids: Collection[int]) -> None:
    """The groups are these, and no group has two shards more than another."""
    expect_equal(f"the groups of configuration {config.num}", sorted(config.groups), sorted(gids))
    for shard, gid in enumerate(config.shards):
        if gid not in (gids or [NOBODY]):
            raise AssertionError(
                f"shard {shard} belongs to {gid}, expected one of {sorted(gids) or 'nobody (0)'}: {shown(config)}"
            )
    sizes = {gid: config.shards.count(gid) for gid in gids}
    if sizes and max(sizes.values()) - min(sizes.values()) > 1:
        raise AssertionError(f"the groups have {sizes} shards, expected at most one more than another: {shown(config)}")


def fewest_moves(shards: Sequence[int], gids: Collection[int]) -> int:
    """The shards that have to change hands for these groups to have even shares.

    With n shards and k groups each gets n // k, and n % k of them one more. `kept[j]` is the most that can stay where
    it is, over all choices of the j that get one more among the groups looked at so far.
    """
    if not gids:
        return sum(gid != NOBODY for gid in shards)
    share, more = divmod(len(shards), len(gids))
    never = -len(shards)
    kept = [0] + [never] * more
    for gid in gids:
        has = shards.count(gid)
        with_more = [never, *(before + min(has, share + 1) for before in kept[:-1])]
        kept = [max(before + min(has, share), other) for before, other in zip(kept, with_more, strict=True)]
    return len(shards) - kept[more]


def explain(before: Config, after: Config) -> Change | None:
    """The one change that leads from one configuration to the next; None for a Move to where the shard was.

    Raises `AssertionError` if there is no such change, or if it was done in a wrong way.
    """
    step = f"from {shown(before)} to {shown(after)}"
    expect_equal("the number of the next configuration", after.num, before.num + 1, step)
    expect_equal("the number of shards", len(after.shards), len(before.shards), step)
    came, gone = after.groups.keys() - before.groups.keys(), before.groups.keys() - after.groups.keys()
    if len(came) + len(gone) > 1:
        raise AssertionError(f"groups {sorted(came)} came and {sorted(gone)} went in one step, {step}")
    for gid in after.groups.keys() & before.groups.keys():
        expect_equal(
            f"the servers of group {gid}", after.groups[gid], before.groups[gid], f"nobody changed them, {step}"
        )
    moved = [shard for shard, gid in enumerate(after.shards) if gid != before.shards[shard]]
    if came or gone:
        check_shared_out(after, after.groups)
        fewest = fewest_moves(before.shards, after.groups)
        if len(moved) != fewest:
            raise AssertionError(
                f"{len(moved)} shards changed hands ({moved}), and {fewest} would have been enough, {step}: whatever a "
                f"group may keep it should keep"
            )
        return Join(gid := came.pop(), after.groups[gid]) if came else Leave(gone.pop())
    if len(moved) > 1:
        raise AssertionError(f"shards {moved} changed hands though no group came or went, {step}: a Move moves one")
    return Move(moved[0], after.shards[moved[0]]) if moved else None


def check_history(configs: Sequence[Config]) -> None:
    """Configuration 0 has nothing, and each follows from the one before by one change."""
    first = configs[0]
    expect_equal("Query(0)", (first.num, first.groups, set(first.shards)), (0, {}, {NOBODY}))
    for before, after in pairwise(configs):
        explain(before, after)


# --- masters and clerks ----------------------------------------------------------------------------------------------


class Asked:
    """A request, with what is known of it."""

    def __init__(self, request: Change | Query, by: str, start: float) -> None:
        self.request = request
        self.by = by
        self.start = start
        self.end = float("inf")
        self.config: Config | None = None
        """What a Query was answered."""

    def __str__(self) -> str:
        return f"{said(self.request)} by {self.by}"


class Clerk:
    """A clerk of the masters, asked one thing at a time. What it was asked and answered stays in `masters.asked`."""

    def __init__(self, masters: "Masters", name: str) -> None:
        self.masters = masters
        self.cluster = masters.cluster
        self.name = name

    async def ask(self, request: Change | Query, within: float | None = None) -> Config | None:
        """Has this done, in so many seconds or for as long as that takes. A Query gives its configuration."""
        asked = Asked(request, self.name, self.cluster.now())
        self.masters.asked.append(asked)
        try:
            reply = await self.cluster.call(self.name, request, timeout=within)
        except CallFailed:
            self.cluster.check()
            raise NotInTime(f"{asked} was not answered" + (f" within {within:g} s" if within else "")) from None
        asked.end = self.cluster.now()
        if isinstance(reply, Config):
            asked.config = reply
        return asked.config

    async def do(self, request: Change | Query) -> Config | None:
        """What has to be answered soon."""
        return await self.ask(request, within=ANSWER_WITHIN * self.cluster.patience)

    async def join(self, gid: int, *servers: str) -> None:
        """A group comes, by default with three servers."""
        await self.do(Join(gid, list(servers) or [f"kv-{gid}-{number}" for number in range(3)]))

    async def leave(self, gid: int) -> None:
        """A group goes."""
        await self.do(Leave(gid))

    async def move(self, shard: int, gid: int) -> None:
        """A shard gets to a group."""
        await self.do(Move(shard, gid))

    async def query(self, num: int = -1) -> Config:
        """A configuration, the newest by default."""
        config = await self.do(Query(num))
        assert config is not None
        return config

    async def check(self, *gids: int) -> Config:
        """The newest configuration, which has to have these groups, evenly shared out."""
        config = await self.query()
        check_shared_out(config, gids)
        return config

    async def change(self, change: Change) -> Config:
        """Has a change done, while nobody else changes anything, and gives the newest configuration after it.

        That has to be the right one. (A Move to where the shard was may make a new configuration, or not.)
        """
        before = await self.query()
        await self.do(change)
        after = await self.query()
        hint = f"the newest before was {shown(before)}"
        if not changes_nothing(before, change):
            expect_equal(f"the newest number after {said(change)}", after.num, before.num + 1, hint)
            expect_equal("the change that shows in it", explain(before, after), change, hint)
        elif after.num == before.num or not is_where_it_was(before, change):
            expect_equal(f"the newest configuration after {said(change)}", shown(after), shown(before), hint)
            expect_equal(f"the servers after {said(change)}", after.groups, before.groups, hint)
        else:
            expect_equal("the change that shows in it", explain(before, after), None, hint)
        return after


class Masters:
    """The masters of one test, and their clerks."""

    def __init__(self, cluster: Cluster, count: int, prefix: str = "sm") -> None:
        self.cluster = cluster
        self.names = [f"{prefix}-{number}" for number in range(count)]
        self.asked: list[Asked] = []
        self._at: list[Clerk] = []

    @classmethod
    async def start(cls, cluster: Cluster, count: int = 3, shards: int | None = None, prefix: str = "sm") -> "Masters":
        """So many masters of so many shards."""
        masters = cls(cluster, count, prefix)
        arguments = {} if shards is None else {"shards": shards}
        for name in masters.names:
            await cluster.start("shardmaster", name, servers=masters.names, **arguments)
        return masters

    async def clerk(self, name: str, *numbers: int) -> Clerk:
        """A clerk that knows the masters of these numbers in this order; without any, it knows all."""
        known = [self.names[number] for number in numbers] or self.names
        await self.cluster.start("masterclerk", name, servers=known)
        return Clerk(self, name)

    async def clerk_each(self) -> list[Clerk]:
        """For each master a clerk that knows no other."""
        if not self._at:
            self._at = [await self.clerk(f"mck-at-{name}", number) for number, name in enumerate(self.names)]
        return self._at

    # --- faults ------------------------------------------------------------------------------------------------------

    def tap(self, faults: Faults) -> None:
        """From now on all masters are reached, by others and by clerks, with these faults only."""
        for name in self.names:
            self.cluster.tap(name, faults)

    def part(self, *groups: str) -> None:
        """Parts the masters into groups, such as "02" for sm-0 and sm-2."""
        self.cluster.partition(*([self.names[int(number)] for number in group] for group in groups))

    def corner(self, ck: Clerk, *numbers: int) -> None:
        """From now on the clerk reaches the masters of these numbers only."""
        for number, name in enumerate(self.names):
            if number in numbers:
                self.cluster.join(ck.name, name)
            else:
                self.cluster.cut(ck.name, name)

    # --- waiting -----------------------------------------------------------------------------------------------------

    async def finish(
        self, task: "asyncio.Task[Config | None]", what: str, within: float = ANSWER_WITHIN
    ) -> Config | None:
        """The result of an operation under way, which has to come soon."""
        within *= self.cluster.patience
        if not await self.cluster.finishes(task, within):
            task.cancel()
            raise NotInTime(f"{what} was not answered within {within:g} s")
        return task.result()

    async def unanswered(self, task: "asyncio.Task[Any]", what: str, hint: str, within: float = A_WHILE) -> None:
        """For a while, the operation may not be answered."""
        if await self.cluster.finishes(task, within):
            raise AssertionError(f"{what} was answered ({task.result()!r}), though {hint}")

    async def until_forgotten(self, name: str, instances: int, why: str) -> None:
        """Waits until a master's Min is past so many instances."""
        lowest = 0

        async def forgotten() -> bool:
            nonlocal lowest
            lowest = await self.lowest(name)
            return lowest > instances

        await self.cluster.until(
            forgotten, ANSWER_WITHIN, lambda: f"Min() at {name} to be above {instances} (it is {lowest}): {why}", 0.1
        )

    async def lowest(self, name: str) -> int:
        """A master's Min: all instances before it are forgotten."""
        return (await self.cluster.call(name, Min())).seq

    # --- what all of them have ---------------------------------------------------------------------------------------

    async def agreed(self) -> list[Config]:
        """All configurations, which have to be the same at every master that runs, and each follow from the last."""
        at = [ck for ck, name in zip(await self.clerk_each(), self.names, strict=True) if self.cluster.running(name)]
        newest = await at[0].query()
        configs = [await at[0].query(num) for num in range(newest.num + 1)]
        for num, config in enumerate(configs):
            expect_equal(f"the number of the answer to Query({num}) by {at[0].name}", config.num, num)
        check_history(configs)
        expect_equal(f"Query(-1) by {at[0].name}", newest, configs[-1], f"it has number {newest.num}")
        for ck in at[1:]:
            for config in configs:
                expect_equal(
                    f"Query({config.num}) by {ck.name}",
                    await ck.query(config.num),
                    config,
                    f"that is what {at[0].name} was told: does the result depend on the order of a dict or set?",
                )
            expect_equal(f"Query(-1) by {ck.name}", await ck.query(), newest, f"{at[0].name} was told so")
        return configs

    async def check_all(self) -> None:
        """All masters have the same history, and it is one of what the clerks asked, in an order that can be.

        Nobody may have asked for the same change twice: by that one knows which configuration is whose.
        """
        asked = list(self.asked)
        check_order(await self.agreed(), asked)


class Placed(NamedTuple):
    """An operation, and the newest configuration right before and right after it."""

    asked: Asked
    before: int
    after: int


def check_order(configs: Sequence[Config], asked: Sequence[Asked]) -> None:
    """Each operation took effect once, between question and answer; each Query gave what was newest then.

    `asked` has Queries for the newest and changes, each change once.
    """
    by_change = {said(one.request): one for one in asked if not isinstance(one.request, Query)}
    made: dict[str, int] = {}
    for before, after in pairwise(configs):
        change = explain(before, after)
        if change is None:
            if not any(is_where_it_was(before, one.request) for one in asked if isinstance(one.request, Move)):
                raise AssertionError(f"{shown(after)} is as the one before, though nobody asked for a Move to nowhere")
            continue
        what = said(change)
        if what not in by_change:
            raise AssertionError(f"configuration {after.num} comes from {what}, which nobody asked for")
        if what in made:
            raise AssertionError(
                f"{by_change[what]} made configuration {made[what]}, and {after.num} again: a request that was retried "
                f"or doubled by the network was executed a second time"
            )
        made[what] = after.num
    placed: list[Placed] = []
    for one in sorted(asked, key=lambda one: one.start):
        place = _place(configs, made, placed, one)
        if place is not None:
            placed.append(place)
    for first in placed:
        for then in placed:
            if first.asked.end < then.asked.start and first.after > then.before:
                raise AssertionError(
                    f"{then.asked} came before configuration {then.before + 1} was made, but was asked only after "
                    f"{first.asked} had been answered, and that came after configuration {first.after} was made: "
                    f"what was answered has to show in all that is asked later"
                )


def _place(configs: Sequence[Config], made: dict[str, int], placed: Sequence[Placed], one: Asked) -> Placed | None:
    """Where an operation stands. None if it was never answered and never done."""
    request = one.request
    if isinstance(request, Query):
        if one.config is None:
            return None
        later = configs[one.config.num] if one.config.num < len(configs) else None
        expect_equal(str(one), one.config, later, "all masters say now that this configuration is another")
        return Placed(one, one.config.num, one.config.num)
    num = made.get(said(request))
    if num is not None:
        return Placed(one, num - 1, num)
    if one.end == float("inf"):
        return None
    earliest = max((other.after for other in placed if other.asked.end < one.start), default=0)
    for config in configs[earliest:]:
        if changes_nothing(config, request):
            return Placed(one, config.num, config.num)
    raise AssertionError(f"{one} was answered, but there is no configuration that comes from it")


# --- the nine of 2015 ------------------------------------------------------------------------------------------------


@graded(part="A", points=1, within=60.0)
async def test_basic(cluster: Cluster) -> None:
    """Basic leave/join.

    Catches: groups or shards that are lost; shares that are not even.
    """
    ck = await (await Masters.start(cluster)).clerk("mck")
    await ck.check()
    await ck.join(1, "x", "y", "z")
    await ck.check(1)
    await ck.join(2, "a", "b", "c")
    await ck.check(1, 2)
    await ck.join(2, "a", "b", "c")
    config = await ck.check(1, 2)
    expect_equal("the servers", config.groups, {1: ["x", "y", "z"], 2: ["a", "b", "c"]})
    await ck.leave(1)
    await ck.check(2)
    await ck.leave(1)
    await ck.check(2)
    await ck.leave(2)
    await ck.check()


@graded(part="A", points=1, within=60.0)
async def test_historical_queries(cluster: Cluster) -> None:
    """Historical queries.

    Six configurations are asked for again by their numbers. Catches: configurations that share what changes later.
    """
    ck = await (await Masters.start(cluster)).clerk("mck")
    seen = [await ck.query()]
    for change in (Join(1, ["x", "y", "z"]), Join(2, ["a", "b", "c"]), Join(2, ["a", "b", "c"]), Leave(1), Leave(1)):
        await ck.do(change)
        seen.append(await ck.query())
    for config in seen:
        expect_equal(f"Query({config.num})", await ck.query(config.num), config, "that is what it was at first")


@graded(part="A", points=1, within=60.0)
async def test_move(cluster: Cluster) -> None:
    """Move.

    The lower half of the shards goes to one group and the upper half to the other, and then the other way round.
    Catches: a Move that does nothing, makes no new configuration, or shares the shards out anew.
    """
    ck = await (await Masters.start(cluster)).clerk("mck")
    await ck.join(503, "3a", "3b", "3c")
    await ck.join(504, "4a", "4b", "4c")
    for first, second in ((503, 504), (504, 503)):
        half = DEFAULT_SHARDS // 2
        wanted = [first] * half + [second] * (DEFAULT_SHARDS - half)
        for shard, gid in enumerate(wanted):
            before = await ck.query()
            await ck.move(shard, gid)
            after = await ck.query()
            if before.shards[shard] != gid and after.num <= before.num:
                raise AssertionError(
                    f"the newest number was {before.num} before Move({shard}, {gid}), and {after.num} after it"
                )
        expect_equal("the shards after all Moves", (await ck.query()).shards, wanted, "a Move moves one shard only")
    for gid in (503, 504):
        await ck.leave(gid)
    await ck.check()


async def ten_groups(masters: Masters) -> None:
    """Groups 1 to 10, with the help of others that come and go, all at once; each clerk knows one master."""

    async def join_and_leave(gid: int) -> None:
        first, then = (gid - 1) % 3, gid % 3
        one, other = await masters.clerk(f"mck-{gid}-a", first), await masters.clerk(f"mck-{gid}-b", then)
        await one.join(gid + 1000, f"s{gid}a", f"s{gid}b", f"s{gid}c")
        await one.join(gid, f"s{gid}a", f"s{gid}b", f"s{gid}c")
        await other.leave(gid + 1000)

    await masters.cluster.gather(*map(join_and_leave, range(1, 11)))


@graded(part="A", points=1, within=90.0)
async def test_concurrent(cluster: Cluster) -> None:
    """Concurrent leave/join.

    Group 1 was there before and comes again, group 2 is there already. Catches: a change that is lost because another
    master made the same configuration out of another.
    """
    masters = await Masters.start(cluster)
    ck = await masters.clerk("mck")
    for change in (Join(1, ["x", "y", "z"]), Join(2, ["a", "b", "c"]), Leave(1)):
        await ck.do(change)
    await ten_groups(masters)
    await ck.check(*range(1, 11))


@graded(part="A", points=1, within=90.0)
async def test_min(cluster: Cluster) -> None:
    """Min advances after joins.

    Catches: masters that never tell Paxos what they are done with.
    """
    masters = await Masters.start(cluster)
    await ten_groups(masters)
    for name in masters.names:
        await masters.until_forgotten(name, 0, "all masters have applied what was decided first")


@graded(part="A", points=1, within=60.0)
async def test_minimal_after_joins(cluster: Cluster) -> None:
    """Minimal transfers after joins.

    Five groups come to ten. Catches: shards that go from one old group to another.
    """
    ck = await (await Masters.start(cluster)).clerk("mck")
    old = range(1, 11)
    for gid in old:
        await ck.join(gid)
    before = await ck.query()
    for gid in range(11, 16):
        await ck.join(gid, f"{gid}a", f"{gid}b", f"{gid}c")
    after = await ck.query()
    for shard, gid in enumerate(after.shards):
        if gid in old and gid != before.shards[shard]:
            raise AssertionError(
                f"shard {shard} went from group {before.shards[shard]} to {gid}, which are both old: groups 11 to 15 "
                f"came, from {shown(before)} to {shown(after)}"
            )


@graded(part="A", points=1, within=60.0)
async def test_minimal_after_leaves(cluster: Cluster) -> None:
    """Minimal transfers after leaves.

    Five groups of fifteen go. Catches: shards taken away from a group that stays.
    """
    ck = await (await Masters.start(cluster)).clerk("mck")
    for gid in range(15, 0, -1):
        await ck.join(gid)
    before = await ck.query()
    for gid in range(11, 16):
        await ck.leave(gid)
    after = await ck.query()
    for shard, gid in enumerate(before.shards):
        if gid <= 10 and gid != after.shards[shard]:
            raise AssertionError(
                f"shard {shard} went from group {gid}, which stays, to {after.shards[shard]}: groups 11 to 15 went, "
                f"from {shown(before)} to {shown(after)}"
            )


@graded(part="A", points=1, within=120.0)
async def test_concurrent_and_failure(cluster: Cluster) -> None:
    """Concurrent leave/join, failure.

    Twenty clerks at two masters; meanwhile the third can no longer be called. Catches: more groups than shards done
    wrong; masters that wait for all of the others.
    """
    masters = await Masters.start(cluster)

    async def join_and_leave(gid: int) -> None:
        ck = await masters.clerk(f"mck-{gid}", 1 + cluster.random.randrange(2))
        await ck.join(gid + 1000, f"s{gid}a", f"s{gid}b", f"s{gid}c")
        await ck.join(gid, f"s{gid}a", f"s{gid}b", f"s{gid}c")
        await ck.leave(gid + 1000)
        cluster.deafen("sm-0")

    await cluster.gather(*map(join_and_leave, range(1, 21)))
    await (await masters.clerk("mck")).check(*range(1, 21))


@graded(part="A", points=2, within=60.0)
async def test_fresh_query(cluster: Cluster) -> None:
    """Query() returns latest configuration.

    The other masters cannot call sm-0, but it can call them. Catches: a Query answered from what the master has itself.
    """
    masters = await Masters.start(cluster)
    at = await masters.clerk_each()
    for name in ("sm-1", "sm-2"):
        cluster.cut(name, "sm-0")
    await at[1].join(1001, "sm-1")
    config = await at[0].query()
    if 1001 not in config.groups:
        raise AssertionError(f"Query(-1) at sm-0 gave {shown(config)}, but Join(1001) had been answered by sm-1")


# --- what the suite of 2015 let through: single steps ----------------------------------------------------------------


@graded(part="A+", points=1, within=60.0)
async def test_configuration_0(cluster: Cluster) -> None:
    """Configuration 0 has no groups.

    Catches: a first configuration that waits for the first group, or has another number.
    """
    masters = await Masters.start(cluster)
    nothing = Config(0, [NOBODY] * DEFAULT_SHARDS, {})
    for ck in await masters.clerk_each():
        for num in (-1, 0, 1, 1000):
            expect_equal(f"Query({num}) by {ck.name}", await ck.query(num), nothing, "nobody has joined")
    await (await masters.clerk("mck")).join(1)
    for ck in await masters.clerk_each():
        expect_equal(f"Query(0) by {ck.name}", await ck.query(0), nothing, "a configuration never changes")


@graded(part="A+", points=1, within=60.0)
async def test_query_beyond_the_newest(cluster: Cluster) -> None:
    """Query beyond the newest configuration gives the newest.

    After each change, each master is asked for numbers that there are not yet. Catches: an empty configuration, or one
    that the master has itself, where the newest of all was meant.
    """
    masters = await Masters.start(cluster)
    at = await masters.clerk_each()
    for turn in range(9):
        await at[turn % 3].join(turn + 1)
        ck = at[(turn + cluster.random.randrange(1, 3)) % 3]
        newest = await ck.query(turn + cluster.random.choice([2, 3, 1000, 2**31]))
        expect_equal("its number", newest.num, turn + 1, f"so many groups have joined; {ck.name} got {shown(newest)}")
        check_shared_out(newest, range(1, turn + 2))
    await masters.agreed()


@graded(part="A+", points=1, within=60.0)
async def test_every_master_has_what_another_answered(cluster: Cluster) -> None:
    """What one master has answered, every other knows.

    Each change at a random master, and at once a Query at each. Catches: a Query answered from what the master has
    itself.
    """
    masters = await Masters.start(cluster, 5)
    at = await masters.clerk_each()
    for gid in range(1, 13):
        await cluster.random.choice(at).join(gid)
        for ck in cluster.random.sample(at, 5):
            config = await ck.query()
            expect_equal(f"the number of Query(-1) by {ck.name}", config.num, gid, f"Join({gid}) had been answered")
    await masters.check_all()


@graded(part="A+", points=1, within=60.0)
async def test_repeated_join_and_leave(cluster: Cluster) -> None:
    """A Join of a group that is there, or a Leave of one that is not, changes nothing.

    Neither the number nor the servers nor who has which shard, even where Moves have made the shares uneven. Catches: a
    configuration more that is the same or shared out anew; a master that falls over a group that it does not know.
    """
    masters = await Masters.start(cluster)
    ck = await masters.clerk("mck")
    changes: list[Change] = [Leave(1), Join(1, ["x"]), Join(1, ["x"]), Join(1, ["y", "z"]), Leave(2), Join(2, ["a"])]
    changes += [Move(shard, 2) for shard in range(4)]
    changes += [Join(1, ["x"]), Join(2, ["b"]), Leave(3), Leave(NOBODY), Leave(1), Leave(1), Leave(2), Leave(2)]
    for change in changes:
        await ck.change(change)
    configs = await masters.agreed()
    expect_equal("the group in configuration 1", configs[1].groups, {1: ["x"]}, "it came with that server")


@graded(part="A+", points=1, within=60.0)
async def test_no_group_is_left(cluster: Cluster) -> None:
    """When the last group leaves, the shards are nobody's, and the next group gets all.

    Catches: a share computed by a division by the number of groups; shards that stay with a group that is gone.
    """
    masters = await Masters.start(cluster)
    ck = await masters.clerk("mck")
    for turn in range(1, 4):
        await ck.change(Join(turn, ["x"]))
        await ck.change(Join(turn + 10, ["y"]))
        await ck.change(Leave(turn))
        config = await ck.change(Leave(turn + 10))
        expect_equal("the shards without any group", config.shards, [NOBODY] * DEFAULT_SHARDS)
    await masters.agreed()


@graded(part="A+", points=2, within=90.0)
async def test_fewest_moves(cluster: Cluster) -> None:
    """Of all even shares those with the fewest moves.

    Groups with numbers in no order come and go, and after each change the shards in new hands are counted. Catches:
    sharing out from scratch; a group that has most and loses what it could keep; masters that do it differently.
    """
    masters = await Masters.start(cluster)
    ck, random = await masters.clerk("mck"), cluster.random
    gids = random.sample(range(1, 100), 6) + [random.randrange(2**31, 2**53) for _ in range(2)]
    present: set[int] = set()
    for _ in range(40):
        gid = random.choice(gids)
        await ck.change(Leave(gid) if gid in present and random.random() < 0.6 else Join(gid, [f"kv-{gid}"]))
        present = set((await ck.query()).groups)
    await masters.agreed()


@graded(part="A+", points=1, within=90.0)
async def test_fewest_moves_after_moves(cluster: Cluster) -> None:
    """A Join or Leave after Moves makes the shares even again, with the fewest moves.

    Moves stay until a group comes or goes. Catches: a Move that is lost or shared out at once; a master that takes for
    granted that the shares were even before.
    """
    masters = await Masters.start(cluster)
    ck, random = await masters.clerk("mck"), cluster.random
    for gid in (7, 3, 5):
        await ck.change(Join(gid, [f"kv-{gid}"]))
    for turn in range(8):
        gids = sorted((await ck.query()).groups)
        favourite = random.choice(gids)
        for shard in random.sample(range(DEFAULT_SHARDS), random.choice([2, 5, 8])):
            await ck.change(Move(shard, favourite if random.random() < 0.7 else random.choice(gids)))
        await ck.change(Leave(random.choice(gids)) if len(gids) > 4 else Join(100 - turn, [f"kv-{100 - turn}"]))
    await masters.agreed()


@graded(part="A+", points=1, within=60.0)
async def test_group_comes_again(cluster: Cluster) -> None:
    """A group that was there before may come again, with other servers.

    Catches: shards that a group is given back because it once had them; servers of long ago.
    """
    masters = await Masters.start(cluster)
    ck = await masters.clerk("mck")
    await ck.change(Join(1, ["a"]))
    await ck.change(Join(2, ["x"]))
    for letter in "bcd":
        await ck.change(Leave(1))
        config = await ck.change(Join(1, [letter, letter + letter]))
        expect_equal("the servers of group 1", config.groups[1], [letter, letter + letter], "it came again with them")
    configs = await masters.agreed()
    expect_equal("the servers of group 1 in configuration 1", configs[1].groups, {1: ["a"]})


@graded(part="A+", points=1, within=60.0)
async def test_more_groups_than_shards(cluster: Cluster) -> None:
    """With more groups than shards, those without a shard are next.

    Fourteen groups come for ten shards; then groups that have one go, until none is left. Catches: groups without
    shards that are forgotten; shards that move between groups that have one each.
    """
    masters = await Masters.start(cluster)
    ck, random = await masters.clerk("mck"), cluster.random
    for gid in random.sample(range(1, 100), 14):
        config = await ck.change(Join(gid, [f"kv-{gid}"]))
    while config.groups:
        have, idle = sorted(set(config.shards)), sorted(config.groups.keys() - set(config.shards))
        config = await ck.change(Leave(random.choice(idle if idle and random.random() < 0.2 else have)))
    await masters.agreed()


@graded(part="A+", points=1, within=60.0)
async def test_move_to_nowhere(cluster: Cluster) -> None:
    """A Move of a shard or to a group that is not there changes nothing.

    Catches: a shard that belongs to a group that nobody knows; a master that falls over the number of a shard.
    """
    masters = await Masters.start(cluster)
    ck = await masters.clerk("mck")
    await ck.change(Move(0, 1))
    for gid in (1, 2, 3):
        await ck.change(Join(gid, [f"kv-{gid}"]))
    await ck.change(Leave(2))
    for change in (Move(0, 2), Move(0, 77), Move(1, NOBODY), Move(DEFAULT_SHARDS, 1), Move(2**31, 3), Move(-1, 1)):
        await ck.change(change)
    await ck.change(Move(4, 3))
    await ck.change(Move(4, 1))
    await masters.agreed()


@graded(part="A+", points=1, within=90.0)
async def test_number_of_shards(cluster: Cluster) -> None:
    """The number of shards is what the masters are started with.

    One shard, 3, 16 (as in EECS 491) and 100. Catches: a constant in the place of the number.
    """
    for shards in (1, 3, 16, 100):
        masters = await Masters.start(cluster, shards=shards, prefix=f"sm{shards}")
        ck = await masters.clerk(f"mck{shards}")
        expect_equal("the shards of configuration 0", (await ck.query()).shards, [NOBODY] * shards)
        for gid in (4, 2, 3, 1):
            await ck.change(Join(gid, [f"kv-{gid}"]))
        await ck.change(Move(shards - 1, 1))
        await ck.change(Move(shards, 1))
        for gid in (2, 4):
            await ck.change(Leave(gid))
        await masters.agreed()


# --- many clerks -----------------------------------------------------------------------------------------------------


class Turns:
    """Clerks that use groups of their own, each of which comes, gets shards, and mostly goes again."""

    def __init__(self, masters: Masters) -> None:
        self.masters = masters
        self.gid = 0

    async def take(self, ck: Clerk, within: float | None = None) -> None:
        """One turn: no change in it is ever asked for a second time."""
        random = self.masters.cluster.random
        self.gid += 1
        gid = self.gid
        await ck.ask(Join(gid, [f"kv-{gid}"]), within)
        for shard in random.sample(range(DEFAULT_SHARDS), random.randrange(3)):
            await ck.ask(Move(shard, gid), within)
        if random.random() < 0.5:
            await ck.ask(NEWEST, within)
        if random.random() < 0.8:
            await ck.ask(Leave(gid), within)


async def many_clerks(cluster: Cluster, masters: Masters) -> None:
    """Five clerks take fifteen turns each; then all is looked at."""
    turns = Turns(masters)
    clerks = await five_clerks(masters)

    async def take_turns(ck: Clerk) -> None:
        for _ in range(15):
            await turns.take(ck, within=ANSWER_WITHIN * cluster.patience)

    await cluster.gather(*map(take_turns, clerks))
    for name in masters.names:
        cluster.untap(name)
    await masters.check_all()


async def five_clerks(masters: Masters) -> list[Clerk]:
    """Clerks that know all masters, each in an order of its own."""
    numbers = range(len(masters.names))
    return [
        await masters.clerk(f"mck-{number}", *masters.cluster.random.sample(numbers, len(numbers)))
        for number in range(5)
    ]


@graded(part="A+", points=1, within=90.0)
async def test_many_clerks(cluster: Cluster) -> None:
    """Many clerks at all masters.

    Catches: a change made of another configuration than the newest; a Query that is behind; an order that differs.
    """
    await many_clerks(cluster, await Masters.start(cluster))


@graded(part="A+", points=1, within=120.0)
async def test_many_clerks_unreliable(cluster: Cluster) -> None:
    """Many clerks, unreliable RPC.

    Catches: a change that is executed again because its reply was lost.
    """
    masters = await Masters.start(cluster)
    masters.tap(UNRELIABLE)
    await many_clerks(cluster, masters)


@graded(part="A+", points=1, within=120.0)
async def test_many_clerks_evil(cluster: Cluster) -> None:
    """Many clerks; lost, doubled and reordered messages.

    Catches: a copy of a request that comes late and is executed again.
    """
    masters = await Masters.start(cluster)
    masters.tap(EVIL)
    await many_clerks(cluster, masters)


# --- at most once ----------------------------------------------------------------------------------------------------


async def two_groups(masters: Masters, ck: Clerk) -> None:
    """Groups 1 and 2 are there, and shard 0 belongs to 1."""
    await ck.join(1)
    await ck.join(2)
    await ck.move(0, 1)


@graded(part="A+", points=1, within=60.0)
async def test_late_retry_of_a_move(cluster: Cluster) -> None:
    """A Move that is retried late does not undo a newer one.

    sm-0 moves shard 0 to group 2, but its reply is lost. Others move it back. Seconds later the first clerk asks sm-1.
    Catches: duplicates that are not recognised, or by the master only that has seen them.
    """
    masters = await Masters.start(cluster)
    ck, other = await masters.clerk("mck-1", 0, 1), await masters.clerk("mck-2", 1, 2)
    await two_groups(masters, other)
    masters.corner(ck, 0)
    cluster.tap("sm-0", Faults(reply_lost=1.0), sources=[ck.name])
    move = cluster.spawn(ck.ask(Move(0, 2)))

    async def executed() -> bool:
        return (await other.query()).shards[0] == 2

    await cluster.until(executed, ANSWER_WITHIN, "Move(0, 2) by mck-1 to be executed, though its reply is lost")
    masters.corner(ck)
    await other.move(0, 1)
    await other.join(3)
    await other.move(0, 1)
    await cluster.sleep(A_WHILE)
    before = await other.query()
    masters.corner(ck, 1)
    await masters.finish(move, "Move(0, 2) by mck-1, which reaches sm-1 now,")
    expect_equal("the newest configuration", await other.query(), before, "Move(0, 2) had been executed long before")
    await masters.agreed()


@graded(part="A+", points=1, within=60.0)
async def test_late_retries_of_join_and_leave(cluster: Cluster) -> None:
    """A Join that is retried late does not bring a group back, and a Leave does not send it away again.

    Catches: duplicates that are not recognised since a repeated Join is thought to be harmless.
    """
    masters = await Masters.start(cluster)
    ck, other = await masters.clerk("mck-1", 0, 1), await masters.clerk("mck-2", 1, 2)
    await other.join(1)
    requests: tuple[tuple[Change, Change], ...] = ((Join(2, ["a"]), Leave(2)), (Leave(1), Join(1, ["b"])))
    for request, opposite in requests:
        masters.corner(ck, 0)
        cluster.tap("sm-0", Faults(reply_lost=1.0), sources=[ck.name])
        before = await other.query()
        retried = cluster.spawn(ck.ask(request))

        async def executed(before: Config = before) -> bool:
            return (await other.query()).num > before.num

        what = f"{said(request)} by mck-1"
        await cluster.until(executed, ANSWER_WITHIN, f"{what} to be executed, though its reply is lost")
        masters.corner(ck)
        await other.do(opposite)
        before = await other.query()
        masters.corner(ck, 1)
        await masters.finish(retried, f"{what}, which reaches sm-1 now,")
        expect_equal("the newest configuration", await other.query(), before, f"{what} had been executed before")
    await masters.agreed()


@graded(part="A+", points=1, within=90.0)
async def test_two_masters_propose_one_move(cluster: Cluster) -> None:
    """A Move that two masters propose is executed once.

    A clerk asks sm-0, which is cut off and can only wait; then it asks sm-1, and is answered. Another clerk moves the
    shard back, and sm-0, when it is back, still has the same Move to propose. Four times. Catches: duplicates that are
    recognised when the request comes, and not when it is executed.
    """
    masters = await Masters.start(cluster)
    ck, other, at_0 = (
        await masters.clerk("mck-1", 0, 1),
        await masters.clerk("mck-2", 1),
        await masters.clerk("mck-0", 0),
    )
    await two_groups(masters, other)
    for _ in range(4):
        masters.part("0", "12")
        masters.corner(ck, 0)
        move = cluster.spawn(ck.ask(Move(0, 2)))
        await cluster.sleep(cluster.random.uniform(0.1, 0.5))
        masters.corner(ck, 1)
        await masters.finish(move, "Move(0, 2) by mck-1, which reaches sm-1 now,")
        await other.move(0, 1)
        before = await other.query()
        masters.part("012")
        await at_0.query()
        await cluster.sleep(A_WHILE / 2)
        for clerk in (at_0, other):
            expect_equal(
                f"Query(-1) by {clerk.name}", await clerk.query(), before, "Move(0, 2) had been executed before"
            )
    await masters.agreed()


@graded(part="A+", points=1, within=60.0)
async def test_doubled_moves(cluster: Cluster) -> None:
    """A copy of a Move that the network makes does not undo a newer one.

    Every request of two clerks comes twice, up to 50 ms apart. In turns they move a shard to and fro. Catches: a copy
    that comes when another Move has been executed, by the same clerk or another, and is executed again.
    """
    masters = await Masters.start(cluster)
    clerks = [await masters.clerk("mck-1"), await masters.clerk("mck-2")]
    await two_groups(masters, clerks[0])
    before = await clerks[0].query()
    for name in masters.names:
        cluster.tap(name, Faults(duplicate=1.0, reorder=0.5), sources=[ck.name for ck in clerks])
    for turn in range(40):
        await clerks[turn // 2 % 2].move(0, 2 - turn % 2)
    await cluster.sleep(A_WHILE / 5)
    config = await clerks[0].query()
    expect_equal("shard 0", config.shards[0], 1, "Move(0, 1) by mck-2 was the last")
    expect_equal("the newest number", config.num, before.num + 40, "40 Moves were asked, each of which moved the shard")
    await masters.agreed()


@graded(part="A+", points=1, within=60.0)
async def test_clerk_restarts(cluster: Cluster) -> None:
    """A clerk that restarts is a new clerk.

    Catches: a clerk that counts from 1 again under its old name, so that what it asks is taken for a duplicate.
    """
    masters = await Masters.start(cluster)
    ck = await masters.clerk("mck")
    for change in (Join(1, ["a"]), Join(2, ["b"]), Move(0, 2), Leave(1)):
        await ck.change(change)
        await cluster.kill("mck")
        await cluster.restart("mck")
    await masters.agreed()


# --- masters that are cut off, asleep, dead, or without memory -------------------------------------------------------


@graded(part="A+", points=1, within=60.0)
async def test_minority_waits(cluster: Cluster) -> None:
    """A master that is cut off answers nothing new; when it is back, it gives what is newest.

    sm-0 is cut off with a Join and a Query. Catches: a Query without a majority; a change that is answered and lost, or
    given up; a master that does not catch up.
    """
    masters = await Masters.start(cluster)
    at = await masters.clerk_each()
    changer = await masters.clerk("mck-0", 0)
    await at[0].join(1)
    masters.part("0", "12")
    join, query = cluster.spawn(changer.ask(Join(2, ["x"]))), cluster.spawn(at[0].ask(NEWEST))
    await at[1].join(3)
    hint = "sm-0 reaches nobody"
    await masters.unanswered(join, "Join(2) by mck-0", hint)
    await masters.unanswered(query, "Query(-1) at sm-0", hint)
    await at[2].join(4)
    check_shared_out(await at[1].query(), [1, 3, 4])
    masters.part("012")
    await masters.finish(join, "Join(2) by mck-0, whose master is with the others again,")
    await masters.finish(query, "Query(-1) at sm-0, which is with the others again,")
    for ck in at:
        await ck.check(1, 2, 3, 4)
    await masters.check_all()


@graded(part="A+", points=1, within=60.0)
async def test_fresh_query_after_a_partition(cluster: Cluster) -> None:
    """A master that was cut off gives what is newest, as soon as it answers again.

    sm-0 misses ten changes; when it is back, a Query comes at once. Six times. Catches: a Query that is answered while
    the master is still catching up; a master that stays behind.
    """
    masters = await Masters.start(cluster)
    at = await masters.clerk_each()
    for turn in range(6):
        behind = turn % 3
        others = [number for number in range(3) if number != behind]
        masters.part(str(behind), "".join(map(str, others)))
        gids = range(10 * turn + 1, 10 * turn + 6)
        for gid in gids:
            await at[cluster.random.choice(others)].join(gid)
        for gid in gids[:-1]:
            await at[cluster.random.choice(others)].leave(gid)
        masters.part("012")
        config = await at[behind].query()
        check_shared_out(config, range(5, 10 * turn + 6, 10))
    await masters.check_all()


@graded(part="A+", points=1, within=60.0)
async def test_master_that_slept(cluster: Cluster) -> None:
    """A master that slept gives no old configuration.

    sm-0 has answered from the start; then it is stopped (SIGSTOP) for three seconds, and group 2 comes by way of the
    others. When it wakes, a Query waits for it, and it is the others' messages that come late. Catches: a master that
    trusts what it knew before it slept.
    """
    masters = await Masters.start(cluster)
    old, new = await masters.clerk("mck-old", 0), await masters.clerk("mck-new", 1, 2)
    await old.join(1)
    await old.check(1)
    cluster.pause("sm-0")
    for name in ("sm-1", "sm-2"):
        cluster.hold(name, "sm-0")
    await new.join(2)
    await cluster.sleep(3 * A_WHILE)
    query = cluster.spawn(old.ask(NEWEST))
    await cluster.sleep(A_WHILE / 5)
    cluster.resume("sm-0")
    await cluster.finishes(query, A_WHILE)
    for name in ("sm-1", "sm-2"):
        cluster.release(name, "sm-0")
    config = await masters.finish(query, "Query(-1) by mck-old, whose master is awake again,")
    assert config is not None
    check_shared_out(config, [1, 2])
    await masters.check_all()


@graded(part="A+", points=1, within=60.0)
async def test_lagging_master_catches_up(cluster: Cluster) -> None:
    """A master that was cut off catches up without any clerk.

    sm-2 misses thirty changes, which the others have to keep for it. When it is back, nobody asks for anything, and yet
    the others can soon forget. Catches: a master that catches up only when it is asked.
    """
    masters = await Masters.start(cluster)
    ck = await masters.clerk("mck", 0, 1)
    await ck.join(1)
    await ck.join(2)
    masters.part("01", "2")
    before = await masters.lowest("sm-0")
    for turn in range(30):
        await ck.move(turn % DEFAULT_SHARDS, 2 - turn // DEFAULT_SHARDS % 2)
        await ck.join(100 + turn)
        await ck.leave(100 + turn)
    masters.part("012")
    for name in ("sm-0", "sm-1"):
        await masters.until_forgotten(name, before + 30, "sm-2 is back, and should by itself get what it missed")
    await masters.agreed()


@graded(part="A+", points=1, within=60.0)
async def test_masters_die(cluster: Cluster) -> None:
    """Two of five masters die, and a clerk asks others where one does not answer.

    One more hangs (SIGSTOP) until the end. Catches: a clerk or a master that waits for the dead; changes that are lost
    with a master.
    """
    masters = await Masters.start(cluster, 5)
    ck = await masters.clerk("mck-1", 0, 1, 2, 3, 4)
    await ck.join(1)
    for each in await masters.clerk_each():
        await each.check(1)
    await cluster.kill("sm-0")
    await ck.join(2)
    cluster.pause("sm-1")
    new = await masters.clerk("mck-2", 0, 1, 2, 3, 4)
    for gid, clerk in ((3, new), (4, ck)):
        await clerk.join(gid)
        await clerk.check(*range(1, gid + 1))
    cluster.resume("sm-1")
    await cluster.kill("sm-2")
    await ck.leave(1)
    await new.check(2, 3, 4)
    await masters.check_all()


@graded(part="A+", points=1, within=60.0)
async def test_dead_majority(cluster: Cluster) -> None:
    """One of three masters alone answers nothing.

    Catches: a master that is content with itself when the others are dead.
    """
    masters = await Masters.start(cluster)
    ck, other = await masters.clerk("mck-1", 2), await masters.clerk("mck-2", 2)
    await ck.join(1)
    await cluster.kill("sm-0")
    await ck.join(2)
    await cluster.kill("sm-1")
    join, query = cluster.spawn(ck.ask(Join(3, ["x"]))), cluster.spawn(other.ask(NEWEST))
    await masters.unanswered(join, "Join(3) by mck-1", "two of three masters are dead", within=2 * A_WHILE)
    await masters.unanswered(query, "Query(-1) by mck-2", "two of three masters are dead", within=0.0)
    join.cancel()
    query.cancel()


@graded(part="A+", points=1, within=60.0)
async def test_master_that_lost_its_memory(cluster: Cluster) -> None:
    """A master that lost its memory does not take part in a majority, and gets all configurations back.

    sm-0 and sm-2 let group 2 join while sm-1 is cut off. Then sm-2 is killed and started again, which makes it empty,
    and sm-0 is cut off. sm-1 and sm-2 together know nothing of group 2. Later sm-2 loses its memory once more, when the
    log of what it has lost may be forgotten. Catches: a master that votes again where it may have voted before, begins
    again with configuration 0, or gets the newest configuration and not those before.
    """
    masters = await Masters.start(cluster)
    at = await masters.clerk_each()
    await at[1].join(1)
    masters.part("02", "1")
    await at[0].join(2)
    await cluster.kill("sm-2")
    await cluster.restart("sm-2")
    masters.part("12", "0")
    query = cluster.spawn(at[1].ask(NEWEST))
    await cluster.finishes(query, 2 * A_WHILE)
    masters.part("012")
    config = await masters.finish(query, "Query(-1) at sm-1, when all masters were together again,")
    assert config is not None
    check_shared_out(config, [1, 2])
    await at[1].join(3)
    for ck in at:
        await ck.check(1, 2, 3)
    await cluster.sleep(A_WHILE)
    await cluster.kill("sm-2")
    await cluster.restart("sm-2")
    await at[0].join(4)
    for ck in at:
        await ck.check(1, 2, 3, 4)
    await masters.check_all()


@graded(part="A+", points=1, within=120.0)
async def test_memory(cluster: Cluster) -> None:
    """What a master remembers grows with the configurations only.

    Four clerks do six hundred Queries and repeated Joins, which make no new configuration. Catches: a set of all
    requests ever seen; instances that are never forgotten.
    """
    masters = await Masters.start(cluster)
    clerks = [await masters.clerk(f"mck-{number}", number % 3) for number in range(4)]
    await clerks[0].join(1)
    length = 10_000 if cluster.world == "sim" else 100_000  # the more, the less does it matter what a process keeps

    async def ask(ck: Clerk, count: int) -> None:
        for _ in range(count):
            await cluster.call(ck.name, NEWEST, timeout=None)
            await cluster.call(ck.name, Join(1, ["x" * length]), timeout=None)

    await cluster.gather(*(ask(ck, 25) for ck in clerks))
    await cluster.sleep(2 * A_WHILE)
    before = [cluster.memory(name) for name in masters.names]
    await cluster.gather(*(ask(ck, 75) for ck in clerks))
    await cluster.sleep(2 * A_WHILE)
    allowed = 10_000 if cluster.world == "sim" else 20 * MEGABYTE
    for name, held in zip(masters.names, before, strict=True):
        grown = cluster.memory(name) - held
        if grown > allowed:
            raise AssertionError(
                f"{name} holds {grown:,} bytes more than 600 requests by 4 clerks before, expected {allowed:,} more at "
                f"most: there is no new configuration"
            )


# --- everything at once ----------------------------------------------------------------------------------------------


@graded(part="A+", points=2, within=180.0)
async def test_masters_in_a_storm(cluster: Cluster) -> None:
    """Whatever happens to five masters of which two die, there is one history of configurations.

    Clerks go on while links, messages and masters fail in all manners. Then all but the dead recover, everything has to
    be answered, and each change has to have been made once, between question and answer. Catches: what nobody thought
    of.
    """
    masters = await Masters.start(cluster, 5)
    storm = Storm(cluster, masters.names, deaths=cluster.random.randrange(3))
    clerks = await five_clerks(masters)
    turns, over = Turns(masters), asyncio.Event()

    async def take_turns(ck: Clerk) -> None:
        while not over.is_set():
            await turns.take(ck)
            await cluster.sleep(cluster.random.uniform(0.0, 0.3))

    busy = [cluster.spawn(take_turns(ck)) for ck in clerks]
    await storm.rage(6.0)
    over.set()
    for ck, task in zip(clerks, busy, strict=True):
        if not await cluster.finishes(task, 3 * ANSWER_WITHIN * cluster.patience):
            raise NotInTime(f"what {ck.name} had asked during the storm was not answered when it had long been over")
    await masters.check_all()
