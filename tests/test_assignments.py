"""What the assignments tell students is true of the tests and the roles."""

import re
from pathlib import Path
from typing import Final

import pytest

from labs.suites import SUITES

ROOT: Final = Path(__file__).parents[1]
ASSIGNMENTS: Final = sorted(ROOT.glob("lab?_*/README.md"))
TITLE: Final = re.compile(r'^async def test_\w+\(cluster: Cluster\) -> None:\n    """(.+?)\.?(?:"""|$)', re.MULTILINE)


def titles(package: str) -> set[str]:
    """The titles of a lab's graded tests."""
    files = [
        ROOT / "tests/graded" / suite.lab / f"test_{suite.name}.py" for suite in SUITES if suite.package == package
    ]
    return {title for file in files if file.is_file() for title in TITLE.findall(file.read_text())}


@pytest.mark.parametrize("assignment", ASSIGNMENTS, ids=lambda file: str(file.parent.name))
def test_an_assignment_names_tests_that_exist(assignment: Path) -> None:
    _, _, table = assignment.read_text().partition("| when this fails | look at |\n|---|---|\n")
    named = re.findall(r"^\| (.+?) \| ", table, re.MULTILINE)
    assert named
    assert not set(named) - titles(assignment.parent.name)


@pytest.mark.parametrize("assignment", ASSIGNMENTS, ids=lambda file: str(file.parent.name))
def test_an_assignment_has_no_line_that_a_terminal_breaks(assignment: Path) -> None:
    assert max(map(len, assignment.read_text().splitlines())) <= 130
