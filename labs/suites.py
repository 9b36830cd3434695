"""The graded suites, and which of them somebody means who names a lab, a package or a suite."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Suite:
    """One service's graded tests, in the file `labs.places.tests_of(suite)`."""

    name: str
    lab: str
    package: str
    """The package whose roles the tests start."""
    title: str


SUITES: Final = (
    Suite("viewservice", "lab1", "lab1_pbservice", "The view service"),
    Suite("pbservice", "lab1", "lab1_pbservice", "The primary/backup key/value service"),
    Suite("paxos", "lab2", "lab2_kvpaxos", "Paxos"),
    Suite("paxosrsm", "lab2", "lab2_kvpaxos", "The replicated state machine on Paxos"),
    Suite("kvpaxos", "lab2", "lab2_kvpaxos", "The key/value service on Paxos"),
    Suite("shardmaster", "lab3", "lab3_shardkv", "The shard master"),
    Suite("shardkv", "lab3", "lab3_shardkv", "The sharded key/value service"),
)


TUTORIAL: Final = Suite("counter", "counter", "counter", "The tutorial: a counter")
"""Of no lab: it has a folder of its own (`labs.places.tutorial_folder`) with tests, a start and a solution."""

BORROWS: Final = {"lab3_shardkv": ("lab2_kvpaxos",)}
"""What a lab stands on of another: Paxos and PaxosRSM, the submission's own where it has them."""


def find_suites(name: str) -> tuple[Suite, ...]:
    """The suites of a lab ("lab1"), of a package ("lab1_pbservice"), or the one suite of that name.

    Raises `ValueError`, in words for the user, where nothing has that name.
    """
    every = (*SUITES, TUTORIAL)
    found = tuple(suite for suite in every if name in (suite.name, suite.lab, suite.package))
    if not found:
        names = dict.fromkeys([*(suite.lab for suite in every), *(suite.name for suite in every)])
        raise ValueError(f"expected a lab or a suite ({', '.join(names)}), got {name!r}")
    return found
