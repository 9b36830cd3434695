"""The files of an output folder, made from the grades. What would not change is not touched."""

import csv
import io
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import msgspec

from labs.grade import classpage, gradescope, studentpage
from labs.grade.results import ClassResult, Grade, TestGrade

RESULTS: Final = "results.json"
GRADES: Final = "grades.csv"
JUNIT: Final = "junit.xml"
CLASS_PAGE: Final = "index.html"
STUDENTS: Final = "students"
GRADESCOPE: Final = "gradescope"
RUNS: Final = "runs"
SUBMISSIONS: Final = "submissions"


def write_class(out: Path, result: ClassResult) -> None:
    """What tells of all."""
    _write(out / RESULTS, _json(result))
    _write(out / GRADES, grade_book(result).encode())
    _write(out / JUNIT, junit(result))
    _write(out / CLASS_PAGE, classpage.page(result, STUDENTS).encode())


def write_student(out: Path, grade: Grade, gradescope_file: Path | None = None) -> None:
    """What tells of one."""
    _write(out / STUDENTS / f"{grade.folder}.html", studentpage.page(grade, f"../{CLASS_PAGE}").encode())
    write_gradescope(out, grade, gradescope_file)


def write_gradescope(out: Path, grade: Grade, also: Path | None = None) -> None:
    """Gradescope's results of one, perhaps of a part of the tests only."""
    for file in filter(None, (out / GRADESCOPE / f"{grade.folder}.json", also)):
        _write(file, _json(gradescope.results(grade)))


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _write(file: Path, content: bytes) -> None:
    """All or nothing, and nothing where it is there already."""
    if file.is_file() and file.read_bytes() == content:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.draft")
    draft.write_bytes(content)
    draft.replace(file)


# --- grades.csv ------------------------------------------------------------------------------------------------------


def grade_book(result: ClassResult) -> str:
    """A row a student."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["id", "name", "points", "max_points", "percent", "outcome", "inconclusive", "before", "note"])
    for grade in result.submissions:
        percent = f"{100 * grade.points / grade.max_points:.1f}" if grade.max_points else ""
        before = "" if grade.before is None else f"{grade.before:g}"
        row = [grade.id, grade.name, f"{grade.points:g}", str(grade.max_points), percent, grade.outcome]
        row += [str(len(grade.unclear)), before, " ".join(grade.note.split())]
        table.writerow([_cell(value) for value in row])
    return text.getvalue()


def _cell(value: str) -> str:
    """What a spreadsheet shows, and does not take for a formula: names and notes come from submissions."""
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


# --- junit.xml -------------------------------------------------------------------------------------------------------


def junit(result: ClassResult) -> bytes:
    """A suite a student, a case a test."""
    suites = ElementTree.Element("testsuites", name=result.lab)
    for grade in result.submissions:
        counts = {
            "tests": len(grade.tests),
            "failures": grade.count("failed"),
            "errors": grade.count("error", "inconclusive"),
            "skipped": grade.count("skipped"),
        }
        suite = ElementTree.SubElement(suites, "testsuite", name=_xml(grade.id), time=f"{grade.seconds:.3f}")
        for name, count in counts.items():
            suite.set(name, str(count))
        for test in grade.tests:
            _case(suite, test)
    ElementTree.indent(suites)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, "unicode").encode() + b"\n"


def _case(suite: ElementTree.Element, test: TestGrade) -> None:
    name = test.id.rpartition("::")[2]
    case = ElementTree.SubElement(suite, "testcase", classname=test.suite, name=name, time=f"{test.seconds:.3f}")
    kind = {"failed": "failure", "error": "error", "inconclusive": "error", "skipped": "skipped"}.get(test.status)
    if kind:
        why = ElementTree.SubElement(case, kind, message=_xml(f"{test.status}: {test.title}"))
        why.text = _xml("\n".join(filter(None, (test.message, test.where))))


def _xml(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(each if each in "\t\n\r" or " " <= each <= "\ud7ff" or each >= "\ue000" else "?" for each in text)
