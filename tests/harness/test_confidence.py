"""What many runs say: intervals, Wald's test and the errors that it makes, and what gives points."""

import pytest

from labs.confidence import ERROR, MOST_RUNS, RELIABLE, UNRELIABLE, Decision, Policy, Tally, decide, interval, judge


def chances(rate: float) -> dict[Decision, float]:
    """With what probability running until one can be confident ends in each way, exactly, for a true pass rate."""
    found: dict[Decision, float] = {"reliable": 0.0, "unreliable": 0.0, "": 0.0}
    going_on = {0: 1.0}  # by how many runs have failed
    for runs in range(1, MOST_RUNS + 1):
        after: dict[int, float] = {}
        for failed, chance in going_on.items():
            after[failed] = after.get(failed, 0.0) + chance * rate
            after[failed + 1] = after.get(failed + 1, 0.0) + chance * (1 - rate)
        going_on = {}
        for failed, chance in after.items():
            decision = decide(Tally(runs - failed, failed))
            if decision:
                found[decision] += chance
            else:
                going_on[failed] = chance
    found[""] = sum(going_on.values())
    return found


def test_tests_that_one_can_rely_on_are_found_to_be_so() -> None:
    assert chances(RELIABLE)["unreliable"] <= ERROR
    assert chances(1.0)["reliable"] == 1.0


def test_tests_that_one_cannot_rely_on_are_found_to_be_so() -> None:
    assert chances(UNRELIABLE)["reliable"] <= ERROR
    assert chances(0.5)["reliable"] < 0.001


@pytest.mark.parametrize("rate", [0.0, 0.5, 0.9, 0.95, 0.97, 0.99, 1.0])
def test_the_runs_are_nearly_always_enough(rate: float) -> None:
    assert chances(rate)[""] < 0.03


@pytest.mark.parametrize(
    ("passed", "failed", "decision"),
    [(30, 0, ""), (31, 0, "reliable"), (56, 1, "reliable"), (17, 2, "unreliable"), (18, 2, ""), (0, 2, "unreliable")],
)
def test_what_is_enough(passed: int, failed: int, decision: Decision) -> None:
    assert decide(Tally(passed, failed)) == decision


@pytest.mark.parametrize(
    ("passed", "failed", "low", "high"),
    [(20, 0, 0.8389, 1.0), (0, 20, 0.0, 0.1611), (15, 5, 0.5313, 0.8881), (1, 0, 0.2065, 1.0)],
)
def test_intervals_are_wilson_s(passed: int, failed: int, low: float, high: float) -> None:
    found = interval(Tally(passed, failed, undecided=3))
    assert found is not None
    assert found == pytest.approx((low, high), abs=5e-5)


def test_of_failures_on_a_busy_machine_nobody_knows_whose_they_were() -> None:
    """What is said has to be true either way."""
    low, high = interval(Tally(6, 0, starved=3)) or (0.0, 0.0)
    assert low == pytest.approx((interval(Tally(6, 3)) or (0.0, 0.0))[0])
    assert high == 1.0
    assert [decide(Tally(31, 0, starved=starved)) for starved in (0, 1)] == ["reliable", ""]
    assert decide(Tally(56, 0, starved=1)) == "reliable"
    assert decide(Tally(0, 1, starved=5)) == ""


def test_of_nothing_there_is_no_rate() -> None:
    assert Tally(0, 0, 2).rate is None
    assert interval(Tally(0, 0, 2)) is None


@pytest.mark.parametrize(
    ("policy", "tally", "status", "share"),
    [
        ("all", Tally(3, 0), "passed", 1.0),
        ("all", Tally(99, 1), "failed", 0.0),
        ("all", Tally(2, 0, 1), "inconclusive", 0.0),
        ("all", Tally(1, 1, 1), "failed", 0.0),
        ("best", Tally(1, 9), "passed", 1.0),
        ("best", Tally(0, 9), "failed", 0.0),
        ("best", Tally(0, 2, 1), "inconclusive", 0.0),
        ("best", Tally(1, 2, 1), "passed", 1.0),
        ("majority", Tally(2, 1), "passed", 1.0),
        ("majority", Tally(1, 1), "failed", 0.0),
        ("majority", Tally(2, 1, 1), "inconclusive", 0.0),
        ("majority", Tally(3, 1, 1), "passed", 1.0),
        ("majority", Tally(1, 3, 1), "failed", 0.0),
        ("weighted", Tally(4, 0), "passed", 1.0),
        ("weighted", Tally(3, 1), "failed", 0.75),
        ("weighted", Tally(3, 0, 1), "inconclusive", 0.0),
    ],
)
def test_what_gives_points(policy: Policy, tally: Tally, status: str, share: float) -> None:
    assert judge(policy, tally) == (status, share)
