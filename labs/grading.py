"""What makes a test a graded one, and the words in which it fails.

A graded test is `async def test_x(cluster: Cluster) -> None` under `@graded(...)`. The first line of its docstring is
the title that a student sees; the rest says what it does and which mistake it is meant to catch.
"""

import re
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Protocol, TypeVar, cast

import pytest

from labs.cluster import Cluster
from labs.texts import contrast, shown

GradedTest = Callable[[Cluster], Coroutine[Any, Any, None]]
T = TypeVar("T", bound=GradedTest)


class Inconclusive(Exception):
    """The machine was too slow for this test to tell right from wrong: neither passed nor failed."""


@dataclass(frozen=True, slots=True)
class Grade:
    """What a graded test is worth."""

    title: str
    part: str
    """The part of the lab. A plus ("A+") marks what the course's own suite of 2015 let through."""
    points: int
    within: float
    """Seconds that the whole test may take, in both worlds (times the run's patience)."""


class HasGrade(Protocol):
    """A test that `@graded` has marked."""

    grade: Grade


def graded(*, part: str, points: int, within: float) -> Callable[[T], T]:
    """Makes a coroutine a graded test: `test.grade` holds its Grade, and pytest sees it as the mark `graded`."""

    def mark(test: T) -> T:
        title = (test.__doc__ or "").strip().partition("\n")[0].removesuffix(".")
        if not title:
            raise ValueError(f"expected a docstring whose first line is the title of {test.__name__}")
        cast(HasGrade, test).grade = grade = Grade(title, part, points, within)
        return pytest.mark.graded(grade)(test)

    return mark


def grade_of(test: object) -> Grade | None:
    """The Grade of a test, or None if it is no graded test."""
    grade = getattr(test, "grade", None)
    return grade if isinstance(grade, Grade) else None


# --- failure texts ---------------------------------------------------------------------------------------------------


def expect_equal(what: str, came: object, expected: object, hint: str = "") -> None:
    """Raises `AssertionError`, as in `Get("a") by ck-2 gave "1", expected "111": where to look`, unless equal."""
    if came != expected:
        what_came, what_not = contrast(came, expected)
        raise AssertionError(f"{what} gave {what_came}, expected {what_not}" + (f": {hint}" if hint else ""))


def token(client: int, number: int) -> str:
    """What a client appends in its turn `number`. `check_appends` knows it again."""
    return f"x {client} {number} y"


_TOKEN: Final = re.compile(r"x (\d+) (\d+) y")


def check_appends(what: str, value: str, counts: Sequence[int]) -> None:
    """Raises `AssertionError` unless `value` is made of exactly the tokens that were appended.

    Client i appended `token(i, 0)` to `token(i, counts[i] - 1)`: each must be there once, every client's in their
    order, and nothing else with them. `what` names the value, as in `Get("k") by ck-1`.
    """
    wanted = {(client, number) for client, count in enumerate(counts) for number in range(count)}
    found: list[tuple[int, int]] = []
    position = 0
    for match in _TOKEN.finditer(value):
        _no_foreign_text(what, value, position, match.start())
        position = match.end()
        found.append((int(match[1]), int(match[2])))
    _no_foreign_text(what, value, position, len(value))
    for (client, number), times in Counter(found).items():
        if (client, number) not in wanted:
            raise AssertionError(f"{what}: {shown(token(client, number))} is there, which nobody appended")
        if times > 1:
            raise AssertionError(
                f"{what}: {shown(token(client, number))} is there {times} times, expected once: "
                f"a retried Append was executed again"
            )
    missing = sorted(wanted - set(found))
    if missing:
        raise AssertionError(
            f"{what}: {shown(token(*missing[0]))} is missing ({len(missing)} of {len(wanted)} Appends are): "
            f"an Append that was answered has been lost"
        )
    for client in range(len(counts)):
        order = [number for other, number in found if other == client]
        for earlier, later in pairwise(order):
            if earlier > later:
                raise AssertionError(
                    f"{what}: {shown(token(client, later))} comes after {shown(token(client, earlier))}, "
                    f"but had been answered before that one was asked for"
                )


def _no_foreign_text(what: str, value: str, start: int, end: int) -> None:
    if start < end:
        raise AssertionError(f"{what}: {shown(value[start:end])} at character {start} is nothing that was appended")
