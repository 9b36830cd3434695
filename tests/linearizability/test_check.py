"""The checker against known histories, against brute force, and against the clock."""

import math
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from labs.benchmark.checker import porcupine
from labs.history import History, Operation, OperationKind
from labs.linearizability import check
from labs.linearizability.words import describe
from tests.linearizability.fuzz import compare, random_history

PORCUPINE = Path(__file__).parents[3] / "shared" / "data" / "porcupine"


def operation(
    client: str, kind: OperationKind, argument: str | None, result: str | None, call: float, end: float | None
) -> Operation:
    return Operation(client, kind, "k", argument, result, float(call), None if end is None else float(end))


def get(client: str, result: str, call: float, end: float | None) -> Operation:
    return operation(client, "get", None, result, call, end)


def put(client: str, value: str, call: float, end: float | None) -> Operation:
    return operation(client, "put", value, None, call, end)


def append(client: str, value: str, call: float, end: float | None) -> Operation:
    return operation(client, "append", value, None, call, end)


def cas(client: str, expected: str, value: str, result: str, call: float, end: float | None) -> Operation:
    return Operation(client, "cas", "k", value, result, float(call), None if end is None else float(end), expected)


# --- brute force -----------------------------------------------------------------------------------------------------


def test_agrees_with_brute_force() -> None:
    random = Random("brute force")
    outcomes = Counter(compare(random_history(random)) for _ in range(20_000))
    anomalies = {"lost write", "stale read", "applied twice", "value from nowhere", "order broken"}
    for decided in ("epochs", "search"):
        assert {f"{decided}: {outcome}" for outcome in {*anomalies, "linearizable"}} <= set(outcomes)
    assert sum(count for outcome, count in outcomes.items() if "linearizable" not in outcome) > 3_000
    assert sum(count for outcome, count in outcomes.items() if "many" in outcome) < 100


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
            'value from nowhere: Cas("k", "b", "c") by ck-2 (3.000 s to 4.000 s) gave true, expected false, '
            'the value being "a", because nobody had written "b"',
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


@pytest.mark.parametrize(
    ("history", "explanation", "named"),
    [
        (  # a Put that is executed as an Append
            [append("1", "x;", 0, 1), put("1", "p;", 2, 3), get("1", "x;p;", 4, 5)],
            'order broken: … gave "x;p;", expected "p;", because Put("k", "p;") by 1 (2.000 s to 3.000 s) replaces'
            " what was"
            " there, and here it stands behind something else",
            [2, 1],
        ),
        (  # or twice
            [put("1", "a", 0, 1), get("1", "aa", 2, 3)],
            'applied twice: … gave "aa", expected "a", because Put("k", "a") by 1 (0.000 s to 1.000 s) replaces what'
            " was"
            " there, and here it stands behind something else",
            [1, 0],
        ),
        (  # another put came between the two gets
            [
                put("1", "p;", 0, 1),
                append("1", "x;", 2, 3),
                append("1", "y;", 4, 5),
                get("1", "p;x;y;", 6, 7),
                put("1", "q;", 8, 9),
                get("1", "p;y;", 10, 11),
            ],
            'lost write: … gave "p;y;", expected "q;", because Get("k") by 1 (6.000 s to 7.000 s) had given "p;x;y;",'
            ' both since Put("k", "p;") by 1 (0.000 s to 1.000 s)',
            [5, 3, 0],
        ),
        (  # what looks like an append applied twice was right before the put
            [
                append("1", "abab", 0, 1),
                append("1", "ab", 0, 1),
                append("1", "ab", 2, 3),
                put("1", "x", 4, 5),
                get("1", "abababab", 6, 7),
            ],
            'stale read: … gave "abababab", expected "x", because Put("k", "x") by 1 (4.000 s to 5.000 s) had been'
            " answered before",
            [4, 3],
        ),
        (  # which of the two puts came last nobody knows
            [put("1", "a", 0, 2), put("2", "b", 1, 3), get("1", "zz", 4, 5)],
            'value from nowhere: … gave "zz", expected for example "b", because nobody had put that',
            [2],
        ),
        (  # the cas wrote what the get saw
            [cas("1", "", "b", "no", 0, 3), get("2", "b", 1, 2)],
            'order broken: … gave false, expected true, the value being "", because nobody had written anything else',
            [0],
        ),
        (
            [cas("1", "", "a", "yes", 0, 1), get("1", "", 2, 3)],
            'stale read: … gave "", expected "a", because Cas("k", "", "a") by 1 (0.000 s to 1.000 s) had given true'
            " before",
            [1, 0],
        ),
        (  # two hold the lock
            [cas("1", "", "m1", "yes", 0, 1), cas("2", "", "m2", "yes", 2, 3)],
            'lost write: … gave true, expected false, the value being "m1", because Cas("k", "", "m1") by 1 (0.000 s to'
            " 1.000 s) had given true before",
            [1, 0],
        ),
        (
            [cas("1", "a", "b", "no", 0, 1), get("1", "b", 2, 3)],
            'value from nowhere: … gave "b", expected "", because nothing that had been written leads to that',
            [1],
        ),
        (  # equal appends, of which one is lost
            [append("1", "x", 0, 1), append("1", "x", 2, 3), get("1", "x", 4, 5)],
            'lost write: … gave "x", expected "xx", because Append("k", "x") by 1 (0.000 s to 1.000 s) and'
            ' Append("k", "x")'
            " by 1 (2.000 s to 3.000 s) had been answered before",
            [2, 0, 1],
        ),
        (
            [append("1", "x", 0, 1), append("1", "x", 2, 3), get("1", "xx", 4, 5), get("1", "x", 6, 7)],
            'stale read: … gave "x", expected "xx", because Get("k") by 1 (4.000 s to 5.000 s) had given "xx" before',
            [3, 2],
        ),
        (
            [append("1", "ok;", 0, 1), append("1", "ok;", 2, 3), get("1", "ok;ok;ok;", 4, 5)],
            'applied twice: … gave "ok;ok;ok;", expected "ok;ok;", because Append of "ok;" was asked for twice',
            [2, 0, 1],
        ),
        (  # values that run into one another
            [append("1", "1", 0, 1), put("1", "11", 2, 3), put("1", "2", 4, 5), get("1", "11", 6, 7)],
            'stale read: … gave "11", expected "2", because Put("k", "11") by 1 (2.000 s to 3.000 s) and Put("k",'
            ' "2") by 1'
            " (4.000 s to 5.000 s) had been answered before",
            [3, 1, 2],
        ),
        (  # answers that come at the same time: the first alone contradicts the put
            [put("1", "x", 0, 1), get("2", "", 2, 3), get("3", "", 2, 3)],
            'stale read: … gave "", expected "x", because Put("k", "x") by 1 (0.000 s to 1.000 s) had been answered'
            " before",
            [1, 0],
        ),
        (  # and the one that is right is not blamed
            [get("1", "", 4, 6), cas("2", "a", "b", "yes", 2, 6)],
            'value from nowhere: … gave true, expected false, the value being "", because nobody had written "a"',
            [1],
        ),
        (
            [put("1", "a", 0, 1), put("1", "b", 2, 3), cas("2", "c", "d", "no", 4, 6), get("3", "a", 5, 6)],
            'stale read: … gave "a", expected for example "b", because Put("k", "a") by 1 (0.000 s to 1.000 s) and'
            ' Put("k", "b") by 1 (2.000 s to 3.000 s) had been answered before',
            [3, 0, 1],
        ),
    ],
)
def test_the_answer_and_what_it_contradicts(history: list[Operation], explanation: str, named: list[int]) -> None:
    verdict = check(history)
    anomaly, said = explanation.split("…")
    answer = describe(verdict.operations[0]).replace("no answer yet", "")
    assert verdict.explanation == f"{anomaly}{answer}{said}"
    assert [next(n for n, each in enumerate(history) if each is found) for found in verdict.operations] == named


