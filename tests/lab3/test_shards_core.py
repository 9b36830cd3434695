"""A replica group's state machine, one entry at a time; and two or three of them joined back to back."""

import time
from typing import Literal

import pytest

from common.protocol import NOBODY, Config, Done, Shard, Value
from common.wire import encode
from lab3_shardkv.shardkv import core
from lab3_shardkv.shardkv.core import Group
from lab3_shardkv.shardkv.messages import (
    Awaited,
    Begin,
    Forget,
    NextConfig,
    NotYet,
    Op,
    Owner,
    Part,
    Settled,
    TooLong,
    Withdrawn,
    WrongGroup,
)

SERVERS = {gid: [f"{gid}-{letter}" for letter in "xyz"] for gid in (1, 2, 3)}
KEY = {0: "0", 1: "1", 2: "2"}
"""A key of each shard."""


def config(num: int, *shards: int, **servers: list[str]) -> Config:
    """A configuration of three shards, or as many as are named."""
    groups = {gid: servers.get(f"g{gid}", SERVERS[gid]) for gid in (1, 2, 3)}
    return Config(num, list(shards), groups)


def group(gid: int, *configs: Config) -> Group:
    """A group that has followed these configurations."""
    group = Group(gid, SERVERS[gid])
    for each in configs:
        group.apply(NextConfig(each))
    return group


def op(kind: Literal["get", "put", "append"], shard: int, seq: int = 1, value: str = "", client: int = 7) -> Op:
    """An operation on the key of a shard."""
    return Op(kind, client, seq, KEY[shard], value)


def states(group: Group) -> str:
    """The shards' states, by their first letters."""
    return "".join(holding.state[0] for holding in group.holdings)


def finish(*groups: Group) -> None:
    """Does what there is to do between groups until nothing is left."""
    while True:
        to_do = [(each, handover) for each in groups for handover in each.handovers()]
        done = [step(each, handover, groups) for each, handover in to_do]
        if not any(done):
            return


def step(giver: Group, handover: core.Handover, groups: tuple[Group, ...]) -> bool:
    """One step of a handover, if the other lives. Gives whether anything has changed."""
    num, shard, to = handover.num, handover.shard, handover.to
    taker = next((each for each in groups if (each.gid, each.servers) == (to.gid, to.servers)), None)
    if taker is None or isinstance(taker.answer(to.gid, num, shard), NotYet):
        return False
    if handover.kind == "offer":
        assert taker.answer(to.gid, num, shard) == Awaited()
        giver.apply(Begin(num, shard))
        return True
    pieces = giver.parts(handover) if handover.kind == "give" else [Withdrawn(num, shard)]
    for piece in pieces:
        taker.apply(piece)
    assert taker.answer(to.gid, num, shard) == Settled()
    giver.apply(Forget(num, shard))
    return True


# --- operations ------------------------------------------------------------------------------------------------------


def test_a_group_executes_what_is_in_its_shards_and_nothing_else() -> None:
    one = group(1, config(1, 1, 1, 2))
    assert one.apply(op("append", 0, 1, "x")) == Done()
    assert one.apply(op("append", 0, 2, "y")) == Done()
    assert one.apply(op("get", 0, 3)) == Value("xy")
    assert one.apply(op("get", 2, 4)) == WrongGroup(1)


def test_before_the_first_configuration_nothing_is_executed() -> None:
    assert group(1).apply(op("put", 0, 1, "x")) == WrongGroup(0)


def test_a_write_that_comes_again_is_executed_once() -> None:
    one = group(1, config(1, 1, 1, 1))
    assert [one.apply(op("append", 0, 5, "x")) for _ in range(3)] == [Done()] * 3
    one.apply(op("append", 0, 6, "y"))
    assert one.apply(op("append", 0, 5, "x")) == Done(), "a late copy"
    assert one.apply(op("get", 0, 7)) == Value("xy")
    assert one.holdings[0].known(op("append", 0, 5, "x")) == Done()
    assert one.holdings[0].known(op("append", 0, 7, "z")) is None


def test_each_shard_has_its_own_duplicate_table() -> None:
    """A late copy of a write to one shard must not hide behind a later write to another that stays."""
    one = group(1, config(1, 1, 1, 1))
    one.apply(op("append", 1, 9, "later"))
    assert one.apply(op("append", 0, 8, "x")) == Done()
    assert one.apply(op("get", 0, 10)) == Value("x")


