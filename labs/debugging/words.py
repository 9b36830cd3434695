"""Events in words: one line for each."""

import json
import re
from typing import Any, Final

from labs.traces.events import Event

LONG: Final = 100
"""Characters of a body that are shown."""

_NAME: Final = re.compile(r"[A-Z]\w*")
_VERBS: Final = {
    "serve": "serves",
    "kill": "is killed",
    "pause": "is paused",
    "resume": "goes on",
}


def in_words(event: Event, asked: Event | None = None, answered: Event | None = None) -> str:
    """An event. Of a message's later events, `asked` is the request's and `answered` the reply's."""
    src, dst = event.src, event.dst
    request = call_in_words(event if asked is None else asked)
    number = f"  #{event.id}" if event.id and event.kind not in ("call", "answer") else ""
    match event.kind:
        case "start":
            return f"{src} starts ({event.text})"
        case "crash":
            return f"{src} ends by its own mistake: {event.text}"
        case "serve" | "kill" | "pause" | "resume":
            return f"{src} {_VERBS[event.kind]}"
        case "cut":
            return f"{src} > {dst}: the link is cut"
        case "join":
            return f"{src} > {dst}: the link is there again"
        case "tap":
            return f"{src} > {dst}: {f'a tap with {event.text}' if event.text else 'the tap is gone'}"
        case "hold":
            return f"{src} > {dst}: requests are held back"
        case "release":
            return f"{src} > {dst}: requests are no longer held back"
        case "request":
            return f"{src} > {dst}: {request} sets out{number}"
        case "arrive":
            return f"{src} > {dst}: {request} arrives{number}"
        case "reply":
            return f"{dst} > {src}: {_answer(event)} sets out, the reply to {request}{number}"
        case "return":
            reply = "the reply" if answered is None else _answer(answered)
            return f"{dst} > {src}: {reply} arrives, the reply to {request}{number}"
        case "lose request":
            return f"{src} > {dst}: {request} is lost{number}"
        case "lose reply":
            return f"{dst} > {src}: the reply to {request} is lost{number}"
        case "fail":
            return f"{src} learns that {dst} will not answer {request}: {event.text}{number}"
        case "call":
            return f"{src}: {operation_in_words(event)} is asked for"
        case "answer":
            given = "" if event.body is None else f": {value_in_words(event.body)}"
            return f"{src}: {operation_in_words(event if asked is None else asked)} is answered{given}"
        case "log":
            return f"{src} writes: {event.text}"
        case "verdict":
            return f"the test {event.body['status'] if isinstance(event.body, dict) else 'is over'}"
        case "note":
            return event.text


def call_in_words(event: Event) -> str:
    """A request, such as `Ping("pb-1", 1)`."""
    if event.kind != "request":
        return event.method
    parts = event.body if isinstance(event.body, list) else [] if event.body is None else [event.body]
    return _short(f"{event.method}({', '.join(map(value_in_words, parts))})")


def operation_in_words(event: Event) -> str:
    """What a client is asked for, such as `Put("a", "x")`."""
    body = event.body if event.kind == "call" and isinstance(event.body, dict) else {}
    return _short(f"{event.method.capitalize()}({', '.join(map(value_in_words, body.values()))})")


def value_in_words(value: Any) -> str:
    """A value; a list that opens with a name, as replies do, as `Value("x")`."""
    if isinstance(value, list):
        if value and isinstance(value[0], str) and _NAME.fullmatch(value[0]):
            return f"{value[0]}({', '.join(map(value_in_words, value[1:]))})"
        return _short(f"[{', '.join(map(value_in_words, value))}]")
    if isinstance(value, dict):
        return _short("{" + ", ".join(f"{key}: {value_in_words(part)}" for key, part in value.items()) + "}")
    return _short(json.dumps(value, ensure_ascii=False))


def _answer(event: Event) -> str:
    return _short(f"error {event.text!r}" if event.text else value_in_words(event.body))


def _short(text: str) -> str:
    return text if len(text) <= LONG else text[:LONG] + "…"
