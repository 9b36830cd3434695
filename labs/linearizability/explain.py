"""Which answer nothing explains, in a sentence for whoever looks for the mistake.

The answer named is the first one, in the order of their returns, with which the history stops being linearizable. Why
that is so may have many reasons; the usual ones are recognised and named with their witness.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec.structs import replace

from labs.history import Operation
from labs.linearizability.search import LimitExceeded, search
from labs.texts import contrast, shown

EARLIER_GETS: Final = 10
"""So many gets, the last ones before the one in question, are tried as what it contradicts."""
TELLING: Final = 4
"""Characters that an appended value needs so that finding it twice says something."""


class Reason(NamedTuple):
    """Why an answer cannot be, and the other operation that shows it."""

    text: str
    witness: tuple[Operation, ...] = ()


def explain(history: Iterable[Operation], step_limit: int) -> tuple[str, tuple[Operation, ...]]:
    """Why this history of one key is not linearizable: a sentence, and the operations that it speaks of."""
    operations = list(history)
    answer = _first_unexplained(operations, step_limit)
    known = [
        each for each in _until(operations, _end(answer)) if (each.client, each.call) != (answer.client, answer.call)
    ]
    value = _value_after(known, step_limit) or ""
    if answer.op == "cas":
        text = (
            f'{describe(answer)} gave "{answer.result}", which nothing explains: the value may have been {shown(value)}'
        )
        return text, (answer,)
    concurrent = any(each.op != "get" and _end(each) > answer.call for each in known)
    came, expected = contrast(answer.result or "", value)
    text = f"{describe(answer)} gave {came}, expected {'for example ' * concurrent}{expected}"
    reason = _reason(answer, known, step_limit)
    return text + reason.text, (answer, *reason.witness)


def describe(operation: Operation) -> str:
    """An operation in words, with its times."""
    arguments = {"get": (), "cas": (operation.expected, operation.value)}.get(operation.op, (operation.value,))
    call = f"{operation.op.capitalize()}({', '.join(shown(each or '') for each in (operation.key, *arguments))})"
    until = "no answer yet" if operation.return_ is None else f"{operation.return_:.3f} s"
    return f"{call} by {operation.client} ({operation.call:.3f} s to {until})"


# --- the answer in question ------------------------------------------------------------------------------------------


def _first_unexplained(operations: list[Operation], step_limit: int) -> Operation:
    answers = sorted((each for each in operations if each.op in ("get", "cas") and each.return_ is not None), key=_end)
    low, high = 0, len(answers) - 1  # it is one of these
    while low < high:
        middle = (low + high) // 2
        if _value_after(_until(operations, _end(answers[middle])), step_limit) is None:
            high = middle
        else:
            low = middle + 1
    return answers[low]


def _until(operations: list[Operation], time: float) -> list[Operation]:
    """What was known at that time: later operations had not been asked for, and later answers had not been given."""
    return [
        each if _end(each) <= time else replace(each, result=None, return_=None)
        for each in operations
        if each.call <= time
    ]


def _value_after(operations: list[Operation], step_limit: int) -> str | None:
    """A value that the key may hold after these operations, or None if nothing explains them."""
    try:
        return search(operations, step_limit)
    except LimitExceeded:
        return ""


def _end(operation: Operation) -> float:
    return float("inf") if operation.return_ is None else operation.return_


# --- the usual reasons -----------------------------------------------------------------------------------------------


def _reason(get: Operation, known: list[Operation], step_limit: int) -> Reason:
    writes = [each for each in known if each.op != "get"]
    done = sorted((each for each in writes if _end(each) < get.call), key=_end)
    return (
        _lost_append(get, writes, done)
        or _doubled_append(get, writes)
        or _overwritten(get, writes, done)
        or _went_back(get, known, step_limit)
        or Reason("")
    )


def _lost_append(get: Operation, writes: list[Operation], done: list[Operation]) -> Reason | None:
    """It lacks what was appended before, and nobody put anything since."""
    resets = [each for each in writes if each.op != "append"]
    for append in done:
        if append.op != "append" or (append.value or "") in (get.result or ""):
            continue
        if all(_end(each) < append.call for each in resets):
            return Reason(f", because {describe(append)} had been answered before", (append,))
    return None


def _doubled_append(get: Operation, writes: list[Operation]) -> Reason | None:
    """It holds twice what was appended once."""
    values = [each.value or "" for each in writes]
    for append in writes:
        value = append.value or ""
        is_telling = append.op == "append" and len(value) >= TELLING and sum(value in other for other in values) == 1
        if is_telling and (get.result or "").count(value) > 1:
            return Reason(f", because {describe(append)} was asked for once", (append,))
    return None


def _overwritten(get: Operation, writes: list[Operation], done: list[Operation]) -> Reason | None:
    """It gave what nobody had put, or what another put had replaced."""
    if any(each.op == "append" for each in writes):
        return None
    sources = [each for each in writes if each.value == get.result]
    if get.result and not sources:
        return Reason(", because nobody had put that")
    for put in reversed(done):
        if put.op == "put" and put.value != get.result and all(_end(source) < put.call for source in sources):
            return Reason(f", because {describe(put)} had been answered before", (put,))
    return None


def _went_back(get: Operation, known: list[Operation], step_limit: int) -> Reason | None:
    """Without an earlier get it would be right."""
    earlier = sorted((each for each in known if each.op == "get" and _end(each) < get.call), key=_end)
    for other in earlier[-EARLIER_GETS:]:
        if _value_after([get, *(each for each in known if each is not other)], step_limit) is not None:
            seen, _ = contrast(other.result or "", get.result or "")
            return Reason(f", because {describe(other)} had given {seen} before", (other,))
    return None
