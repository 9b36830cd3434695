"""What many runs of a test amount to, and how a failure's text is read."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import msgspec
import pytest

from labs.confidence import Policy, Tally
from labs.grading import Grade
from labs.results import Attempt, Failure, Status, folder_name, summarise, tally_of
from labs.running import GradedItem, Runner, _where, parse_traceback
from labs.sim.run import Outcome
from labs.suites import SUITES
from labs.testing import _status
from labs.usage import FAILED, INCONCLUSIVE, PASSED


def attempt(status: Status, seed: int = 1, message: str = "") -> Attempt:
    """One run."""
    failure = Failure(message, seed, f"replay {seed}", "folder") if message else None
    seeds = [] if status == "passed" else [seed]
    return Attempt("test", "Title", "A", "paxos", "lab2", "process", 4, status, 1, 0.5, seeds, failure)


# --- many runs -------------------------------------------------------------------------------------------------------


def test_one_failed_run_of_many_fails_the_test() -> None:
    result = summarise(
        [attempt("passed"), attempt("failed", 3, "third"), attempt("passed"), attempt("failed", 2, "second")]
    )
    assert msgspec.to_builtins(result) == {
        "id": "test",
        "title": "Title",
        "suite": "paxos",
        "points": 0,
        "max_points": 4,
        "status": "failed",
        "runs": 4,
        "passes": 2,
        "pass_rate": 0.5,
        "interval": (0.15, 0.85),
        "decision": "",
        "starved": 0,
        "failed_seeds": [2, 3],
        "seconds": 2.0,
        "message": "third",
        "replay": "replay 3",
    }


@pytest.mark.parametrize(
    ("policy", "status", "points"), [("all", "failed", 0), ("best", "passed", 4), ("weighted", "failed", 3)]
)
def test_the_policy_says_what_gives_points(policy: Policy, status: Status, points: float) -> None:
    attempts = [attempt("passed"), attempt("failed", 2, "wrong"), attempt("passed"), attempt("passed")]
    for each in attempts:
        each.policy = policy
    result = summarise(attempts)
    assert (result.status, result.points, result.message) == (status, points, "wrong" if status == "failed" else "")


def test_a_worker_s_death_counts_as_a_failure() -> None:
    died = attempt("error")
    died.runs, died.failed_seeds = 0, []  # what is known beforehand
    assert tally_of([attempt("passed"), died]) == Tally(1, 1)


def test_a_batch_in_which_something_never_happened_fails_without_a_failed_run() -> None:
    batch = attempt("failed", message="never")
    batch.world, batch.runs, batch.failed_seeds = "sim", 60, []
    result = summarise([batch])
    assert (result.status, result.points, result.passes, result.pass_rate) == ("failed", 0, 60, 1.0)


def test_points_have_two_digits_at_most() -> None:
    attempts = [attempt("passed"), attempt("failed", 2, "wrong"), attempt("failed", 3, "wrong")]
    for each in attempts:
        each.policy = "weighted"
    assert summarise(attempts).points == 1.33


def test_runs_on_a_busy_machine_say_nothing_of_the_rate() -> None:
    undecided = attempt("inconclusive", 2, "too busy")
    undecided.failed_seeds, undecided.undecided = [], 1
    result = summarise([attempt("passed"), undecided])
    assert (result.status, result.runs, result.passes, result.pass_rate) == ("inconclusive", 2, 1, 1.0)


def test_a_test_that_could_not_tell_gives_no_points() -> None:
    result = summarise([attempt("passed"), attempt("inconclusive", 2, "too slow")])
    assert (result.status, result.points, result.message) == ("inconclusive", 0, "too slow")


def test_a_failure_outweighs_a_run_that_could_not_tell() -> None:
    result = summarise([attempt("inconclusive", 1, "too slow"), attempt("failed", 2, "wrong")])
    assert (result.status, result.message) == ("failed", "wrong")


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (["passed", "passed"], PASSED),
        (["passed", "inconclusive"], INCONCLUSIVE),
        (["failed", "inconclusive"], FAILED),
        (["passed", "error"], FAILED),
    ],
)
def test_exit_status(statuses: list[Status], status: int) -> None:
    code = 0 if set(statuses) == {"passed"} else 1
    assert _status([summarise([attempt(each)]) for each in statuses], code) == status


def test_every_item_has_a_folder_of_its_own() -> None:
    ids = [
        f"tests/graded/{file}::{name}{variant}"
        for file, name, variant in product(
            ("lab1/test_pbservice.py", "lab2/test_paxos.py"), ("test_a", "test_b"), ("", "[sim]", "[process-2]", "[2]")
        )
    ]
    folders = [folder_name(nodeid) for nodeid in ids]
    assert str(folders[2]) == "pbservice/test_a.process-2"
    assert len(set(folders)) == len(ids)


# --- a failure's text ------------------------------------------------------------------------------------------------

TRACEBACK = """Traceback (most recent call last):
  File "/mine/core.py", line 7, in first
    raise KeyError(1)
