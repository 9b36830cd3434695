"""What is meant to happen sometimes: how a run notes it, what the links see, and a batch in which it never happens."""

from collections.abc import Iterator
from pathlib import Path

import given
import pytest
from echo_lab.roles import Echo, Insist, Relay
from plays import passes

from labs.cluster import Mark
from labs.faults import Faults
from labs.grading import Grade
from labs.history import History
from labs.running import GradedItem, Runner
from labs.sim.cluster import SimCluster
from labs.suites import Suite

HERE = Path(__file__).parent
ECHO = Suite("echo", "lab0", "echo_lab", "Echoes")


@pytest.fixture
def runner() -> Iterator[Runner]:
    """Two processes share the seeds."""
    runner = Runner("test", HERE, patience=1.0, sim_workers=2)
    yield runner
    runner.close()


def item(test: str) -> GradedItem:
    """One of the tests in `given.py`, as if it were graded."""
    return GradedItem(test, HERE / "given.py", getattr(given, test), Grade(test, "A", 1, 10.0), ECHO)


def test_seeds_that_could_not_tell_are_no_failures(runner: Runner, tmp_path: Path) -> None:
    report = runner.run(item("test_cannot_tell"), "sim", range(3), tmp_path)
    assert (report.status, report.runs, report.failed_seeds, report.undecided) == ("inconclusive", 3, [], 3)


def test_a_run_notes_what_happened_at_least_once() -> None:
    async def scenario(cluster: SimCluster) -> None:
        for happened in (False, True, False):
            cluster.sometimes("a", happened)
        cluster.sometimes("b", False, seeds=100)

    assert passes(scenario).marks == {"a": Mark(True, 20), "b": Mark(False, 100)}


def test_a_repetition_after_a_lost_reply_is_seen() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.start("echo", "b")
        cluster.tap("b", Faults(reply_lost=1.0))
        assert await cluster.call("a", Relay("b", "x")) == "failed"
        assert await cluster.call("a", Relay("b", "x")) == "failed"  # what is asked for next is no repetition
        assert cluster.seen.repeated == 0
        insists = cluster.spawn(cluster.call("a", Insist("b", "x"), timeout=None))
        await cluster.sleep(0.5)
        cluster.untap("b")
        assert await insists == "x"
        assert cluster.seen.repeated > 0
        assert cluster.seen.duplicates == 0

    passes(scenario)


def test_a_lost_request_is_no_lost_reply() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.start("echo", "b")
        cluster.tap("b", Faults(request_lost=0.9))
        assert await cluster.call("a", Insist("b", "x"), timeout=None) == "x"
        assert cluster.seen.repeated == 0

    passes(scenario)


def test_duplicates_are_seen() -> None:
    async def scenario(cluster: SimCluster) -> None:
        await cluster.start("echo", "a")
        await cluster.start("echo", "b")
        cluster.tap("b", Faults(duplicate=1.0))
        for _ in range(3):
            await cluster.call("a", Relay("b", "x"))
        await cluster.call("b", Echo("x"))
        await cluster.sleep(0.1)
        assert cluster.seen.duplicates == 3

    passes(scenario)


def test_a_history_knows_what_is_in_flight() -> None:
    history = History()
    first = history.begin("ck-1", "get", "k", None, 1.0)
    second = history.begin("ck-2", "get", "k", None, 1.0)
    assert history.in_flight() == [first, second]
    history.end(first, "", 2.0)
    assert history.in_flight() == [second]


def test_a_batch_fails_in_which_it_never_happens(runner: Runner, tmp_path: Path) -> None:
    report = runner.run(item("test_meant_to_reach_eleven"), "sim", range(20), tmp_path)
    assert report.status == "passed"
    report = runner.run(item("test_meant_to_reach_eleven"), "sim", range(100, 120), tmp_path)
    assert (report.status, report.runs, report.failed_seeds) == ("failed", 20, [])
    assert report.failure is not None
    assert "in none of 20 seeds did this happen" in report.failure.message
    assert "- the seed is 11" in report.failure.message
    assert "less than 1000" not in report.failure.message
    assert "--seed 100 " in report.failure.replay
    assert report.failure.replay.endswith(" --seeds 20")


def test_a_few_seeds_never_fail_by_it(runner: Runner, tmp_path: Path) -> None:
    assert runner.run(item("test_meant_to_reach_eleven"), "sim", range(100, 119), tmp_path).status == "passed"


def test_a_seed_that_fails_is_the_better_news(runner: Runner, tmp_path: Path) -> None:
    report = runner.run(item("test_meant_to_reach_eleven"), "sim", range(990, 1010), tmp_path)
    assert (report.status, report.failed_seeds) == ("failed", list(range(1000, 1010)))
    assert report.failure is not None
    assert report.failure.seed == 1000
