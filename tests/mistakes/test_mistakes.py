"""Each mistake of the labs' tables is made, and each test that it names has to notice it, in the simulated world."""

from pathlib import Path
from typing import Final

import pytest

from labs.mistakes import Mistake, first_failure, load, plant
from labs.sim.client import SimWorker
from labs.suites import find_suites

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
MISTAKES: Final = {table.stem: load(table) for table in sorted(HERE.glob("lab?.py"))}
"""For each lab what stands in its table."""
SEEDS: Final = range(50)
LIMIT: Final = 120.0
"""Virtual seconds that a test may take: a mistake may make it wait for ever."""


def file_of(lab: str, test: str) -> Path:
    """The module in which a graded test stands."""
    modules = (ROOT / "tests" / "graded" / lab).glob("test_*.py")
    (file,) = (file for file in modules if f"\nasync def {test}(" in file.read_text())
    return file


@pytest.mark.parametrize(
    ("lab", "mistake"),
    [
        pytest.param(lab, mistake, id=f"{lab}-{mistake.name}")
        for lab, mistakes in MISTAKES.items()
        for mistake in mistakes
    ],
)
def test_mistake_is_caught(lab: str, mistake: Mistake, tmp_path: Path) -> None:
    package = find_suites(lab)[0].package
    plant(mistake, ROOT / package, tmp_path)
    with SimWorker() as worker:
        for test in mistake.caught_by:
            failure = first_failure(worker, file_of(lab, test), test, package, tmp_path, SEEDS, LIMIT)
            assert failure is not None, f"{test} passed with all of {len(SEEDS)} seeds. {mistake.why}"


@pytest.mark.parametrize("lab", MISTAKES)
def test_there_are_enough_mistakes(lab: str) -> None:
    assert len(MISTAKES[lab]) >= 30
    assert len({mistake.name for mistake in MISTAKES[lab]}) == len(MISTAKES[lab])
