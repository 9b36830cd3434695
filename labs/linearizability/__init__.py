"""Is a history linearizable? Could one server, doing one thing at a time, have given these answers?

Linearizability is local: a history is linearizable exactly if what it says of each key is (Herlihy and Wing,
"Linearizability: a correctness condition for concurrent objects", 1990, theorem 1). So each key is searched by itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from labs.history import Operation
from labs.linearizability.explain import explain
from labs.linearizability.search import LimitExceeded, search

STEP_LIMIT: Final = 2_000_000
"""Operations that the search tries to place, for one key, before it gives up."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What there is to say about a history."""

    ok: bool | None
    """None: the search was given up at the step limit, which says nothing."""
    explanation: str = ""
    """The key, the answer that nothing explains, and why. Empty if all is well."""
    operations: tuple[Operation, ...] = ()
    """The one to three operations that the explanation speaks of."""


def check(operations: Iterable[Operation], step_limit: int = STEP_LIMIT) -> Verdict:
    """Judges a history of gets, puts, appends and cas; a key that was never written holds the empty string.

    An operation without a return may have taken effect at any time after its call, or never. Events with the same
    time count as concurrent.
    """
    by_key: dict[str, list[Operation]] = {}
    for operation in operations:
        by_key.setdefault(operation.key, []).append(operation)
    given_up = None
    for key, history in by_key.items():
        try:
            if search(history, step_limit) is None:
                return Verdict(False, *explain(history, step_limit))
        except LimitExceeded:
            given_up = key
    if given_up is not None:
        return Verdict(None, f"gave up on key {given_up!r}: {step_limit} steps were not enough to decide")
    return Verdict(True)
