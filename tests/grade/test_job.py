"""One submission's run: what counts when it is stopped, refused, or fails itself."""

from pathlib import Path
from typing import Any

import msgspec

from labs.grade.job import Job, Running
from labs.results import Attempt
from tests.grade.classes import right, runs_of, until


def attempt(name: str, suite: str = "viewservice", lab: str = "lab1") -> Attempt:
    """A graded test, as it is before it has run."""
    test = f"tests/graded/{lab}/test_{suite}.py::{name}"
    return Attempt(test=test, title=name, part="A", suite=suite, lab=lab, world="process", points=2)


def job(*tests: Attempt, **options: Any) -> Job:
    """To run these tests."""
    usual = {"workers": 1, "seconds": 1000.0, "limits": None, "repeat": None, "until_confident": False}
    return Job(id="x", tests=list(tests), **{"done": [], "policy": "all", "patience": 1.0, **usual, **options})


FIRST = attempt("test_first_primary")


def never_notices(folder: Path) -> Path:
    """A submission whose view service notices no death."""
    core = right(folder) / "lab1_pbservice" / "viewservice" / "core.py"
    text = core.read_text()
    assert ">= DEAD_TICKS" in text, "expected the line that this mistake changes"
    core.write_text(text.replace(">= DEAD_TICKS", ">= DEAD_TICKS * 10**9"))
    return folder


def test_what_had_run_when_time_was_over_counts(tmp_path: Path) -> None:
    waits = job(FIRST, attempt("test_backup_takes_over"), attempt("test_first_backup"), patience=1000.0)
    running = Running(waits, never_notices(tmp_path / "alice"), tmp_path / "runs" / "1")
    try:
        until(lambda: running.attempts, "the first test to be over")
        assert running.poll() is None
        waits.seconds = 0.5
        came = running.wait()
    finally:
        running.kill()
    assert (came.outcome, came.note) == ("timed out", "timed out after 0.5 s; 1 of 3 tests had run")
    assert [(test.ran, test.status, test.points) for test in came.tests] == [
        (True, "passed", 2),
        (False, "skipped", 0),
        (False, "skipped", 0),
    ]
    assert came.points == 2
    assert came.tests[1].message == came.note
    assert not runs_of(tmp_path)


def test_what_an_earlier_run_has_told_is_not_run_again(tmp_path: Path) -> None:
    told = msgspec.structs.replace(FIRST, status="failed", runs=1, failed_seeds=[1])
    came = Running(job(FIRST, done=[told]), right(tmp_path / "alice"), tmp_path / "1").wait()
    assert (came.outcome, came.tests[0].status, came.tests[0].points) == ("graded", "failed", 0)
    assert not (tmp_path / "1").exists()


def test_of_a_repeated_test_half_its_runs_are_none(tmp_path: Path) -> None:
    told = msgspec.structs.replace(FIRST, status="failed", runs=1, failed_seeds=[1])
    came = Running(job(FIRST, done=[told], repeat=2), right(tmp_path / "alice"), tmp_path / "1").wait()
    assert (came.tests[0].runs, came.tests[0].status) == (2, "passed")


def test_a_lab_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    paxos = attempt("test_basic", "paxos", "lab2")
    came = Running(job(FIRST, paxos), right(tmp_path / "alice"), tmp_path / "1").wait()
    assert (came.outcome, came.note) == ("graded", "lab2_kvpaxos is not in the submission")
    assert [(test.status, test.points, test.max_points) for test in came.tests] == [("passed", 2, 2), ("skipped", 0, 2)]


def test_a_toml_without_sense_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text("[lab1_pbservice]\ncommand = 7\n")
    came = Running(job(FIRST), tmp_path, tmp_path / "1").wait()
    assert came.outcome == "refused"
    assert came.note.startswith("lab.toml, [lab1_pbservice]: ")


def test_a_run_that_dies_says_nothing_about_the_submission(tmp_path: Path) -> None:
    running = Running(job(FIRST, attempt("test_random_lives")), right(tmp_path / "alice"), tmp_path / "1")
    until(lambda: running.attempts, "the first test to be over")
    running.kill()
    came = running.wait()
    assert came.outcome == "broken"
    assert came.note.startswith("lab test ended with status -9 after 1 of 2 tests")
    assert [test.ran for test in came.tests] == [True, False]
