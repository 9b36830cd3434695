"""`lab regrade`: the old points stay beside the new, and what nobody asked for stays as it is."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from labs.grade import results as shapes
from labs.grade.results import Grade, merged
from tests.commands import lab
from tests.grade.classes import QUICK, events, results, right, wrong


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two submissions, graded."""
    folder = tmp_path_factory.mktemp("class")
    right(folder / "class" / "alice")
    wrong(folder / "class" / "bob")
    done = lab("grade", folder / "class", "--out", folder / "out", *QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "out"


@pytest.fixture
def graded(once: Path, tmp_path: Path) -> Path:
    """A copy of that, with the times of its files."""
    shutil.copytree(once, tmp_path / "out")
    return tmp_path / "out"


def mended(out: Path) -> None:
    """From now on bob's submission is right, as if a test had done him wrong."""
    shutil.copy(
        out / "submissions/alice/lab1_pbservice/viewservice/core.py",
        out / "submissions/bob/lab1_pbservice/viewservice/core.py",
    )


def test_some_tests_of_one_student(graded: Path) -> None:
    mended(graded)
    untouched = [graded / "students" / "alice.html", graded / "gradescope" / "alice.json"]
    before = [file.stat().st_mtime_ns for file in untouched]
    began = events(graded, "began")
    alice = results(graded)["alice"]
    done = lab("regrade", graded, "--student", "bob", "--only", "failed")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "+2" in done.stdout
    assert "failed → passed" in done.stdout

    bob = results(graded)["bob"]
    assert (bob["before"], bob["points"]) == (4, 6)
    assert [test["before"] for test in bob["tests"]] == [None, None, 0]  # only that one has run again
    assert events(graded, "began") == [*began, "bob"]
    assert results(graded)["alice"] == alice
    assert [file.stat().st_mtime_ns for file in untouched] == before
    rows = list(csv.DictReader((graded / "grades.csv").read_text().splitlines()))
    assert [(row["points"], row["before"]) for row in rows] == [("6", ""), ("6", "4")]
    assert "4 before (+2)" in (graded / "students" / "bob.html").read_text()
    assert "4 (+2)" in (graded / "index.html").read_text()
    assert "before: 4 points" in json.loads((graded / "gradescope" / "bob.json").read_text())["output"]


def test_what_there_is_none_of_is_not_run(graded: Path) -> None:
    began = events(graded, "began")
    done = lab("regrade", graded, "--only", "inconclusive")
    assert done.returncode == 0
    assert "nothing to grade again" in done.stdout
    assert events(graded, "began") == began


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--student", "zoe"), "has no grade of 'zoe'"),
        (("-k", "no_such_test"), "matches -k 'no_such_test'"),
        (("--limits", "memory=1GiB", "--no-sandbox"), "leave out --no-sandbox"),
    ],
)
def test_what_makes_no_sense_is_refused(graded: Path, words: tuple[str, ...], complaint: str) -> None:
    done = lab("regrade", graded, *words)
    assert done.returncode == 2
    assert complaint in done.stderr


def test_a_folder_without_grades_is_refused(tmp_path: Path) -> None:
    done = lab("regrade", tmp_path)
    assert done.returncode == 2
    assert "expected the output folder of a lab grade" in done.stderr


# --- what becomes of two grades --------------------------------------------------------------------------------------


def entry(name: str, points: int, ran: bool = True, before: float | None = None) -> shapes.TestGrade:
    """A test of two points."""
    status = "passed" if points else "failed" if ran else "skipped"
    given: dict[str, Any] = {"suite": "s", "max_points": 2, "runs": 1, "passes": 1, "pass_rate": 1.0, "interval": None}
    given |= {
        "decision": "",
        "failed_seeds": [],
        "seconds": 1.0,
        "message": "",
        "replay": "",
        "part": "A",
        "starved": 0,
    }
    given |= {"id": name, "title": name, "points": points, "status": status, "ran": ran}
    given["before"] = before
    return msgspec.convert(given, shapes.TestGrade)


def grade(*tests: shapes.TestGrade, outcome: str = "graded", note: str = "") -> Grade:
    """A grade with these tests."""
    given = {"id": "x", "name": "x", "folder": "x", "source": "", "max_points": 2 * len(tests), "seconds": 5.0}
    total = sum(test.points for test in tests)
    return msgspec.convert({"outcome": outcome, "note": note, "points": total, "tests": tests, **given}, Grade)


def points(came: Grade) -> list[tuple[float, float | None]]:
    """The points of each test, and those before."""
    return [(test.points, test.before) for test in came.tests]


def test_the_new_result_counts_or_the_best() -> None:
    old, new = grade(entry("a", 2), entry("b", 0), entry("c", 2)), grade(entry("a", 0), entry("b", 2))
    assert points(merged(old, new)) == [(0, 2), (2, 0), (2, None)]
    assert points(merged(old, new, best=True)) == [(2, 2), (2, 0), (2, None)]
    assert (merged(old, new).before, merged(old, new).points, merged(old, new).max_points) == (4, 4, 6)


def test_what_did_not_run_again_keeps_its_result() -> None:
    out_of_time = grade(entry("a", 0), entry("b", 0, ran=False), outcome="timed out", note="timed out after 1 s")
    came = merged(grade(entry("a", 2), entry("b", 2)), out_of_time)
    assert points(came) == [(0, 2), (2, None)]
    assert (came.outcome, came.note) == ("timed out", "timed out after 1 s")


def test_what_had_not_run_may_run_now() -> None:
    old = grade(entry("a", 2), entry("b", 0, ran=False), outcome="timed out", note="timed out after 1 s")
    came = merged(old, grade(entry("b", 2)))
    assert (came.outcome, came.note, points(came)) == ("graded", "", [(2, None), (2, 0)])
    again = merged(grade(entry("a", 2), entry("b", 0, ran=False), outcome="timed out"), grade(entry("a", 2)))
    assert again.outcome == "timed out"


def test_a_second_look_at_what_could_not_tell_is_no_regrading() -> None:
    came = merged(grade(entry("a", 0), entry("b", 2, before=0)), grade(entry("a", 2)), note_before=False)
    assert (points(came), came.before, came.seconds) == ([(2, None), (2, 0)], None, 10.0)
