"""The clusters that `lab up` can start: which servers, in which roles, and who does the operations."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from labs.suites import Suite, find_suites
from labs.usage import BadUsage

FIRST_GID: Final = 100
"""Groups are numbered from here on, as in the graded tests."""
MASTERS: Final = 3
MASTER_CLERK: Final = "mck"
"""The clerk that asks the masters for changes."""
FIRST_CLERKS: Final = ("ck-1", "ck-2")
"""Clerks that are there from the beginning. More come when they are named."""
USUAL_SUITE: Final = {"lab1": "pbservice", "lab2": "kvpaxos", "lab3": "shardkv"}
"""The suite whose servers a whole lab stands for."""
USUAL_SERVERS: Final = {"pbservice": 3, "kvpaxos": 3, "paxos": 3, "paxosrsm": 3, "shardmaster": 3, "shardkv": 3}
MOST: Final = 20
"""Servers, or groups, that a shape may have."""

Family = Literal["view", "paxos", "rsm", "kv", "master", "shard"]
"""What a server can be asked and what it can be."""
FAMILIES: Final[Mapping[str, Family]] = {
    "viewserver": "view",
    "pbserver": "kv",
    "paxos": "paxos",
    "rsm": "rsm",
    "kvpaxos": "kv",
    "shardmaster": "master",
    "shardkv": "shard",
}
"""By role."""


@dataclass(frozen=True, slots=True)
class Start:
    """A server to be started."""

    role: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a live cluster consists of."""

    suite: Suite
    opening: tuple[Start | str, ...]
    """What is started, in this order, and in between what is waited for: lines as one would type them."""
    clerk: dict[str, Any] | None = None
    """What a clerk is started with. None: the suite has no clerks."""
    has_masters: bool = False
    options: tuple[tuple[str, int], ...] = ()
    """What was asked for, by the options' names."""
    groups: dict[int, list[str]] = field(default_factory=dict)
    """The servers of each group of lab 3."""

    @property
    def peers(self) -> list[list[str]]:
        """Servers that agree among themselves: one of each such list may lead."""
        found: dict[str | int, list[str]] = {}
        for each in self.opening:
            if isinstance(each, Start) and each.role in ("paxos", "rsm", "kvpaxos", "shardmaster", "shardkv"):
                found.setdefault(each.arguments.get("gid", each.role), []).append(each.name)
        return list(found.values())

    def group_of(self, name: str) -> int | None:
        """The group of a server of lab 3."""
        return next((gid for gid, servers in self.groups.items() if name in servers), None)


def shape(name: str, servers: int | None = None, groups: int | None = None) -> Shape:
    """The cluster of a lab or of a suite. `servers`: of each group, in lab 3. Raises `BadUsage`."""
    try:
        found = find_suites(name)
    except ValueError as error:
        raise BadUsage(str(error)) from None
    suite = found[0] if len(found) == 1 else find_suites(USUAL_SUITE[found[0].lab])[0]
    if suite.name not in _SHAPES:
        names = ", ".join([*USUAL_SUITE, *_SHAPES])
        raise BadUsage(f"expected a lab or a suite that can be had live ({names}), got {name!r}")
    if servers is not None and suite.name not in USUAL_SERVERS:
        raise BadUsage(f"--servers does not go with {suite.name}: it has one server, and you play the others")
    if groups is not None and suite.name != "shardkv":
        raise BadUsage(f"--groups is for lab3 and shardkv, whose servers stand in groups; {suite.name} has none")
    count = USUAL_SERVERS.get(suite.name, 1) if servers is None else servers
    found_shape = _SHAPES[suite.name](suite, count, 2 if groups is None else groups)
    asked = {"servers": servers, "groups": groups}
    return replace(found_shape, options=tuple((name, number) for name, number in asked.items() if number is not None))


def _viewservice(suite: Suite, servers: int, groups: int) -> Shape:
    return Shape(suite, (Start("viewserver", "vs", {}),))


def _pbservice(suite: Suite, servers: int, groups: int) -> Shape:
    known = {"viewserver": "vs"}
    names = [f"pb-{number}" for number in range(1, servers + 1)]
    opening: list[Start | str] = [Start("viewserver", "vs", {})]
    for number, name in enumerate(names):
        opening.append(Start("pbserver", name, known))
        opening += [f"until view {names[0]} {'nobody' if number == 0 else names[1]}"] if number < 2 else []
    return Shape(suite, (*opening, *_clerks(known)), known)


def _clerks(known: dict[str, Any]) -> list[Start]:
    """The clerks that are there from the beginning."""
    return [Start("clerk", name, known) for name in FIRST_CLERKS]


def _alike(role: str, prefix: str, argument: str, count: int) -> tuple[Start, ...]:
    """Servers of one role that all know each other."""
    names = [f"{prefix}-{number}" for number in range(count)]
    return tuple(Start(role, name, {argument: names}) for name in names)


def _paxos(suite: Suite, servers: int, groups: int) -> Shape:
    return Shape(suite, _alike("paxos", "px", "peers", servers))


def _paxosrsm(suite: Suite, servers: int, groups: int) -> Shape:
    return Shape(suite, _alike("rsm", "rsm", "peers", servers))


def _kvpaxos(suite: Suite, servers: int, groups: int) -> Shape:
    starts = _alike("kvpaxos", "kv", "servers", servers)
    known = starts[0].arguments
    return Shape(suite, (*starts, *_clerks(known)), known)


def _shardmaster(suite: Suite, servers: int, groups: int) -> Shape:
    masters = _alike("shardmaster", "sm", "servers", servers)
    clerk = Start("masterclerk", MASTER_CLERK, masters[0].arguments)
    return Shape(suite, (*masters, clerk), has_masters=True)


def _shardkv(suite: Suite, servers: int, groups: int) -> Shape:
    masters = _alike("shardmaster", "sm", "servers", MASTERS)
    names = [each.name for each in masters]
    parts = {gid: [f"kv-{gid}-{number}" for number in range(servers)] for gid in range(FIRST_GID, FIRST_GID + groups)}
    starts = [
        Start("shardkv", name, {"gid": gid, "masters": names, "servers": part})
        for gid, part in parts.items()
        for name in part
    ]
    clerk = Start("masterclerk", MASTER_CLERK, {"servers": names})
    known = {"masters": names}
    opening: tuple[Start | str, ...] = (*masters, *starts, clerk, *_clerks(known), f"join {FIRST_GID}", "until settled")
    return Shape(suite, opening, known, has_masters=True, groups=parts)


_SHAPES: Final = {
    "viewservice": _viewservice,
    "pbservice": _pbservice,
    "paxos": _paxos,
    "paxosrsm": _paxosrsm,
    "kvpaxos": _kvpaxos,
    "shardmaster": _shardmaster,
    "shardkv": _shardkv,
}
