"""How the tests of the simulated world run a scenario."""

from collections.abc import Awaitable, Callable
from typing import Any

from labs.sim.cluster import SimCluster
from labs.sim.run import Outcome, run

Scenario = Callable[[SimCluster], Awaitable[None]]


def play(scenario: Scenario, seed: int = 1, **options: Any) -> Outcome:
    """Runs a scenario on the echo lab."""
    return run(scenario, "echo_lab", seed, **options)


def passes(scenario: Scenario, seed: int = 1, **options: Any) -> Outcome:
    """Runs a scenario that has to pass."""
    outcome = play(scenario, seed, **options)
    assert outcome.status == "passed", outcome.message
    return outcome
