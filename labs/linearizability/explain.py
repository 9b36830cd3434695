"""Which answer nothing explains, in a sentence for whoever looks for the mistake.

The answer named is the first one, in the order of their returns, with which the history stops being linearizable.
Where the epochs tell why, that is a proof. Otherwise there may be many reasons; the usual ones are recognised and named
with their witness.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec.structs import replace

from labs.history import Operation
from labs.linearizability.epochs import Ambiguous, Anomaly, Flaw, end, find_flaw, legal_order
from labs.linearizability.glance import is_plain
from labs.linearizability.search import Budget, LimitExceeded, search
from labs.linearizability.words import describe
from labs.texts import contrast, shown

EARLIER_GETS: Final = 10
"""So many gets, the last ones before the one in question, are tried as what it contradicts."""
TELLING: Final = 4
"""Characters that an appended value needs so that finding it twice says something."""


class Explanation(NamedTuple):
    """What is wrong with a history of one key."""

    anomaly: Anomaly
    text: str
    operations: tuple[Operation, ...]
    """The answer that nothing explains, and those that it contradicts."""


def is_legal(history: list[Operation], budget: Budget) -> bool:
    """Whether some order explains this history of one key. Raises `LimitExceeded`."""
    if is_plain(history):
        return True
    try:
        return find_flaw(history) is None
    except Ambiguous:
        return search(history, budget) is not None


def order_of(history: list[Operation], budget: Budget) -> list[Operation] | None:
    """An order that explains this history of one key, or None. Raises `LimitExceeded`."""
    try:
        return legal_order(history) if find_flaw(history) is None else None
    except Ambiguous:
        return search(history, budget)


def explain(history: Iterable[Operation], budget: Budget) -> Explanation:
    """Why this history of one key is not linearizable."""
    operations = list(history)
    answer = _first_unexplained(operations, budget)
    flaw = _proof(until(operations, end(answer))) or _guess(answer, before(operations, answer), budget)
    return Explanation(flaw.anomaly, _sentence(flaw, operations, budget), (flaw.answer, *flaw.others))


def _sentence(flaw: Flaw, operations: list[Operation], budget: Budget) -> str:
    answer = flaw.answer
    known = before(operations, answer)
    value = _value_after(known, budget)
    if answer.op == "cas":
        return (
            f'{flaw.anomaly}: {describe(answer)} gave "{answer.result}", which nothing explains:'
            f" the value may have been {shown(value)}"
        )
    concurrent = any(each.op != "get" and end(each) > answer.call for each in known)
    came, expected = contrast(answer.result or "", value)
    because = f", {flaw.because}" if flaw.because else ""
    return f"{flaw.anomaly}: {describe(answer)} gave {came}, expected {'for example ' * concurrent}{expected}{because}"


# --- the answer in question ------------------------------------------------------------------------------------------


def before(operations: Iterable[Operation], answer: Operation) -> list[Operation]:
    """What was known just before this answer came."""
    return [_unanswered(each) if each is answer else each for each in until(operations, end(answer))]


def until(operations: Iterable[Operation], time: float) -> list[Operation]:
    """What was known at that time: later operations had not been asked for, and later answers had not been given."""
    return [each if end(each) <= time else _unanswered(each) for each in operations if each.call <= time]


def _unanswered(operation: Operation) -> Operation:
    return replace(operation, result=None, return_=None)


def _first_unexplained(operations: list[Operation], budget: Budget) -> Operation:
    """The first answer with which the history stops being linearizable.

    A proof narrows down where it is, most often at once, and halving does the rest.
    """
    answers = sorted((each for each in operations if each.op in ("get", "cas") and each.return_ is not None), key=end)
    returns = [end(each) for each in answers]

    def proven(last: int) -> int | None:
        """The number of an answer, `last` at most, with which the history is not linearizable. None if it is."""
        known = until(operations, returns[last])
        try:
            flaw = find_flaw(known)
        except Ambiguous:
            return None if _may_be_legal(known, budget) else last
        return None if flaw is None else bisect_left(returns, end(flaw.answer))

    low, high = 0, len(answers) - 1  # it is one of these
    while low < high:
        for number in (high - 1, (low + high) // 2):
            if low <= number < high:
                earlier = proven(number)
                low, high = (number + 1, high) if earlier is None else (low, earlier)
    return answers[low]


def _may_be_legal(operations: list[Operation], budget: Budget) -> bool:
    try:
        return is_legal(operations, budget)
    except LimitExceeded:
        return True


def _value_after(operations: list[Operation], budget: Budget) -> str:
    """A value that the key may hold after these operations."""
    try:
        order = order_of(operations, budget)
    except LimitExceeded:
        return ""
    value = ""
    for each in order or ():
        if each.op == "append":
            value += each.value or ""
        elif each.op == "put" or (each.op == "cas" and each.expected == value):
            value = each.value or ""
    return value


def _proof(operations: list[Operation]) -> Flaw | None:
    try:
        return find_flaw(operations)
    except Ambiguous:
        return None


# --- the usual reasons -----------------------------------------------------------------------------------------------


def _guess(answer: Operation, known: list[Operation], budget: Budget) -> Flaw:
    """What is probably wrong with an answer that a search could not explain."""
    if answer.op == "cas":
        return Flaw("order broken", answer, "")
    writes = [each for each in known if each.op != "get"]
    done = sorted((each for each in writes if end(each) < answer.call), key=end)
    return (
        _lost_append(answer, writes, done)
        or _doubled_append(answer, writes)
        or _overwritten(answer, writes, done)
        or _went_back(answer, known, budget)
        or Flaw("order broken", answer, "")
    )


def _lost_append(get: Operation, writes: list[Operation], done: list[Operation]) -> Flaw | None:
    """It lacks what was appended before, and nobody put anything since."""
    resets = [each for each in writes if each.op != "append"]
    for append in done:
        if append.op != "append" or (append.value or "") in (get.result or ""):
            continue
        if all(end(each) < append.call for each in resets):
            return Flaw("lost write", get, f"because {describe(append)} had been answered before", (append,))
    return None


def _doubled_append(get: Operation, writes: list[Operation]) -> Flaw | None:
    """It holds twice what was appended once."""
    values = [each.value or "" for each in writes]
    for append in writes:
        value = append.value or ""
        is_telling = append.op == "append" and len(value) >= TELLING and sum(value in other for other in values) == 1
        if is_telling and (get.result or "").count(value) > 1:
            return Flaw("applied twice", get, f"because {describe(append)} was asked for once", (append,))
    return None


def _overwritten(get: Operation, writes: list[Operation], done: list[Operation]) -> Flaw | None:
    """It gave what nobody had put, or what another put had replaced."""
    if any(each.op == "append" for each in writes):
        return None
    sources = [each for each in writes if each.value == get.result]
    if get.result and not sources:
        return Flaw("value from nowhere", get, "because nobody had put that")
    for put in reversed(done):
        if put.op == "put" and put.value != get.result and all(end(source) < put.call for source in sources):
            return Flaw("stale read", get, f"because {describe(put)} had been answered before", (put,))
    return None


def _went_back(get: Operation, known: list[Operation], budget: Budget) -> Flaw | None:
    """Without an earlier get it would be right."""
    earlier = sorted((each for each in known if each.op == "get" and end(each) < get.call), key=end)
    for other in earlier[-EARLIER_GETS:]:
        if _may_be_legal([get, *(each for each in known if each is not other)], budget):
            seen, _ = contrast(other.result or "", get.result or "")
            return Flaw("stale read", get, f"because {describe(other)} had given {seen} before", (other,))
    return None
