"""All checkers against brute force, on small random histories: `python -m tests.linearizability.fuzz --histories N`.

Half of the histories write every value once, so that the epochs tell; some of their values are beginnings or ends of
others. The rest use few values again and again, or a cas, and are for the search. Times are small integers in half of
them, so that many are equal.
"""

import argparse
import math
import time
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Final

from msgspec.structs import replace

from labs.history import Operation, OperationKind
from labs.linearizability import STEP_LIMIT, check, legal_prefix
from labs.linearizability.epochs import Ambiguous, end, find_flaw, legal_order
from labs.linearizability.explain import MANY, Judge, expected_value, relaxed
from labs.linearizability.glance import is_plain
from labs.linearizability.ranks import Ranked, ranked
from labs.linearizability.search import Budget, search

UNIQUE: Final = (
    ("a", "b", "c", "d", "e", "f", "g", "h"),
    ("a", "ab", "b", "ba", "abc", "c", "bc", "ca"),
    ("1;", "2;", "10;", "11;", "12;", "100;", "3;", "4;"),
    (",1", ",2", ",10", ",11", ",12", ",100", ",3", ",4"),
    ("1", "2", "12", "21", "3", "13", "31", "123"),
)
REPEATED: Final = ("", "a", "b", "ab", "aa")
KINDS: Final[tuple[tuple[OperationKind, ...], ...]] = (
    ("get", "put"),
    ("get", "append"),
    ("get", "put", "append"),
    ("get", "get", "put", "append", "append"),
)


# --- brute force -----------------------------------------------------------------------------------------------------


def is_linearizable(operations: Sequence[Operation]) -> bool:
    """Tries all orders of all subsets that hold every answered operation."""
    numbers = range(len(operations))
    answered = {number for number in numbers if operations[number].return_ is not None}
    earlier = [
        {other for other in answered if (operations[other].return_ or 0.0) < operations[number].call}
        for number in numbers
    ]

    def explains(done: frozenset[int], value: str) -> bool:
        if answered <= done:
            return True
        for number in numbers:
            if number not in done and earlier[number] <= done:
                after = execute(operations[number], value)
                if after is not None and explains(done | {number}, after):
                    return True
        return False

    return explains(frozenset(), "")


def execute(operation: Operation, value: str) -> str | None:
    """The value after the operation, or None if its answer would have been another one."""
    if operation.op == "get":
        return value if operation.return_ is None or operation.result == value else None
    if operation.op == "append":
        return value + (operation.value or "")
    if operation.op == "put":
        return operation.value
    succeeds = value == operation.expected
    if operation.return_ is not None and succeeds != (operation.result == "yes"):
        return None
    return operation.value if succeeds else value


def explained(order: Sequence[Operation], history: Sequence[Operation]) -> bool:
    """Whether this is an order that explains the history. What wrote the empty string may be left out of it."""
    placed = {(each.client, each.call, each.op) for each in order}
    answered = [each for each in history if each.return_ is not None and each.value != ""]
    missing = [each for each in answered if (each.client, each.call, each.op) not in placed]
    latest, value = -math.inf, ""
    for each in order:
        latest = max(latest, each.call)
        after = execute(each, value)
        if after is None or (each.return_ is not None and each.return_ < latest):
            return False
        value = after
    return not missing


# --- histories -------------------------------------------------------------------------------------------------------


def random_history(random: Random, largest: int = 8) -> list[Operation]:
    """A few operations of a few clients, nearly linearizable: the answers of one server, some of them spoiled."""
    tokens = list(random.choice(UNIQUE)) if random.random() < 0.5 else None
    kinds: tuple[OperationKind, ...] = random.choice(KINDS)
    if tokens is None and random.random() < 0.3:
        kinds = (*kinds, "cas")
    elif tokens is not None:
        random.shuffle(tokens)
    operations: list[Operation] = []
    clocks = [random.random() for _ in range(random.randint(1, 4))]
    whole = random.random() < 0.5
    for _ in range(random.randint(2, largest)):
        client = random.randrange(len(clocks))
        call = clocks[client]
        finish = clocks[client] = call + random.choice([0.1, 1.0, 3.0]) * random.random()
        clocks[client] += random.choice([0.0, 0.0, 1.0]) * random.random()
        kind = random.choice(kinds)
        value = None
        if kind != "get":
            blank = tokens is None or random.random() < 0.05
            value = random.choice(REPEATED) if blank or not tokens else tokens.pop()
        expected = random.choice(REPEATED) if kind == "cas" else None
        if whole:
            call, finish = float(round(call)), float(round(finish))
        operations.append(Operation(str(client), kind, "k", value, None, call, finish, expected))
    answer(random, operations)
    return operations


