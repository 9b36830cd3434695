"""Variables of modules and classes: in a simulation all servers share them, whereas real processes each have their own.

A lab that keeps state there would behave differently in the two worlds, and one run would leave it to the next. So it
is looked at before and after a run. That is done for each seed, so where variables are is remembered, and found anew
only if one of them names something else than before.
"""

import itertools
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from operator import is_
from random import Random
from types import ModuleType
from typing import Any, Final

import msgspec

_CONTAINERS: Final = (list, set, deque, bytearray)


class _Space:
    """The variables of a module, a class, or an object that a module holds."""

    def __init__(self, name: str, namespace: Mapping[str, Any]) -> None:
        self.name = name
        self.namespace = namespace
        self.names = list(namespace)
        self.values = list(namespace.values())
        self.variables = {f"{name}.{variable}": value for variable, value in _own(namespace)}
        self.containers = {known: value for known, value in self.variables.items() if _content(value) is not None}

    def is_as_it_was(self) -> bool:
        """Whether all names still name the same objects."""
        now = self.namespace
        return len(now) == len(self.values) and all(map(is_, now.values(), self.values)) and list(now) == self.names


class State(msgspec.Struct):
    """What all variables named at one moment, and what those of them held that can hold something."""

    spaces: list[_Space]
    contents: dict[str, Any]


_known: dict[str, tuple[int, list[_Space]]] = {}
"""Where a package's variables were, when so many modules had been imported."""


def snapshot(package: str) -> State:
    """The variables of a package's modules, of their classes, and of objects that modules hold."""
    modules, spaces = _known.get(package, (0, []))
    if modules != len(sys.modules) or not all(space.is_as_it_was() for space in spaces):
        spaces = list(_spaces(package))
        _known[package] = len(sys.modules), spaces
    return State(spaces, {name: _content(value) for space in spaces for name, value in space.containers.items()})


def changes(before: State, after: State) -> list[str]:
    """The names of the variables that are not what they were. Modules that were imported meanwhile do not count."""
    changed = [name for name, content in after.contents.items() if before.contents.get(name, content) != content]
    if before.spaces is not after.spaces:
        old = {space.name: space.variables for space in before.spaces}
        for space in after.spaces:
            variables = old.get(space.name, space.variables)
            for name, value in space.variables.items():
                if name not in variables or variables[name] is not value:
                    changed.append(name)
    return list(dict.fromkeys(changed))


def _spaces(package: str) -> Iterator[_Space]:
    for name, module in list(sys.modules.items()):
        if name == package or name.startswith(package + "."):
            yield _Space(name, vars(module))
            for variable, value in _own(vars(module)):
                if isinstance(value, type) and value.__module__ == name:
                    yield _Space(f"{name}.{variable}", vars(value))
                elif type(value).__module__.startswith(package):
                    yield _Space(f"{name}.{variable}", getattr(value, "__dict__", {}))


def _own(namespace: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Those that a programmer made. Python's own begin and end with an underscore."""
    for name, value in list(namespace.items()):
        if not (name.startswith("_") and name.endswith("_")) and not isinstance(value, ModuleType):
            yield name, value


def _content(value: Any) -> Any:
    """Something that is equal exactly while `value` holds the same. None: it holds nothing that could change."""
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, _CONTAINERS):
        return list(value)
    if isinstance(value, itertools.count):
        return repr(value)
    if isinstance(value, Random):
        return value.getstate()
    return None
