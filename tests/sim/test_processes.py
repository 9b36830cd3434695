"""Simulated processes: start, kill, pause, restart, logs, memory, and mistakes of their own."""

from typing import Any

import pytest
from echo_lab.roles import Count, Echo, Keep, Misbehave, Relay
from plays import passes, play

from common.host import CallFailed
from labs.cluster import ServerStopped
from labs.faults import Faults
from labs.sim.cluster import SimCluster


def test_start_returns_when_the_server_can_be_reached() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        assert cluster.running("a")
        assert await cluster.call("a", Relay("a", "x")) == "x"
        assert not cluster.running("b")

    passes(scenario)


def test_what_cannot_be_started() -> None:
    async def scenario(cluster: SimCluster) -> None:
        with pytest.raises(ServerStopped, match=r"a: expected a role of echo_lab \(echo, .*\), got 'queen'"):
            await cluster.start("queen", "a")
        with pytest.raises(ValueError, match="expected a name of letters"):
            await cluster.start("echo", "../a")
        with pytest.raises(ServerStopped, match="role echo of echo_lab: got an unexpected keyword argument 'colour'"):
            await cluster.start("echo", "c", colour="red")
        await cluster.start("echo", "b")
        with pytest.raises(ValueError, match="expected a new name"):
            await cluster.start("echo", "b")
        with pytest.raises(ValueError, match="expected a server that was killed, but b runs"):
            await cluster.restart("b")

    passes(scenario)


def test_a_role_has_to_serve() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("silent", "a")

    outcome = play(scenario)
    assert outcome.status == "failed"
    assert "ServerStopped: a (silent) ended without serving anything" in outcome.message


def test_arguments_travel_as_a_process_would_get_them() -> None:
    async def scenario(cluster: SimCluster) -> None:
        peers = ["b"]
        await cluster.start("gossip", "a", peers=peers)
        peers.clear()  # nothing is shared: the server would fail without a peer
        await cluster.start("echo", "b")
        await cluster.sleep(1)

    passes(scenario)


def test_kill_runs_no_finally_and_fails_the_callers_at_once() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.start("echo", "b")
        answer = cluster.spawn(cluster.call("a", Relay("b", "x", seconds=1.0)))
        own = cluster.spawn(cluster.call("b", Echo("y", seconds=1.0)))
        await cluster.sleep(0.5)
        start = cluster.now()
        await cluster.kill("b")
        assert not cluster.running("b")
        assert await answer == "failed"
        with pytest.raises(CallFailed, match="b died"):
            await own
        assert cluster.now() - start < 0.03
        assert await cluster.call("a", Relay("b", "z")) == "failed"
        await cluster.sleep(10)
        assert "done with" not in cluster.log("b")
        await cluster.kill("b")  # once more is no mistake

    passes(scenario)


def test_the_killed_callers_requests_are_executed_all_the_same() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.start("echo", "b")
        doomed = cluster.spawn(cluster.call("a", Relay("b", "x", seconds=1.0)))
        await cluster.sleep(0.5)
        await cluster.kill("a")
        with pytest.raises(CallFailed):
            await doomed
        await cluster.sleep(1)
        assert "done with x" in cluster.log("b")

    passes(scenario)


def test_a_restarted_server_has_forgotten_everything() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.start("echo", "b", greeting="good day")
        cluster.cut("b", "a")
        await cluster.call("a", Relay("b", "x"))
        assert await cluster.call("b", Count()) == 1
        await cluster.kill("b")
        await cluster.restart("b")
        assert cluster.running("b")
        assert await cluster.call("b", Count()) == 0
        assert await cluster.call("a", Relay("b", "x")) == "x"
        assert await cluster.call("b", Relay("a", "x")) == "failed"  # links are as they were
        assert cluster.log("b").count("good day from b") == 2

    passes(scenario)


def test_a_deaf_server_is_deaf_after_a_restart() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        cluster.deafen("a")
        await cluster.kill("a")
        await cluster.restart("a")
        assert await cluster.call("a", Relay("a", "x")) == "failed"

    passes(scenario)


