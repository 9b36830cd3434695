"""What a live cluster looks like, by what its servers say. No process is needed to know that."""

from typing import Any

from common.protocol import Applied, Config, Number, Shard, Shards, View
from labs.cluster import Held, Link
from labs.faults import UNRELIABLE, Faults
from labs.history import History
from labs.live.shapes import Start, shape
from labs.live.state import Observed, Picture, Sight, State, leader, odds_text, picture, ranges


def look(name: str, answers: dict[str, list[Any]], states: dict[str, State] | None = None, **more: Any) -> Picture:
    """The picture of a suite's cluster whose servers have answered this."""
    found = shape(name)
    roles = {step.name: step.role for step in found.opening if isinstance(step, Start)}
    names: dict[Any, str] = {Number: "Min", View: "GetView", Applied: "GetApplied", Shards: "GetShards"}
    observed = {
        each: Observed((states or {}).get(each, "running"), {names[type(a)]: a for a in answers.get(each, [])})
        for each in roles
    }
    links = {(src, dst): Link() for src in roles for dst in roles}
    links |= more.pop("links", {})
    return picture(Sight(found, 1.0, roles, observed, links, **more))


def duties(seen: Picture) -> dict[str, str]:
    """What each server is for the others."""
    return {server.name: server.duty for server in seen.servers if not server.is_clerk}


def test_the_view_says_who_is_primary() -> None:
    seen = look("lab1", {"vs": [View(3, "pb-2", "pb-1")]}, {"pb-3": "dead"})
    assert duties(seen) == {"vs": "view 3", "pb-1": "backup", "pb-2": "primary", "pb-3": "spare"}
    assert seen.headline == "view 3: primary pb-2, backup pb-1"
    assert [server.state for server in seen.servers if server.name == "pb-3"] == ["dead"]


def test_without_the_view_service_nobody_knows() -> None:
    assert set(duties(look("lab1", {})).values()) == {""}


def test_whoever_asks_most_leads() -> None:
    before = {("a", "b"): 10, ("b", "a"): 100}
    assert leader(["a", "b", "c"], before, {("a", "b"): 20, ("a", "c"): 9, ("b", "a"): 101}) == "a"
    assert leader(["a", "b", "c"], before, {("a", "b"): 12, ("b", "a"): 101}) == ""  # too few to tell
    assert leader(["a", "b"], {}, {("a", "b"): 10, ("b", "a"): 10}) == ""  # two alike
    assert leader([], {}, {}) == ""


def test_a_leader_is_shown_unless_it_is_dead() -> None:
    seen = look("kvpaxos", {"kv-0": [Number(4)]}, {"kv-1": "dead"}, leaders=["kv-0", "kv-1"])
    assert duties(seen) == {"kv-0": "leader", "kv-1": "", "kv-2": ""}
    assert "forgotten before instance 4" in {server.detail for server in seen.servers}


def test_groups_own_what_they_serve() -> None:
    def has(*states: str) -> Shards:
        return Shards(2, [Shard(number, state, 2, number) for number, state in enumerate(states)])  # type: ignore[arg-type]

    config = Config(2, [100, 100, 101], {100: [], 101: []})
    seen = look(
        "shardkv",
        {"kv-100-0": [has("serving", "serving", "leaving")], "kv-101-0": [has("gone", "gone", "arriving")]},
        config=config,
        leaders=["kv-100-0"],
    )
    assert duties(seen)["kv-100-0"] == "leader, owner of 0-1"
    assert duties(seen)["kv-101-0"] == "owner of nothing"
    details = {server.name: server.detail for server in seen.servers}
    assert details["kv-100-0"] == "configuration 2, 2 leaving"
    assert details["kv-101-0"] == "configuration 2, 2 arriving"
    assert {server.name: server.group for server in seen.servers}["kv-101-2"] == 101
    assert seen.shards[2] == [2, 101, {"kv-100-0": ["leaving", 2], "kv-101-0": ["arriving", 2]}]
    assert seen.headline == "configuration 2: group 100 has 0-1; group 101 has 2"


def test_links_show_what_is_done_to_them() -> None:
    held = [Held(1, "Forward", "2, 1")]
    seen = look(
        "lab1",
        {},
        links={
            ("pb-1", "pb-2"): Link(tap=UNRELIABLE, held=True),
            ("pb-1", "vs"): Link(up=False),
            ("vs", "vs"): Link(up=False),
        },
        held={("pb-1", "pb-2"): held},
        requests={("pb-1", "vs"): 7},
    )
    links = {(link.src, link.dst): link for link in seen.links}
    assert links["pb-1", "pb-2"].odds == "request lost 0.1, reply lost 0.2"
    assert links["pb-1", "pb-2"].held == held
    assert links["pb-1", "pb-2"].holds
    assert not links["pb-1", "vs"].up
    assert links["pb-1", "vs"].requests == 7
    assert ("vs", "vs") not in links
    assert [server.name for server in seen.servers if server.deaf] == ["vs"]


def test_a_clerk_says_what_it_waits_for() -> None:
    history = History()
    history.begin("ck-1", "put", "k", "v", 0.5)
    seen = look("lab1", {}, operations=history.operations)
    assert [server.detail for server in seen.servers if server.is_clerk] == ["waits: put k", ""]


def test_words() -> None:
    assert ranges([3, 1, 2, 7]) == "1-3, 7"
    assert ranges([]) == ""
    assert odds_text(Faults(delay=0.5, silent=True)) == "delay 0.5, silent"
    assert odds_text(Faults()) == ""
