"""What a live cluster looks like: what its servers are asked, and what they are by their answers. Nothing waits here.

The terminal and the panel both show a `Picture`. What no message of the protocol tells, such as who leads among
servers on Paxos, is derived from who asked whom how often; the picture says so.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from common.protocol import (
    NOBODY,
    Applied,
    Config,
    GetApplied,
    GetShards,
    GetView,
    Max,
    Min,
    Number,
    Shards,
    View,
)
from common.wire import Request
from labs.cluster import Held, Link
from labs.faults import NONE, Faults
from labs.history import Operation
from labs.live.shapes import FAMILIES, Shape

State = Literal["running", "paused", "dead"]

QUESTIONS: Final[Mapping[str, tuple[Request[Any], ...]]] = {
    "viewserver": (GetView(),),
    "paxos": (Max(), Min()),
    "rsm": (GetApplied(),),
    "kvpaxos": (Max(), Min()),
    "shardmaster": (Min(),),
    "shardkv": (GetShards(),),
}
"""What servers of a role are asked, again and again, without any consequence. They may refuse it."""
LEADS_FROM: Final = 4
"""Who has sent fewer requests to its peers lately is not said to lead."""
LEADS_SHARE: Final = 0.55
"""Nor is one whose part of all the requests among them is smaller."""
RECENT: Final = 200
"""Operations that a picture has, the newest ones."""


class SeenServer(msgspec.Struct):
    """A server or a clerk, as it looks."""

    name: str
    role: str
    state: State
    duty: str = ""
    """What it is for the others: primary, backup, spare, leader, owner of 0-4; in words, and empty if nothing."""
    detail: str = ""
    """What it says of itself."""
    group: int | None = None
    deaf: bool = False
    """Its own socket file is deleted: nobody can call it."""
    is_clerk: bool = False


class SeenLink(msgspec.Struct):
    """A one-way link on which something is not as usual, or on which requests have passed."""

    src: str
    dst: str
    up: bool
    odds: str = ""
    """What the tap does, in words."""
    holds: bool = False
    held: list[Held] = []
    requests: int = 0
    """Requests that have passed since the session began."""


class Picture(msgspec.Struct):
    """A live cluster at one moment."""

    now: float
    headline: str
    """What matters most, in one line."""
    servers: list[SeenServer]
    links: list[SeenLink]
    operations: list[Operation]
    """The newest ones."""
    config: Config | None = None
    """Lab 3: the newest configuration that the session knows of."""
    shards: list[list[Any]] = []
    """Lab 3: a row for each shard: its number, its owner by the configuration, and the state at each server."""


@dataclass(slots=True)
class Observed:
    """What is known of one server: how its process is, and what it answered last."""

    state: State
    answers: dict[str, Any] = field(default_factory=dict)
    """By the request's name. A server that is silent keeps what it said last."""
    silent: bool = False
    """It runs and does not answer."""


@dataclass(slots=True)
class Sight:
    """All that was looked at."""

    shape: Shape
    now: float
    roles: Mapping[str, str]
    """The role of each server and clerk, in the order in which they were started."""
    observed: Mapping[str, Observed]
    links: Mapping[tuple[str, str], Link]
    held: Mapping[tuple[str, str], list[Held]] = field(default_factory=dict)
    requests: Mapping[tuple[str, str], int] = field(default_factory=dict)
    leaders: Sequence[str] = ()
    config: Config | None = None
    operations: Sequence[Operation] = ()


def picture(sight: Sight) -> Picture:
    """How it looks."""
    view = _view(sight)
    servers = [_server(sight, name, role, view) for name, role in sight.roles.items()]
    return Picture(
        sight.now,
        _headline(sight, view),
        servers,
        [_link(sight, *pair) for pair in sight.links if pair[0] != pair[1]],
        list(sight.operations[-RECENT:]),
        sight.config,
        _shard_rows(sight),
    )


# --- roles -----------------------------------------------------------------------------------------------------------


def _view(sight: Sight) -> View | None:
    for seen in sight.observed.values():
        view = seen.answers.get("GetView")
        if isinstance(view, View):
            return view
    return None


def _server(sight: Sight, name: str, role: str, view: View | None) -> SeenServer:
    seen = sight.observed[name]
    own = sight.links.get((name, name))
    server = SeenServer(name, role, seen.state, deaf=own is not None and not own.up, is_clerk=role not in FAMILIES)
    server.group = sight.shape.group_of(name)
    if role == "pbserver" and view is not None:
        server.duty = "primary" if view.primary == name else "backup" if view.backup == name else "spare"
    elif role == "shardkv":
        server.duty = _owns(seen.answers.get("GetShards"))
    elif role == "viewserver" and view is not None:
        server.duty = f"view {view.viewnum}"
    if name in sight.leaders and seen.state != "dead":
        server.duty = ", ".join(filter(None, ["leader", server.duty]))
    server.detail = _busy(name, sight.operations) if server.is_clerk else _detail(seen)
    return server


