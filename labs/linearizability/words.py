"""Operations in words."""

from typing import Final

from labs.history import Operation
from labs.linearizability.ranks import original
from labs.texts import shown

CLIENT_SHOWN: Final = 60
"""Characters of a client's name that are shown at most."""


def describe(operation: Operation) -> str:
    """An operation in words, with its times as the history has them."""
    arguments = {"get": (), "cas": (operation.expected, operation.value)}.get(operation.op, (operation.value,))
    call = f"{operation.op.capitalize()}({', '.join(shown(each or '') for each in (operation.key, *arguments))})"
    client = operation.client
    if len(client) > CLIENT_SHOWN:
        client = client[:CLIENT_SHOWN] + "…"
    begin, finish = original(operation).call, original(operation).return_
    if operation.return_ is None or finish is None:
        return f"{call} by {client} ({time_text(begin)} to no answer yet)"
    begun, ended = times_text(begin, finish)
    return f"{call} by {client} ({begun} to {ended})"


def answer_of(operation: Operation) -> str:
    """What a cas answered."""
    return {"yes": "true", "no": "false"}.get(operation.result or "", "nothing yet")


def times_text(begin: float, finish: float) -> tuple[str, str]:
    """Two times, with as many digits as tell them apart."""
    for digits in (3, 6, 9):
        texts = time_text(begin, digits), time_text(finish, digits)
        if texts[0] != texts[1] or begin == finish:
            return texts
    return repr(begin), repr(finish)


def time_text(time: float, digits: int = 3) -> str:
    """A time: whole numbers, of whatever unit they are, as they stand; others are taken for seconds."""
    return str(time) if isinstance(time, int) else f"{time:.{digits}f} s"