def test_what_a_group_may_not_execute_leaves_no_trace() -> None:
    one = group(1, config(1, 2, 1, 1))
    assert one.apply(op("append", 0, 1, "x")) == WrongGroup(1)
    assert one.holdings[0].known(op("append", 0, 1, "x")) is None
    assert one.holdings[0].newest == {}
    two = group(2, config(1, 2, 1, 1))
    assert two.apply(op("append", 0, 1, "x")) == Done()
    assert two.apply(op("get", 0, 2)) == Value("x")


def test_a_value_that_would_be_too_long_is_refused_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MAX_VALUE", 3)
    one = group(1, config(1, 1, 1, 1))
    one.apply(op("put", 0, 1, "xyz", client=2))
    assert one.apply(op("append", 0, 1, "!")) == TooLong(3)
    one.apply(op("put", 0, 2, "", client=2))
    assert one.apply(op("append", 0, 1, "!")) == TooLong(3), "its client was told no"
    assert one.apply(op("append", 0, 2, "?")) == Done()
    assert one.apply(op("get", 0, 3)) == Value("?")


# --- configurations --------------------------------------------------------------------------------------------------


def test_configurations_are_followed_one_at_a_time() -> None:
    one = group(1)
    one.apply(NextConfig(config(2, 1, 1, 1)))
    assert one.config.num == 0
    one.apply(NextConfig(config(1, 1, 1, 1)))
    one.apply(NextConfig(config(1, 2, 2, 2)))
    assert (one.config.num, states(one)) == (1, "sss"), "another replica proposed the same number"


def test_the_first_configuration_says_how_many_shards_there_are() -> None:
    assert len(group(1).shards()) == 10
    assert len(group(1, config(1, 1, 1, 1)).shards()) == 3


def test_a_shard_that_nobody_had_is_served_at_once_by_the_one_that_gets_it() -> None:
    first, second = config(1, 1, NOBODY, NOBODY), config(2, 1, 2, 1)
    assert states(group(1, first, second)) == "sgs"
    assert states(group(2, first, second)) == "gsg"


def test_shards_that_stay_are_served_while_others_come_and_go() -> None:
    one = group(1, config(1, 1, 1, 2), config(2, 2, 1, 1))
    assert states(one) == "lsa"
    assert one.apply(op("put", 1, 1, "x")) == Done()
    assert one.apply(op("put", 0, 1, "x")) == WrongGroup(2)
    assert one.apply(op("put", 2, 1, "x")) == WrongGroup(2)


def test_a_shard_that_has_arrived_is_served_while_another_still_arrives() -> None:
    configs = config(1, 1, 1, 1), config(2, 2, 2, 1)
    one, two = group(1, *configs), group(2, *configs)
    one.apply(Begin(2, 0))
    for part in one.parts(one.handovers()[0]):
        two.apply(part)
    assert states(two) == "sag"
    assert two.apply(op("put", 0, 1, "x")) == Done()


def test_the_next_configuration_waits_for_what_arrives() -> None:
    two = group(2, config(1, 1, 1, 1), config(2, 2, 1, 1))
    assert not two.can_follow(config(3, 2, 1, 2))
    two.apply(NextConfig(config(3, 2, 1, 2)))
    assert two.config.num == 2


def test_what_leaves_keeps_nobody_from_the_next_configuration() -> None:
    one = group(1, config(1, 1, 1, 1), config(2, 2, 1, 1), config(3, 2, 3, 1))
    assert (one.config.num, states(one)) == (3, "lls")
    assert [holding.since for holding in one.holdings] == [2, 3, 1]


def test_the_operators_see_what_is_where() -> None:
    one = group(1, config(1, 1, 1, 2))
    one.apply(op("put", 0, 1, "x"))
    one.apply(NextConfig(config(2, 2, 1, 1)))
    assert one.shards() == [Shard(0, "leaving", 2, 1), Shard(1, "serving", 1, 0), Shard(2, "arriving", 2, 0)]
    assert "config 2: shard 0 is leaving to group 2, 1 keys" in one.news


# --- handovers -------------------------------------------------------------------------------------------------------


