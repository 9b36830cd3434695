"""The Paxos core over all orders of messages, and mistakes that such an exploration has to find.

`LAB_EXPLORE_SECONDS=120` explores for so long; by itself the test looks at the first states of each scenario only.
"""

import os
from typing import Final

import pytest

from lab2_kvpaxos.paxos.core import Peer
from tests.lab2 import explore
from tests.lab2.explore import SCENARIOS, Exploration, Restart, Scenario, Start, explore_all
from tests.lab2.planted import MISTAKES, AdoptsNothing

STATES: Final = 20_000
"""In each scenario, unless there is a time to use."""
SECONDS: Final = float(os.environ.get("LAB_EXPLORE_SECONDS", "0"))


def named(name: str) -> Scenario:
    """The scenario of that name."""
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


def test_no_order_of_messages_breaks_agreement() -> None:
    results = list(explore_all(10**8 if SECONDS else STATES, SECONDS or 300.0))
    print(*results, sep="\n")
    assert not [line for result in results for line in (str(result), *result.trace) if result.violation]


def test_the_smallest_scenario_is_explored_to_its_end() -> None:
    result = Exploration(SCENARIOS[0]).run(100_000, 120.0)
    assert result.exhausted, f"expected the end of it, got no further than {result}"
    assert not result.violation, result.trace


@pytest.mark.parametrize("later", [(), (Restart(1),)], ids=["two tries", "a restart"])
def test_leaving_out_spent_messages_loses_no_outcome(
    later: tuple[Restart, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = Scenario("one proposer", (Start(0, 0, b"a"),), (1 if later else 2, 0, 0), later)
    without = Exploration(scenario)
    assert without.run(50_000, 60.0).exhausted
    monkeypatch.setattr(explore, "is_spent", lambda node, message: False)
    with_all = Exploration(scenario)
    assert with_all.run(50_000, 60.0).exhausted
    assert without.outcomes() == with_all.outcomes()


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_planted_mistake_is_found(mistake: type[Peer]) -> None:
    result = Exploration(named(MISTAKES[mistake]), mistake).run(200_000, 120.0)
    print(*result.trace, sep="\n")
    assert result.violation, f"expected a violation, found none: {result}"
    assert result.trace[-1] == f"!! {result.violation}"
    assert len(result.trace) == result.depth + 2, "a line for each step, and what came of it"


def test_a_trace_is_the_shortest_and_says_who_did_what() -> None:
    result = Exploration(named("two proposers"), AdoptsNothing).run(200_000, 60.0)
    assert len(result.trace) == 9
    assert result.trace[2] == "p0 -> p2  Prepare 1.p0 from 0  =>  p2 -> p0  Promise 1.p0: nothing"
    assert result.trace[-1] == (
        '!! agreement: instance 0 was chosen by p0 and p1 under 1.p1 as "b", and chosen by p0 and p2 under 1.p0 as "a"'
    )
