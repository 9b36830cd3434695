"""Operations in words, and what tells them apart."""

from labs.history import Operation
from labs.texts import shown


def describe(operation: Operation) -> str:
    """An operation in words, with its times."""
    arguments = {"get": (), "cas": (operation.expected, operation.value)}.get(operation.op, (operation.value,))
    call = f"{operation.op.capitalize()}({', '.join(shown(each or '') for each in (operation.key, *arguments))})"
    until = "no answer yet" if operation.return_ is None else f"{operation.return_:.3f} s"
    return f"{call} by {operation.client} ({operation.call:.3f} s to {until})"


def identity(operation: Operation) -> tuple[object, ...]:
    """What tells an operation from others, whether it was answered or not."""
    return (operation.client, operation.op, operation.key, operation.value, operation.expected, operation.call)
