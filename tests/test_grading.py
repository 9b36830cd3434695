"""The graded tests as a whole: points and titles; and the helpers that say why one failed."""

import importlib.util
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from labs.grading import Grade, check_appends, expect_equal, grade_of, graded, token
from labs.suites import SUITES, Suite, find_suites

GRADED = Path(__file__).parent / "graded"
LABS = sorted({suite.lab for suite in SUITES})


def module_of(suite: Suite) -> ModuleType:
    file = GRADED / suite.lab / f"test_{suite.name}.py"
    spec = importlib.util.spec_from_file_location(f"graded_{suite.name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def grades_of(suite: Suite) -> Iterator[Grade]:
    for name, test in vars(module_of(suite)).items():
        if name.startswith("test_"):
            grade = grade_of(test)
            assert grade is not None, f"{name} of {suite.name} has no @graded"
            yield grade


@pytest.mark.parametrize("lab", LABS)
def test_a_lab_is_worth_100_points(lab: str) -> None:
    assert sum(grade.points for suite in find_suites(lab) for grade in grades_of(suite)) == 100


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_each_test_has_a_title_of_its_own(suite: Suite) -> None:
    titles = Counter(grade.title for grade in grades_of(suite))
    assert not [title for title, times in titles.items() if times > 1]


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_a_module_names_its_suite(suite: Suite) -> None:
    assert suite.name == module_of(suite).SUITE


@pytest.mark.parametrize(
    ("suite", "count"),
    [("viewservice", 9), ("pbservice", 15), ("paxos", 19), ("kvpaxos", 13), ("shardmaster", 9), ("shardkv", 5)],
)
def test_all_titles_of_2015_are_there(suite: str, count: int) -> None:
    (found,) = find_suites(suite)
    assert len([grade for grade in grades_of(found) if not grade.part.endswith("+")]) == count


def test_suites_are_found_by_each_name() -> None:
    both = tuple(suite for suite in SUITES if suite.lab == "lab1")
    assert find_suites("lab1") == find_suites("lab1_pbservice") == both
    assert [suite.name for suite in find_suites("viewservice")] == ["viewservice"]
    with pytest.raises(ValueError, match=r"expected a lab or a suite .*viewservice.*, got 'lab9'"):
        find_suites("lab9")


def test_the_title_is_the_first_line_of_the_docstring() -> None:
    @graded(part="A", points=1, within=1.0)
    async def test_it(cluster: object) -> None:
        """What it is called.

        What it does.
        """

    assert grade_of(test_it) == Grade("What it is called", "A", 1, 1.0)


def test_a_failure_says_what_came_and_where_to_look() -> None:
    expect_equal("Get", "1", "1")
    with pytest.raises(AssertionError) as failure:
        expect_equal('Get("a") by ck-2', "1", "111", "pb-1 should have refused")
    assert str(failure.value) == 'Get("a") by ck-2 gave "1", expected "111": pb-1 should have refused'


def test_long_values_are_shown_where_they_differ() -> None:
    long = "".join(token(0, number) for number in range(1000))
    with pytest.raises(AssertionError) as failure:
        expect_equal("Get", long.replace("x 0 500 y", ""), long)
    assert 'gave "…' in str(failure.value)
    assert "x 0 499 yx 0 501 y" in str(failure.value)
    assert "x 0 499 yx 0 500 y" in str(failure.value)
    assert len(str(failure.value)) < 500


def test_appends_of_several_clients_may_mix() -> None:
    check_appends("Get", "", [0, 0])
    check_appends("Get", token(0, 0) + token(1, 0) + token(1, 1) + token(0, 1), [2, 2])
    check_appends("Get", "".join(token(0, number) for number in range(12)), [12])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (token(0, 0) + token(1, 0), '"x 0 1 y" is missing (1 of 3 Appends are)'),
        (token(0, 0) + token(0, 1) + token(1, 0) + token(0, 0), '"x 0 0 y" is there 2 times'),
        (token(0, 1) + token(1, 0) + token(0, 0), '"x 0 0 y" comes after "x 0 1 y"'),
        (token(0, 0) + token(0, 1) + token(1, 0) + token(2, 0), '"x 2 0 y" is there, which nobody appended'),
        (token(0, 0) + "!" + token(0, 1) + token(1, 0), '"!" at character 7 is nothing that was appended'),
        (token(0, 0) + token(0, 1) + token(1, 0)[:-1], '"x 1 0 " at character 14 is nothing that was appended'),
    ],
)
def test_wrong_appends_are_named(value: str, message: str) -> None:
    with pytest.raises(AssertionError) as failure:
        check_appends('Get("k") by ck-0', value, [2, 1])
    assert str(failure.value).startswith('Get("k") by ck-0: ' + message)