def leader(peers: Collection[str], before: Mapping[tuple[str, str], int], now: Mapping[tuple[str, str], int]) -> str:
    """Who leads among peers, by the requests between them since `before`: whoever asks most. Empty: nobody knows.

    In Paxos with a distinguished proposer, he asks and the others answer.
    """
    asked = {
        src: sum(now.get((src, dst), 0) - before.get((src, dst), 0) for dst in peers if dst != src) for src in peers
    }
    if not asked:
        return ""
    most = max(asked, key=lambda src: asked[src])
    leads = asked[most] >= LEADS_FROM and asked[most] >= LEADS_SHARE * sum(asked.values())
    return most if leads else ""


def _owns(answer: object) -> str:
    if not isinstance(answer, Shards):
        return ""
    serving = [each.shard for each in answer.shards if each.state == "serving"]
    return f"owner of {ranges(serving)}" if serving else "owner of nothing"


def _detail(seen: Observed) -> str:
    """What a server said of itself, in words."""
    said = []
    for answer in seen.answers.values():
        match answer:
            case View(_, primary, backup):
                said.append(f"primary {primary or 'nobody'}, backup {backup or 'nobody'}")
            case Applied(operations):
                said.append(f"{len(operations)} applied")
            case Shards(num, shards):
                parts = [f"configuration {num}"]
                for state in ("arriving", "leaving"):
                    there = [each.shard for each in shards if each.state == state]
                    parts += [f"{ranges(there)} {state}"] if there else []
                said.append(", ".join(parts))
    said += _instances(seen.answers)
    if seen.silent and seen.state == "running":
        said.append("does not answer")
    return "; ".join(said)


def _instances(answers: Mapping[str, Any]) -> list[str]:
    highest, lowest = answers.get("Max"), answers.get("Min")
    if isinstance(highest, Number) and isinstance(lowest, Number):
        if highest.seq < 0:
            return ["no instance yet"]
        return [f"instances to {highest.seq}" + (f", before {lowest.seq} forgotten" if lowest.seq > 0 else "")]
    if isinstance(lowest, Number):
        return [f"forgotten before instance {lowest.seq}"]
    return []


def _busy(name: str, operations: Sequence[Operation]) -> str:
    for operation in reversed(operations):
        if operation.client == name and operation.return_ is None:
            return f"waits: {operation.op} {operation.key}"
    return ""


def ranges(numbers: Iterable[int]) -> str:
    """Numbers in few words: `0-3, 7`."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)


# --- the rest --------------------------------------------------------------------------------------------------------


def _headline(sight: Sight, view: View | None) -> str:
    if view is not None:
        return f"view {view.viewnum}: primary {view.primary or 'nobody'}, backup {view.backup or 'nobody'}"
    if sight.config is not None:
        return config_text(sight.config)
    if sight.leaders:
        return f"{', '.join(sight.leaders)} leads (by who asks whom)"
    alive = [name for name, role in sight.roles.items() if role in FAMILIES and sight.observed[name].state == "running"]
    return f"{len(alive)} servers run"


def config_text(config: Config) -> str:
    """A configuration in one line."""
    owners = {gid: [s for s, owner in enumerate(config.shards) if owner == gid] for gid in config.shards}
    parts = [f"{'nobody' if gid == NOBODY else f'group {gid}'} has {ranges(each)}" for gid, each in owners.items()]
    idle = [gid for gid in config.groups if gid not in owners]
    parts += [f"group {gid} has nothing" for gid in idle]
    return f"configuration {config.num}: {'; '.join(parts)}"


def _link(sight: Sight, src: str, dst: str) -> SeenLink:
    link = sight.links[src, dst]
    odds = odds_text(link.tap) if link.tap else ""
    held = sight.held.get((src, dst), [])
    return SeenLink(src, dst, link.up, odds, link.held, held, sight.requests.get((src, dst), 0))


def odds_text(faults: Faults) -> str:
    """What a tap does, in words; empty if it only looks on."""
    return "" if faults == NONE else faults.in_words()


def _shard_rows(sight: Sight) -> list[list[Any]]:
    """A row for each shard: its number, its owner, and what each group's server that serves most says of it."""
    told = {name: seen.answers.get("GetShards") for name, seen in sight.observed.items()}
    known = {name: answer for name, answer in told.items() if isinstance(answer, Shards)}
    if not known:
        return []
    count = max(len(answer.shards) for answer in known.values())
    owners = sight.config.shards if sight.config else []
    return [
        [
            shard,
            owners[shard] if shard < len(owners) else None,
            {
                name: [answer.shards[shard].state, answer.shards[shard].keys]
                for name, answer in known.items()
                if shard < len(answer.shards)
            },
        ]
        for shard in range(count)
    ]
