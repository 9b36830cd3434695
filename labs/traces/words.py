"""Events in words: one line each, with the fields of messages named where the labs' public protocol names them."""

import types
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from common import protocol
from common.wire import Record, Reply, Request, reply_type
from labs.texts import visible
from labs.traces.events import Event, Kind

LONGEST: Final = 300
"""Characters of a line's last column."""

TO_CALLEE: Final[tuple[Kind, ...]] = ("request", "arrive", "lose request")
BACK: Final[tuple[Kind, ...]] = ("reply", "lose reply", "return", "fail")
MESSAGES: Final[tuple[Kind, ...]] = (*TO_CALLEE, *BACK)
LINKS: Final[tuple[Kind, ...]] = ("cut", "join", "tap", "hold", "release")

_REQUESTS: Final[dict[str, type[Request[Any]]]] = {
    name: each
    for name, each in vars(protocol).items()
    if isinstance(each, type) and issubclass(each, Request) and each is not Request
}


class Named(NamedTuple):
    """A message or a part of one, whose fields have names."""

    name: str
    fields: dict[str | int, Any]
    """By their names, or, where only the message has one, by their places."""


def content(event: Event) -> Any:
    """An event's body, with names where the protocol has them: as a `Named`, or as it is."""
    request = _REQUESTS.get(event.method) if event.dst else None
    if request is not None:
        return _named(event.body, request if event.kind in TO_CALLEE else reply_type(request))
    match event.body:
        case [str(name), *values] if event.kind in BACK and name.isidentifier():  # one of several replies says which
            return Named(name, dict(enumerate(values)))
    return event.body


def _named(body: Any, hint: Any) -> Any:
    """What a body says, if it has the shape of this type. One that was cut, or that lies, stays as it is."""
    if not isinstance(body, list):
        return body
    if get_origin(hint) in (Union, types.UnionType):
        fitting = [each for each in get_args(hint) if body and body[0] == each.__name__]
        return _named(body, fitting[0]) if fitting else body
    if get_origin(hint) is list:
        return [_named(each, get_args(hint)[0]) for each in body]
    if not (isinstance(hint, type) and issubclass(hint, Record)):
        return body
    values = body[1:] if issubclass(hint, Reply) else body
    hints = get_type_hints(hint)
    if len(values) > len(hint.__struct_fields__) or (issubclass(hint, Reply) and body[:1] != [hint.__name__]):
        return body
    pairs = zip(hint.__struct_fields__, values, strict=False)
    return Named(hint.__name__, {name: _named(value, hints[name]) for name, value in pairs})


def scalars(value: Any, name: str | None = None) -> Iterator[tuple[str | None, Any]]:
    """All that is said in a body, piece by piece, with the name of its field where it has one."""
    match value:
        case Named(_, fields) | (dict() as fields):
            for field, each in fields.items():
                yield from scalars(each, field if isinstance(field, str) else None)
        case list():
            for each in value:
                yield from scalars(each, name)
        case _:
            yield name, value


# --- lines -----------------------------------------------------------------------------------------------------------


def what(event: Event) -> str:
    """What happened, beside who to whom: the kind's own words."""
    return _shortened(visible(_what(event)))


def _what(event: Event) -> str:
    match event.kind:
        case "request":
            return said(content(event), event.method)
        case "reply":
            return f"refused: {event.text}" if event.text else f"{event.method}: {said(content(event))}"
        case "fail":
            return f"{event.method}: {event.text}"
        case "call":
            return said(list((event.body or {}).values()), event.method)
        case "answer":
            return event.method if event.body is None else f"{event.method}: {said(event.body)}"
        case "tap":
            return event.text or "taken away"
        case "verdict":
            body = event.body if isinstance(event.body, dict) else {}
            parts = [str(body.get("status", "")), event.text, body.get("where", "")]
            proof = ", ".join(f"o{number}" for number in body.get("proof", ()))
            return "; ".join(filter(None, [*parts, proof and f"shown by {proof}"]))
    return event.method or event.text


def said(value: Any, name: str = "") -> str:
    """A message or a value, as one would write it in Python or JSON."""
    match value:
        case Named(own, fields):
            named = (f"{field}=" * isinstance(field, str) + said(each) for field, each in fields.items())
            return f"{own}({', '.join(named)})"
        case list():
            said_ = ", ".join(map(said, value))
            return f"{name}({said_})" if name else f"[{said_}]"
        case None if name:
            return name
    text = msgspec.json.encode(value).decode()
    return f"{name}({text})" if name else text


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
