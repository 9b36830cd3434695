"""Values as failure texts show them: in double quotes, and long ones only where it matters."""

from typing import Final

import msgspec

SHOWN: Final = 160
"""Characters of a value that are shown at most."""
BEFORE: Final = 40
"""Characters that are shown of what two values have in common, before their first difference."""


_OBEYED: Final = [*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
"""Characters that move the cursor, set a terminal's title, or turn the text around."""
_VISIBLE: Final = {code: ascii(chr(code))[1:-1] for code in _OBEYED}


def printable(text: str) -> str:
    """`text` with nothing in it that a terminal would obey but line ends and tabs."""
    return text.translate(_VISIBLE)


def visible(text: str) -> str:
    """A text of others that can do nothing to a terminal: what is not printable is shown by its number."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def shown(value: object, start: int = 0) -> str:
    """`value` for people: strings in double quotes, from `start` on, and what is too long with its end left out."""
    text = value if isinstance(value, str) else str(value)
    part = shown_part(text, start)
    if not isinstance(value, str):
        return part
    return f'"{part}"' + f" ({len(text)} characters)" * (len(part) < len(text))


def shown_part(text: str, start: int = 0) -> str:
    """`text` from `start` on, with what is too long of it left out."""
    return "…" * (start > 0) + text[start : start + SHOWN] + "…" * (start + SHOWN < len(text))


def params_text(params: bytes | msgspec.Raw) -> str:
    """The encoded parameters of a request for people, whoever's request it is: as in `"k", 3`."""
    try:
        values = msgspec.msgpack.decode(params)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return f"{len(bytes(params))} bytes"
    fields = values if isinstance(values, list) else [values]
    return shown_part(", ".join(shown(field) if isinstance(field, str) else f"{field}" for field in fields))


def contrast(came: object, expected: object) -> tuple[str, str]:
    """Two values that differ, for people: of long strings the part where the difference begins."""
    start = 0
    if isinstance(came, str) and isinstance(expected, str) and max(len(came), len(expected)) > SHOWN:
        start = max(0, first_difference(came, expected) - BEFORE)
    return shown(came, start), shown(expected, start)


def first_difference(one: str, other: str) -> int:
    """How many characters the beginnings of two strings have in common."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
