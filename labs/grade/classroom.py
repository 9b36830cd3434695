"""A grade as GitHub Classroom wants it: a step's output for its reporter of points, and a summary for people."""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from labs.grade import look
from labs.grade.results import Grade
from labs.results import Status
from labs.usage import BadUsage

STATUSES: Final[dict[Status, str]] = {"passed": "pass", "inconclusive": "error", "error": "error"}
SHOWN: Final = 500
"""Characters of a message. All of them together travel in one variable of the environment."""


def check(environment: Mapping[str, str] = os.environ) -> None:
    """Raises `BadUsage` outside of GitHub's workflows."""
    if "GITHUB_OUTPUT" not in environment:
        raise BadUsage("--github is for a step of a GitHub workflow, which has GITHUB_OUTPUT in its environment")


def write(grade: Grade, environment: Mapping[str, str] = os.environ) -> None:
    """The output `result` of this step, and its summary."""
    encoded = base64.b64encode(json.dumps(results(grade)).encode()).decode()
    with Path(environment["GITHUB_OUTPUT"]).open("a") as output:
        output.write(f"result={encoded}\n")
    if "GITHUB_STEP_SUMMARY" in environment:
        with Path(environment["GITHUB_STEP_SUMMARY"]).open("a") as output:
            output.write(summary(grade))


def results(grade: Grade) -> dict[str, Any]:
    """What the action autograding-grading-reporter adds up."""
    return {
        "version": 1,
        "status": "pass" if grade.points == grade.max_points else "fail",
        "max_score": grade.max_points,
        "tests": [
            {
                "name": f"{test.suite}: {test.title}",
                "status": STATUSES.get(test.status, "fail"),
                "score": test.points,
                "message": test.message[:SHOWN],
                "test_code": test.replay,
                "filename": "",
                "line_no": 0,
                "duration": test.seconds,
            }
            for test in grade.tests
        ],
    }


def summary(grade: Grade) -> str:
    """A table in Markdown."""
    lines = [f"## {grade.points:g} of {grade.max_points} points", ""]
    if grade.note:
        lines += [_plain(grade.note), ""]
    lines += ["| | Test | Points | |", "|---|---|---|---|"]
    for test in grade.tests:
        sign = look.MARKS[test.status][0]
        lines.append(
            f"| {sign} | {test.suite}: {test.title} | {test.points:g}/{test.max_points} | {_plain(test.message)} |"
        )
    return "\n".join(lines) + "\n"


def _plain(words: str) -> str:
    """Text of a submission as text: nothing in it is Markdown or HTML."""
    shown = " ".join(words.split())[:SHOWN]
    return "".join(f"&#{ord(each)};" if each in "\\`*_{}[]<>()#+-.!|~&@:" else each for each in shown)
