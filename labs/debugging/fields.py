"""The state of a server as lines that a person can read: found from what it serves, bounded, and the same every time.

Nothing of the server's own code is called to make them (no `__repr__`, no property), so looking changes nothing.
"""

import asyncio
import dataclasses
import itertools
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from random import Random
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import msgspec

from labs.debugging.messages import Field
from labs.texts import visible

WIDTH: Final = 140
"""Characters of a value on one line."""
TEXT: Final = 60
"""Characters of a text or of binary data that are shown."""
ITEMS: Final = 12
"""Items of a long collection that are shown: the last ones, which are the newest."""
DEPTH: Final = 6
"""Objects inside each other that are followed."""
LINES: Final = 200
"""Lines of one server."""

_CODE: Final = (FunctionType, MethodType, BuiltinFunctionType, ModuleType, type, Random)
"""What is no state."""


def fields_of(handlers: Mapping[Any, Any], skipped: tuple[type, ...]) -> list[Field]:
    """The state of whatever handles these requests. Objects of the types `skipped` belong to the world."""
    walk = _Walk(skipped)
    roots = walk.roots(handlers.values())
    lines: list[Field] = []
    for name, root in roots:
        lines += walk.lines(name if len(roots) > 1 else "", root, 0)
    if len(lines) > LINES:
        lines = [*lines[:LINES], Field("…", f"{len(lines) - LINES} more")]
    return [Field(visible(path), visible(value)) for path, value in lines]


