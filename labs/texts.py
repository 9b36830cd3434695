"""Values as failure texts show them: in double quotes, and long ones only where it matters."""

from typing import Final

SHOWN: Final = 160
"""Characters of a value that are shown at most."""
BEFORE: Final = 40
"""Characters that are shown of what two values have in common, before their first difference."""


def shown(value: object, start: int = 0) -> str:
    """`value` for people: strings in double quotes, from `start` on, and what is too long with its end left out."""
    text = value if isinstance(value, str) else str(value)
    part = text[start : start + SHOWN]
    part = "…" * (start > 0) + part + "…" * (start + SHOWN < len(text))
    if not isinstance(value, str):
        return part
    return f'"{part}"' + f" ({len(text)} characters)" * (len(part) < len(text))


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
