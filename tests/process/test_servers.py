"""Servers as processes: how they start, are killed, paused and started again, and what is said when they end."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import Play
from toy_lab.messages import Add, Crash, Echo, Leave, Numbers

from common.host import CallFailed
from labs.cluster import NotInTime, ServerStopped
from labs.process import cluster as process_cluster
from labs.process.cluster import ProcessCluster
from labs.process.leftovers import belonging
from labs.process.processes import Keeper, NotImported
from labs.submission import Command
from tests.clocks import Hurried

SOON = 60.0
"""Seconds within which things happen that take milliseconds. Generous: the machine may be slow."""


def test_a_server_answers_as_soon_as_it_has_started(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a", greeting="hello ")
        assert await cluster.call("a", Echo("world")) == "hello world"
        assert cluster.running("a")
        assert cluster.memory("a") > 100_000

    play(scenario)


def test_a_restarted_server_is_the_same_with_an_empty_memory(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a", greeting="hello ")
        await cluster.call("a", Add(1))
        first = cluster.pid("a")
        await cluster.kill("a")
        assert not psutil.pid_exists(first)
        assert not cluster.running("a")
        assert cluster.memory("a") == 0
        with pytest.raises(CallFailed):
            await cluster.call("a", Echo(""))
        await cluster.restart("a")
        assert cluster.pid("a") != first
        assert await cluster.call("a", Echo("world")) == "hello world"
        assert await cluster.call("a", Numbers()) == []
        assert [line.split(": ")[1] for line in cluster.log("a").splitlines()] == [
            "start as adder",
            "killed",
            "start as adder",
        ]

    play(scenario)


def test_only_a_killed_server_can_be_restarted(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        with pytest.raises(ValueError, match="a runs"):
            await cluster.restart("a")

    play(scenario)


def test_a_killed_server_fails_the_calls_it_had_not_answered(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        call = cluster.spawn(cluster.call("a", Echo("", seconds=1000), timeout=None))
        assert not await cluster.finishes(call, within=0.1)
        await cluster.kill("a")
        with pytest.raises(CallFailed):
            await asyncio.wait_for(call, SOON)

    play(scenario)


def test_a_paused_server_does_nothing_and_keeps_all(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        await cluster.call("a", Add(1))
        cluster.pause("a")
        assert cluster.running("a")
        with pytest.raises(CallFailed, match="in time"):
            await cluster.call("a", Add(2), timeout=0.2)
        cluster.resume("a")
        await cluster.until(lambda: cluster.call("a", Add(4)), SOON, "an answer after the pause")
        assert await cluster.call("a", Numbers()) == [1, 2, 4]

    play(scenario)


def test_a_paused_server_can_be_killed(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        cluster.pause("a")
        await cluster.kill("a")
        await cluster.restart("a")
        assert await cluster.call("a", Echo("x")) == "x"

    play(scenario)


def test_killing_a_server_kills_the_daemon_it_left(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        await cluster.start("adder", "b")
        mine, other = await cluster.call("a", Leave()), await cluster.call("b", Leave())
        assert psutil.pid_exists(mine)
        await cluster.kill("a")
        assert not psutil.pid_exists(mine)
        assert psutil.pid_exists(other)  # b's, and b lives
        await cluster.close()
        assert not psutil.pid_exists(other)

    play(scenario)


def test_a_server_that_makes_a_mistake_is_shown_with_its_traceback(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        with pytest.raises(
            ServerStopped, match=r"(?s)a \(adder\) ended by itself: exit status 1.*mistake in the handler"
        ):
            await cluster.call("a", Crash())
        with pytest.raises(ServerStopped):
            cluster.check()
        with pytest.raises(ServerStopped):
            await cluster.restart("a")

    play(scenario)


def test_a_server_that_ends_while_nobody_calls_is_noticed(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        daemon = await cluster.call("a", Leave())
        process = psutil.Process(cluster.pid("a"))
        process.kill()
        process.wait(SOON)
        assert cluster.running("a"), "it is heard of when the loop turns"
        assert cluster.memory("a") == 0
        with pytest.raises(ServerStopped, match="ended by itself: signal SIGKILL"):
            await cluster.until(lambda: False, SOON, "the end of a")
        async with asyncio.timeout(SOON):  # `until` would raise what it has raised before
            while psutil.pid_exists(daemon):
                await cluster.sleep(0.01)

    play(scenario)


def test_a_server_that_fails_to_start_is_shown_with_its_traceback(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        with pytest.raises(ServerStopped, match=r"(?s)b \(broken\) ended by itself.*a mistake at the start"):
            await cluster.start("broken", "b")

    play(scenario)


def test_an_unknown_role_is_said_to_be_unknown(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        with pytest.raises(ServerStopped, match="expected a role of toy_lab"):
            await cluster.start("no-such-role", "b")

    play(scenario)


def test_a_server_that_never_listens_is_not_waited_for_for_ever(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        clock = Hurried(lambda: "listening" in cluster.log("s"), process_cluster.LISTEN_LIMIT / 5)
        monkeypatch.setattr(process_cluster, "time", clock)
        with pytest.raises(NotInTime, match=r"(?s)waited 10 s for s to listen.*do not feel like listening"):
            await cluster.start("silent", "s")

    play(scenario)


def test_a_server_can_be_killed_while_it_starts(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        starting = cluster.spawn(cluster.start("silent", "s"))
        await cluster.until(lambda: "feel like listening" in cluster.log("s"), SOON, "the first words of s")
        await cluster.kill("s")
        with pytest.raises(ServerStopped, match="s was killed while it started"):
            await asyncio.wait_for(starting, SOON)
        cluster.check()

    play(scenario)


def test_a_server_whose_start_was_given_up_does_not_live_on(play: Play, run: str) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        before = len(list(belonging(run)))
        for turns in range(8):
            starting = cluster.spawn(cluster.start("adder", f"b{turns}"))
            for _ in range(turns):
                await cluster.sleep(0)
            starting.cancel()
            await asyncio.wait([starting])
        await cluster.close()
        assert len(list(belonging(run))) == before - 1

    play(scenario)


def test_the_end_of_a_server_is_noticed_however_early(keeper: Keeper, tmp_path: Path) -> None:
    async def scenario() -> None:
        await keeper.open()
        for _ in range(20):
            starting = asyncio.create_task(keeper.start("broken", "b", {}, tmp_path / "net", tmp_path / "log"))
            await asyncio.sleep(0)
            time.sleep(0.02)  # noqa: ASYNC251 (meanwhile the keeper says that it has started, and that it has ended)
            process = await starting
            await asyncio.wait_for(process.ended.wait(), SOON)
            assert process.how == "exit status 1"

    asyncio.run(scenario())


def test_a_long_log_is_shown_from_its_end(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        with (cluster.logs / "a.log").open("a") as log:
            log.writelines(f"line {number}\n" for number in range(100_000))
        with pytest.raises(ServerStopped) as failure:
            await cluster.call("a", Crash())
        assert "line 99999" in str(failure.value)
        assert len(str(failure.value)) < 10_000

    play(scenario)


def write_lab(folder: Path, text: str) -> str:
    """A lab package with this text as its module of roles. Gives its name."""
    package = folder / "mistaken_lab"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "roles.py").write_text(text)
    return package.name


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("import no_such_module", r"(?s)mistaken_lab cannot be imported.*roles\.py.*No module named 'no_such_module'"),
        ("print('before'); import os; os._exit(3)", "ended the process"),
        ("raise SystemExit('so long')", "so long"),
        ("pass", "expected mistaken_lab.roles to have a table ROLES"),
        ("while True: pass", r"(?s)Timeout.*roles\.py"),
        (
            "import threading, time\n"
            "threading.Thread(target=time.sleep, args=(60,), daemon=True, name='ticker').start()\n"
            "ROLES = {}",
            "starts a thread .*ticker",
        ),
    ],
    ids=["raises", "ends the process", "exits", "has no roles", "hangs", "starts a thread"],
)
def test_a_lab_that_cannot_be_imported_is_shown_with_the_reason(
    text: str, complaint: str, run: str, tmp_path: Path
) -> None:
    keeper = Keeper(write_lab(tmp_path, text), run, [tmp_path], import_limit=3.0 if text.startswith("while") else 60.0)

    async def scenario() -> None:
        async with ProcessCluster("mistaken_lab", keeper, folder=tmp_path) as cluster:
            for name in "ab":  # the second time it is known already
                with pytest.raises(NotImported, match=complaint):
                    await cluster.start("adder", name)

    asyncio.run(scenario())
    keeper.close()


def test_a_submission_comes_before_what_is_installed(run: str, tmp_path: Path) -> None:
    package = tmp_path / "lab1_pbservice"  # as the reference has it
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "roles.py").write_text(
        "async def broken(host): raise ZeroDivisionError('in the submission')\nROLES = {'broken': broken}"
    )
    keeper = Keeper(package.name, run, [tmp_path])

    async def scenario() -> None:
        async with ProcessCluster(package.name, keeper, folder=tmp_path / "run") as cluster:
            with pytest.raises(ServerStopped, match="in the submission"):
                await cluster.start("broken", "b")

    asyncio.run(scenario())
    keeper.close()


def test_a_command_line_can_be_started_in_place_of_a_role(run: str, tmp_path: Path) -> None:
    net, log = tmp_path / "net", tmp_path / "log"
    (tmp_path / "server.py").write_text(
        "import os, sys; print(sys.argv[1:], os.getsid(0) == os.getpid(), os.environ['LAB_RUN']); sys.exit(7)"
    )
    keeper = Keeper("some_lab", run, command=Command((sys.executable, "server.py"), tmp_path))

    async def scenario() -> None:
        process = await keeper.start("adder", "a", {"greeting": "hello"}, net, log)
        await asyncio.wait_for(process.ended.wait(), SOON)
        assert process.how == "exit status 7"
        words = ["adder", "a", str(net), '{"greeting": "hello"}']
        assert log.read_text() == f"{words} True {run}\n"

    asyncio.run(scenario())
    keeper.close()


def test_another_program_does_not_mind_the_signals_that_ask_for_a_snapshot(run: str, tmp_path: Path) -> None:
    script = (
        "import pathlib, time; pathlib.Path('up').touch()\nwhile not pathlib.Path('end').exists(): time.sleep(0.01)"
    )
    keeper = Keeper("some_lab", run, command=Command((sys.executable, "-c", script), tmp_path))

    async def scenario() -> None:
        process = await keeper.start("x", "x", {}, tmp_path / "net", tmp_path / "log")
        while not (tmp_path / "up").exists():
            await asyncio.sleep(0.01)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            os.kill(process.pid, number)
        (tmp_path / "end").touch()
        await asyncio.wait_for(process.ended.wait(), SOON)
        assert process.how == "exit status 0"

    asyncio.run(scenario())
    keeper.close()


def test_many_servers_start_side_by_side(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        names = [f"s{number}" for number in range(12)]
        await cluster.gather(*(cluster.start("adder", name, greeting=name) for name in names))
        assert await cluster.gather(*(cluster.call(name, Echo("")) for name in names)) == names
        assert all((cluster.net / src / dst).exists() for src in names for dst in names)

    play(scenario)


def test_a_killed_keeper_takes_all_with_it_and_is_replaced(run: str, tmp_path: Path) -> None:
    keeper = Keeper("toy_lab", run, [Path(__file__).parent])

    async def scenario(folder: Path) -> None:
        async with ProcessCluster("toy_lab", keeper, folder=folder) as cluster:
            await cluster.start("adder", "a")
            assert await cluster.call("a", Echo("x")) == "x"

    async def accident() -> None:
        async with ProcessCluster("toy_lab", keeper, folder=tmp_path / "accident") as cluster:
            await cluster.start("adder", "a")
            daemon, server = await cluster.call("a", Leave()), psutil.Process(cluster.pid("a"))
            psutil.Process(server.ppid()).kill()
            with pytest.raises(ServerStopped, match="its keeper ended unexpectedly"):
                await cluster.until(lambda: False, SOON, "the end of the keeper")
            assert not psutil.pid_exists(daemon)
            assert not server.is_running()

    asyncio.run(scenario(tmp_path / "before"))
    asyncio.run(accident())
    asyncio.run(scenario(tmp_path / "after"))
    keeper.close()


def test_a_keeper_serves_one_loop_after_another(play: Play, keeper: Keeper) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", f"a{time.monotonic_ns()}")

    for _ in range(3):
        play(scenario)