KeyError: 1

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/tests/test_x.py", line 5, in test_x
    await check()
    ^^^^^^^^^^^^^
  File "/tests/test_x.py", line 9, in check
    expect()
"""


def test_the_message_is_what_stands_below_the_last_traceback() -> None:
    message, frames = parse_traceback(TRACEBACK + "AssertionError: expected 1, got 2\n  - and more\n")
    assert message == "expected 1, got 2\n  - and more"
    assert [(frame.filename, frame.lineno, frame.name) for frame in frames] == [
        ("/tests/test_x.py", 5, "test_x"),
        ("/tests/test_x.py", 9, "check"),
    ]


def test_a_traceback_within_the_message_stays() -> None:
    inner = 'Traceback (most recent call last):\n  File "/mine/core.py", line 3, in ping\nZeroDivisionError: by zero'
    message, frames = parse_traceback(f"{TRACEBACK}labs.cluster.ServerStopped: vs stopped by itself:\n{inner}\n")
    assert message == f"vs stopped by itself:\n{inner}"
    assert len(frames) == 2


def test_other_exceptions_keep_their_names() -> None:
    message, _ = parse_traceback(TRACEBACK + "common.host.CallFailed: vs does not run\n")
    assert message == "common.host.CallFailed: vs does not run"


def test_a_text_without_a_traceback_is_all_message() -> None:
    assert parse_traceback("Deadlock: all wait\n") == ("Deadlock: all wait", [])


async def example_test(cluster: object) -> None:
    """Not run: only its lines count."""
    await helper()


async def helper() -> None:
    """Outside of the test."""


def test_the_line_shown_is_the_test_s_own() -> None:
    here = Path(__file__)
    item = GradedItem("example_test", here, example_test, Grade("Example", "A", 1, 1.0), SUITES[0])
    line = example_test.__code__.co_firstlineno + 2
    text = f'Traceback (most recent call last):\n  File "{here}", line {line}, in example_test\n'
    _, frames = parse_traceback(f'{text}  File "{here}", line {line + 5}, in helper\nAssertionError: no\n')
    assert _where(item, frames) == f"at test_results.py:{line}: await helper()"


def test_seeds_that_would_all_run_on_and_on_are_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def simulate(*arguments: object, **options: object) -> Iterator[Outcome]:
        for seed in range(1, 21):
            asked.append(seed)
            yield Outcome(seed, "failed" if seed == 3 else "passed", "Runaway: so it is", runaway=seed == 3)

    item = GradedItem("example_test", Path(__file__), example_test, Grade("Example", "A", 1, 1.0), SUITES[0])
    runner = Runner("run", None, 1.0)
    monkeypatch.setattr(runner, "_simulate", simulate)
    report = runner.run(item, "sim", range(1, 21), tmp_path)
    assert asked == [1, 2, 3]
    assert (report.status, report.runs, report.failed_seeds) == ("failed", 3, [3])