def test_a_shard_moves_with_its_values_and_its_duplicate_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MAX_VALUE", 9)
    configs = config(1, 1, 1, 2), config(2, 2, 1, 2)
    one = group(1, configs[0])
    two = group(2, configs[0])
    one.apply(op("append", 0, 4, "x", client=5))
    one.apply(op("append", 0, 1, "much too long", client=6))
    two.apply(op("append", 2, 3, "y", client=5))
    for each in (one, two):
        each.apply(NextConfig(configs[1]))
    finish(one, two)
    assert (states(one), states(two)) == ("gsg", "sgs")
    assert one.holdings[0].values == {}
    assert one.holdings[0].newest == {}
    assert two.apply(op("append", 0, 4, "x", client=5)) == Done()
    assert two.apply(op("append", 0, 1, "!", client=6)) == TooLong(9)
    assert two.apply(op("get", 0, 1)) == Value("x")
    assert two.apply(op("append", 2, 3, "y", client=5)) == Done(), "what it knew of its own shards is still there"
    assert two.apply(op("get", 2, 1)) == Value("y")


def test_two_groups_exchange_shards_and_neither_waits_for_the_other() -> None:
    configs = config(1, 1, 2, 1), config(2, 2, 1, 1)
    one, two = group(1, *configs), group(2, *configs)
    finish(one, two)
    assert (states(one), states(two)) == ("gss", "sgg")


def test_three_groups_pass_shards_around_a_ring() -> None:
    configs = config(1, 1, 2, 3), config(2, 2, 3, 1)
    groups = [group(gid, *configs) for gid in (1, 2, 3)]
    finish(*groups)
    assert [states(each) for each in groups] == ["ggs", "sgg", "gsg"]