def test_two_values_are_never_taken_for_one() -> None:
    """These two have the same remainder by 10^36 + 2719, in base 256."""
    one, other = "000k00^QSR00P00f>", "2LZ0O^0000HO00N00"
    assert check([put("1", one, 0, 3), put("2", other, 0, 3), cas("3", other, "r", "yes", 4, 5)]).ok


def test_large_whole_numbers_are_not_rounded() -> None:
    begin = 1_700_000_000_000_000_000
    written = Operation("1", "put", "k", "a", None, begin + 1, begin + 10)
    verdict = check([written, Operation("1", "get", "k", None, "", begin + 20, begin + 30)])
    assert verdict.anomaly == "stale read"
    assert f"({begin + 20} to {begin + 30})" in verdict.explanation


def test_a_hard_key_does_not_hide_a_simple_mistake() -> None:
    hard = [append(str(number), "a", 0, 9) for number in range(20)]
    hard.append(get("0", "a" * 19, 10, 11))
    simple = [Operation("1", "put", "other", "x", None, 1, 2), Operation("1", "get", "other", None, "", 3, 4)]
    assert check([*hard, *simple], step_limit=10).key == "other"


def test_a_verdict_does_not_wait_for_its_explanation() -> None:
    """What came before can be explained in very many ways; which is right would take years to find."""
    operations = [append(str(number), f"v{number};", 0, 10) for number in range(13)]
    operations += [append("13", "v0;", 0, 10), put("14", "v3;", 0, None)]
    operations += [get("c", "v11;v12;v6;v10;v0;v0;v4;v1;v7;v5;v2;v8;v9;v3;", 20, 21), get("c", "zzz", 22, 23)]
    verdict = check(operations, step_limit=math.inf)
    assert verdict.explanation.endswith('gave "zzz", which cannot be, because nobody had written that')


def test_a_cas_that_found_what_nobody_wrote_needs_no_search() -> None:
    operations = [append(str(number), f"{number},", 0, 9) for number in range(12)]
    verdict = check([*operations, cas("c", "zzz", "q", "yes", 10, 11)], step_limit=10)
    assert verdict.anomaly == "value from nowhere"


def test_it_says_why_a_search_was_needed() -> None:
    operations = [append("1", str(number), number, number + 30) for number in range(40)]
    text = "".join(map(str, range(38))) + "39"
    verdict = check([*operations, get("2", text, 100, 101)], step_limit=10)
    assert verdict.ok is None
    assert 'There are two ways to make "' in verdict.explanation


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
