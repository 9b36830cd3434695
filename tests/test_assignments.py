"""What the assignments tell students is true of the tests and the roles."""

import re
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest

from docs.pictures import PICTURES, draw
from labs import handout
from labs.suites import SUITES, TUTORIAL

ROOT: Final = Path(__file__).parents[1]
ASSIGNMENTS: Final = sorted(ROOT.glob("lab?_*/README.md"))
TUTORIAL_TEXT: Final = ROOT / "examples/counter/README.md"
STUDENT_TEXT: Final = ROOT / "labs/handout/student.md"
PICTURE: Final = re.compile(r"!\[([^]]+)\]\((\S+)\)")
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


@pytest.mark.parametrize(
    "assignment", [*ASSIGNMENTS, TUTORIAL_TEXT, STUDENT_TEXT], ids=lambda file: str(file.parent.name)
)
def test_an_assignment_has_no_line_that_a_terminal_breaks(assignment: Path) -> None:
    assert max(map(len, assignment.read_text().splitlines())) <= 130


@pytest.mark.parametrize("lab", [*handout.PACKAGES, TUTORIAL.lab])
def test_whoever_gets_an_assignment_gets_its_pictures(lab: str, tmp_path: Path) -> None:
    text = (handout.new(lab, tmp_path) / "README.md").read_text()
    shown = {picture for _, picture in PICTURE.findall(text)}
    there = {str(file.relative_to(file.parents[1])) for file in tmp_path.glob("*/pictures/*")}
    assert shown
    assert shown == there


def test_the_pictures_are_what_their_script_draws(tmp_path: Path) -> None:
    """After a change: `python docs/pictures.py`."""
    draw(tmp_path)
    assert len(PICTURES) == len(list(ROOT.glob("lab?_*/pictures/*"))) + len(list(ROOT.glob("examples/*/pictures/*")))
    for file in PICTURES:
        assert (tmp_path / file).read_text() == (ROOT / file).read_text(), file
        ElementTree.parse(ROOT / file)
