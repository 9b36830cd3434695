"""How many submissions are graded at once, and how many tests of each: what this machine bears, and what held it up."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from labs.grade.results import Grade
from labs.sandbox.usage import cores

SUBMISSIONS_PER_CORE: Final = 6
"""Submissions that are graded side by side for each core, one test at a time. docs/grading.md says how it was found."""
TESTS_PER_CORE: Final = 3
"""Tests that run side by side for each core where there are fewer submissions: more workers cost more to start."""
BUSY: Final = 0.85
"""From this share of the processors' time on, they are what limits."""
IDLE_SLOTS: Final = 0.7
"""Below this share of the places for submissions in use, it is the last ones that everything waited for."""


class Share(NamedTuple):
    """How the work is shared."""

    at_once: int
    """Submissions."""
    workers: int
    """Tests of each."""


def share(submissions: int, at_once: int | None, workers: int | None) -> Share:
    """As many submissions at once as this machine bears; if there are fewer, more tests of each.

    One process that runs one test after the other costs least, so many submissions come before many workers.
    """
    tests = TESTS_PER_CORE * cores()
    if at_once is None:
        at_once = SUBMISSIONS_PER_CORE * cores() if workers is None else tests // workers
    at_once = max(1, min(at_once, submissions))
    return Share(at_once, workers or max(1, tests // at_once))


def limit(seconds: float, shared: Share, busy: float | None, done: Sequence[Grade]) -> str:
    """What it was that took the time, as a sentence. `busy` is None where nobody knows, on a cluster."""
    used = sum(grade.seconds for grade in done) / (seconds * shared.at_once) if seconds else 1.0
    if busy is not None and busy >= BUSY:
        return f"The processors: they were busy {busy:.0%} of the time."
    if len(done) > 1 and used < IDLE_SLOTS:
        slowest = max(done, key=lambda grade: grade.seconds)
        return (
            f"The slowest submission: {slowest.id} took {slowest.seconds:.0f} s of {seconds:.0f} s, and at the end "
            f"others had left their places empty."
        )
    tests = shared.at_once * shared.workers
    one = "One test at a time ran" if tests == 1 else f"{tests} tests at once ran"
    load = "" if busy is None else f", and the processors were busy {busy:.0%} of the time"
    return f"Waiting: tests wait for time to pass, mostly. {one}{load}."
