"""How sure one may be of a rate: bounds that can be looked up, and when to stop."""

import pytest

from labs.mistakes import odds


@pytest.mark.parametrize(
    ("caught", "runs", "least"),
    [(0, 10, 0.0), (10, 10, 0.7411), (1, 10, 0.0051), (5, 10, 0.2224), (9, 200, 0.0237), (1990, 2000, 0.9915)],
)
def test_the_bound_is_clopper_and_pearsons(caught: int, runs: int, least: float) -> None:
    assert odds.least_rate(caught, runs) == pytest.approx(least, abs=0.0002)


def test_nothing_seen_is_nothing_sure() -> None:
    assert odds.probability(0, 200) == 0.0


def test_nine_of_two_hundred_is_just_enough() -> None:
    assert odds.probability(8, 200) < odds.SURE < odds.probability(9, 200)


def test_few_runs_tell_what_is_noticed_always_and_many_what_is_rare() -> None:
    assert odds.is_known(10, 10)
    assert not odds.is_known(2, 10)
    assert not odds.is_known(0, 10)
    assert not odds.is_known(2, 100)
    assert odds.is_known(20, 100)
