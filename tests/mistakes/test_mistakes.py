"""Each mistake of the labs' tables is made, and each test that it names has to notice it, in the simulated world."""

from pathlib import Path
from typing import Final

import pytest

from labs.collecting import find_item
from labs.mistakes import Mistake, load_all, load_kinds, plant
from labs.mistakes.measuring import outcomes
from labs.sim.client import SimWorker

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
MISTAKES: Final = load_all(HERE)
"""For each lab what stands in its tables."""
SEEDS: Final = range(1, 51)


@pytest.mark.parametrize(
    ("lab", "mistake"),
    [
        pytest.param(lab, mistake, id=f"{mistake.suite}-{mistake.name}")
        for lab, mistakes in MISTAKES.items()
        for mistake in mistakes
    ],
)
def test_mistake_is_caught(lab: str, mistake: Mistake, tmp_path: Path) -> None:
    items = [find_item(lab, test) for test in mistake.caught_by]
    plant(mistake, ROOT / items[0].suite.package, tmp_path)
    with SimWorker() as worker:
        for item in items:
            notices = any(outcome.status != "passed" for outcome in outcomes(worker, item, SEEDS, [tmp_path]))
            assert notices, f"{item.name} passed with all of {len(SEEDS)} seeds. {mistake.why}"


@pytest.mark.parametrize("lab", MISTAKES)
def test_there_are_enough_mistakes(lab: str) -> None:
    assert len(MISTAKES[lab]) >= 30
    assert len({(mistake.suite, mistake.name) for mistake in MISTAKES[lab]}) == len(MISTAKES[lab])


@pytest.mark.parametrize("services", ["VS PB", "PX KV", "SM SK"])
def test_every_kind_has_a_mistake_or_a_reason(services: str) -> None:
    kinds = {name: kind for name, kind in load_kinds(HERE).items() if name[:2] in services}
    made = {mistake.student_bug for mistakes in MISTAKES.values() for mistake in mistakes}
    assert not [name for name, kind in kinds.items() if (name in made) == bool(kind.left_out)]


def test_every_kind_is_known() -> None:
    made = {mistake.student_bug for mistakes in MISTAKES.values() for mistake in mistakes}
    assert made <= {"", *load_kinds(HERE)}
