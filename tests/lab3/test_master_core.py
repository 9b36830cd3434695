"""The shard master's decisions: who gets which shard, and what makes a new configuration."""

import os
import subprocess
import sys
from itertools import pairwise, permutations, product
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.protocol import NOBODY, Config, Done
from common.wire import encode
from lab3_shardkv.shardmaster.core import Configurations, rebalance
from lab3_shardkv.shardmaster.messages import Found, Op

# --- what is best, found in other ways than the master finds it ------------------------------------------------------


def moves(before: list[int], after: list[int]) -> int:
    """Shards that change hands."""
    return sum(old != new for old, new in zip(before, after, strict=True))


def is_balanced(shards: list[int], gids: list[int]) -> bool:
    """Every shard is with a group, and no group has two more than another."""
    sizes = [shards.count(gid) for gid in gids]
    return sum(sizes) == len(shards) and max(sizes) - min(sizes) <= 1


def fewest_by_trying_all(before: list[int], gids: list[int]) -> int:
    """The fewest moves to a balanced assignment: of all assignments there are."""
    return min(moves(before, list(after)) for after in product(gids, repeat=len(before)) if is_balanced([*after], gids))


def fewest(before: list[int], gids: list[int]) -> int:
    """The fewest moves to a balanced assignment: most that can stay, over all choices of who gets one more.

    `kept[j]` is the most that the groups so far can keep, if j of them get one more.
    """
    share, more = divmod(len(before), len(gids))
    kept = [0, *(-len(before) for _ in range(more))]
    for gid in gids:
        has = before.count(gid)
        kept = [
            max(kept[j] + min(has, share), kept[j - 1] + min(has, share + 1) if j else -len(before))
            for j in range(more + 1)
        ]
    return len(before) - kept[more]


GROUPS = st.lists(st.integers(1, 6) | st.integers(1, 2**63), unique=True, min_size=1, max_size=20)


@st.composite
def situations(draw: st.DrawFn, most_shards: int = 16, most_groups: int = 20) -> tuple[list[int], list[int]]:
    """Any assignment of shards, also to nobody and to groups that are gone, and the groups that there are now."""
    everybody = draw(GROUPS)[: most_groups + 2]
    shards = draw(st.lists(st.sampled_from([NOBODY, *everybody]), min_size=1, max_size=most_shards))
    groups = draw(st.lists(st.sampled_from(everybody), unique=True, min_size=1, max_size=most_groups))
    return shards, groups


@settings(max_examples=300, deadline=None)
@given(situations(most_shards=5, most_groups=4))
def test_the_fewest_moves_are_known(situation: tuple[list[int], list[int]]) -> None:
    shards, groups = situation
    assert fewest(shards, groups) == fewest_by_trying_all(shards, groups)


# --- sharing out -----------------------------------------------------------------------------------------------------


@settings(max_examples=1000, deadline=None)
@given(situations())
def test_shares_are_even_and_no_shard_moves_that_need_not(situation: tuple[list[int], list[int]]) -> None:
    shards, groups = situation
    after = rebalance(shards, groups)
    assert is_balanced(after, groups)
    assert moves(shards, after) == fewest(shards, groups)


def test_all_small_situations() -> None:
    """Every assignment of up to five shards to three groups, nobody, and one that is gone."""
    gone = 9
    for count in range(1, 6):
        for before in product((NOBODY, 1, 2, 3, gone), repeat=count):
            for groups in ([1], [1, 2], [1, 2, 3]):
                after = rebalance(before, groups)
                assert is_balanced(after, groups), (before, groups)
                assert moves(list(before), after) == fewest_by_trying_all(list(before), groups), (before, groups)


@settings(max_examples=300, deadline=None)
@given(situations(), st.randoms(use_true_random=False))
def test_the_order_in_which_groups_are_named_does_not_matter(
    situation: tuple[list[int], list[int]], random: Random
) -> None:
    shards, groups = situation
    shuffled = random.sample(groups, len(groups))
    assert rebalance(shards, shuffled) == rebalance(shards, groups) == rebalance(shards, set(groups))


@settings(max_examples=300, deadline=None)
@given(situations())
def test_what_is_shared_out_evenly_stays_as_it_is(situation: tuple[list[int], list[int]]) -> None:
    shards, groups = situation
    even = rebalance(shards, groups)
    assert rebalance(even, groups) == even


def test_without_groups_nobody_has_anything() -> None:
    assert rebalance([1, 2, NOBODY], []) == [NOBODY] * 3


# --- histories -------------------------------------------------------------------------------------------------------


