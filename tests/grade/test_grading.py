"""`lab grade` end to end, on tests that take a moment."""

import csv
import json
import shutil
import signal
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from labs.grade.journal import locked
from tests.commands import LIMIT, lab
from tests.grade.classes import (
    QUICK,
    broken,
    check_gradescope,
    events,
    journal,
    results,
    right,
    runs_of,
    started,
    until,
    wrong,
)

EVIL = '<script>alert(1)</script>"\'=HYPERLINK("x")'


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class of six, graded: the output folder."""
    folder = tmp_path_factory.mktemp("class")
    right(folder / "alice")
    wrong(folder / "bob")
    broken(folder / "carol")
    (folder / "dave").mkdir()
    shutil.make_archive(str(folder / "erin"), "gztar", folder / "alice")
    (folder / "class.csv").write_text(
        "id,name,path\nalice,Alice,alice\nbob,Bob,bob\ncarol,=1+1,carol\n"
        f'dave,"{EVIL.replace(chr(34), chr(34) * 2)}",dave\nerin,Erin,erin.tar.gz\nfrank,Frank,\n'
    )
    done = lab("grade", "--roster", folder / "class.csv", "--out", folder / "out", *QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 submissions, 3 tests: 0 to 6 of 6 points" in done.stdout
    return folder / "out"


def test_everybody_has_what_they_deserve(graded: Path) -> None:
    came = {name: (each["points"], each["outcome"]) for name, each in results(graded).items()}
    assert came == {
        "alice": (6, "graded"),
        "bob": (4, "graded"),
        "carol": (0, "graded"),
        "dave": (0, "refused"),
        "erin": (6, "graded"),
        "frank": (0, "missing"),
    }
    assert all(each["max_points"] == 6 for each in results(graded).values())


def test_a_failure_is_told_without_the_paths_of_this_machine(graded: Path) -> None:
    (failed,) = [test for test in results(graded)["bob"]["tests"] if test["status"] == "failed"]
    assert "expected View(viewnum=2" in failed["message"]
    assert failed["logs"]
    assert failed["replay"] == "./lab test viewservice -k test_waits_for_acknowledgement --world process --seed 1"
    crashed = results(graded)["carol"]["tests"][0]
    assert "nothing_that_exists" in crashed["message"]
    assert 'File "lab1_pbservice/roles.py"' in crashed["message"]
    assert str(graded) not in crashed["message"]


def test_the_grade_book_has_a_row_a_student_and_no_formula(graded: Path) -> None:
    rows = list(csv.DictReader((graded / "grades.csv").read_text().splitlines()))
    assert [(row["id"], row["points"], row["percent"]) for row in rows[:2]] == [
        ("alice", "6", "100.0"),
        ("bob", "4", "66.7"),
    ]
    assert rows[2]["name"] == "'=1+1"
    assert rows[3]["name"] == EVIL
    assert "expected a lab package" in rows[3]["note"]


def test_junit_has_a_suite_a_student(graded: Path) -> None:
    suites = {suite.get("name"): suite for suite in ElementTree.parse(graded / "junit.xml").iter("testsuite")}
    assert [suites["bob"].get(what) for what in ("tests", "failures", "errors", "skipped")] == ["3", "1", "0", "0"]
    assert [suites["frank"].get(what) for what in ("tests", "skipped")] == ["3", "3"]
    (failure,) = suites["bob"].iter("failure")
    assert "expected View(viewnum=2" in (failure.text or "")


def test_gradescope_gets_what_it_knows(graded: Path) -> None:
    for file in (graded / "gradescope").iterdir():
        check_gradescope(json.loads(file.read_text()))
    bob = json.loads((graded / "gradescope" / "bob.json").read_text())
    assert bob["score"] == 4
    assert [(test["score"], test["max_score"], test["status"]) for test in bob["tests"]] == [
        (2, 2, "passed"),
        (2, 2, "passed"),
        (0, 2, "failed"),
    ]


class Page(HTMLParser):
    """A page's tags and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_pages_show_names_as_text(graded: Path) -> None:
    text = (graded / "index.html").read_text()
    page = Page(text)
    assert page.tags.count("script") == 1  # our own, which sorts
    assert EVIL in page.text
    assert "://" not in text
    student = Page((graded / "students" / "dave.html").read_text())
    assert "script" not in student.tags
    assert EVIL in student.text


def test_a_student_reads_what_came_and_what_was_expected(graded: Path) -> None:
    page = Page((graded / "students" / "bob.html").read_text())
    assert "expected View(viewnum=2" in page.text
    assert "what vs-1 wrote last" in page.text
    assert str(graded) not in page.text


