"""Histories in files: one operation a line, as JSON.

    {"client": "ck-1", "op": "append", "key": "k", "value": "x", "call": 0.12, "return": 0.34}
    {"client": "ck-2", "op": "get", "key": "k", "result": "x", "call": 0.40, "return": 0.41}
    {"client": "ck-1", "op": "cas", "key": "k", "value": ["x", "z"], "result": true, "call": 0.50, "return": 0.52}

Times are numbers, of any unit and on one clock; `return` is null or absent if nobody knows what came of the operation.
A cas writes the second of its values if it finds the first, and its result says whether it did.
"""

import codecs
from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from labs.history import Operation, OperationKind
from labs.linearizability.epochs import end

KINDS: Final = get_args(OperationKind)
TO_SHOW: Final = 60
"""Characters of a wrong value that an error shows."""


class BadLine(ValueError):
    """A line that is no operation. The text says which, and why."""


class _Line(Operation, kw_only=True, gc=False, rename={"return_": "return"}):
    """An operation as most files have it: without a cas, with all that it needs."""

    client: str | int  # type: ignore[assignment]  # a number is made a string at once
    call: int | float  # whole numbers stay what they are, however large
    return_: int | float | None = None


def read(data: bytes) -> list[Operation]:
    """The operations of a file, in the order of its lines. Raises `BadLine`."""
    try:
        operations: list[_Line] = msgspec.json.Decoder(_Line).decode_lines(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_each(data)
    if data.count(b"\n") - data.endswith(b"\n") != len(operations) - 1 or not data.startswith(b"{"):
        return _read_each(data)  # there are blank lines, or not one operation on each
    for each in operations:
        if each.return_ is None:
            each.result = None
        elif each.return_ < each.call or (each.op == "get" and each.result is None):
            return _read_each(data)
        if each.op == "cas" or (each.op != "get" and each.value is None):
            return _read_each(data)
        if each.client.__class__ is int:
            each.client = str(each.client)
    return list(operations)


def line_numbers(data: bytes) -> list[int]:
    """On which line each operation of a file stands that was read. Raises `BadLine` if that is not one on each."""
    lines = data.split(b"\n")
    if any(line.strip()[:1] + line.strip()[-1:] not in (b"", b"{}") for line in lines):
        _read_each(data)  # which tells what is wrong
    return _filled(lines)


def _filled(lines: list[bytes]) -> list[int]:
    return [number for number, line in enumerate(lines, 1) if line.strip()]


def _read_each(data: bytes) -> list[Operation]:
    operations: list[Operation] = []
    bad: list[str] = []
    lines = data.split(b"\n")
    for number in _filled(lines):
        try:
            operations.append(_operation(msgspec.json.decode(lines[number - 1])))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            bad.append(f"line {number} {_not_json(lines[number - 1], error)}")
        except RecursionError:
            bad.append(f"line {number} has too many brackets within brackets")
        except ValueError as error:
            bad.append(f"line {number}: {error}")
    if len(bad) > 1:
        raise BadLine(f"{bad[0]} ({len(bad):,} lines are bad)")
    if bad:
        raise BadLine(bad[0])
    return operations


def _not_json(line: bytes, error: Exception) -> str:
    if line.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "begins with a byte order mark: expected UTF-8 without one"
    return f"cannot be read as JSON: {error}"


def _operation(fields: object) -> Operation:
    """An operation from its JSON. Raises `ValueError` with what is wrong."""
    if not isinstance(fields, dict):
        raise ValueError(f"expected an object with client, op, key, value, result, call, return; got {_json(fields)}")
    op = _field(fields, "op")
    if op not in KINDS:
        raise ValueError(f'expected "op" to be {", ".join(KINDS[:-1])} or {KINDS[-1]}, got {_json(op)}')
    client = fields.get("client")
    client = str(client) if type(client) is int else _field(fields, "client", "a string or a whole number")
    kind: OperationKind = op  # type: ignore[assignment]  # one of KINDS
    operation = Operation(client, kind, _field(fields, "key"), call=_time(fields, "call"))
    if fields.get("return") is not None:
        operation.return_ = _time(fields, "return")
    if end(operation) < operation.call:
        raise ValueError(f'"return" {operation.return_} is before "call" {operation.call}')
    if op in ("put", "append"):
        operation.value = _field(fields, "value")
    elif op == "cas":
        operation.expected, operation.value = _pair(fields)
    if operation.return_ is not None:
        if op == "get":
            operation.result = _result_of_get(fields)
        elif op == "cas":
            operation.result = "yes" if _result_of_cas(fields) else "no"
    return operation


def _field(fields: Mapping[str, Any], name: str, what: str = "a string") -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise ValueError(f'expected "{name}" to be {what}, got {_json(value) if name in fields else "nothing"}')
    return value


def _time(fields: Mapping[str, Any], name: str) -> float:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f'expected "{name}" to be a number, got {_json(value) if name in fields else "nothing"}')
    return value


def _pair(fields: Mapping[str, Any]) -> tuple[str, str]:
    match fields.get("value"):
        case [str(expected), str(new)]:
            return expected, new
        case value:
            raise ValueError(
                'expected the "value" of a cas to be two strings, ["what it expects", "what it writes then"],'
                f" got {_json(value)}"
            )


def _result_of_cas(fields: Mapping[str, Any]) -> bool:
    result = fields.get("result")
    if not isinstance(result, bool):
        raise ValueError(
            'expected the "result" of a cas to be true if it found what it expected, else false; got'
            f' {_json(result)} (if its outcome is unknown, leave "return" out)'
        )
    return result


def _result_of_get(fields: Mapping[str, Any]) -> str:
    result = fields.get("result")
    if not isinstance(result, str):
        raise ValueError(
            'expected the "result" of a get that returned to be a string ("" if there was no value), got'
            f' {_json(result)} (if its outcome is unknown, leave "return" out)'
        )
    return result


def _json(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= TO_SHOW else text[:TO_SHOW] + "…"