def join(gid: int, *servers: str) -> Op:
    """A group comes. The client's number is set by `after`."""
    return Op("join", 1, 0, gid=gid, servers=list(servers) or [f"kv-{gid}"])


def leave(gid: int) -> Op:
    """A group goes."""
    return Op("leave", 1, 0, gid=gid)


def move(shard: int, gid: int) -> Op:
    """A shard gets to a group."""
    return Op("move", 1, 0, gid=gid, number=shard)


def after(*ops: Op, shards: int = 10) -> Configurations:
    """A machine that has executed these, one after the other, for one client."""
    machine = Configurations(shards)
    for seq, op in enumerate(ops, start=1):
        op.seq = seq
        assert machine.apply(op) == Done()
    return machine


def query(machine: Configurations, num: int = -1) -> Config:
    """What a Query gives."""
    reply = machine.apply(Op("query", 2, 1, number=num))
    assert isinstance(reply, Found)
    return reply.config


GIDS = st.integers(1, 5) | st.sampled_from([100, 2**40, 2**63])
OPS = st.one_of(
    st.builds(join, GIDS, st.sampled_from("abc")),
    st.builds(leave, GIDS),
    st.builds(move, st.integers(-1, 17), st.just(NOBODY) | GIDS),
)
HISTORIES = st.lists(OPS, max_size=40)


def check_change(before: Config, after: Config, op: Op) -> None:
    """`after` is what `op`, which changed something, has to make of `before`."""
    assert after.num == before.num + 1
    if op.kind == "move":
        assert op.gid in before.groups
        assert after.groups == before.groups
        assert after.shards == [op.gid if shard == op.number else gid for shard, gid in enumerate(before.shards)]
        return
    groups = {gid: servers for gid, servers in before.groups.items() if gid != op.gid}
    if op.kind == "join":
        assert op.gid not in before.groups
        groups[op.gid] = op.servers
    assert after.groups == groups
    if groups:
        assert is_balanced(after.shards, list(groups))
        assert moves(before.shards, after.shards) == fewest(before.shards, list(groups))
    else:
        assert after.shards == [NOBODY] * len(before.shards)


def changes_nothing(config: Config, op: Op) -> bool:
    """By the contract nothing is different after it."""
    if op.kind == "join":
        return op.gid in config.groups
    if op.kind == "leave":
        return op.gid not in config.groups
    shards = config.shards
    return op.gid not in config.groups or not 0 <= op.number < len(shards) or shards[op.number] == op.gid


@settings(max_examples=500, deadline=None)
@given(HISTORIES, st.sampled_from([1, 2, 10, 16]))
def test_each_change_makes_one_configuration_that_is_right(history: list[Op], shards: int) -> None:
    machine = Configurations(shards)
    assert machine.configs == [Config(0, [NOBODY] * shards, {})]
    encoded = [encode(machine.configs[0])]
    for seq, op in enumerate(history, start=1):
        before = query(machine)
        op.seq = seq
        machine.apply(op)
        if changes_nothing(before, op):
            assert query(machine) is before
        else:
            check_change(before, query(machine), op)
            encoded.append(encode(query(machine)))
        assert [encode(config) for config in machine.configs] == encoded, "an older configuration changed"


def test_thousands_of_histories() -> None:
    """Each change of 4,000 random histories, of which some have many groups and some have few that come and go."""
    for seed in range(4000):
        random = Random(seed)
        machine = Configurations(random.choice([1, 2, 5, 10, 10, 16]))
        gids = [random.randrange(1, 1000) for _ in range(random.choice([2, 3, 5, 10, 25]))]
        kinds = random.choice(["join join leave", "join leave", "join leave move move"]).split()
        for seq in range(1, 25):
            kind, gid = random.choice(kinds), random.choice(gids)
            op = {"join": join(gid), "leave": leave(gid), "move": move(random.randrange(16), gid)}[kind]
            op.seq = seq
            before = query(machine)
            machine.apply(op)
            if changes_nothing(before, op):
                assert query(machine) is before
            else:
                check_change(before, query(machine), op)


@settings(max_examples=300, deadline=None)
@given(HISTORIES, st.integers(0, 40))
def test_a_replica_that_gets_the_state_on_the_way_comes_to_the_same(history: list[Op], there: int) -> None:
    one = after(*history)
    other = Configurations(1)
    other.restore(after(*history[:there]).snapshot())
    for op in history:
        other.apply(op)  # those before `there` are known, from the duplicate table
    assert other.snapshot() == one.snapshot()


