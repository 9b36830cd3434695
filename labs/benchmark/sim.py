"""How fast the simulation is, on one core.

A seed is a graded test: the basic ones of Paxos, in which three peers agree. A call is a request and its reply, those
of the harness included, while ten clerks append to a primary/backup service as fast as they can.
"""

import importlib
import importlib.util
import time
from collections.abc import Callable
from typing import Any, Final

from labs.benchmark.figures import Figure, Options, command
from labs.cluster import Clerk, Cluster
from labs.places import tests_of
from labs.sim import guard
from labs.sim.run import Outcome, run
from labs.suites import find_suites

BASIC: Final = ("test_single_proposer", "test_many_proposers_same_value", "test_many_proposers_different_values")
"""Graded tests of Paxos: what the course's `TestBasic` begins with."""
SEEDS: Final = 200
SEEDS_A_SECOND: Final = 100
CALLS_A_SECOND: Final = 40_000
CLERKS: Final = 10
APPENDS: Final = 200


async def busy(cluster: Cluster) -> None:
    """Many clerks, each as fast as it can."""
    await _start(cluster)
    clerks = [await cluster.clerk(f"ck-{number + 2}", viewserver="vs") for number in range(CLERKS)]
    for number in range(APPENDS):
        await cluster.gather(*(clerk.append(f"key of {clerk.name}", str(number)) for clerk in clerks))


async def _start(cluster: Cluster) -> Clerk:
    await cluster.start("viewserver", "vs")
    await cluster.start("pbserver", "pb-1", viewserver="vs")
    await cluster.start("pbserver", "pb-2", viewserver="vs")
    return await cluster.clerk("ck-1", viewserver="vs")


def measure(options: Options) -> list[Figure]:
    """How much of each thing a second of one core does."""
    seeds = 5 if options.small else SEEDS
    rates: dict[str, list[float]] = {name: [] for name in BASIC}
    calls, operations, virtual = [], [], []
    with guard.installed():
        tests = _graded_tests()
        _passed(run(busy, "lab1_pbservice", 0))  # imports it
        for number in range(options.rounds):
            for name in BASIC:
                options.say(f"round {number + 1} of {options.rounds}: {name}")
                rates[name].append(seeds / _seconds(lambda name=name: _run_all(tests[name], seeds)))  # type: ignore[misc]
            options.say(f"round {number + 1} of {options.rounds}: calls")
            outcome: list[Outcome] = []
            seconds = _seconds(lambda: outcome.append(_passed(run(busy, "lab1_pbservice", 0, short_digest=True))))  # noqa: B023
            calls.append(outcome[0].messages / 2 / seconds)
            operations.append(len(outcome[0].operations) / seconds)
            virtual.append(outcome[0].virtual_seconds / seconds)
    return [
        *(Figure(f"seeds of paxos::{name}", "1/s", rates[name], at_least=SEEDS_A_SECOND) for name in BASIC),
        Figure("simulated calls", "1/s", calls, at_least=CALLS_A_SECOND),
        Figure("operations of clerks", "1/s", operations),
        Figure("virtual seconds", "1/s", virtual),
    ]


def _graded_tests() -> dict[str, Any]:
    """The graded tests of Paxos, by their names."""
    (suite,) = find_suites("paxos")
    spec = importlib.util.spec_from_file_location("graded_paxos", tests_of(suite))
    assert spec is not None, f"expected a module in {tests_of(suite)}"
    assert spec.loader is not None, f"expected Python in {tests_of(suite)}"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    importlib.import_module("lab2_kvpaxos.roles")
    return vars(module)


def _run_all(test: Any, seeds: int) -> None:
    for seed in range(seeds):
        _passed(run(test, "lab2_kvpaxos", seed, short_digest=True))


def _seconds(action: Callable[[], object]) -> float:
    """Seconds of the processor, which do not tell what else the machine did."""
    began = time.process_time()
    action()
    return max(time.process_time() - began, 1e-3)


def _passed(outcome: Outcome) -> Outcome:
    assert outcome.status == "passed", outcome.message
    return outcome


main = command("sim", __doc__ or "", measure)

if __name__ == "__main__":
    main()
