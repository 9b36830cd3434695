"""Is a history linearizable? Could one server, doing one thing at a time, have given these answers?

Linearizability is local: a history is linearizable exactly if what it says of each key is (Herlihy and Wing,
"Linearizability: a correctness condition for concurrent objects", 1990, theorem 1). So each key is judged by itself:
at a glance, which suffices for most that are linearizable; then by its epochs where its writes can be told apart, which
takes almost linear time and tells what is wrong; and by a search where they cannot, which is complete but may take
very long, for the problem is NP-complete.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from labs.history import Operation
from labs.linearizability.epochs import Ambiguous, find_flaw
from labs.linearizability.explain import explain, order_before
from labs.linearizability.glance import is_plain
from labs.linearizability.search import Budget, LimitExceeded, search
from labs.texts import shown

STEP_LIMIT: Final = 2_000_000
"""Operations that the searches in a history try to place, all together, before they give up."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What there is to say about a history."""

    ok: bool | None
    """None: the search was given up at the step limit, which says nothing."""
    explanation: str = ""
    """What is wrong, the answer that nothing explains, and why. Empty if all is well."""
    operations: tuple[Operation, ...] = ()
    """The operations of the history that the explanation speaks of, the answer first: one to three, seldom more."""
    anomaly: str = ""
    """Lost write, stale read, applied twice, value from nowhere, or order broken."""
    key: str | None = None
    """Where. None if all is well."""


def check(operations: Iterable[Operation], step_limit: float = STEP_LIMIT) -> Verdict:
    """Judges a history of gets, puts, appends and cas; a key that was never written holds the empty string.

    Where writes can be told apart by their values the answer is always yes or no. Elsewhere a search may take
    exponential time: it gives up at `step_limit`, and never if that is `math.inf`.

    An operation without a return may have taken effect at any time after its call, or never. Events with the same
    time count as concurrent.
    """
    hard: list[tuple[str, list[Operation], str]] = []
    for key, history in by_key(operations).items():
        if not is_plain(history):
            try:
                if find_flaw(history):
                    return _bad(key, history)
            except Ambiguous as why:
                hard.append((key, history, str(why)))
    budget = Budget(step_limit)
    given_up = None
    for key, history, reason in sorted(hard, key=lambda each: len(each[1])):
        try:
            if search(history, budget) is None:
                return _bad(key, history)
        except LimitExceeded:
            given_up = given_up or Verdict(None, _gave_up(key, step_limit, reason), key=key)
    return given_up or Verdict(True)


def _bad(key: str, history: list[Operation]) -> Verdict:
    anomaly, text, witness = explain(history)
    return Verdict(False, text, witness, anomaly, key)


def by_key(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    """The operations on each key."""
    found: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        found[operation.key].append(operation)
    return found


def legal_prefix(operations: Iterable[Operation], verdict: Verdict) -> list[Operation] | None:
    """The longest beginning that is linearizable, of the key that is not, in an order that explains it.

    It is what was known before the answer that nothing explains; what was under way then, and need not have taken
    effect, is left out. None if it takes too long to find.
    """
    assert verdict.operations, "expected a history that is not linearizable"
    return order_before(verdict.operations[0], [each for each in operations if each.key == verdict.key])


def _gave_up(key: str, step_limit: float, reason: str) -> str:
    reason = reason[:1].upper() + reason[1:]
    return (
        f"gave up on key {shown(key)}: {step_limit:,} steps of the search were not enough to decide. {reason}, and the"
        " number of orders to try grows exponentially with the operations that overlap. Give each write a value of its"
        ' own, with a mark at its end so that none runs into the next ("1;", "2;"), use more keys or fewer clients at'
        " once, or allow more steps"
    )
