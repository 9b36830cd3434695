"""A grade as Gradescope wants it: the `results.json` of its autograders."""

from collections.abc import Iterator
from typing import Any, Final

from labs.grade.results import Grade, TestGrade
from labs.results import Status

STATUSES: Final[dict[Status, str]] = {"passed": "passed", "failed": "failed", "error": "failed"}
"""Gradescope knows no others. A test that did not run, or could not tell, has none."""


def results(grade: Grade) -> dict[str, Any]:
    """The whole object."""
    return {
        "score": grade.points,
        "execution_time": round(grade.seconds),
        "output": _headline(grade),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": {"submission": grade.digest, "outcome": grade.outcome},
        "tests": list(_tests(grade)),
    }


def _headline(grade: Grade) -> str:
    passed = f"{grade.count('passed')} of {len(grade.tests)} tests passed"
    before = f"before: {grade.before:g} points" if grade.before is not None else ""
    return "\n".join(filter(None, (grade.note, passed, before)))


def _tests(grade: Grade) -> Iterator[dict[str, Any]]:
    suites = list(dict.fromkeys(test.suite for test in grade.tests))
    numbers = dict.fromkeys(suites, 0)
    for test in grade.tests:
        numbers[test.suite] += 1
        told: dict[str, Any] = {
            "score": test.points,
            "max_score": test.max_points,
            "name": f"{test.suite}: {test.title}",
            "number": f"{suites.index(test.suite) + 1}.{numbers[test.suite]}",
            "output": _output(test),
            "output_format": "text",
            "tags": [test.suite, f"part {test.part}"],
            "visibility": "visible",
        }
        if test.status in STATUSES:
            told["status"] = STATUSES[test.status]
        yield told


def _output(test: TestGrade) -> str:
    logs = [f"\n{name} wrote\n{log}" for name, log in test.logs.items()]
    verdict = "could not tell, since the machine was too busy" if test.status == "inconclusive" else ""
    again = f"\nagain: {test.replay}" if test.replay else ""
    return "\n".join(part for part in (verdict, test.message, test.where, *logs, again) if part)
