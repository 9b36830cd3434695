"""Variables of modules and classes: in a simulation all servers share them, whereas real processes each have their own.

A lab that keeps state there would behave differently in the two worlds, and one run would leave it to the next. So it
is looked at before and after a run.
"""

import itertools
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from random import Random
from types import ModuleType
from typing import Any, Final

_CONTAINERS: Final = (list, set, deque, bytearray)

State = dict[str, dict[str, tuple[Any, Any]]]
"""For each module and each of its variables: the object that it names, and what that object held."""


def snapshot(package: str) -> State:
    """The variables of a package's modules, of their classes, and of objects that modules hold."""
    return {
        name: _module(module, package)
        for name, module in list(sys.modules.items())
        if name == package or name.startswith(package + ".")
    }


def changes(before: State, after: State) -> list[str]:
    """The names of the variables that are not what they were. Modules that were imported meanwhile do not count."""
    return [
        f"{module}.{name}"
        for module, old in before.items()
        for name, (value, content) in after.get(module, {}).items()
        if name not in old or old[name][0] is not value or old[name][1] != content
    ]


def _module(module: ModuleType, package: str) -> dict[str, tuple[Any, Any]]:
    found = {}
    for name, value in _variables(vars(module)):
        found[name] = (value, _content(value))
        if isinstance(value, type) and value.__module__ == module.__name__:
            inner: Mapping[str, Any] = vars(value)
        elif type(value).__module__.startswith(package):
            inner = getattr(value, "__dict__", {})
        else:
            continue
        found |= {f"{name}.{key}": (held, _content(held)) for key, held in _variables(inner)}
    return found


def _variables(namespace: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Those that a programmer made. Python's own begin and end with an underscore."""
    for name, value in list(namespace.items()):
        if not (name.startswith("_") and name.endswith("_")) and not isinstance(value, ModuleType):
            yield name, value


def _content(value: Any) -> Any:
    """Something that is equal exactly while `value` holds the same."""
    if isinstance(value, dict):
        return [(id(key), id(held)) for key, held in value.items()]
    if isinstance(value, _CONTAINERS):
        return [id(held) for held in value]
    if isinstance(value, itertools.count):
        return repr(value)
    if isinstance(value, Random):
        return value.getstate()
    return None
