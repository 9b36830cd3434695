"""What no run can repeat is found, with the line that did it."""

import datetime
import importlib
import inspect
import os
import random
import threading
import time
from pathlib import Path

import pytest
from echo_lab import mischief
from echo_lab.roles import Echo, Misbehave
from plays import passes, play

from labs.sim import guard, loop
from labs.sim.cluster import SimCluster
from labs.sim.errors import is_own_code
from labs.sim.run import Outcome

with guard.installed():  # as in a worker, where the guard is there before a lab is imported
    importlib.reload(mischief)


def misbehave(how: str) -> Outcome:
    """A run in which a server does this."""

    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "s-1")
        await cluster.call("s-1", Misbehave(how))

    return play(scenario)


def marked(how: str) -> str:
    """The place of the marked line of a misdeed, as a report gives it."""
    lines, start = inspect.getsourcelines(mischief.MISDEEDS[how])
    (number,) = [number for number, line in enumerate(lines, start) if line.endswith("# marked\n")][-1:]
    return f"{mischief.__file__}:{number} in {how}: {lines[number - start].strip()}"


@pytest.mark.parametrize(
    ("how", "instead"),
    [
        ("real_time", "use host.now()"),
        ("real_time_ns", "use host.now()"),
        ("imported_clock", "use host.now()"),
        ("performance_counter", "use host.now()"),
        ("date_and_time", "use host.now()"),
        ("imported_date_and_time", "use host.now()"),
        ("today", "use host.now()"),
        ("real_sleep", "use await host.sleep(seconds)"),
        ("hidden_mistake", "use await host.sleep(seconds)"),
        ("thread", "use host.spawn(coroutine)"),
        ("thread_of_asyncio", "use host.spawn(coroutine)"),
        ("real_socket", "use host.serve and host.call"),
        ("socket_of_asyncio", "use host.serve and host.call"),
        ("real_process", "processes are started"),
        ("fork", "processes are started"),
        ("global_randomness", "use host.random"),
        ("imported_randomness", "use host.random"),
        ("unseeded_randomness", "use host.random"),
        ("randomness_of_the_system", "use host.random"),
        ("secret", "use host.random"),
        ("universal_identifier", "use host.random"),
        ("process_number", "use host.name"),
    ],
)
def test_what_cannot_be_repeated_is_an_error_that_names_the_line(how: str, instead: str) -> None:
    outcome = misbehave(how)
    assert outcome.status == "error"
    assert outcome.message.startswith("NotSimulated: s-1 used ")
    assert marked(how) in outcome.message
    assert instead in outcome.message


@pytest.mark.parametrize("how", ["logging_is_allowed", "seeded_randomness", "dates_that_are_known"])
def test_what_only_looks_like_it_is_allowed(how: str) -> None:
    outcome = misbehave(how)
    assert outcome.status == "passed", outcome.message


def test_a_forgotten_await_is_named() -> None:
    outcome = misbehave("forgotten_await")
    assert outcome.status == "failed"
    assert "ForgottenAwait: s-1 never awaited the coroutine SimHost.sleep" in outcome.message
    assert marked("forgotten_await") in outcome.message


def test_a_forgotten_await_of_the_test_is_named() -> None:
    async def scenario(cluster: SimCluster) -> None:
        cluster.sleep(1)  # type: ignore[unused-coroutine]
        await cluster.sleep(1)

    outcome = play(scenario)
    assert outcome.status == "failed"
    assert "the test never awaited the coroutine SimCluster.sleep" in outcome.message
    assert "cluster.sleep(1)  # type: ignore" in outcome.message


def test_code_that_never_waits_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SECONDS_IN_ONE_STEP", 0.1)
    outcome = misbehave("endless_loop")
    assert outcome.status == "failed"
    assert outcome.runaway
    assert "Runaway: s-1 ran for 0.1 s without waiting at " in outcome.message
    assert f"{mischief.__file__}:" in outcome.message
    assert " in endless_loop: " in outcome.message


def test_a_loop_in_which_time_does_not_pass_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STEPS_AT_ONE_INSTANT", 1000)
    outcome = misbehave("busy_waiting")
    assert outcome.status == "failed"
    assert outcome.runaway
    assert "Runaway: 1000 steps, and still it is " in outcome.message
    assert marked("busy_waiting") in outcome.message


def test_a_deadlock_says_who_waits_where() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "s-1")
        cluster.spawn(cluster.call("s-1", Echo("x", seconds=5.0), timeout=None))
        await cluster.sleep(0.1)
        cluster.pause("s-1")
        await cluster.call("s-1", Echo("y"), timeout=None)  # here

    outcome = play(scenario)
    assert outcome.status == "failed"
    assert outcome.message.startswith("Deadlock: at 0.102 s everybody waits")
    assert 'await cluster.call("s-1", Echo("y"), timeout=None)  # here' in outcome.message
    assert "s-1 (stopped): Echo waits at " in outcome.message
    assert "in on_echo: await host.sleep(request.seconds)" in outcome.message


def test_a_run_that_takes_too_long_says_where_the_test_is() -> None:
    async def wait_in_vain(cluster: SimCluster) -> None:
        while True:
            await cluster.sleep(0.1)  # here

    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("ticker", "s-1")
        await wait_in_vain(cluster)  # from here

    outcome = play(scenario, limit=5.0)
    assert outcome.status == "failed"
    assert outcome.message.startswith("TimeLimit: not done after 5 s of virtual time")
    assert "await wait_in_vain(cluster)  # from here" in outcome.message
    assert "await cluster.sleep(0.1)  # here" in outcome.message


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ("shared_counter", "_numbers"),
        ("shared_dictionary", "_seen"),
        ("shared_number", "_counter"),
        ("shared_class", "Registry.known"),
    ],
)
def test_variables_that_all_servers_share_must_not_change(how: str, name: str) -> None:
    outcome = misbehave(how)
    assert outcome.status == "error"
    assert f"changed during the run: echo_lab.mischief.{name}" in outcome.message


def test_what_is_guarded_works_as_ever_outside_of_a_run() -> None:
    with guard.installed():
        assert time.time() > 0
        assert time.monotonic_ns() > 0
        time.sleep(0)
        threading.Thread(target=int).start()
        mischief.universal_identifier(None)  # type: ignore[arg-type]
        mischief.date_and_time(None)  # type: ignore[arg-type]


def test_whose_code_it_is() -> None:
    root = Path(guard.__file__).parents[2]
    for own in ("lab1_pbservice/pbservice/server.py", "labs/graded/lab1/test_pbservice.py", "tests/sim/plays.py"):
        assert is_own_code(str(root / own))
    for foreign in (guard.__file__, str(root / "common" / "host.py"), os.__file__, pytest.__file__, "<string>"):
        assert not is_own_code(foreign)


def test_a_run_leaves_nothing_behind() -> None:
    before = time.time, time.sleep, random.random, os.urandom, datetime.datetime

    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "s-1")

    passes(scenario)
    assert before == (time.time, time.sleep, random.random, os.urandom, datetime.datetime)
