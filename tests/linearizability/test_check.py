"""The checker against known histories, against brute force, and against the clock."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from labs.benchmark.checker import porcupine
from labs.history import History, Operation, OperationKind
from labs.linearizability import check
from tests.linearizability.fuzz import compare, random_history

PORCUPINE = Path(__file__).parents[3] / "shared" / "data" / "porcupine"


def operation(
    client: str, kind: OperationKind, argument: str | None, result: str | None, call: float, end: float | None
) -> Operation:
    return Operation(client, kind, "k", argument, result, call, end)


def get(client: str, result: str, call: float, end: float | None) -> Operation:
    return operation(client, "get", None, result, call, end)


def put(client: str, value: str, call: float, end: float | None) -> Operation:
    return operation(client, "put", value, None, call, end)


def append(client: str, value: str, call: float, end: float | None) -> Operation:
    return operation(client, "append", value, None, call, end)


def cas(client: str, expected: str, value: str, result: str, call: float, end: float | None) -> Operation:
    return Operation(client, "cas", "k", value, result, call, end, expected)


# --- brute force -----------------------------------------------------------------------------------------------------


def test_agrees_with_brute_force() -> None:
    random = Random("brute force")
    outcomes = Counter(compare(random_history(random)) for _ in range(20_000))
    anomalies = {"lost write", "stale read", "applied twice", "value from nowhere", "order broken"}
    for decided in ("epochs", "search"):
        assert {f"{decided}: {outcome}" for outcome in {*anomalies, "linearizable"}} <= set(outcomes)
    assert sum(count for outcome, count in outcomes.items() if "linearizable" not in outcome) > 3_000


# --- explanations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "explanation"),
    [
        (
            [put("ck-1", "a", 1, 2), put("ck-2", "b", 2.5, 2.9), get("ck-1", "a", 3.1, 3.12)],
            'stale read: Get("k") by ck-1 (3.100 s to 3.120 s) gave "a", expected "b", because Put("k", "b") by ck-2'
            ' (2.500 s to 2.900 s) had been answered since Put("k", "a") by ck-1 (1.000 s to 2.000 s)',
        ),
        (
            [append("ck-1", "x", 1, 2), append("ck-2", "y", 3, 4), get("ck-1", "x", 5, 6)],
            'lost write: Get("k") by ck-1 (5.000 s to 6.000 s) gave "x", expected "xy", '
            'because Append("k", "y") by ck-2 (3.000 s to 4.000 s) had been answered before',
        ),
        (
            [append("ck-1", "x", 1, 2), append("ck-2", "y", 3, 4), get("ck-1", "yx", 5, 6)],
            'order broken: Get("k") by ck-1 (5.000 s to 6.000 s) gave "yx", expected "xy", because Append("k", "x")'
            ' by ck-1 (1.000 s to 2.000 s) had been answered before Append("k", "y") by ck-2 (3.000 s to 4.000 s) was'
            " asked for",
        ),
        (
            [append("ck-1", "x 0 0 y", 1, 2), get("ck-1", "x 0 0 yx 0 0 y", 5, 6)],
            'applied twice: Get("k") by ck-1 (5.000 s to 6.000 s) gave "x 0 0 yx 0 0 y", expected "x 0 0 y", '
            'because Append("k", "x 0 0 y") by ck-1 (1.000 s to 2.000 s) was asked for once',
        ),
        (
            [put("ck-1", "a", 1, 2), get("ck-1", "c", 3, 4)],
            'value from nowhere: Get("k") by ck-1 (3.000 s to 4.000 s) gave "c", expected "a", '
            "because nobody had put that",
        ),
        (
            [put("ck-1", "a", 1, 2), put("ck-2", "b", 3, None), get("ck-1", "b", 4, 5), get("ck-1", "a", 6, 7)],
            'stale read: Get("k") by ck-1 (6.000 s to 7.000 s) gave "a", expected for example "b", because Get("k") by'
            ' ck-1 (4.000 s to 5.000 s) had given "b" since Put("k", "a") by ck-1 (1.000 s to 2.000 s)',
        ),
        (
            [put("ck-1", "a", 1, 2), cas("ck-2", "b", "c", "yes", 3, 4)],
            'order broken: Cas("k", "b", "c") by ck-2 (3.000 s to 4.000 s) gave "yes", '
            'which nothing explains: the value may have been "a"',
        ),
        (
            [
                put("ck-1", "a", 1, None),
                put("ck-2", "b", 1, None),
                get("ck-3", "a", 2, 3),
                get("ck-4", "b", 2, 3.5),
                get("ck-3", "b", 5, 6),
                get("ck-4", "a", 5, 7),
            ],
            'order broken: Get("k") by ck-4 (5.000 s to 7.000 s) gave "a", expected for example "b", because Get("k")'
            ' by ck-3 (2.000 s to 3.000 s) had been answered before Get("k") by ck-3 (5.000 s to 6.000 s) was asked'
            ' for, and Get("k") by ck-4 (2.000 s to 3.500 s) before Get("k") by ck-4 (5.000 s to 7.000 s): the value'
            " of each would have to come first",
        ),
    ],
)
def test_explanations(history: list[Operation], explanation: str) -> None:
    verdict = check(history)
    assert not verdict.ok
    assert verdict.explanation == explanation
    assert explanation.startswith(f"{verdict.anomaly}: ")


def test_one_bad_key_is_enough() -> None:
    good = [Operation("1", "put", "other", "x", None, 1, 2), Operation("1", "get", "other", None, "x", 3, 4)]
    bad = [put("1", "a", 5, 6), get("1", "", 7, 8)]
    assert check(good).ok
    assert check(good + bad).operations == (bad[1], bad[0])


def test_an_operation_without_an_answer_may_take_effect_or_not() -> None:
    assert check([put("1", "a", 1, None), get("2", "", 5, 6), get("2", "a", 7, 8), get("2", "a", 9, 10)]).ok
    assert check([put("1", "a", 1, None), get("2", "", 5, 6)]).ok
    assert not check([put("1", "a", 1, None), get("2", "a", 5, 6), get("2", "", 7, 8)]).ok


def test_history_tells_the_order_of_simultaneous_events() -> None:
    """In simulated time an answer and the next call may come in the same instant, and yet one after the other."""
    history = History()
    history.end(history.begin("1", "put", "k", "a", 1.0), None, 2.0)
    history.end(history.begin("2", "get", "k", None, 2.0), "", 3.0)
    assert not check(history).ok


# --- size ------------------------------------------------------------------------------------------------------------


def executed(random: Random, clients: int, count: int, odds_of_get: float) -> Iterator[Operation]:
    """What a correct server answers to clients that append tokens of 12 characters to one key, side by side."""
    effects = []
    for client in range(clients):
        now = random.random()
        for number in range(count // clients):
            end = now + random.random()
            effects.append((random.uniform(now, end), now, end, client, number))
            now = end + random.random() / 10
    value = ""
    for _, call, end, client, number in sorted(effects):
        if random.random() < odds_of_get:
            yield get(str(client), value, call, end)
        else:
            token = f"x {client} {number} y".ljust(12, ".")
            value += token
            yield append(str(client), token, call, end)


@pytest.mark.parametrize(("clients", "odds_of_get"), [(3, 0.3), (10, 0.3), (10, 0.001), (50, 0.3)])
def test_ten_thousand_operations_on_one_key_take_less_than_a_second(clients: int, odds_of_get: float) -> None:
    operations = list(executed(Random(1), clients, 10_000, odds_of_get))
    began = time.process_time()
    assert check(operations).ok
    last = max((each for each in operations if each.op == "get"), key=lambda each: each.call)
    assert last.result is not None
    last.result = last.result[:-120] + last.result[-108:]  # one append got lost
    assert check(operations).ok is False
    assert time.process_time() - began < 3.0  # it takes a tenth of that on a quiet machine


def test_ten_clients_that_put_without_looking() -> None:
    """With no get between them, any of ten concurrent puts may come last, thousands of times over."""
    operations = [
        put(each.client, each.value or "", each.call, each.return_) for each in executed(Random(2), 10, 3_000, 0)
    ]
    end = max(each.return_ or 0.0 for each in operations)
    candidates = [each for each in operations if all(other.call <= (each.return_ or 0.0) for other in operations)]
    for last in candidates:
        assert check([*operations, get("0", last.value or "", end + 1, end + 2)]).ok
    assert check([*operations, get("0", operations[0].value or "", end + 1, end + 2)]).ok is False


def test_says_so_when_it_gives_up() -> None:
    """Which of twenty equal appends a get has missed cannot be read off, so that they have to be searched."""
    operations = [append(str(number), "a", 0, 9) for number in range(20)]
    verdict = check([*operations, get("0", "a" * 19, 10, 11)], step_limit=10)
    assert verdict.ok is None
    assert "10 steps" in verdict.explanation


def test_values_that_are_written_again_later_need_no_search() -> None:
    """As where clients count from 0 again. Which of two writers it was is guessed, and the guess is then proven."""
    values = [f"{number};" for number in range(20)]
    operations = []
    for first, begin in (("old ", 0), ("new ", 100)):
        operations.append(put("0", first, begin, begin + 1))
        operations += [append("0", value, begin + 2, begin + 50) for value in values]
        operations.append(get("0", first + "".join(values), begin + 51, begin + 52))
    assert check(operations, step_limit=0).ok


def test_a_value_from_nowhere_needs_no_search() -> None:
    operations = [append(str(number), "a", 0, 9) for number in range(20)]
    verdict = check([*operations, get("0", "ab", 10, 11)], step_limit=10)
    assert verdict.anomaly == "value from nowhere"
    assert 'because nobody had appended "…b"' in verdict.explanation


# --- known histories -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not PORCUPINE.exists(), reason="the histories are not on this machine")
@pytest.mark.parametrize("name", ["c01-ok", "c01-bad", "c10-ok", "c10-bad"])
def test_porcupine(name: str) -> None:
    assert check(porcupine(PORCUPINE / f"{name}.txt")).ok == name.endswith("ok")