def test_many_long_histories_agree_with_themselves_whatever_the_hash_seed() -> None:
    """Three processes, in which sets and dicts of text have other orders, come to the same configurations."""
    script = """
import hashlib
from random import Random
from lab3_shardkv.shardmaster.core import Configurations
from lab3_shardkv.shardmaster.messages import Op
digest = hashlib.sha256()
for seed in range(200):
    random = Random(seed)
    machine = Configurations(random.choice([1, 10, 16]))
    for seq in range(1, 60):
        gid = random.choice([1, 2, 3, 2**random.randrange(62) + random.randrange(5)])
        kind = random.choice(["join", "join", "leave", "move"])
        machine.apply(Op(kind, 1, seq, gid, [f"kv-{gid}-{n}" for n in range(3)], random.randrange(16)))
    digest.update(machine.snapshot())
print(digest.hexdigest())
"""
    root = Path(__file__).parents[2]
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "4711")
    }
    assert len(digests) == 1


# --- single sentences ------------------------------------------------------------------------------------------------


def test_the_first_group_gets_everything() -> None:
    assert query(after(join(7, "x", "y"))) == Config(1, [7] * 10, {7: ["x", "y"]})


def test_when_the_last_group_leaves_nobody_has_anything_and_the_next_gets_all() -> None:
    machine = after(join(1), join(2), leave(1), leave(2), join(3))
    assert query(machine, 4) == Config(4, [NOBODY] * 10, {})
    assert query(machine).shards == [3] * 10


def test_groups_in_any_order_of_coming_have_equal_shares() -> None:
    for order in permutations([3, 1, 2, 4]):
        shards = query(after(*map(join, order))).shards
        assert sorted(shards.count(gid) for gid in order) == [2, 2, 3, 3]


def test_a_group_that_comes_again_is_a_new_group() -> None:
    machine = after(join(1, "x"), join(2), leave(1), join(1, "y"))
    assert query(machine, 1).groups[1] == ["x"]
    assert query(machine).groups[1] == ["y"]
    assert query(machine).shards.count(1) == 5


def test_a_group_without_shards_gets_one_when_a_shard_is_free() -> None:
    machine = after(*(join(gid) for gid in range(1, 13)))
    idle = [gid for gid in range(1, 13) if gid not in query(machine).shards]
    assert len(idle) == 2
    busy = query(machine).shards[0]
    machine.apply(Op("leave", 1, 13, gid=busy))
    assert query(machine).shards[0] in idle


def test_one_shard_stays_where_it_is() -> None:
    machine = after(join(2), join(1), leave(1), shards=1)
    assert [config.shards for config in machine.configs] == [[NOBODY], [2], [2], [2]]


def test_a_move_moves_one_shard_and_the_next_join_shares_out_again() -> None:
    machine = after(join(1), join(2), *(move(shard, 1) for shard in range(10)))
    assert query(machine).shards == [1] * 10
    machine.apply(Op("join", 1, 99, gid=3, servers=["z"]))
    assert sorted(query(machine).shards.count(gid) for gid in (1, 2, 3)) == [3, 3, 4]
    assert query(machine).shards.count(1) == 4, "who has most keeps one more"


def test_a_change_is_executed_once() -> None:
    machine = after(join(1), join(2), move(0, 2))
    copy = Op("move", 1, 3, gid=2, number=0)
    machine.apply(Op("move", 5, 1, gid=1, number=0))
    assert machine.was_executed(copy)
    assert machine.apply(copy) == Done()
    assert query(machine).shards[0] == 1
    assert machine.newest == {1: 3, 5: 1}


def test_a_query_that_comes_again_gives_what_is_newest_then() -> None:
    machine = after(join(1))
    assert query(machine).num == 1
    machine.apply(Op("join", 1, 2, gid=2, servers=["y"]))
    assert query(machine).num == 2


@pytest.mark.parametrize("num", [-1, 3, 4, 2**40])
def test_a_query_for_what_is_not_there_gives_the_newest(num: int) -> None:
    assert query(after(join(1), join(2), leave(1)), num).num == 3


def test_configurations_are_numbered_from_0() -> None:
    machine = after(join(1), join(2), leave(1), join(1), move(3, 2))
    assert [query(machine, num).num for num in range(len(machine.configs))] == list(range(len(machine.configs)))
    assert all(new.num == old.num + 1 for old, new in pairwise(machine.configs))


def test_find_gives_what_is_there_and_nothing_else() -> None:
    machine = after(join(1))
    assert machine.find(1) is machine.configs[1]
    assert machine.find(-1) is None
    assert machine.find(2) is None
