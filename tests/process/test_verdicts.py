"""What comes of a run in real processes: on a busy machine, until one is confident, and when time runs out."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from toy_lab.messages import Echo, Send

from labs import running
from labs.cluster import Cluster
from labs.grading import Grade, Inconclusive
from labs.process import cluster as process_cluster
from labs.process.machine import Watch
from labs.running import GradedItem, Recording, Report, Runner
from labs.runs import Turns
from labs.suites import Suite
from labs.traces.events import FILE, Event, Header, read

HERE = Path(__file__).parent
TOY = Suite("toy", "toy", "toy_lab", "Toy servers")

Test = Callable[[Cluster], Awaitable[None]]


class Bench:
    """Runs tests of the toy lab on a machine that is as busy as one likes."""

    def __init__(self, folder: Path, busy: list[bool]) -> None:
        self.folder = folder
        self.busy = busy
        """For each run to come whether the machine is busy. It is calm when the list is over."""

    def run(
        self, test: Test, until_confident: bool = False, within: float = 60.0, recording: Recording = "never"
    ) -> Report:
        """Runs a test."""
        item = GradedItem("test_x", Path(__file__), test, Grade("x", "A", 1, within), TOY)  # type: ignore[arg-type]
        turns = Turns(self.folder)
        runner = Runner("verdicts", HERE, 1.0, turns=turns, until_confident=until_confident, recording=recording)
        try:
            return runner.run(item, "process", [1], self.folder / "test_x")
        finally:
            runner.close()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path, [])
    monkeypatch.setattr(running, "PAUSE", 0.0)
    monkeypatch.setattr(process_cluster, "SNAPSHOT_WITHIN", 60.0)
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

    report = bench.run(test, within=5.0)
    assert report.status == "failed"
    assert report.failure
    assert "expected the whole test to take at most 5 s" in report.failure.message
    assert 'await cluster.call("a", Echo("", seconds=1000.0), timeout=None)' in report.failure.where
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


# --- traces ----------------------------------------------------------------------------------------------------------


def trace_of(folder: Path) -> tuple[Header, list[Event]]:
    return read(folder / FILE)


def calls_between_servers(events: list[Event]) -> int:
    return sum(event.kind == "request" and event.src == "a" for event in events)


async def sends(cluster: Cluster) -> None:
    """One server asks another."""
    await cluster.start("adder", "a")
    await cluster.start("adder", "b")
    await cluster.call("a", Send("b", [1]))


async def sends_and_fails(cluster: Cluster) -> None:
    """The same, and then something is wrong."""
    await sends(cluster)
    raise AssertionError("expected 1, got 2")


def test_a_trace_ends_with_the_verdict(bench: Bench) -> None:
    bench.run(fails)
    header, events = trace_of(bench.folder / "test_x")
    assert (header.world, header.package, header.test, header.suite, header.seed) == (
        *("process", "toy_lab", "test_x", "toy", 1),
    )
    assert not header.complete
    assert (events[-1].kind, events[-1].text) == ("verdict", "expected 1, got 2")
    assert events[-1].body["status"] == "failed"
    assert events[-1].body["where"].endswith('raise AssertionError("expected 1, got 2")')
    bench.run(passes)
    assert trace_of(bench.folder / "test_x")[1][-1].body == {"status": "passed"}


def test_the_verdict_names_the_operations_that_prove_it(bench: Bench) -> None:
    bench.run(contradicts_itself)
    _, events = trace_of(bench.folder / "test_x")
    assert [event.kind for event in events] == ["call", "answer", "verdict"]
    assert events[-1].body["proof"] == [events[0].id]


def test_all_messages_are_recorded_where_that_is_asked_for(bench: Bench) -> None:
    bench.run(sends)
    assert calls_between_servers(trace_of(bench.folder / "test_x")[1]) == 0
    bench.run(sends, recording="all")
    header, events = trace_of(bench.folder / "test_x")
    assert header.complete
    assert calls_between_servers(events) == 1


def test_what_fails_is_run_again_to_record_all_messages(bench: Bench) -> None:
    report = bench.run(sends_and_fails, recording="failed")
    assert (report.status, report.runs, report.failed_seeds) == ("failed", 1, [1])
    assert report.failure
    assert Path(report.failure.folder) == bench.folder / "test_x" / "recorded"
    assert report.failure.again.startswith("It failed twice like this, and here is the second run.")
    header, events = trace_of(Path(report.failure.folder))
    assert header.complete
    assert calls_between_servers(events) == 1
    assert calls_between_servers(trace_of(bench.folder / "test_x")[1]) == 0


def test_what_then_passes_has_failed_all_the_same(bench: Bench) -> None:
    report = bench.run(fails_once(), recording="failed")
    assert (report.status, report.runs, report.failed_seeds) == ("failed", 1, [1])
    assert report.failure
    assert Path(report.failure.folder) == bench.folder / "test_x"
    assert report.failure.again.startswith("Run once more to record all its messages, it passed; that run is in ")
    assert report.failure.again in report.failure.text()


def test_only_a_few_are_run_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "RECORDED_AGAIN", 0)
    report = bench.run(fails, recording="failed")
    assert report.failure
    assert report.failure.again == ""
    assert not (bench.folder / "test_x" / "recorded").exists()


def test_a_large_trace_of_what_passed_is_not_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LARGE_TRACE", 100)
    bench.run(passes)
    assert not (bench.folder / "test_x" / FILE).exists()
    bench.run(passes, recording="all")
    assert (bench.folder / "test_x" / FILE).exists()
