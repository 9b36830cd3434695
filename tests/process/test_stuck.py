"""What is said of servers that do not get on: who waits for whom, where they are in their code, and what is cut."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from conftest import Play
from toy_lab.messages import Add, Crash, Echo, Lend, Numbers, Send, Spin

from common.snapshot import Snapshot
from labs import stuck
from labs.process import cluster as process_cluster
from labs.process.cluster import ProcessCluster
from labs.process.processes import Keeper
from labs.submission import Command

SOON = 60.0
"""Seconds within which things happen that take milliseconds. Generous: the machine may be slow."""


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that gives a snapshot of itself is given the time to."""
    monkeypatch.setattr(process_cluster, "SNAPSHOT_WITHIN", SOON)
    monkeypatch.setattr(process_cluster, "TRACE_WITHIN", SOON)


async def until_waiting(cluster: ProcessCluster, *names: str) -> None:
    """Waits until each of these has waited for an answer for a while."""
    for name in names:

        async def waits(name: str = name) -> bool:
            return any(call.seconds > stuck.LONG for call in (await cluster.snapshot(name)).calls)

        await cluster.until(waits, SOON, f"{name} to wait")


def test_a_cycle_is_named(play: Play, tmp_path: Path) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        await cluster.start("adder", "b")
        lending = [cluster.spawn(cluster.call(one, Lend(other), timeout=None)) for one, other in ("ab", "ba")]
        await until_waiting(cluster, "a", "b")
        said = await stuck.describe(cluster)
        summary = stuck.summary(said)
        assert "a waits for b (Lend, " in summary
        assert "b waits for a (Lend, " in summary
        assert "a cycle" in summary
        assert "in handle_lend: return await host.call(request.to, Lend(), timeout=60.0)" in said
        assert "in handle_lend: async with lock:" in said
        assert "common/tcp.py" not in said
        for task in lending:
            task.cancel()

    play(scenario)


def test_a_busy_server_is_shown_where_it_is(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_cluster, "SNAPSHOT_WITHIN", 0.3)

    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        spinning = cluster.spawn(cluster.call("a", Spin(), timeout=None))
        await cluster.until(lambda: "spinning" in cluster.log("a"), SOON, "a to spin")
        said = await stuck.describe(cluster)
        assert "a is busy and hears nobody, at " in stuck.summary(said)
        assert "in handle_spin" in stuck.summary(said)
        assert cluster.running("a")
        spinning.cancel()

    play(scenario)


def test_where_a_busy_server_is_is_read_when_it_has_written_all_of_it(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_cluster, "SNAPSHOT_WITHIN", 0.0)
    pieces = (
        *("Current thread 0x1 (most recent call first):\n", '  File "mine.py", line 7 in work\n', '  File "<frozen '),
        'runpy>", line 198 in _run_module_as_main\n',
    )

    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        writing = []

        async def write() -> None:
            for piece in pieces:
                with (cluster.logs / "a.log").open("a") as log:
                    log.write(piece)
                await cluster.sleep(0.1)

        def signalled(_: str, number: signal.Signals) -> None:
            if number == signal.SIGUSR2:
                writing.append(cluster.spawn(write()))

        monkeypatch.setattr(cluster, "_signal", signalled)
        (task,) = (await cluster.snapshot("a")).tasks
        assert [place.function for place in task.places] == ["_run_module_as_main", "work"]
        await asyncio.wait(writing)

    play(scenario)


def test_a_server_goes_on_after_it_was_looked_into(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        await cluster.call("a", Add(1))
        for _ in range(3):
            await stuck.describe(cluster)
        assert await cluster.call("a", Numbers()) == [1]

    play(scenario)


def test_the_state_of_servers_and_links_is_told(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        for name in ("a", "b", "c", "gone"):
            await cluster.start("adder", name)
        await cluster.kill("gone")
        asking = cluster.spawn(cluster.call("a", Send("b", [1]), timeout=None))
        cluster.pause("b")
        cluster.partition(["a"], ["c"])
        await until_waiting(cluster, "a")
        summary = stuck.summary(await stuck.describe(cluster))
        assert "a waits for b (Add, " in summary
        assert "which is paused" in summary
        assert "killed: gone" in summary
        assert "a cannot call c: the links are cut" in summary
        assert "c cannot call a: the links are cut" in summary
        asking.cancel()

    play(scenario)


def test_a_server_that_ends_while_it_is_asked_is_no_mishap(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        with pytest.raises(AssertionError):
            await cluster.call("a", Crash())
        assert "killed: a" in stuck.summary(await stuck.describe(cluster))

    play(scenario)


def test_of_a_program_in_another_language_only_its_state_is_told(run: str, tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(
        "import pathlib, sys, time\n"
        "file = pathlib.Path(sys.argv[3], sys.argv[2], sys.argv[2])\n"
        "file.parent.mkdir(parents=True)\n"
        "file.with_name('draft').write_text('127.0.0.1 9')\n"
        "file.with_name('draft').rename(file)\n"
        "time.sleep(1000)\n"
    )
    keeper = Keeper("some_lab", run, command=Command((sys.executable, "server.py"), tmp_path))

    async def scenario() -> None:
        async with ProcessCluster("some_lab", keeper, folder=tmp_path / "run") as cluster:
            await cluster.start("adder", "a")
            assert await cluster.snapshot("a") == Snapshot("running")
            cluster.pause("a")
            assert await cluster.snapshot("a") == Snapshot("paused")

    asyncio.run(scenario())
    keeper.close()


def test_requests_are_counted_over_all_connections(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        await cluster.start("adder", "b")
        for _ in range(2):
            await cluster.call("b", Send("a", [1, 2, 3]))
            await cluster.kill("a")
            await cluster.restart("a")
        assert (await cluster.snapshot("b")).requests == 6
        assert (await cluster.snapshot("a")).requests == 0

    play(scenario)


def test_a_call_whose_caller_went_away_is_not_told(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        asking = cluster.spawn(cluster.call("a", Echo("x", seconds=1000.0), timeout=None))
        client = cluster._servers["a"].client
        while client is None or not client.under_way():
            await cluster.sleep(0.01)
            client = cluster._servers["a"].client
        ((request, seconds),) = client.under_way()
        assert request == "Echo"
        assert seconds >= 0
        asking.cancel()
        await asyncio.wait([asking])
        assert client.under_way() == []

    play(scenario)


def test_calls_that_were_answered_or_given_up_are_not_told(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        await cluster.start("adder", "b")
        assert await cluster.call("a", Send("b", [1, 2])) == ["1", "3"]
        assert (await cluster.snapshot("a")).calls == []
        cluster.pause("b")
        (failed,) = await cluster.call("a", Send("b", [4], timeout=0.1))
        assert "in time" in failed
        assert (await cluster.snapshot("a")).calls == []
        assert await cluster.call("a", Echo("x")) == "x"

    play(scenario)
