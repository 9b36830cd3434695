"""`lab regrade`: grades again what was graded, beside the old grades."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from labs.grade import report, unpacking
from labs.grade.grader import WIDTH, Grader, Plan, Submission
from labs.grade.intake import Entry
from labs.grade.journal import FILE, Journal, locked
from labs.grade.results import Grade, TestGrade
from labs.testing import catalogue
from labs.usage import PASSED, BadUsage


@dataclass(frozen=True, slots=True)
class Again:
    """What `lab regrade` was asked for."""

    out: Path
    plan: Plan
    students: tuple[str, ...] = ()
    keyword: str | None = None
    only: tuple[str, ...] = ()
    """Kinds of tests: failed, inconclusive, not run. None: all."""
    best: bool = False


def regrade(again: Again) -> int:
    """Grades again what is asked for, beside the old grades. Returns the exit status. Raises `BadUsage`."""
    if not (again.out / FILE).is_file():
        raise BadUsage(f"expected the output folder of a lab grade, but {again.out} is none")
    with locked(again.out):
        journal = Journal(again.out)
        if journal.opened is None:
            raise BadUsage(f"nothing has been graded in {again.out} yet: use lab grade")
        unknown = [name for name in again.students if name not in journal.grades]
        if unknown:
            raise BadUsage(f"{again.out} has no grade of {unknown[0]!r}; it has {', '.join(journal.grades)}")
        wanted = _chosen(journal, again)
        todo = [name for name, tests in wanted.items() if tests]
        if not todo:
            print("nothing to grade again")
            return PASSED
        old = dict(journal.grades)
        grader = Grader(again.out, journal, journal.opened, again.plan, wanted=wanted, best=again.best)
        there = [_kept(again.out, old[name]) for name in todo]
        status = grader.run(there, len(old) - len(todo))
        _show_difference(old, journal.grades, todo)
        return status


def _kept(out: Path, old: Grade) -> Submission:
    """A submission as it was taken in, and as it is now: somebody may have mended it by hand. Raises `BadUsage`."""
    folder = out / report.SUBMISSIONS / old.folder
    if not folder.is_dir():
        raise BadUsage(f"the files of {old.id} are gone: there is no {folder}")
    return Submission(Entry(old.id, old.name, Path(old.source)), unpacking.digest(folder))


def _chosen(journal: Journal, again: Again) -> dict[str, set[str]]:
    """For each submission, the tests that are to be run again."""
    assert journal.opened
    meant = {test.test for test in journal.opened.catalogue}
    if again.keyword is not None:
        labs = tuple(dict.fromkeys(test.suite for test in journal.opened.catalogue))
        meant &= {test.test for test in catalogue(labs, again.keyword)}
        if not meant:
            raise BadUsage(f"no test that was graded matches -k {again.keyword!r}")
    return {
        name: {test.id for test in grade.tests if test.id in meant and _is_meant(test, again.only)}
        for name, grade in journal.grades.items()
        if (not again.students or name in again.students) and grade.digest
    }


def _is_meant(test: TestGrade, only: tuple[str, ...]) -> bool:
    kinds = {"failed": test.status in ("failed", "error"), "inconclusive": test.status == "inconclusive"}
    return not only or any({**kinds, "not-run": not test.ran}[each] for each in only)


def _show_difference(old: dict[str, Grade], new: dict[str, Grade], names: Iterable[str]) -> None:
    table = Table("Submission", title="graded again", title_justify="left", title_style="bold")
    for head in ("Before", "Now", "Difference"):
        table.add_column(head, justify="right")
    table.add_column("What changed")
    for name in names:
        before, after = old[name], new[name]
        tests = {test.id: test for test in before.tests}
        changes = [
            f"{test.title}: {tests[test.id].status} → {test.status}"
            for test in after.tests
            if test.status != tests[test.id].status
        ]
        difference = after.points - before.points
        colour = "green" if difference > 0 else "red" if difference < 0 else "dim"
        told = Text(f"{difference:+g}" if difference else "same", colour)
        table.add_row(Text(name), f"{before.points:g}", f"{after.points:g}", told, Text("\n".join(changes)))
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