def test_each_incarnation_has_randomness_of_its_own() -> None:
    def draw(cluster: SimCluster, name: str) -> tuple[float, ...]:
        random = cluster.network.processes[name].host.random
        return tuple(random.random() for _ in range(5))

    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.start("echo", "b")
        drawn = {draw(cluster, "a"), draw(cluster, "b")}
        await cluster.kill("a")
        await cluster.restart("a")
        drawn.add(draw(cluster, "a"))
        assert len(drawn) == 3

    passes(scenario)


def test_a_paused_server_does_nothing_and_goes_on_later() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("ticker", "t")
        await cluster.start("echo", "a")
        await cluster.start("echo", "b")
        await cluster.sleep(0.95)
        ticks = cluster.log("t").count("tick")
        cluster.pause("t")
        cluster.pause("b")
        cluster.pause("b")
        assert cluster.running("b")
        impatient = cluster.spawn(cluster.call("a", Relay("b", "x", timeout=1.0)))
        patient = cluster.spawn(cluster.call("a", Relay("b", "y", timeout=10.0)))
        mine = cluster.spawn(cluster.call("b", Echo("z"), timeout=None))
        await cluster.sleep(5)
        assert impatient.result() == "failed"  # by its own patience: nobody told it
        assert not patient.done()
        assert not mine.done()
        assert cluster.log("t").count("tick") == ticks
        cluster.resume("t")
        cluster.resume("b")
        cluster.resume("b")
        assert await patient == "y"
        assert await mine == "z"
        assert await cluster.call("b", Count()) == 3
        await cluster.sleep(0.95)
        assert cluster.log("t").count("tick") == ticks + 11  # the one that was late, the next at once, and nine

    passes(scenario)


def test_a_paused_caller_gets_its_replies_when_it_goes_on() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.start("echo", "b")
        in_time = cluster.spawn(cluster.call("a", Relay("b", "x", seconds=0.5, timeout=1.0)))
        too_late = cluster.spawn(cluster.call("a", Relay("b", "y", seconds=1.5, timeout=1.0)))
        await cluster.sleep(0.1)
        cluster.pause("a")
        await cluster.sleep(5)
        cluster.resume("a")
        assert await in_time == "x"
        assert await too_late == "failed"

    passes(scenario)


def test_a_paused_server_can_be_killed() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        cluster.pause("a")
        answer = cluster.spawn(cluster.call("a", Echo("x"), timeout=None))
        await cluster.sleep(0.1)
        await cluster.kill("a")
        with pytest.raises(CallFailed, match="a died"):
            await answer
        await cluster.restart("a")
        assert await cluster.call("a", Echo("x")) == "x"
        cluster.resume("a")

    passes(scenario)


def test_only_a_running_server_can_be_paused() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.kill("a")
        for change in (cluster.pause, cluster.resume):
            with pytest.raises(ValueError, match="expected a running server, but a does not run"):
                change("a")
        assert cluster.memory("a") == 0

    passes(scenario)


def test_a_server_may_be_killed_while_it_starts() -> None:
    async def scenario(cluster: SimCluster) -> None:
        start = cluster.spawn(cluster.start("echo", "a"))
        await cluster.sleep(0.001)
        await cluster.kill("a")
        with pytest.raises(ServerStopped, match="a was killed while it started"):
            await start
        await cluster.restart("a")
        assert await cluster.call("a", Echo("x")) == "x"

    passes(scenario)


def test_what_a_server_prints_is_in_its_log_with_the_time() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.sleep(1)
        print("the test's own words")
        await cluster.start("echo", "a", greeting="two\nlines")
        await cluster.start("echo", "b")
        await cluster.kill("a")
        assert cluster.log("a").splitlines() == [
            "  1.000000 --- start echo",
            "  1.002000 two",
            "  1.002000 lines from a",
            "  1.004000 --- kill",
        ]
        await cluster.call("b", Misbehave("logging_is_allowed"))
        assert "into the log" in cluster.log("b")
        raise AssertionError("for its logs")

    outcome = play(scenario)
    assert set(outcome.logs) == {"a", "b", "test"}
    assert outcome.logs["test"] == "the test's own words\n"


