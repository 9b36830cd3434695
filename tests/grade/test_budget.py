"""How the work is shared, and what is said to have held it up."""

import re

import pytest

from labs.grade import budget
from labs.grade.budget import Share
from labs.grade.results import Grade


def test_many_submissions_come_before_many_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "cores", lambda: 4)
    monkeypatch.setattr(budget, "TESTS_PER_CORE", 3)
    monkeypatch.setattr(budget, "SUBMISSIONS_PER_CORE", 6)
    assert budget.share(30, None, None) == Share(24, 1)
    assert budget.share(12, None, None) == Share(12, 1)
    assert budget.share(5, None, None) == Share(5, 2)
    assert budget.share(1, None, None) == Share(1, 12)
    assert budget.share(0, None, None) == Share(1, 12)
    assert budget.share(30, 3, None) == Share(3, 4)
    assert budget.share(30, None, 4) == Share(3, 4)
    assert budget.share(30, None, 99) == Share(1, 99)
    assert budget.share(2, 8, 5) == Share(2, 5)


def grade(name: str, seconds: float) -> Grade:
    """A submission that took so long."""
    return Grade(
        id=name, name=name, folder=name, source="", outcome="graded", points=0, max_points=0, seconds=seconds, tests=[]
    )


@pytest.mark.parametrize(
    ("busy", "seconds", "said"),
    [
        (0.95, [100.0, 100.0], "The processors: they were busy 95% of the time."),
        (0.5, [100.0, 20.0], "The slowest submission: s0 took 100 s of 100 s"),
        (0.5, [100.0, 90.0], "Waiting: .* 2 tests at once ran, and the processors were busy 50% of the time."),
        (None, [100.0, 90.0], "Waiting: .* 2 tests at once ran.$"),
    ],
)
def test_what_took_the_time(busy: float | None, seconds: list[float], said: str) -> None:
    done = [grade(f"s{number}", each) for number, each in enumerate(seconds)]
    assert re.match(said, budget.limit(100.0, Share(2, 1), busy, done))