def answer(random: Random, operations: list[Operation]) -> None:
    """Gives the answers of one server, and spoils some."""
    values = [each.value for each in operations if each.value] + [""]
    care = random.choice([0.6, 0.9, 1.0])
    slack = random.choice([0.0, 0.5, 2.0])  # by so much an operation may take effect too early or too late
    seen = [""]
    value = ""
    for each in sorted(operations, key=lambda each: random.uniform(each.call - slack, end(each) + slack)):
        if each.op == "get":
            wrong = random.choice([*values, *seen, value + random.choice(values), value[:-1], value[1:]])
            each.result = value if random.random() < care else wrong
        elif each.op == "cas":
            each.result = "yes" if (value == each.expected) == (random.random() < care) else "no"
            value = each.value or "" if value == each.expected else value
        elif random.random() < (1 + care) / 2:  # otherwise it is lost
            value = value + (each.value or "") if each.op == "append" else each.value or ""
        seen.append(value)
    for each in operations:
        if random.random() < 0.1:
            each.return_ = each.result = None


# --- comparison ------------------------------------------------------------------------------------------------------


def compare(history: list[Operation]) -> str:
    """Asserts that all that is said of a history agrees with brute force. Says who decided, and what."""
    expected = is_linearizable(history)
    plain = is_plain(history)
    assert expected or not plain, f"the first look is wrong about {history}"
    order = search(history, Budget(STEP_LIMIT))
    assert (order is not None) == expected, f"the search is wrong about {history}"
    assert order is None or explained(order, history), f"the search gave a wrong order of {history}: {order}"
    try:
        flaw = find_flaw(history)
    except Ambiguous:
        decided = "search"
    else:
        decided = "epochs"
        assert (flaw is None) == expected, f"the epochs are wrong about {history}: {flaw}"
        if flaw is None:
            order = legal_order(history)
            assert explained(order, history), f"the epochs gave a wrong order of {history}: {order}"
    verdict = check(history)
    assert verdict.ok == expected, f"the check is wrong about {history}"
    if expected:
        return f"{decided}: linearizable{', at a glance' * plain}"
    compare_explanation(history)
    return f"{decided}: {verdict.anomaly}{', which many contradict' * verdict.explanation.endswith(MANY)}"


def compare_explanation(history: list[Operation]) -> None:
    """The answer named is the first that cannot be, those named prove it, and what was expected was possible."""
    verdict = check(history)
    places = {id(each.original): each for each in ranked(history)}  # in which no two answers come at the same time
    answer, *others = (places[id(each)] for each in verdict.operations)
    known = [each for each in places.values() if each.call <= end(answer)]
    before = [each if end(each) < end(answer) else unanswered(each) for each in known]
    until = [answer if each is answer else new for each, new in zip(known, before, strict=True)]
    assert not is_linearizable(until), f"{verdict.explanation}: nothing is wrong yet in {history}"
    assert is_linearizable(before), f"{verdict.explanation}: something was wrong before in {history}"
    prefix = legal_prefix(history, verdict)
    assert prefix is not None, f"{verdict.explanation}: there is an order of what was known before in {history}"
    answered = [each for each in before if each.return_ is not None]
    order = [unanswered(each) if end(each) >= end(answer) else each for each in (places[id(each)] for each in prefix)]
    assert explained(order, answered), f"a wrong order of what was known before: {prefix} in {history}"
    rest = [each for each in until if each is not answer]
    compare_expected(verdict.explanation, answer, rest)
    named = {id(each.original) for each in others}
    proof: Sequence[Operation] = until
    try:
        find_flaw(until)
    except Ambiguous:
        kept = {number for number, each in enumerate(rest) if id(each.original) in named}
        if not verdict.explanation.endswith(MANY):
            proof = [answer, *relaxed(rest, kept)]
    else:
        proof = [each for each in until if each.op != "get" or each is answer or id(each.original) in named]
    assert not is_linearizable(proof), f"{verdict.explanation}: that is no proof in {history}"


def compare_expected(explanation: str, answer: Ranked, known: Sequence[Operation]) -> None:
    """That value was possible, and it was the only one unless the sentence gives it as an example."""
    expected = expected_value(answer, known, Judge())
    assert expected is not None, f"expected a value in {explanation}"
    right = replace(answer, result=expected.value)
    if answer.op == "cas":
        right.result = "no" if answer.result == "yes" else "yes"
        assert (expected.value == answer.expected) == (right.result == "yes"), f"{explanation}: {expected.value!r}?"
    assert is_linearizable([*known, right]), f"{explanation}: {expected.value!r} was not possible"
    another = Operation("", "cas", "k", "", "no", answer.call, answer.return_, expected.value)
    if expected.is_only:
        assert not is_linearizable([*known, another]), f"{explanation}: another value was possible, too"
    assert expected.is_only or "for example" in explanation, f"expected an example in {explanation}"


def unanswered(operation: Ranked) -> Ranked:
    """It, before its answer came."""
    return replace(operation, result=None, return_=None)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="All checkers against brute force, on small random histories.")
    parser.add_argument("--histories", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random = Random(options.seed)
    counts: Counter[str] = Counter()
    began = time.monotonic()
    for _ in range(options.histories):
        history = random_history(random)
        try:
            counts[compare(history)] += 1
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(f"{error!r} for {history}") from error
    print(f"{options.histories:,} histories, all agree, {time.monotonic() - began:.0f} s")
    for outcome, count in counts.most_common():
        print(f"{count:10,}  {outcome}")


if __name__ == "__main__":
    main()
