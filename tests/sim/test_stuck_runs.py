"""A simulated run that does not get on tells who waited for whom, and gives the same run again all the same."""

import asyncio

import pytest
from echo_lab.roles import Echo, Lend, Relay
from plays import passes, play

from labs.sim.cluster import SimCluster
from labs.stuck import summary


async def deadlock(cluster: SimCluster) -> None:
    """Two servers that wait for each other."""
    await cluster.start("echo", "a")
    await cluster.start("echo", "b")
    for one, other in ("ab", "ba"):
        cluster.spawn(cluster.call(one, Lend(other), timeout=None))
    await cluster.until(lambda: False, 3.0, "something that never comes")


def test_a_cycle_is_named() -> None:
    outcome = play(deadlock)
    assert outcome.status == "failed"
    assert "waited 3 s" in outcome.message
    said = summary(outcome.stuck)
    assert "a waits for b (Lend, 3.0 s), b waits for a (Lend, 3.0 s): a cycle" in said
    assert "in on_lend: async with lock:" in outcome.stuck


def test_the_same_is_told_again() -> None:
    one, other = play(deadlock), play(deadlock)
    assert (one.digest, one.stuck) == (other.digest, other.stuck)


def test_where_nothing_ever_happens_again_it_is_told_too() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.start("echo", "b")
        cluster.tap("b", sources=["a"])
        cluster.hold("a", "b")
        cluster.cut("b", "a")
        await cluster.call("a", Relay("b", "x", timeout=float("inf")), timeout=None)

    outcome = play(scenario)
    assert outcome.message.startswith("Deadlock")
    said = summary(outcome.stuck)
    assert "requests from a to b are held back" in said
    assert "a waits for b (Echo, 0.0 s)" in said  # and it will for ever: nothing is under way
    assert "nobody can call a: its links are cut" in said


def test_who_does_not_answer_the_test_itself_is_looked_into() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.start("echo", "b")
        await cluster.call("a", Relay("b", "x", seconds=100.0, timeout=100.0), timeout=2.0)

    outcome = play(scenario)
    assert "CallFailed" in outcome.message
    assert "a waits for b (Echo, 2.0 s)" in summary(outcome.stuck)


def test_a_run_over_its_limit_tells_too() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.start("echo", "b")
        await cluster.call("a", Relay("b", "x", seconds=100.0, timeout=100.0), timeout=None)

    outcome = play(scenario, limit=5.0)
    assert outcome.message.startswith("TimeLimit")
    assert outcome.stuck.startswith("At 5.0 s:")
    assert "a waits for b (Echo, 5.0 s)" in summary(outcome.stuck)


@pytest.mark.parametrize("busy", [True, False])
def test_who_is_well_tells_how_far_it_is_when_the_run_is_over(busy: bool) -> None:
    """At its limit, and where nothing would ever happen again. The test itself does nothing any more."""
    went_on = False

    async def scenario(cluster: SimCluster) -> None:
        nonlocal went_on
        await cluster.start("ticker" if busy else "echo", "a")
        await cluster.start("echo", "b")
        await cluster.start("echo", "c")
        await cluster.kill("c")
        await cluster.start("echo", "d")
        assert await cluster.call("b", Echo("x")) == "x"
        assert await cluster.call("d", Echo("be slow")) == "be slow"
        for _ in range(500 if busy else 0):
            await cluster.sleep(0.01)
        if not busy:
            await asyncio.Event().wait()
        went_on = True

    outcome = play(scenario, limit=4.9)
    assert outcome.message.startswith("TimeLimit" if busy else "Deadlock")
    asked = outcome.stuck.split("\n\n")
    (of_b,) = (each for each in asked if each.startswith("b: running"))
    assert "Max() gives Number(seq=0)" in of_b
    (of_c,) = (each for each in asked if each.startswith("c:"))
    assert "Max()" not in of_c
    (of_d,) = (each for each in asked if each.startswith("d: running"))
    assert "Max() is not answered" in of_d
    assert not went_on
    assert outcome.virtual_seconds == (4.9 if busy else pytest.approx(0.01, abs=0.02))
    assert play(scenario, limit=4.9).stuck == outcome.stuck


def test_a_task_that_is_in_no_line_of_its_lab_is_told() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("ticker", "a")
        await cluster.until(lambda: False, 1.0, "nothing")

    said = play(scenario).stuck
    assert "  task every\n" in said
    assert "in every: await host.sleep(wait)\n" in said


def test_a_server_that_is_paused_is_not_asked() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.start("echo", "b")
        cluster.pause("b")
        await asyncio.Event().wait()

    said = play(scenario).stuck
    assert "paused: b" in summary(said)
    assert said.count("Max() gives Number(seq=-1)") == 1


def test_calls_that_were_answered_or_given_up_are_not_told() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.start("echo", "b")
        assert await cluster.call("a", Relay("b", "x")) == "x"
        assert await cluster.call("a", Relay("b", "x", seconds=5.0, timeout=1.0)) == "failed"
        assert cluster.look_into("a").calls == []

    passes(scenario)


def test_other_failures_need_no_such_words() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        assert await cluster.call("a", Echo("x")) == "y"

    assert play(scenario).stuck == ""


def test_an_operation_without_an_answer_is_told() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        cluster.history.begin("ck-1", "get", "k", None, cluster.now())
        await cluster.until(lambda: False, 1.0, "nothing")

    assert 'ck-1: get "k", for 1.0 s' in play(scenario).stuck
