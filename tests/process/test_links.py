"""Links as files: what a cut looks like in the folder, and that it is effective."""

import asyncio

from conftest import Play
from toy_lab.messages import Add, Numbers, Send

from common import links
from labs.faults import NONE
from labs.process.cluster import ProcessCluster

SERVERS = ["a", "b", "c"]


async def start(cluster: ProcessCluster) -> None:
    for name in SERVERS:
        await cluster.start("adder", name)


def there(cluster: ProcessCluster) -> set[str]:
    """The links that are there, as "src dst"."""
    return {
        f"{file.parent.name} {file.name}"
        for file in cluster.net.glob("*/*")
        if links.NAME.fullmatch(file.parent.name) and links.NAME.fullmatch(file.name)
    }


async def can_call(cluster: ProcessCluster) -> set[str]:
    """The links through which a call really gets, as "src dst"."""
    pairs = [(src, dst) for src in cluster.names for dst in cluster.names if cluster.running(src)]
    outcomes = await cluster.gather(*(cluster.call(src, Send(dst, [1])) for src, dst in pairs))
    return {f"{src} {dst}" for (src, dst), (outcome,) in zip(pairs, outcomes, strict=True) if outcome.isdigit()}


async def expect(cluster: ProcessCluster, *expected: str) -> None:
    """Exactly these links are up: for the eye, and for calls."""
    assert there(cluster) == set(expected)
    assert await can_call(cluster) == set(expected)


def all_links(but: str = "") -> list[str]:
    """Every link but those in a comma-separated list."""
    return [link for src in SERVERS for dst in SERVERS if (link := f"{src} {dst}") not in but.split(",")]


def test_every_server_has_a_link_to_every_server(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        await expect(cluster, *all_links())

    play(scenario)


def test_links_are_hard_links_to_the_servers_own_file(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        assert (cluster.net / "a" / "b").samefile(cluster.net / "b" / "b")
        await cluster.kill("b")
        await cluster.restart("b")
        assert (cluster.net / "a" / "b").samefile(cluster.net / "b" / "b")

    play(scenario)


def test_a_cut_is_one_way_until_it_is_joined(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        cluster.cut("a", "b")
        await expect(cluster, *all_links(but="a b"))
        cluster.join("a", "b")
        await expect(cluster, *all_links())

    play(scenario)


def test_a_partition_leaves_links_within_its_groups(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        cluster.partition(["a", "b"], ["c"])
        await expect(cluster, "a a", "a b", "b a", "b b", "c c")
        cluster.partition(["a"], ["b", "c"])
        await expect(cluster, "a a", "b b", "b c", "c b", "c c")
        cluster.heal()
        await expect(cluster, *all_links())

    play(scenario)


def test_a_deaf_server_is_called_by_nobody_and_calls_others(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        cluster.deafen("b")
        await expect(cluster, *all_links(but="a b,b b,c b"))
        cluster.undeafen("b")
        await expect(cluster, *all_links())

    play(scenario)


def test_one_link_to_a_deaf_server_can_be_joined(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        cluster.deafen("b")
        cluster.join("a", "b")
        await expect(cluster, *all_links(but="b b,c b"))

    play(scenario)


def test_a_deaf_server_is_still_deaf_after_a_restart(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        cluster.deafen("b")
        await cluster.kill("b")
        await cluster.restart("b")
        await expect(cluster, *all_links(but="a b,b b,c b"))
        cluster.undeafen("b")
        await expect(cluster, *all_links())

    play(scenario)


def test_the_harness_reaches_a_deaf_server(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        cluster.deafen("b")
        assert await cluster.call("b", Add(3)) == 3

    play(scenario)


def test_no_link_leads_to_a_killed_server(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        cluster.cut("a", "b")
        cluster.tap("b", NONE, ["c"])
        await cluster.kill("b")
        assert there(cluster) == set(all_links(but="a b,b b,c b"))
        cluster.join("a", "b")
        assert there(cluster) == set(all_links(but="a b,b b,c b"))
        await cluster.restart("b")
        await expect(cluster, *all_links())

    play(scenario)


def test_a_cut_made_with_rm_is_as_good(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        (cluster.net / "a" / "b").unlink()
        await expect(cluster, *all_links(but="a b"))

    play(scenario)


def test_a_call_under_way_is_answered_after_the_cut(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        cluster.hold("a", "b")
        sent = cluster.spawn(cluster.call("a", Send("b", [5])))
        await cluster.until(lambda: cluster.calls("b") == 1, 20.0, "the request at the tap")
        cluster.cut("a", "b")
        cluster.release("a", "b")
        assert await asyncio.wait_for(sent, 20.0) == ["5"]

    play(scenario)


def test_tapped_links_are_cut_and_joined_like_others(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await start(cluster)
        cluster.tap("b")
        await expect(cluster, *all_links())
        assert not (cluster.net / "a" / "b").samefile(cluster.net / "b" / "b")
        cluster.partition(["a"], ["b", "c"])
        await expect(cluster, "a a", "b b", "b c", "c b", "c c")
        cluster.heal()
        cluster.untap("b")
        assert (cluster.net / "a" / "b").samefile(cluster.net / "b" / "b")
        await expect(cluster, *all_links())
        numbers = await cluster.call("b", Numbers())
        assert len(numbers) == 8
        assert cluster.calls("b") == 3

    play(scenario)