def test_a_shard_is_whole_when_all_is_there_however_it_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two replicas cut differently, and parts of both arrive, in any order, some twice."""
    one = group(1, config(1, 1, 1, 1))
    for number in range(30):
        one.apply(Op("put", number, 1, f"0{number}", "v" * number))
    two = group(2, config(1, 1, 1, 1), config(2, 2, 1, 1))
    one.apply(NextConfig(config(2, 2, 1, 1)))
    one.apply(Begin(2, 0))
    (handover,) = one.handovers()
    cuts: list[list[Part]] = []
    for size in (50, 20):
        monkeypatch.setattr(core, "MAX_PART", size)
        monkeypatch.setattr(core, "MAX_CLIENTS", size // 5)
        cuts.append(list(one.parts(handover)))
    coarse, fine = cuts
    assert len(fine) > len(coarse) > 5
    pieces = [*coarse[::-2], *coarse[::-2], *fine[::-1]]
    for piece in pieces:
        assert two.answer(2, 2, 0) == Awaited() or two.holdings[0].values == one.holdings[0].values
        two.apply(piece)
    assert states(two) == "sgg"
    assert two.holdings[0].values == one.holdings[0].values
    assert two.holdings[0].newest == one.holdings[0].newest


def test_a_shard_without_keys_moves_as_well() -> None:
    configs = config(1, 1, 1, 1), config(2, 2, 1, 1)
    one, two = group(1, *configs), group(2, *configs)
    finish(one, two)
    assert (states(one), states(two)) == ("gss", "sgg")


def test_parts_of_an_earlier_move_do_nothing() -> None:
    """The shard goes to the other group and back, and again, and then a part of the first time arrives."""
    there, back = (2, 1, 1), (1, 1, 1)
    one, two = group(1, config(1, *back)), group(2, config(1, *back))
    one.apply(op("put", 0, 1, "old"))
    late: list[Part] = []
    for num in (2, 3, 4):
        for each in (one, two):
            each.apply(NextConfig(config(num, *(there if num % 2 == 0 else back))))
        if num == 2:
            one.apply(Begin(2, 0))
            late = list(one.parts(one.handovers()[0]))
        if num == 4:
            one.apply(op("put", 0, 2, "not executed"))
            two.apply(late[0])
            assert states(two) == "agg", "it waits for another move"
        finish(one, two)
        (one if num == 3 else two).apply(op("put", 0, 2 * num, f"in {num}"))
    for part in late:
        two.apply(part)
    assert two.apply(op("get", 0, 99)) == Value("in 4")
    one.apply(Forget(2, 0))
    assert (states(one), states(two)) == ("gss", "sgg")


def test_what_is_begun_comes_back_by_another_handover_only() -> None:
    one = group(1, config(1, 1, 1, 1), config(2, 2, 1, 1))
    one.apply(Begin(2, 0))
    assert not one.can_follow(config(3, 1, 1, 1))
    assert one.can_follow(config(3, 3, 1, 1)), "that is between the other two"
    one.apply(Forget(2, 0))
    assert one.can_follow(config(3, 1, 1, 1))
    one.apply(NextConfig(config(3, 1, 1, 1)))
    assert states(one) == "ass"


def test_a_handover_that_is_over_is_not_begun_again() -> None:
    configs = config(1, 1, 1, 1), config(2, 2, 1, 1)
    one, two = group(1, *configs), group(2, *configs)
    finish(one, two)
    one.apply(Begin(2, 0))
    assert states(one) == "gss"
    assert one.handovers() == []


def test_nothing_is_forgotten_that_was_not_begun() -> None:
    one = group(1, config(1, 1, 1, 1), config(2, 2, 1, 1))
    one.apply(Forget(2, 0))
    one.apply(Forget(1, 1))
    assert states(one) == "lss"


def test_what_a_group_answers() -> None:
    two = group(2, config(1, 1, 1, 1))
    assert two.answer(2, 2, 0) == NotYet()
    two.apply(NextConfig(config(2, 2, 1, 1)))
    assert two.answer(2, 2, 0) == Awaited()
    assert two.answer(1, 2, 0) == NotYet(), "that is for another group"
    two.apply(Part(2, 0, encode(({}, {})), 0, 0, []))
    assert two.answer(2, 2, 0) == Settled()
    two.apply(NextConfig(config(3, 1, 1, 1)))
    assert two.answer(2, 2, 0) == Settled(), "it had it"


# --- plans that change -----------------------------------------------------------------------------------------------


def test_a_shard_of_nobody_stays_where_it_was_and_is_not_served() -> None:
    one = group(1, config(1, 1, 1, 1), config(2, NOBODY, 1, 1))
    assert one.shards()[0] == Shard(0, "leaving", 2, 0)
    assert one.handovers() == []
    one.apply(Begin(2, 0))
    one.apply(NextConfig(config(3, 1, 1, 1)))
    assert states(one) == "sss"
    assert one.handovers() == []


def test_a_shard_of_nobody_goes_to_the_next_owner() -> None:
    configs = config(1, 1, 1, 1), config(2, NOBODY, 1, 1), config(3, 2, 1, 1)
    one, two = group(1, *configs), group(2, *configs)
    finish(one, two)
    assert (states(one), states(two)) == ("gss", "sgg")
    assert two.shards()[0].since == 3


def test_a_group_that_never_lived_is_passed_over() -> None:
    """Group 2 was joined by mistake, and has left: its shard goes back, and to group 3, as if nothing had been."""
    configs = [config(1, 1, 1, 1), config(2, 2, 2, 1), config(3, 1, 3, 1)]
    one, three = group(1, configs[0]), group(3, configs[0])
    for shard in range(3):
        one.apply(op("put", shard, shard + 1, "kept"))
    for each in configs[1:]:
        one.apply(NextConfig(each))
        three.apply(NextConfig(each))
    finish(one, three)
    assert (states(one), states(three)) == ("sgs", "gsg")
    assert one.apply(op("get", 0, 9)) == Value("kept")
    assert three.apply(op("get", 1, 9)) == Value("kept")


def test_who_was_passed_over_hears_of_it_when_it_begins_to_live_after_all() -> None:
    configs = [config(1, 1, 1, 1), config(2, 2, 2, 1), config(3, 1, 3, 1), config(4, 2, 3, 1)]
    one, three = group(1, *configs), group(3, *configs)
    finish(one, three)
    two = group(2, *configs)
    assert two.config.num == 2
    finish(one, two, three)
    assert states(two) == "ggg"
    for each in configs[2:]:
        two.apply(NextConfig(each))
    finish(one, two, three)
    assert [states(each) for each in (one, two, three)] == ["ggs", "sgg", "gsg"]
    assert not any(each.handovers() for each in (one, two, three))


def test_who_was_passed_over_is_told_by_whoever_has_the_shard() -> None:
    """Group 1, which passed group 2 over, has left and was shut down before group 2 began to live."""
    configs = [config(1, 1, 1, 1), config(2, 2, 1, 1), config(3, 3, 3, 3)]
    one, three = group(1, *configs), group(3, *configs)
    finish(one, three)
    assert (states(one), states(three)) == ("ggg", "sss")
    assert one.handovers() == [], "nobody needs it any more"
    two = group(2, *configs)
    assert two.config.num == 2
    finish(two, three)
    assert states(two) == "ggg"
    assert three.handovers() == []


def test_a_shard_that_does_not_come_is_not_waited_for_again_while_it_stays_the_groups() -> None:
    """Configuration 3 leaves shard 0 with group 2, which was to get it in 2, and then 4 takes it away again."""
    configs = [config(1, 1, 1, 1), config(2, 2, 1, 1), config(3, 2, 2, 1), config(4, 1, 1, 1)]
    one, two = group(1, *configs), group(2, *configs)
    assert states(one) == "sss"
    finish(one, two)
    two.apply(NextConfig(configs[2]))
    assert states(two) == "gag"
    finish(one, two)
    assert states(two) == "ggg"
    two.apply(NextConfig(configs[3]))
    assert (two.config.num, states(two)) == (4, "ggg")


def test_a_handover_is_begun_or_replaced_and_never_both() -> None:
    one = group(1, config(1, 1, 1, 1), config(2, 2, 1, 1), config(3, 3, 1, 1))
    one.apply(Begin(2, 0))
    assert not one.holdings[0].begun, "the shard is for group 3 now"
    other = group(1, config(1, 1, 1, 1), config(2, 2, 1, 1))
    other.apply(Begin(2, 0))
    other.apply(NextConfig(config(3, 3, 1, 1)))
    assert other.handovers() == [core.Handover(2, 0, Owner(2, SERVERS[2]), "give")]


# --- who the group is ------------------------------------------------------------------------------------------------


def test_a_group_that_comes_back_with_other_servers_gets_its_shards_from_the_old_ones() -> None:
    new = ["1-u", "1-v"]
    first = config(1, 1, 1, 1)
    gone = Config(2, [NOBODY] * 3, {})
    again = config(3, 1, 1, 1, g1=new)
    old_servers = group(1, first)
    old_servers.apply(op("put", 0, 1, "x"))
    new_servers = Group(1, new)
    for each in (first, gone, again):
        old_servers.apply(NextConfig(each))
        new_servers.apply(NextConfig(each))
    assert (states(old_servers), states(new_servers)) == ("lll", "aaa")
    finish(old_servers, new_servers)
    assert (states(old_servers), states(new_servers)) == ("ggg", "sss")
    assert new_servers.apply(op("get", 0, 2)) == Value("x")


def test_a_group_that_leaves_and_comes_back_gets_its_shards_back() -> None:
    configs = [config(1, 1, 1, 2), Config(2, [2, 2, 2], {2: SERVERS[2]}), config(3, 1, 2, 1)]
    one, two = group(1, configs[0]), group(2, configs[0])
    one.apply(op("put", 0, 1, "x"))
    for each in configs[1:]:
        for other in (one, two):
            other.apply(NextConfig(each))
        finish(one, two)
    assert (states(one), states(two)) == ("sgs", "gsg")
    assert one.apply(op("get", 0, 2)) == Value("x")


# --- state -----------------------------------------------------------------------------------------------------------


def test_a_snapshot_holds_everything_in_the_middle_of_handovers() -> None:
    configs = [config(1, 1, 1, 2), config(2, 2, 3, 1), config(3, 1, 3, 1)]
    one = group(1, configs[0])
    one.apply(op("put", 0, 1, "äö"))
    one.apply(op("put", 1, 2, "y"))
    one.apply(NextConfig(configs[1]))
    one.apply(Begin(2, 1))
    one.apply(Part(2, 2, encode(({"2": "z"}, {4: 5})), 2, 1, []))
    copy = group(1)
    copy.restore(one.snapshot())
    assert copy.snapshot() == one.snapshot()
    for each in (one, copy):
        each.apply(Part(2, 2, encode(({"22": "z"}, {})), 2, 1, []))
        each.apply(NextConfig(configs[2]))
        assert states(each) == "sls"
        assert each.apply(op("get", 0, 3)) == Value("äö")
        assert each.apply(op("get", 2, 3)) == Value("z")
        assert core.Handover(2, 0, Owner(2, SERVERS[2]), "withdraw") in each.handovers()
    assert copy.snapshot() == one.snapshot()


def test_a_large_shard_is_cut_without_holding_anything_up() -> None:
    one = group(1, config(1, 1, 1, 1))
    one.holdings[0].values = {f"0{number}": "v" * 64 for number in range(100_000)}
    one.apply(NextConfig(config(2, 2, 1, 1)))
    one.apply(Begin(2, 0))
    took = []
    began = time.perf_counter()
    for part in one.parts(one.handovers()[0]):
        took.append(time.perf_counter() - began)
        assert len(part.data) < 2 * core.MAX_PART
        began = time.perf_counter()
    assert len(took) > 20
    assert sorted(took)[len(took) // 2] < 0.02
