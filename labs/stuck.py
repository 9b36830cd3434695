"""Stuck? What every server was doing when a test ran out of time: who waits for whom, and which links were cut.

The first paragraph holds what is most telling and goes into the failure's text. All of it is `stuck.txt`, beside the
logs of that run.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from common.host import CallFailed, CallRefused
from common.protocol import Applied, Config, GetApplied, GetShards, GetView, Max, Min, Query, Shards
from common.snapshot import Place, Snapshot
from common.wire import Request
from labs.cluster import Cluster
from labs.sim.errors import is_own_code, place
from labs.texts import shown

FILE: Final = "stuck.txt"
LONG: Final = 0.1
"""Seconds after which a call without an answer is worth a word: most are answered in a hundredth of that."""
ASK_WITHIN: Final = 0.5
"""Seconds within which a server that is well answers what it is asked here."""
MOST_WAITS: Final = 4
MOST_TASKS: Final = 8
MOST_PLACES: Final = 4
"""Lines of one task that are shown, the innermost ones."""
QUESTIONS: Final[tuple[Request[Any], ...]] = (GetView(), Max(), Min(), GetApplied(), GetShards(), Query(-1))
"""What a server may be asked without consequence. It refuses those that it does not know."""


class Wait(NamedTuple):
    """Somebody waits for somebody's answer."""

    src: str
    dst: str
    request: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.src} waits for {self.dst} ({self.request}, {self.seconds:.1f} s)"


async def describe(cluster: Cluster) -> str:
    """Looks into all servers of a cluster that does not get on, and asks them how far they are."""
    now = cluster.now()
    snapshots = await cluster.gather(*(cluster.snapshot(name) for name in cluster.names))
    found = dict(zip(cluster.names, snapshots, strict=True))
    return report(cluster, found, await ask(cluster, found), now)


async def ask(cluster: Cluster, found: Mapping[str, Snapshot]) -> dict[str, list[str]]:
    """What the servers say of their state that run, as `found` tells."""
    able = [name for name in cluster.names if found[name].state == "running"]
    told = await cluster.gather(*(_ask(cluster, name) for name in able))
    return dict(zip(able, told, strict=True))


async def _ask(cluster: Cluster, name: str) -> list[str]:
    """What a server says of its state, where it has anything to say of it."""

    async def ask(question: Request[Any]) -> str:
        asked = f"{type(question).__name__}()"
        try:
            return f"{asked} gives {_in_short(await cluster.call(name, question, ASK_WITHIN * cluster.patience))}"
        except CallRefused:
            return ""
        except CallFailed:
            return f"{asked} is not answered"
        except AssertionError:  # a server ended by itself in the meantime, which is told elsewhere
            return ""

    return [said for said in await asyncio.gather(*map(ask, QUESTIONS)) if said]


def _in_short(answer: object) -> str:
    match answer:
        case Applied(operations):
            return f"{len(operations)} operations" + (f", {shown(operations[-1])} last" if operations else "")
        case Config(num):
            return f"configuration {num}"
        case Shards(num, shards):
            states = Counter(shard.state for shard in shards)
            return f"configuration {num}: " + ", ".join(f"{count} {state}" for state, count in states.items())
    return shown(answer)


# --- the report ------------------------------------------------------------------------------------------------------


def report(
    cluster: Cluster,
    found: Mapping[str, Snapshot],
    told: Mapping[str, list[str]],
    now: float,
    long: float = LONG,
) -> str:
    """All of it, as text, for the time `now`. `told` is what servers said of their state.

    Waits of at least `long` seconds are telling.
    """
    waits = sorted(
        (Wait(name, call.to, call.request, call.seconds) for name in found for call in found[name].calls),
        key=lambda wait: -wait.seconds,
    )
    paragraphs = ["\n".join(_summary(cluster, found, [wait for wait in waits if wait.seconds >= long], now))]
    open_operations = [operation for operation in cluster.history if operation.return_ is None]
    if open_operations:
        lines = [
            f"  {operation.client}: {operation.op} {shown(operation.key)}, for {now - operation.call:.1f} s"
            for operation in open_operations
        ]
        paragraphs.append("\n".join(["not answered by their clerks:", *lines]))
    for name, snapshot in found.items():
        lines = [f"  {wait}" for wait in waits if wait.src == name]
        lines += [f"  {said}" for said in told.get(name, ())]
        lines += _last_words(cluster.log(name))
        lines += _tasks(snapshot)
        paragraphs.append("\n".join([f"{name}: {snapshot.state}", *lines]))
    return "\n\n".join(paragraphs) + "\n"


