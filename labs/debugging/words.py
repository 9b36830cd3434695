"""Events in words: one line for each."""

from typing import Final

from labs.texts import visible
from labs.traces.events import Event
from labs.traces.words import content, said

LONG: Final = 100
"""Characters of a message that are shown."""

_VERBS: Final = {
    "serve": "serves",
    "kill": "is killed",
    "pause": "is paused",
    "resume": "goes on",
}


def in_words(event: Event, asked: Event | None = None, answered: Event | None = None) -> str:
    """An event. Of a message's later events, `asked` is the request's and `answered` the reply's."""
    return visible(_in_words(event, asked, answered))


def _in_words(event: Event, asked: Event | None, answered: Event | None) -> str:
    src, dst = event.src, event.dst
    request = _request(event if asked is None else asked)
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
            return f"{src}: {_operation(event)} is asked for"
        case "answer":
            given = "" if event.body is None else f": {_short(said(event.body))}"
            return f"{src}: {_operation(event if asked is None else asked)} is answered{given}"
        case "log":
            return f"{src} writes: {event.text}"
        case "verdict":
            return f"the test {event.body['status'] if isinstance(event.body, dict) else 'is over'}"
        case "note":
            return event.text


def _request(event: Event) -> str:
    """Such as `Ping(me="pb-1", viewnum=0)`."""
    return _short(said(content(event), event.method if event.dst else "")) if event.kind == "request" else event.method


def _operation(event: Event) -> str:
    """What a client is asked for, such as `Put("a", "x")`."""
    parts = list(event.body.values()) if event.kind == "call" and isinstance(event.body, dict) else []
    return _short(said(parts, event.method.capitalize()))


def _answer(event: Event) -> str:
    return _short(f"the error {event.text!r}" if event.text else said(content(event)))


def _short(text: str) -> str:
    return text if len(text) <= LONG else text[:LONG] + "…"
