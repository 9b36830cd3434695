"""How fast the simulation is: `python -m labs.benchmark.sim [PACKAGE]`, on one core.

A seed is a small test: a view server, two servers and a clerk are started, and one key is written and read. A call is
a request and its reply, those of the harness included, while ten clerks append as fast as they can.
"""

import sys
import time
from typing import Final

from rich.console import Console
from rich.table import Table

from labs.cluster import Clerk, Cluster
from labs.sim import guard
from labs.sim.run import Outcome, run

SEEDS: Final = 200
CLERKS: Final = 10
APPENDS: Final = 200


async def small(cluster: Cluster) -> None:
    """The smallest test that is one."""
    clerk = await _start(cluster)
    await clerk.put("a", "1")
    assert await clerk.get("a") == "1"


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


def measure(package: str = "lab1_pbservice") -> dict[str, float]:
    """How much of each thing a second of one core does, by its name. The package has to be a lab 1."""
    with guard.installed():
        _passed(run(small, package, 0))  # imports it
        began = time.process_time()
        for seed in range(SEEDS):
            _passed(run(small, package, seed))
        seeds = SEEDS / (time.process_time() - began)
        began = time.process_time()
        outcome = _passed(run(busy, package, 0))
        seconds = time.process_time() - began
    return {
        "seeds of a small test": seeds,
        "simulated calls": outcome.messages / 2 / seconds,
        "operations of clerks": len(outcome.operations) / seconds,
        "virtual seconds": outcome.virtual_seconds / seconds,
    }


def _passed(outcome: Outcome) -> Outcome:
    assert outcome.status == "passed", outcome.message
    return outcome


def main() -> None:
    """Prints the table."""
    table = Table("", "a second of one core")
    table.columns[1].justify = "right"
    for name, value in measure(*sys.argv[1:2]).items():
        table.add_row(name, f"{value:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
