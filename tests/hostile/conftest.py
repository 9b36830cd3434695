"""Hostile submissions, and how they are graded: by the command, in the sandbox, in a folder that others may enter."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from labs.sandbox import layers
from tests.commands import LIMIT
from tests.grade.classes import make_hasty

ROOT: Final = Path(__file__).parents[2]
HERE: Final = Path(__file__).parent
NOTHING_LEFT: Final = "left behind: 0 processes, 0 socket files"


class Graded(NamedTuple):
    """What came of a submission."""

    exit_status: int
    result: dict[str, Any]
    said: str
    run: Path

    def statuses(self) -> list[str]:
        """The verdict of each test."""
        return [test["status"] for test in self.result["tests"]]

    def earned_nothing(self) -> bool:
        """Whether no test gave a point. On a machine that is too busy to tell, that is the most one can ask."""
        return self.result["points"] == 0 and set(self.statuses()) <= {"failed", "inconclusive"}

    def message(self) -> str:
        """Why the first test failed."""
        return str(self.result["tests"][0]["message"])

    def log(self) -> str:
        """What the first view service wrote in the first test."""
        return min(self.run.glob("*/*/logs/vs*.log")).read_text(errors="replace")


@pytest.fixture(scope="session")
def offered() -> dict[str, layers.Layer]:
    """The layers that this machine has."""
    return {layer.name: layer for layer in layers.probe()}


@pytest.fixture(scope="session")
def workshop() -> Iterator[Path]:
    """A folder that other users may enter, as the layer "user" needs it."""
    folder = Path(tempfile.mkdtemp(prefix="lab-hostile-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def make_submission(
    folder: Path, name: str = "", broken: bool = False, constants: Mapping[str, str] | None = None
) -> Path:
    """The reference's lab 1, with this hostile submission's code at the end of its roles.

    A `broken` one has a view service that does not wait for the primary's acknowledgement: it deserves to fail.
    """
    submission = Path(tempfile.mkdtemp(prefix=f"{name or 'good'}-", dir=folder))
    submission.chmod(0o755)
    shutil.copytree(
        ROOT / "lab1_pbservice", submission / "lab1_pbservice", ignore=shutil.ignore_patterns("__pycache__")
    )
    if name:
        said = "".join(f"\n{constant} = {value}" for constant, value in (constants or {}).items())
        with (submission / "lab1_pbservice/roles.py").open("a") as roles:
            roles.write(f"\n{said}\n{(HERE / 'submissions' / f'{name}.py').read_text()}")
    if broken:
        make_hasty(submission)
    return submission


Grade = Callable[..., Graded]


@pytest.fixture(scope="session")
def grade(workshop: Path) -> Grade:
    """Grades a submission as `lab grade` does: one command in a process of its own."""

    def grade(submission: Path, suite: str, keyword: str, *options: str, sandbox: bool = True, **env: str) -> Graded:
        place = Path(tempfile.mkdtemp(prefix="graded-", dir=workshop))
        place.chmod(0o755)
        words = ["test", suite, "-k", keyword, "--submission", submission, "-n", "0", *options]
        words += ["--out", place / "run", "--json", place / "result.json", *(["--sandbox"] if sandbox else [])]
        done = subprocess.run(
            [sys.executable, "-m", "labs", *map(str, words)],
            cwd=place,
            env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT), **env},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert (place / "result.json").exists(), done.stdout + done.stderr
        assert NOTHING_LEFT in done.stdout.splitlines()[-1], done.stdout + done.stderr
        return Graded(done.returncode, json.loads((place / "result.json").read_text()), done.stdout, place / "run")

    return grade


@pytest.fixture
def good(workshop: Path, grade: Grade) -> Callable[[], None]:
    """Grades a good submission: it passes, whatever was graded before."""

    def good() -> None:
        graded = grade(make_submission(workshop), "viewservice", "test_first_primary")
        if graded.statuses() == ["inconclusive"]:
            pytest.skip("this machine is too busy to tell")
        assert graded.statuses() == ["passed"], graded.said

    return good
