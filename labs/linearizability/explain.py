"""Which answer nothing explains, in a sentence for whoever looks for the mistake.

The answer named is the first one, in the order of their returns, with which the history stops being linearizable. Where
the epochs tell why, that is a proof. Elsewhere as few other operations as possible are sought of which the same is
true: whatever else was asked, and whenever. *Relaxing* an operation is to forget a get, or to let a write take effect
at any time or never. What was linearizable stays so; so if what is left is not, these operations prove it.

All of this takes a limited number of steps (`STEPS`). Where they are not enough, less is said, and nothing wrong.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from msgspec.structs import replace

from labs.history import Operation
from labs.linearizability.epochs import Ambiguous, Anomaly, Flaw, end, find_flaw, legal_order
from labs.linearizability.glance import is_plain
from labs.linearizability.ranks import original, ranked
from labs.linearizability.search import Budget, LimitExceeded, search
from labs.linearizability.words import answer_of, describe
from labs.texts import contrast, shown

STEPS: Final = 100_000
"""Of all searches for one explanation, together."""
STEPS_AT_ONCE: Final = 10_000
"""Of one of them."""
LOOKS_A_STEP: Final = 4
"""Operations that can be looked at in the time of a step."""
NEAR: Final = 10
"""So many gets, and so many writes, the last ones before the answer, are tried alone as what it contradicts."""
NAMED: Final = 4
"""Operations beside the answer that a sentence names at most."""
MANY: Final = "and no order explains that with all that had been answered before"
"""What it says if it would take more, or if none are found."""


T = TypeVar("T")


class Explanation(NamedTuple):
    """What is wrong with a history of one key."""

    anomaly: Anomaly
    text: str
    operations: tuple[Operation, ...]
    """The answer that nothing explains, and those that it contradicts, as they stand in the history."""


class Expected(NamedTuple):
    """A value that the key may have held when an answer came."""

    value: str
    is_only: bool
    """Whether it is known to be the only one."""


def explain(history: Iterable[Operation]) -> Explanation:
    """Why this history of one key is not linearizable."""
    operations: list[Operation] = [*ranked(history)]
    judge = Judge()
    answer = _first_unexplained(operations, judge)
    known = until(operations, end(answer))
    flaw = _proof(known) or _smallest(answer, known, judge)
    sentence = f"{flaw.anomaly}: {_said(flaw.answer, expected_value(flaw.answer, known, judge))}"
    return Explanation(flaw.anomaly, f"{sentence}, {flaw.because}", tuple(map(original, (flaw.answer, *flaw.others))))


def order_before(answer: Operation, history: Iterable[Operation]) -> list[Operation] | None:
    """An order that explains what was known of this history just before an answer of it came. None: not found."""
    operations = ranked(history)
    last = next(each for each in operations if each.original is answer)
    try:
        order = _order_of(before(operations, last), Budget(STEPS))
    except LimitExceeded:
        return None
    return None if order is None else [*map(original, order)]


def _order_of(history: list[Operation], budget: Budget) -> list[Operation] | None:
    """An order that explains this history of one key, or None. Raises `LimitExceeded`."""
    try:
        return legal_order(history) if find_flaw(history) is None else None
    except Ambiguous:
        return search(history, budget)


class Judge:
    """Says of histories whether they are linearizable, as long as its steps last."""

    def __init__(self) -> None:
        self._left = STEPS

    def refutes(self, history: list[Operation]) -> bool:
        """Whether it is known that no order explains it."""
        return self._spend(history, lambda budget: not is_plain(history) and _order_of(history, budget) is None, False)

    def allows(self, history: list[Operation]) -> bool:
        """Whether it is known that some order explains it."""
        return self.order(history) is not None

    def order(self, history: list[Operation]) -> list[Operation] | None:
        """Some order that explains it, if one was found."""
        return self._spend(history, lambda budget: _order_of(history, budget), None)

    def _spend(self, history: list[Operation], action: Callable[[Budget], T], otherwise: T) -> T:
        if self._left <= 0:
            return otherwise
        self._left -= len(history) // LOOKS_A_STEP
        budget = Budget(STEPS_AT_ONCE)
        try:
            return action(budget)
        except LimitExceeded:
            return otherwise
        finally:
            self._left -= int(STEPS_AT_ONCE - budget.left)


# --- the answer in question ------------------------------------------------------------------------------------------


def before(operations: Iterable[Operation], answer: Operation) -> list[Operation]:
    """What was known just before this answer came."""
    return [_unanswered(each) if each is answer else each for each in until(operations, end(answer))]


def until(operations: Iterable[Operation], time: float) -> list[Operation]:
    """What was known at that time: later operations had not been asked for, and later answers had not been given."""
    return [each if end(each) <= time else _unanswered(each) for each in operations if each.call <= time]


def _unanswered(operation: Operation) -> Operation:
    return replace(operation, result=None, return_=None)


def _first_unexplained(operations: list[Operation], judge: Judge) -> Operation:
    """The first answer with which the history stops being linearizable, as far as that can be told.

    A proof narrows down where it is, most often at once, and halving does the rest.
    """
    answers = sorted((each for each in operations if each.op in ("get", "cas") and each.return_ is not None), key=end)
    returns = [end(each) for each in answers]

    def proven(last: int) -> int | None:
        """The number of an answer, `last` at most, with which the history is not linearizable. None if it may be."""
        known = until(operations, returns[last])
        try:
            flaw = find_flaw(known)
        except Ambiguous:
            return last if judge.refutes(known) else None
        return None if flaw is None else bisect_left(returns, end(flaw.answer))

    low, high = 0, len(answers) - 1  # it is one of these
    while low < high:
        for number in (high - 1, (low + high) // 2):
            if low <= number < high:
                earlier = proven(number)
                low, high = (number + 1, high) if earlier is None else (low, earlier)
    return answers[low]


def _proof(operations: list[Operation]) -> Flaw | None:
    try:
        return find_flaw(operations)
    except Ambiguous:
        return None


# --- what was expected instead ---------------------------------------------------------------------------------------


def expected_value(answer: Operation, known: Sequence[Operation], judge: Judge) -> Expected | None:
    """What the key may have held when this answer came, by all else that was known then. None if that is not known."""
    pending = _unanswered(answer)  # a cas may have written what others saw, whatever it answered
    others = [each for each in until(known, end(answer)) if each is not answer]
    order = judge.order([*others, pending])
    if order is None:
        return None
    value = ""
    for each in order:
        if each is pending:
            break
        if each.op == "append":
            value += each.value or ""
        elif each.op == "put" or (each.op == "cas" and each.expected == value):
            value = each.value or ""
    if any(each.op != "get" and end(each) > answer.call for each in others):
        return Expected(value, is_only=False)  # that one may have come before or after it
    another = replace(answer, op="cas", expected=value, value="", result="no")  # which finds any other value
    return Expected(value, is_only=judge.refutes([*others, another]))


def _said(answer: Operation, expected: Expected | None) -> str:
    """What came, and what should have come."""
    example = "" if expected is None or expected.is_only else "for example "
    if answer.op == "cas":
        said = f"{describe(answer)} gave {answer_of(answer)}, expected {'false' if answer.result == 'yes' else 'true'}"
        if expected is None:
            return said
        return f"{said}, the value being {example}{shown(expected.value)}"
    if expected is None:
        return f"{describe(answer)} gave {shown(answer.result or '')}, which cannot be"
    came, value = contrast(answer.result or "", expected.value)
    return f"{describe(answer)} gave {came}, expected {example}{value}"


# --- the smallest proof ----------------------------------------------------------------------------------------------


def _smallest(answer: Operation, known: list[Operation], judge: Judge) -> Flaw:
    """What an answer contradicts that a search could not explain."""
    others = [each for each in known if each is not answer and (each.op != "get" or each.return_ is not None)]

    def contradicts(kept: Collection[int]) -> bool:
        named = {id(others[number]) for number in kept}
        return judge.refutes([answer, *_without_surplus(relaxed(others, kept), named, answer)])

    kept = _needed(answer, others, contradicts)
    if kept is None:
        return Flaw(_kind(answer, (), known, judge), answer, MANY)
    if not kept:
        return _made_of_too_much(answer, others, judge)
    these = sorted((others[number] for number in kept), key=lambda each: each.call)
    return Flaw(_kind(answer, these, known, judge), answer, _because(answer, these), tuple(these))


def relaxed(operations: Sequence[Operation], kept: Collection[int]) -> list[Operation]:
    """These operations, of which only some are kept as they are."""
    return [
        each if number in kept else _relaxed(each)
        for number, each in enumerate(operations)
        if number in kept or each.op != "get"
    ]


def _relaxed(write: Operation) -> Operation:
    return replace(write, call=-math.inf, return_=None, result=None)


def _without_surplus(history: list[Operation], kept: Collection[int], answer: Operation) -> list[Operation]:
    """Without writes that may happen at any time and are one too many of the same.

    Where nothing is appended, no order needs one of them twice between two of those that are kept. Where there is no
    cas, none is of use more often than its value occurs in what gets returned.
    """
    operations = [answer, *history]
    fixed = [each for each in operations if each is answer or id(each) in kept]
    has_append = any(each.op == "append" for each in operations)
    if has_append and any(each.op == "cas" for each in operations):
        return history
    results = [each.result or "" for each in fixed if each.op == "get" and each.return_ is not None]
    left: dict[tuple[str | None, ...], int] = {}
    enough: list[Operation] = []
    for each in history:
        if id(each) not in kept:
            same = (each.op, each.value, each.expected)
            if same not in left:
                value = each.value or ""
                left[same] = sum(text.count(value) for text in results) if has_append else len(fixed)
            left[same] -= 1
            if left[same] < 0:
                continue
        enough.append(each)
    return enough


def _needed(
    answer: Operation, others: list[Operation], contradicts: Callable[[Collection[int]], bool]
) -> list[int] | None:
    """The numbers of a few operations that the answer contradicts. None if no proof is found."""
    if contradicts(()):
        return []
    order = sorted(range(len(others)), key=lambda number: -end(others[number]))
    done = [number for number in order if end(others[number]) < answer.call]
    under_way = [number for number in order if end(others[number]) >= answer.call]
    gets = [number for number in done if others[number].op == "get"]
    writes = [number for number in done if others[number].op != "get"]
    for number in (*writes[:NEAR], *gets[:NEAR]):
        if contradicts((number,)):
            return [number]
    rest = writes + gets + under_way
    if not contradicts(rest):
        return None
    kept: list[int] = []
    while rest and len(kept) < NAMED:
        low, high = 1, len(rest)  # the first of these suffice, as few as possible
        while low < high:
            middle = (low + high) // 2
            if contradicts([*kept, *rest[:middle]]):
                high = middle
            else:
                low = middle + 1
        kept.append(rest[high - 1])  # without it, the others would not
        rest = rest[: high - 1]
        if contradicts(kept):
            return kept
    return None


def _made_of_too_much(answer: Operation, others: list[Operation], judge: Judge) -> Flaw:
    """The answer tells of a value that what was written does not make, each taken once, in whatever order."""
    told = (answer.expected if answer.op == "cas" else answer.result) or ""
    if answer.result == "no" and answer.op == "cas":
        return Flaw("order broken", answer, "because nobody had written anything else")
    writes = [each for each in others if each.op != "get"]
    for write in writes:
        if write.value and write.value in told and judge.allows([answer, *relaxed([*others, write], ())]):
            same = tuple(each for each in writes if (each.op, each.value) == (write.op, write.value))
            times = {1: "once", 2: "twice"}.get(len(same), f"{len(same)} times")
            named = same[:NAMED] if len(same) <= NAMED else (write,)
            what = describe(write) if len(same) == 1 else f"{write.op.capitalize()} of {shown(write.value)}"
            return Flaw("applied twice", answer, f"because {what} was asked for {times}", named)
    return Flaw("value from nowhere", answer, "because nothing that had been written leads to that")


def _kind(answer: Operation, these: Sequence[Operation], known: list[Operation], judge: Judge) -> Anomaly:
    """What would explain the answer: that a write was lost, an earlier moment, or that something was done twice."""

    def explains_loss(write: Operation) -> bool:
        return judge.allows([each for each in known if each is not write])

    if any(each.op == "append" and explains_loss(each) for each in these):
        return "lost write"
    if judge.allows([replace(each, call=-math.inf) if each is answer else each for each in known]):
        return "stale read"
    if any(each.op in ("put", "cas") and explains_loss(each) for each in these):
        return "lost write"
    for write in these:
        if write.op != "get" and judge.allows([*known, replace(write, return_=None, result=None)]):
            return "applied twice"
    return "order broken"


def _because(answer: Operation, these: Sequence[Operation]) -> str:
    """What had happened when the answer came."""
    facts: list[str] = []
    written: list[str] = []
    for each in these:
        if each.op == "get":
            facts.append(f"{describe(each)} had given {shown(each.result or '')}")
        elif each.op == "cas" and each.return_ is not None:
            facts.append(f"{describe(each)} had given {answer_of(each)}")
        elif each.return_ is not None:
            written.append(describe(each))
        else:
            facts.append(f"{describe(each)} had been asked for")
    if written:
        facts.insert(0, f"{_listed(written)} had been answered")
    is_over = all(end(each) < answer.call for each in these)
    return f"because {_listed(facts)}{' before' * is_over}"


def _listed(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))