class _Walk:
    """One walk through the objects of a server. Each object is shown where it is met first."""

    def __init__(self, skipped: tuple[type, ...]) -> None:
        self._skipped = (*skipped, *_CODE)
        self._seen: set[int] = set()

    # --- where to begin ----------------------------------------------------------------------------------------------

    def roots(self, handlers: Iterable[Any]) -> list[tuple[str, Any]]:
        """The objects whose methods handle requests and, of plain functions, the variables that they share.

        An object that another one leads to is no root: it is shown there.
        """
        found: dict[int, tuple[str, Any]] = {}
        for handler in handlers:
            if isinstance(handler, MethodType):
                found.setdefault(id(handler.__self__), (type(handler.__self__).__name__, handler.__self__))
            elif isinstance(handler, FunctionType):
                for name, value in _variables(handler):
                    if not isinstance(value, self._skipped):
                        found.setdefault(id(value), (name, value))
        places = list(found)
        reached = {key: {id(part) for part in self._parts(root)} for key, (_, root) in found.items()}

        def is_part(key: int, of: int) -> bool:
            """Of two that lead to each other, the one that was named last has the other as its part."""
            return key in reached[of] and (of not in reached[key] or places.index(of) > places.index(key))

        return [found[key] for key in places if not any(is_part(key, of) for of in places if of != key)]

    def _parts(self, root: Any) -> Iterator[Any]:
        """The objects that this one leads to, by attributes."""
        pending = [(value, 1) for _, value in _attributes(root)]
        seen = {id(root)}
        while pending:
            value, depth = pending.pop()
            if id(value) in seen or isinstance(value, self._skipped) or depth > DEPTH:
                continue
            seen.add(id(value))
            yield value
            pending += [(inner, depth + 1) for _, inner in _attributes(value)]

    # --- lines -------------------------------------------------------------------------------------------------------

    def lines(self, path: str, value: Any, depth: int) -> list[Field]:
        """A value as one line if it fits, otherwise a line for each of its parts."""
        if isinstance(value, self._skipped):
            return []
        text = self.inline(value)
        if text is not None:
            return [Field(path, text)]
        if id(value) in self._seen:
            return [Field(path, "(shown above)")]
        self._seen.add(id(value))
        if depth >= DEPTH:
            return [Field(path, f"{type(value).__name__}(…)")]
        if isinstance(value, Mapping):
            items = [(f"{path}[{self._key(key)}]", item) for key, item in _last(value.items(), len(value))]
            return self._all(path, items, len(value), depth)
        if isinstance(value, Sequence | deque):
            first = max(0, len(value) - ITEMS)
            items = [(f"{path}[{first + at}]", item) for at, item in enumerate(_last(value, len(value)))]
            return self._all(path, items, len(value), depth)
        if isinstance(value, AbstractSet):
            items = [(path, item) for item in _last(_ordered(value), len(value))]
            return self._all(path, items, len(value), depth)
        dot = f"{path}." if path else ""
        return [line for name, part in _attributes(value) for line in self.lines(f"{dot}{name}", part, depth + 1)]

    def _all(self, path: str, items: list[tuple[str, Any]], length: int, depth: int) -> list[Field]:
        more = [Field(f"{path}[…]", f"{length - len(items)} before these")] if length > len(items) else []
        return more + [line for inner, item in items for line in self.lines(inner, item, depth + 1)]

    def _key(self, key: Any) -> str:
        return self.inline(key) or type(key).__name__

    # --- values on one line ------------------------------------------------------------------------------------------

    def inline(self, value: Any) -> str | None:
        """The value as short text. None: it has parts that are worth lines of their own."""
        text = self._text(value, 0)
        return text if text is None or len(text) <= WIDTH or isinstance(value, str | bytes) else None

    def _text(self, value: Any, depth: int) -> str | None:
        match value:
            case None | bool() | int() | float():
                return repr(value)
            case Enum():
                return f"{type(value).__name__}.{value.name}"
            case str():
                cut = value if len(value) <= TEXT else value[:TEXT] + "…"
                return '"' + cut.replace("\n", "\\n") + '"' + f" ({len(value)} characters)" * (len(value) > TEXT)
            case bytes() | bytearray():
                return repr(bytes(value[:TEXT])) + f"… ({len(value)} bytes)" * (len(value) > TEXT)
            case asyncio.Lock():
                return "locked" if value.locked() else "not locked"
            case asyncio.Event():
                return "set" if value.is_set() else "not set"
            case asyncio.Semaphore():
                return "all taken" if value.locked() else "not all taken"
            case asyncio.Queue():
                return f"a queue of {value.qsize()}"
            case asyncio.Task():
                return f"the task {value.get_name()}" + ", done" * value.done()
            case asyncio.Future():
                return "done" if value.done() else "not done"
        if depth > 3:
            return None
        if isinstance(value, Mapping):
            return self._joined(value.items(), len(value), "{}", depth, pairs=True)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return self._record(value, zip(value._fields, value, strict=True), depth)
        if isinstance(value, list | tuple | deque):
            return self._joined(value, len(value), "()" if isinstance(value, tuple) else "[]", depth)
        if isinstance(value, AbstractSet):
            return self._joined(_ordered(value), len(value), "{}", depth)
        if isinstance(value, msgspec.Struct) or dataclasses.is_dataclass(value):
            return self._record(value, _attributes(value), depth)
        if isinstance(value, itertools.count):
            return repr(value)
        if type(value).__module__.partition(".")[0] in sys.stdlib_module_names:
            return f"({type(value).__name__})"
        return None

    def _joined(self, items: Iterable[Any], length: int, brackets: str, depth: int, pairs: bool = False) -> str | None:
        if length > ITEMS:
            return None
        texts = []
        for item in items:
            parts = [self._text(part, depth + 1) for part in (item if pairs else (item,))]
            if None in parts:
                return None
            texts.append(": ".join(part for part in parts if part is not None))
        return brackets[0] + ", ".join(texts) + brackets[1]

    def _record(self, value: Any, fields: Iterable[tuple[str, Any]], depth: int) -> str | None:
        texts = []
        for name, part in fields:
            text = self._text(part, depth + 1)
            if text is None:
                return None
            texts.append(f"{name}={text}")
        return f"{type(value).__name__}({', '.join(texts)})"


def _variables(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function shares with the one around it."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue


def _attributes(value: Any) -> list[tuple[str, Any]]:
    """What an object keeps under a name, in the order in which it got it."""
    if isinstance(value, msgspec.Struct):
        return [(name, getattr(value, name)) for name in value.__struct_fields__]
    found = dict(getattr(value, "__dict__", {})) if not isinstance(value, asyncio.Future) else {}
    for kind in reversed(type(value).__mro__):
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            try:
                found.setdefault(name, object.__getattribute__(value, name))
            except AttributeError:
                continue
    return list(found.items())


def _last(items: Iterable[Any], length: int) -> list[Any]:
    return list(itertools.islice(items, max(0, length - ITEMS), None))


def _ordered(items: AbstractSet[Any]) -> list[Any]:
    """The items of a set, in an order that does not depend on where they are in memory."""
    return sorted(items, key=_place)


def _place(item: Any) -> tuple[str, float, str]:
    number = item if isinstance(item, int | float) else 0.0
    return type(item).__name__, number, repr(item) if isinstance(item, str | bytes | tuple) else ""
