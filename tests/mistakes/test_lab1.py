"""Each mistake of the table is made, and each test that it names has to notice it, in the simulated world."""

from pathlib import Path

import pytest

from labs.mistakes import Mistake, first_failure, load, plant
from labs.sim.client import SimWorker

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "lab1_pbservice"
GRADED = ROOT / "tests" / "graded" / "lab1"
MISTAKES = load(Path(__file__).with_name("lab1.py"))
SEEDS = range(50)
LIMIT = 120.0
"""Virtual seconds that a test may take: a mistake may make it wait for ever."""


def file_of(test: str) -> Path:
    """The module in which a graded test stands."""
    (file,) = (file for file in GRADED.glob("test_*.py") if f"\nasync def {test}(" in file.read_text())
    return file


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_mistake_is_caught(mistake: Mistake, tmp_path: Path) -> None:
    plant(mistake, PACKAGE, tmp_path)
    with SimWorker() as worker:
        for test in mistake.caught_by:
            failure = first_failure(worker, file_of(test), test, PACKAGE.name, tmp_path, SEEDS, LIMIT)
            assert failure is not None, f"{test} passed with all of {len(SEEDS)} seeds. {mistake.why}"


def test_there_are_enough_mistakes() -> None:
    assert len(MISTAKES) >= 30
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES)