def summary(text: str) -> str:
    """The most telling lines of a report."""
    return text.partition("\n\n")[0].strip()


def _summary(cluster: Cluster, found: Mapping[str, Snapshot], waits: list[Wait], now: float) -> Iterator[str]:
    yield f"At {now:.1f} s:"
    cycle = find_cycle(waits)
    if cycle:
        yield f"  {', '.join(map(str, cycle))}: a cycle"
    others = [wait for wait in waits if wait not in cycle]
    for wait in others[:MOST_WAITS]:
        state = found[wait.dst].state if wait.dst in found else "running"
        yield f"  {wait}" + (f", which is {state}" if state != "running" else "")
    if len(others) > MOST_WAITS:
        yield f"  … and {len(others) - MOST_WAITS} more waits"
    for name, snapshot in found.items():
        if snapshot.state == "busy":
            own = _own(snapshot.tasks[0].places) if snapshot.tasks else []
            yield f"  {name} is busy and hears nobody" + (f", at {place(*own[-1])}" if own else "")
    for state in ("paused", "killed"):
        names = [name for name, snapshot in found.items() if snapshot.state == state]
        if names:
            yield f"  {state}: {', '.join(names)}"
    yield from (f"  {cut}" for cut in cuts(cluster))
    # A server without a single task is a program in another language, of which nothing is known.
    if not waits and all(each.tasks for each in found.values() if each.state == "running"):
        yield "  no server waits for another one's answer"


def find_cycle(waits: list[Wait]) -> list[Wait]:
    """Calls each of which waits for a server that makes the next one, and the last for the first. Else nothing."""
    shortest: list[Wait] = []
    for first in waits:
        paths, seen = [[first]], {first.dst}
        while paths and paths[0][-1].dst != first.src:  # breadth first, so the first way back is a shortest one
            path = paths.pop(0)
            for wait in waits:
                if wait.src == path[-1].dst and (wait.dst not in seen or wait.dst == first.src):
                    seen.add(wait.dst)
                    paths.append([*path, wait])
        if paths and (not shortest or len(paths[0]) < len(shortest)):
            shortest = paths[0]
    return shortest


def cuts(cluster: Cluster) -> list[str]:
    """Who cannot call whom, among those that run, and whose requests are held back."""
    names = [name for name in cluster.names if cluster.running(name)]
    deaf = {dst for dst in names if len(names) > 1 and not any(cluster.link(s, dst).up for s in names if s != dst)}
    groups: dict[tuple[str, ...], list[str]] = {}
    for src in names:
        unreachable = tuple(dst for dst in names if dst not in deaf and dst != src and not cluster.link(src, dst).up)
        if unreachable:
            groups.setdefault(unreachable, []).append(src)
    return [
        *(f"nobody can call {name}: its links are cut" for name in names if name in deaf),
        *(f"{', '.join(group)} cannot call {', '.join(others)}: the links are cut" for others, group in groups.items()),
        *(
            f"requests from {src} to {dst} are held back"
            for src in names
            for dst in names
            if cluster.link(src, dst).held
        ),
    ]


# --- one server ------------------------------------------------------------------------------------------------------


_STACKS: Final = re.compile(r"^(?:Current thread|Thread) 0x.*\n(?:  .*\n?)*", re.MULTILINE)
"""What a server that hears nobody writes into its log when it is looked into."""


def _last_words(log: str) -> list[str]:
    lines = _STACKS.sub("", log).rstrip().splitlines()
    return [f"  last in its log: {lines[-1].strip()}"] if lines else []


def _tasks(snapshot: Snapshot) -> list[str]:
    """Where its tasks are, those first that are in its own lines. Several in the same place are told once."""
    alike = Counter((task.name, _telling(task.places)) for task in snapshot.tasks if task.places)
    lines = []
    ordered = sorted(alike.items(), key=lambda item: (not _own(item[0][1]), -len(item[0][1])))
    for (name, places), count in ordered[:MOST_TASKS]:
        lines.append(f"  task {name}" + (f" ({count} of them)" if count > 1 else ""))
        lines += [f"    {place(*each)}" for each in places]
    return lines + ([f"  … and {len(alike) - MOST_TASKS} more"] if len(alike) > MOST_TASKS else [])


def _telling(places: list[Place]) -> tuple[Place, ...]:
    """The innermost lines that are the server's own, or of all if there are none."""
    return tuple((_own(places) or places)[-MOST_PLACES:])


def _own(places: Sequence[Place]) -> list[Place]:
    """Those lines that are the server's own, and not Python's or the harness's."""
    return [each for each in places if is_own_code(each.file)]