def test_memory_is_what_the_server_holds() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.start("echo", "b")
        empty = cluster.memory("a")
        await cluster.call("a", Keep(1_000_000))
        assert 1_000_000 <= cluster.memory("a") - empty < 1_010_000
        assert cluster.memory("b") < 1_000_000
        cluster.spawn(cluster.call("a", Echo("x" * 500_000, seconds=1.0)))
        await cluster.sleep(0.1)
        assert 1_500_000 <= cluster.memory("a") - empty < 1_510_000  # what a handler works on counts, too
        await cluster.call("a", Keep(0))
        await cluster.sleep(1)
        assert cluster.memory("a") - empty < 510_000

    passes(scenario)


def test_a_mistake_in_a_handler_stops_the_server_and_the_test() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "s-1")
        await cluster.call("s-1", Misbehave("no such misdeed"))

    outcome = play(scenario)
    assert outcome.status == "failed"
    assert "ServerStopped: s-1 (echo) ended by itself. A server runs until it is killed.\nTraceback" in outcome.message
    assert "roles.py" in outcome.message
    assert "KeyError: 'no such misdeed'" in outcome.message
    assert "asyncio" not in outcome.message  # neither Python's lines nor the harness's
    assert "KeyError: 'no such misdeed'" in outcome.logs["s-1"]


def test_a_server_must_not_exit() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "s-1")
        await cluster.call("s-1", Misbehave("exits"))

    outcome = play(scenario)
    assert outcome.status == "failed"
    assert "s-1 (echo) ended by itself" in outcome.message
    assert "in exits\n    sys.exit(0)\n" in outcome.message
    assert outcome.message.endswith("SystemExit: 0\n\n")


def test_a_mistake_ends_a_long_wait_of_the_test_at_once() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("broken", "s-1")
        await cluster.sleep(100)

    outcome = play(scenario)
    assert outcome.status == "failed"
    assert (
        "ServerStopped: s-1 (broken) ended by itself. A server runs until it is killed.\nTraceback" in outcome.message
    )
    assert "ZeroDivisionError: one of its own" in outcome.message
    assert outcome.virtual_seconds < 1


def test_a_stopped_server_is_dead_to_the_others() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.start("broken", "b")
        with pytest.raises(ServerStopped):
            await cluster.sleep(1)
        assert not cluster.running("b")
        assert await cluster.call("a", Relay("b", "x")) == "failed"

    outcome = play(scenario)
    assert outcome.status == "failed"  # it is not forgotten, though the test went on
    assert "ZeroDivisionError" in outcome.message


def test_a_failing_task_of_the_test_is_not_lost() -> None:
    async def scenario(cluster: SimCluster) -> None:
        async def fail() -> None:
            raise ValueError("nobody awaits me")

        cluster.spawn(fail())
        await cluster.sleep(1)

    outcome = play(scenario)
    assert outcome.status == "failed"
    assert "ValueError: nobody awaits me" in outcome.message


def test_hooks_look_at_a_run_that_passed() -> None:
    seen: list[Any] = []

    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")

    async def failing(cluster: SimCluster) -> None:
        raise AssertionError("failed before")

    def unhappy(cluster: object) -> None:
        seen.append(cluster)
        raise AssertionError("the history is not linearizable")

    assert play(scenario, after=[unhappy]).status == "failed"
    assert play(failing, after=[unhappy]).message.endswith("failed before\n")
    assert len(seen) == 1


def test_everything_at_once_ends_well() -> None:
    async def scenario(cluster: SimCluster) -> None:
        names = ["a", "b", "c"]
        for name in names:
            await cluster.start("gossip", name, peers=[peer for peer in names if peer != name])
        for _ in range(20):
            name = cluster.random.choice(names)
            match cluster.random.randrange(4):
                case 0:
                    await cluster.kill(name)
                    await cluster.restart(name)
                case 1:
                    cluster.pause(name)
                    await cluster.sleep(0.1)
                    cluster.resume(name)
                case 2:
                    cluster.tap(name, Faults(0.1, 0.2, 0.2, 0.2))
                case 3:
                    cluster.partition([name], [peer for peer in names if peer != name])
            await cluster.sleep(0.1)
            cluster.heal()

    for seed in range(5):
        passes(scenario, seed)
