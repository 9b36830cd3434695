"""The worker process, and the harness's end of it."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from labs.sim.client import SimWorker
from labs.sim.run import Outcome

HERE = Path(__file__).parent


@pytest.fixture
def worker() -> Iterator[SimWorker]:
    """A worker that is ended after the test."""
    with SimWorker() as worker:
        yield worker


def run(worker: SimWorker, test: str, seeds: Iterable[int], folder: Path | None = None) -> list[Outcome]:
    """The outcomes of one of the tests in `given.py`."""
    return list(worker.run(HERE / "given.py", test, "echo_lab", seeds, path=[HERE], folder=folder))


def test_each_seed_has_an_outcome(worker: SimWorker) -> None:
    outcomes = run(worker, "test_passes", range(20))
    assert [outcome.seed for outcome in outcomes] == list(range(20))
    assert {outcome.status for outcome in outcomes} == {"passed"}
    assert len({outcome.digest for outcome in outcomes}) == 20
    assert outcomes[0].logs == {}
    assert run(worker, "test_passes", [5])[0].digest == outcomes[5].digest


def test_a_failure_says_what_was_compared(worker: SimWorker, tmp_path: Path) -> None:
    outcomes = run(worker, "test_fails_for_odd_seeds", range(4), tmp_path)
    assert [outcome.status for outcome in outcomes] == ["passed", "failed", "passed", "failed"]
    assert "assert counted == cluster.seed % 2" in outcomes[1].message
    assert "assert 0 == (1 % 2)" in outcomes[1].message
    assert "hello from a" in outcomes[1].logs["a"]
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jsonl")) == [
        "1/trace.jsonl",
        "3/trace.jsonl",
    ]


def test_inconclusive_is_neither_passed_nor_failed(worker: SimWorker) -> None:
    (outcome,) = run(worker, "test_cannot_tell", [1])
    assert outcome.status == "inconclusive"
    assert "too slow" in outcome.message


def test_a_run_that_does_not_repeat_is_noticed(worker: SimWorker) -> None:
    first, *_ = run(worker, "test_is_another_one_each_time", range(10))
    assert first.status == "error"
    assert "the same seed gave another run the second time" in first.message
    (failed,) = run(worker, "test_is_another_one_each_time", [3])
    assert failed.status == "error"
    assert "assert 3 != 3" in failed.message


def test_the_guard_is_there_before_the_test_is_imported(worker: SimWorker) -> None:
    (outcome,) = run(worker, "test_looks_at_the_clock", [1])
    assert outcome.status == "error"
    assert "NotSimulated: the test used time.monotonic() at " in outcome.message


def test_a_seed_that_ends_the_worker_is_an_error_and_the_others_go_on(worker: SimWorker) -> None:
    outcomes = run(worker, "test_ends_the_worker", [1, 2, 3, 4, 5])
    assert [outcome.status for outcome in outcomes] == ["passed", "error", "passed", "error", "passed"]
    assert "the simulation's process ended (exit status 7)" in outcomes[1].message


def test_a_worker_that_always_ends_is_not_started_for_ever(worker: SimWorker) -> None:
    outcomes = run(worker, "test_ends_the_worker", range(0, 20, 2))
    assert [outcome.status for outcome in outcomes] == ["error"] * 10
    assert outcomes[-1].message == "not tried: 3 seeds in a row ended the simulation's process"


def test_a_seed_that_takes_too_long_is_stopped() -> None:
    with SimWorker(real_limit=10.0) as worker:  # starting its process counts, too
        outcomes = run(worker, "test_hangs", [1, 2])
        assert [outcome.status for outcome in outcomes] == ["error", "passed"]
        assert outcomes[0].message.startswith("this seed took more than 10 s of real time")


def test_what_cannot_be_imported_is_an_error(worker: SimWorker) -> None:
    (outcome,) = worker.run(HERE / "given.py", "test_passes", "no_such_lab", [1], path=[HERE])
    assert outcome.status == "error"
    assert "could not be imported" in outcome.message
    assert "No module named 'no_such_lab'" in outcome.message
    (outcome,) = worker.run(HERE / "given.py", "test_nothing", "echo_lab", [1], path=[HERE])
    assert "has no attribute 'test_nothing'" in outcome.message
    assert run(worker, "test_passes", [1])[0].status == "passed"


def test_several_processes_share_the_seeds() -> None:
    with SimWorker(processes=3) as workers, SimWorker() as one:
        outcomes = run(workers, "test_passes", range(50))
        assert sorted(outcome.seed for outcome in outcomes) == list(range(50))
        alone = {outcome.seed: outcome.digest for outcome in run(one, "test_passes", range(50))}
        assert {outcome.seed: outcome.digest for outcome in outcomes} == alone
        assert sum(process._process is not None for process in workers._processes) == 3


def test_several_processes_go_on_when_some_end() -> None:
    with SimWorker(processes=2) as workers:
        outcomes = sorted(run(workers, "test_ends_the_worker", range(9)), key=lambda outcome: outcome.seed)
        assert [outcome.seed for outcome in outcomes] == list(range(9))
        assert [outcome.status for outcome in outcomes] == ["error", "passed"] * 4 + ["error"]
        assert sorted(outcome.seed for outcome in run(workers, "test_ends_the_worker", range(0, 80, 2))) == list(
            range(0, 80, 2)
        )


def test_an_iterator_that_is_not_used_up_ends_the_worker(worker: SimWorker) -> None:
    outcomes = worker.run(HERE / "given.py", "test_passes", "echo_lab", range(1000), path=[HERE])
    assert next(outcomes).seed == 0
    outcomes.close()  # type: ignore[attr-defined]
    assert [outcome.seed for outcome in run(worker, "test_passes", [7])] == [7]


def test_a_worker_ends_with_its_input() -> None:
    worker = subprocess.run(
        [sys.executable, "-m", "labs.sim.worker"],
        input=b"",
        capture_output=True,
        cwd=HERE.parents[1],
        env=os.environ | {"PYTHONHASHSEED": "random"},
        check=False,
    )
    assert worker.returncode == 0
    assert worker.stdout == b""