def test_who_has_a_grade_is_not_graded_again(graded: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in graded.rglob("*.*") if "runs" not in file.parts}
    done = lab("grade", "--roster", graded.parent / "class.csv", "--out", graded, *QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 of 6 submissions have their grade already" in done.stdout
    assert events(graded, "began").count("alice") == 1
    after = {file: file.stat().st_mtime_ns for file in before}
    assert after == before


def test_what_a_submission_is_graded_by_stays_the_same(graded: Path) -> None:
    done = lab("grade", graded.parent / "alice", "--out", graded, "--lab", "viewservice", "-k", "first_primary")
    assert done.returncode == 2
    assert "3 tests there, 1 here" in done.stderr
    assert "another --out" in done.stderr


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    done = lab("grade", tmp_path, "--out", tmp_path)
    assert done.returncode == 2
    assert "expected a new or empty folder for --out" in done.stderr


def test_a_changed_submission_is_graded_anew_and_no_other(tmp_path: Path) -> None:
    quick = ("--lab", "viewservice", "-k", "first_primary")
    for name in ("alice", "bob"):
        right(tmp_path / "class" / name)
    assert lab("grade", tmp_path / "class", "--out", tmp_path / "out", *quick).returncode == 0
    began = events(tmp_path / "out", "began")
    assert set(began) == {"alice", "bob"}
    (tmp_path / "class" / "bob" / "lab1_pbservice" / "roles.py").write_text("raise OSError('mine')")
    done = lab("grade", tmp_path / "class", "--out", tmp_path / "out", *quick)
    assert done.returncode == 0, done.stdout + done.stderr
    # Once more, or twice if it failed while the machine was too busy to tell.
    assert set(events(tmp_path / "out", "began")[len(began) :]) == {"bob"}
    assert [each["points"] for each in results(tmp_path / "out").values()] == [2, 0]


# --- interrupted -----------------------------------------------------------------------------------------------------


SLOW = ("--lab", "viewservice", "-k", "first_primary or first_backup or waits_for_ack or random_lives")


def told(out: Path) -> int:
    """How many tests have told what came of them."""
    return sum(file.read_bytes().count(b"\n") for file in out.glob("runs/*/*/attempts.jsonl"))


def all_told(out: Path) -> list[tuple[str, str]]:
    """Each test that told what came of it, by student: twice, if it was run twice."""
    return [
        (file.parts[-3], json.loads(line)["test"])
        for file in out.glob("runs/*/*/attempts.jsonl")
        for line in file.read_text().split("\n")[:-1]
    ]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_however_it_is_ended_it_goes_on_where_it_was(tmp_path: Path, number: int) -> None:
    for name in ("alice", "bob", "carol"):
        right(tmp_path / "class" / name)
    out = tmp_path / "out"
    words = ("grade", tmp_path / "class", "--out", out, *SLOW, "-n", "2", "--workers", "1")
    grader = started(*words)
    try:
        until(lambda: told(out) >= 3 and (out / "gradescope" / "alice.json").exists(), "some tests to be over")
        grader.send_signal(number)
        said, _ = grader.communicate(timeout=LIMIT)
    finally:
        grader.kill()
    assert grader.returncode == (130 if number == signal.SIGINT else -number)
    if number == signal.SIGINT:
        assert "the same command goes on from here" in said
    until(lambda: not runs_of(out), "its runs to have ended with it")
    done_before = all_told(out)
    so_far = json.loads((out / "gradescope" / "alice.json").read_text())
    check_gradescope(so_far)
    assert "of 4 tests have run until now" in so_far["output"]
    with (out / "journal.jsonl").open("a") as file:
        file.write('{"event":"graded","grade":{"id":"alice","poi')  # the line in which it was torn away
    done = lab(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [each["points"] for each in results(out).values()] == [7, 7, 7]
    assert len(journal(out)) > 4  # none of them torn
    after = all_told(out)
    assert sorted(after) == sorted(set(after)), "no test has run twice"
    assert set(done_before) <= set(after)
    assert len(after) == 12


def test_two_at_once_in_one_folder_are_refused(tmp_path: Path) -> None:
    right(tmp_path / "alice")
    (tmp_path / "out").mkdir()
    with locked(tmp_path / "out"):
        (tmp_path / "out" / "journal.jsonl").touch()
        done = lab("grade", tmp_path / "alice", "--out", tmp_path / "out", *QUICK)
    assert done.returncode == 2
    assert "another lab grade works in" in done.stderr
