"""What comes of a run in real processes: on a busy machine, until one is confident, and when time runs out."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from toy_lab.messages import Echo

from labs import running
from labs.cluster import Cluster
from labs.grading import Grade, Inconclusive
from labs.process.machine import Watch
from labs.running import GradedItem, Report, Runner
from labs.runs import Turns
from labs.suites import Suite

HERE = Path(__file__).parent
TOY = Suite("toy", "toy", "toy_lab", "Toy servers")

Test = Callable[[Cluster], Awaitable[None]]


class Bench:
    """Runs tests of the toy lab on a machine that is as busy as one likes."""

    def __init__(self, folder: Path, busy: list[bool]) -> None:
        self.folder = folder
        self.busy = busy
        """For each run to come whether the machine is busy. It is calm when the list is over."""

    def run(self, test: Test, until_confident: bool = False, within: float = 60.0) -> Report:
        """Runs a test."""
        item = GradedItem("test_x", Path(__file__), test, Grade("x", "A", 1, within), TOY)  # type: ignore[arg-type]
        runner = Runner("verdicts", HERE, 1.0, turns=Turns(self.folder), until_confident=until_confident)
        try:
            return runner.run(item, "process", [1], self.folder / "test_x")
        finally:
            runner.close()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path, [])
    monkeypatch.setattr(running, "PAUSE", 0.0)
    monkeypatch.setattr(
        Watch, "complaint", lambda _: "somebody else is busy" if bench.busy and bench.busy.pop(0) else ""
    )
    return bench


async def passes(cluster: Cluster) -> None:
    """Nothing is wrong."""


async def fails(cluster: Cluster) -> None:
    """Something is."""
    raise AssertionError("expected 1, got 2")


async def cannot_tell(cluster: Cluster) -> None:
    """The test itself says so."""
    raise Inconclusive("too slow")


async def contradicts_itself(cluster: Cluster) -> None:
    """A client reads what nobody wrote."""
    history = cluster.history
    history.end(history.begin("ck-1", "get", "k", None, 0.0), "x", 1.0)


def fails_once() -> Test:
    """A test that fails in its first run."""
    runs = 0

    async def test(cluster: Cluster) -> None:
        nonlocal runs
        runs += 1
        assert runs > 1, "expected more"

    return test


def test_a_failure_on_a_calm_machine_is_one(bench: Bench) -> None:
    report = bench.run(fails)
    assert (report.status, report.runs, report.failed_seeds, report.starved) == ("failed", 1, [1], 0)


def test_a_failure_on_a_busy_machine_is_repeated_and_then_counts(bench: Bench) -> None:
    bench.busy = [True]
    report = bench.run(fails)
    assert (report.status, report.runs, report.failed_seeds, report.starved) == ("failed", 1, [1], 1)


def test_a_failure_on_a_busy_machine_is_repeated_and_may_pass(bench: Bench) -> None:
    bench.busy = [True]
    report = bench.run(fails_once())
    assert (report.status, report.runs, report.failed_seeds, report.starved) == ("passed", 1, [], 1)
    assert report.failure is None


def test_failures_on_a_machine_that_stays_busy_say_nothing(bench: Bench) -> None:
    bench.busy = [True] * running.TRIES
    report = bench.run(fails)
    assert (report.status, report.runs, report.failed_seeds, report.undecided) == ("inconclusive", 1, [], 1)
    assert report.failure
    assert "somebody else is busy" in report.failure.message
    assert "expected 1, got 2" in report.failure.message
    assert not bench.busy, "expected so many runs, and no more"


def test_a_pass_is_a_pass_however_busy_the_machine(bench: Bench) -> None:
    bench.busy = [True] * 10
    report = bench.run(passes)
    assert (report.status, report.starved) == ("passed", 0)
    assert len(bench.busy) == 10


def test_what_contradicts_itself_is_wrong_on_a_busy_machine_too(bench: Bench) -> None:
    bench.busy = [True] * 10
    assert bench.run(contradicts_itself).status == "failed"


def test_a_test_that_cannot_tell_is_repeated(bench: Bench) -> None:
    report = bench.run(cannot_tell)
    assert (report.status, report.starved) == ("inconclusive", running.TRIES - 1)


def test_a_test_runs_until_one_can_be_confident(bench: Bench) -> None:
    report = bench.run(passes, until_confident=True)
    assert (report.status, report.runs, report.decision) == ("passed", 31, "reliable")
    report = bench.run(fails, until_confident=True)
    assert (report.status, report.failed_seeds, report.decision) == ("failed", [1, 2], "unreliable")
    report = bench.run(fails_once(), until_confident=True)
    assert (report.status, report.runs, report.failed_seeds, report.decision) == ("failed", 57, [1], "reliable")


def test_nobody_is_confident_on_a_machine_that_stays_busy(bench: Bench) -> None:
    bench.busy = [True] * 100
    report = bench.run(fails, until_confident=True)
    assert (report.status, report.runs, report.decision) == ("inconclusive", 1, "")


def test_a_test_that_takes_too_long_says_what_it_waits_for(bench: Bench) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.start("adder", "a")
        cluster.history.begin("ck-1", "get", "k", None, cluster.now())
        await cluster.call("a", Echo("", seconds=1000.0), timeout=None)

    report = bench.run(test, within=1.0)
    assert report.status == "failed"
    assert report.failure
    assert "expected the whole test to take at most 1 s" in report.failure.message
    said = (Path(report.failure.folder) / "stuck.txt").read_text()
    assert report.failure.stuck in said
    assert report.failure.stuck in report.failure.text()
    assert "in handle_echo: await host.sleep(request.seconds)" in said
    assert 'ck-1: get "k"' in said


def test_an_ordinary_failure_says_nothing_of_that(bench: Bench) -> None:
    report = bench.run(fails)
    assert report.failure
    assert report.failure.stuck == ""
    assert not (Path(report.failure.folder) / "stuck.txt").exists()
