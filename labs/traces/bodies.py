"""A message's body for a trace: as JSON has it, and never longer than a person wants to read."""

import math
from typing import Any, Final

import msgspec

MOST: Final = 500
"""Characters of a body, about. What is longer is cut, and says so."""
LARGE: Final = 16 * 1024
"""Bytes of an encoded body above which it is not decoded as a whole, only to be thrown away again."""

_parts: msgspec.msgpack.Decoder[list[msgspec.Raw]] = msgspec.msgpack.Decoder(list[msgspec.Raw])


def body_of(encoded: bytes | msgspec.Raw) -> Any:
    """The body that these bytes are: params or result, as MessagePack."""
    raw = memoryview(encoded)
    if len(raw) <= LARGE:
        return plain(_decoded(raw))
    try:
        parts = _parts.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return _left_out(raw)
    return plain([_left_out(part) if len(memoryview(part)) > LARGE else _decoded(part) for part in parts])


def plain(value: Any) -> Any:
    """A value as JSON has it: binary data as text where it is UTF-8, otherwise as {"hex": "…"}. Long ones are cut."""
    return _Cutter().cut(value)


def cut_text(text: str, most: int) -> str:
    """At most so many characters of a text, with a word about the others."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def _decoded(raw: Any) -> Any:
    try:
        return msgspec.msgpack.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError, TypeError):
        return bytes(memoryview(raw))  # what is no value at all can still be looked at


def _left_out(raw: Any) -> str:
    return f"… ({len(memoryview(raw))} bytes)"


class _Cutter:
    """Goes through one value for as long as there is room."""

    def __init__(self) -> None:
        self._room = MOST

    def cut(self, value: Any) -> Any:
        self._room -= 2
        match value:
            case None | bool() | int():
                return value
            case float():
                return value if math.isfinite(value) else str(value)
            case str():
                return self._text(value)
            case bytes():
                return self._binary(value)
            case list() | tuple():
                return self._items(value)
            case dict():
                return self._fields(value)
            case msgspec.msgpack.Ext():
                return {"ext": value.code, **self._hex(bytes(value.data))}
        return self._text(str(value))

    def _text(self, text: str) -> str:
        text = text if text.isascii() else text.encode(errors="replace").decode()  # no half of a pair
        cut = cut_text(text, max(0, self._room))
        self._room -= len(text)
        return cut

    def _binary(self, data: bytes) -> Any:
        try:
            return self._text(data.decode())
        except UnicodeDecodeError:
            return self._hex(data)

    def _hex(self, data: bytes) -> dict[str, str]:
        digits = self._text(data[: MOST + 1].hex())
        return {"hex": digits if len(data) <= MOST + 1 else f"{digits.partition('…')[0]}… ({len(data)} bytes)"}

    def _items(self, items: Any) -> list[Any]:
        found: list[Any] = []
        for number, item in enumerate(items):
            if self._room <= 0:
                return [*found, f"… ({len(items) - number} more)"]
            found.append(self.cut(item))
        return found

    def _fields(self, fields: dict[Any, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for number, (key, value) in enumerate(fields.items()):
            if self._room <= 0:
                return found | {"…": f"{len(fields) - number} more"}
            name = self.cut(key)
            found[name if isinstance(name, str) else str(name)] = self.cut(value)
        return found
