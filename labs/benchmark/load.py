"""A key/value service under load: clerks that do one operation after the other, from one to many at once.

Systems are measured in turns, round after round, because a machine that others use too is never the same twice: each
round gives one ratio between two systems, and what is told is the median of the ratios.
"""

import asyncio
import json
import os
import platform
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import click
import msgspec
import psutil
from rich import box
from rich.console import Console
from rich.table import Table

from common.load import Kind, LoadDone, RunLoad
from common.main import event_loop_maker, new_event_loop
from labs.benchmark import loadpage
from labs.benchmark.peers import NotInstalled, Peer
from labs.process.cluster import ProcessCluster
from labs.process.processes import Keeper
from labs.submission import check_offered, commands, module_path
from labs.usage import BadUsage

OPERATIONS: Final[tuple[Kind, ...]] = ("put", "append", "get")
VALUE_SIZE: Final = 64
KEYS: Final = 1000
MEMORY_OPERATIONS: Final = 1_000_000
MEMORY_CLERKS: Final = 128
WIDTH: Final = 120
"""Columns of the table on a terminal, or without one."""


class System(Protocol):
    """Something that stores keys and can be put under load."""

    name: str
    operations: tuple[Kind, ...]
    """What it can do."""

    async def run(self, request: RunLoad) -> LoadDone:
        """Has the clerks of this system do what is asked."""

    def servers(self) -> list[int]:
        """The process ids of its servers."""

    def clients(self) -> list[int]:
        """The process ids of its load."""

    async def requests(self) -> int | None:
        """What all of these have asked each other so far. None: nobody counts."""


@dataclass(frozen=True, slots=True)
class Service:
    """How a lab's key/value service is started."""

    name: str
    package: str
    servers: tuple[str, ...]
    start: Callable[[ProcessCluster], Awaitable[None]]
    """Starts the servers and one process of the role `load`, named so."""
    peers: tuple[type[Peer], ...] = ()
    """What it is measured beside. The ratios are to the first."""


class Lab:
    """A lab's service as a system."""

    operations = OPERATIONS

    def __init__(self, service: Service, cluster: ProcessCluster) -> None:
        self.name = service.name
        self._names = service.servers
        self._cluster = cluster

    async def run(self, request: RunLoad) -> LoadDone:
        return await self._cluster.call("load", request, timeout=None)

    def servers(self) -> list[int]:
        return [self._cluster.pid(name) for name in self._names]

    def clients(self) -> list[int]:
        return [self._cluster.pid("load")]

    async def requests(self) -> int | None:
        counts = [(await self._cluster.snapshot(name)).requests for name in (*self._names, "load")]
        return sum(count for count in counts if count is not None)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    clerks: tuple[int, ...]
    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One system, one operation, one number of clerks, one round."""

    system: str
    operation: Kind
    clerks: int
    round: int
    operations_per_second: float
    median_ms: float
    slow_ms: float
    """One operation in a hundred took longer."""
    slowest_ms: float
    cpu_us: float
    """Microseconds of processor time an operation, in all processes, the clerks' included."""
    messages: float | None
    """Requests and replies an operation, between all processes. None: not counted."""
    server_megabytes: float
    """Resident memory of a server, on average."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: medians of all rounds, and of the throughput also the least and the most."""

    operation: Kind
    clerks: int
    system: str
    operations_per_second: float
    least: float
    most: float
    median_ms: float
    slow_ms: float
    cpu_us: float
    messages: float | None
    server_megabytes: float
    throughput_ratio: float | None
    """How many times the peer's, as the median over the rounds. None for the peer, and without one."""
    latency_ratio: float | None
    """The same for the median latency: below 1 is faster."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes of each server after so many operations."""

    operations: int
    resident: list[float]
    own: list[float]
    """Without the pages that it shares with other processes."""


# --- measuring -------------------------------------------------------------------------------------------------------


async def measure(systems: Sequence[System], plan: Plan, say: Callable[[str], None]) -> list[Sample]:
    """All systems in turns: within a round each operation and number of clerks is done by all before the next."""
    for system in systems:
        say(f"{system.name}: warming up")
        await system.run(RunLoad(max(plan.clerks), 2 * plan.seconds, "put", VALUE_SIZE, KEYS))
    samples: list[Sample] = []
    for number in range(plan.rounds):
        turns = systems if number % 2 == 0 else systems[::-1]
        for clerks in plan.clerks:
            for operation in OPERATIONS:
                say(f"round {number + 1} of {plan.rounds}: {operation}, {clerks} clerks")
                request = RunLoad(clerks, plan.seconds, operation, VALUE_SIZE, KEYS)
                samples += [await sample(system, request, number) for system in turns if operation in system.operations]
    return samples


async def sample(system: System, request: RunLoad, number: int) -> Sample:
    """One measurement of one system."""
    everybody = [*system.servers(), *system.clients()]
    asked_before = await system.requests()
    before = _processor_seconds(everybody)
    done = await system.run(request)
    used = _processor_seconds(everybody) - before
    asked = await system.requests()
    operations = done.operations + request.keys  # every key was written once before
    memory = [psutil.Process(pid).memory_info().rss for pid in system.servers()]
    return Sample(
        system=system.name,
        operation=request.operation,
        clerks=request.clerks,
        round=number,
        operations_per_second=done.operations / done.seconds,
        median_ms=1000 * done.median,
        slow_ms=1000 * done.slow,
        slowest_ms=1000 * done.slowest,
        cpu_us=1e6 * used / operations,
        messages=None if asked is None or asked_before is None else 2 * (asked - asked_before) / operations,
        server_megabytes=statistics.mean(memory) / 1e6,
    )


def _processor_seconds(pids: Sequence[int]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(each.user + each.system for each in times)


async def measure_memory(system: System, say: Callable[[str], None]) -> list[Memory]:
    """The servers' memory while a fixed set of keys is written again and again."""
    curve = [_memory(system, 0)]
    while curve[-1].operations < MEMORY_OPERATIONS:
        say(f"memory: {curve[-1].operations:,} of {MEMORY_OPERATIONS:,} operations")
        done = await system.run(RunLoad(MEMORY_CLERKS, 1.0, "put", VALUE_SIZE, KEYS))
        curve.append(_memory(system, curve[-1].operations + KEYS + done.operations))
    return curve


def _memory(system: System, operations: int) -> Memory:
    infos = [psutil.Process(pid).memory_full_info() for pid in system.servers()]
    return Memory(operations, [info.rss / 1e6 for info in infos], [info.uss / 1e6 for info in infos])


# --- telling ---------------------------------------------------------------------------------------------------------


def summarise(samples: Sequence[Sample]) -> list[Row]:
    """One row for each operation, number of clerks and system, in the order in which they were first measured."""
    rows: list[Row] = []
    groups: dict[tuple[Kind, int, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.operation, sample.clerks, sample.system), []).append(sample)
    systems = list(dict.fromkeys(sample.system for sample in samples))
    for operation, clerks, system in sorted(groups, key=lambda key: (OPERATIONS.index(key[0]), key[1])):
        group = groups[operation, clerks, system]
        theirs: list[Sample] = []
        if len(systems) > 1 and system == systems[0]:  # where a peer has no append, its put is what compares
            theirs = groups.get((operation, clerks, systems[1])) or groups["put", clerks, systems[1]]
        speeds = [sample.operations_per_second for sample in group]
        counted = [sample.messages for sample in group if sample.messages is not None]
        rows.append(
            Row(
                operation=operation,
                clerks=clerks,
                system=system,
                operations_per_second=statistics.median(speeds),
                least=min(speeds),
                most=max(speeds),
                median_ms=statistics.median(sample.median_ms for sample in group),
                slow_ms=statistics.median(sample.slow_ms for sample in group),
                cpu_us=statistics.median(sample.cpu_us for sample in group),
                messages=statistics.median(counted) if counted else None,
                server_megabytes=statistics.median(sample.server_megabytes for sample in group),
                throughput_ratio=_ratio(group, theirs, lambda sample: sample.operations_per_second),
                latency_ratio=_ratio(group, theirs, lambda sample: sample.median_ms),
            )
        )
    return rows


def _ratio(ours: Sequence[Sample], theirs: Sequence[Sample], value: Callable[[Sample], float]) -> float | None:
    if not theirs:
        return None
    return statistics.median(value(one) / value(other) for one, other in zip(ours, theirs, strict=True))


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    load = os.getloadavg()[0]
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gigabytes": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "loop": event_loop_maker().__module__.partition(".")[0],
        "load at the beginning": round(load, 2),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def tabulate(rows: Sequence[Row]) -> Table:
    """The table for a person."""
    table = Table(
        *("operation", "clerks", "system", "ops/s", "range", "p50 ms", "p99 ms"),
        *("CPU µs/op", "messages/op", "MB", "times peer's", "p50"),
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    for column in table.columns[3:]:
        column.justify = "right"
    for row in rows:
        table.add_row(
            row.operation,
            str(row.clerks),
            row.system,
            f"{row.operations_per_second:,.0f}",
            f"{row.least:,.0f}-{row.most:,.0f}",
            f"{row.median_ms:.2f}",
            f"{row.slow_ms:.2f}",
            f"{row.cpu_us:.0f}",
            "" if row.messages is None else f"{row.messages:.1f}",
            f"{row.server_megabytes:.0f}",
            "" if row.throughput_ratio is None else f"{row.throughput_ratio:.1f}",
            "" if row.latency_ratio is None else f"{row.latency_ratio:.2f}",
        )
    return table


# --- the command -----------------------------------------------------------------------------------------------------


async def _measure(
    service: Service, keeper: Keeper, plan: Plan, peers: bool, memory: bool, say: Callable[[str], None]
) -> tuple[list[Sample], list[Memory]]:
    async with AsyncExitStack() as stack:
        await keeper.open()
        cluster = await stack.enter_async_context(ProcessCluster(service.package, keeper))
        await service.start(cluster)
        lab = Lab(service, cluster)
        systems: list[System] = [lab]
        for peer in service.peers if peers else ():
            try:
                systems.append(await stack.enter_async_context(peer(say)))
            except NotInstalled as reason:
                say(f"no {peer.name}: {reason}")
        samples = await measure(systems, plan, say)
        return samples, await measure_memory(lab, say) if memory else []


def _measured(submission: Path | None, package: str) -> list[Path]:
    """Where the servers that are measured have their code. Raises `click.UsageError`."""
    if submission is not None:
        try:
            check_offered(submission, package, "process")
        except BadUsage as error:
            raise click.UsageError(str(error)) from None
        if package in commands(submission):
            raise click.UsageError(f"{package} in {submission} is a command, and has no role `load` to measure it with")
    return module_path(submission, package)


def command(service: Service) -> click.Command:
    """The measurement of one service as a command."""

    @click.command(name=service.name, context_settings={"help_option_names": ["-h", "--help"]})
    @click.option("--peers", is_flag=True, help="In turns with what else one might take.")
    @click.option("--memory", is_flag=True, help=f"The servers' memory over {MEMORY_OPERATIONS:,} operations, too.")
    @click.option("--clerks", multiple=True, type=click.IntRange(1, KEYS), default=(1, 8, 32, 128), show_default=True)
    @click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
    @click.option("--seconds", type=float, default=1.0, show_default=True, help="Of each measurement.")
    @click.option("--submission", type=click.Path(path_type=Path), metavar="DIR", help="Of DIR, not of the reference.")
    @click.option("--json", "json_file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
    @click.option("--html", "html_file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
    def measure_service(
        peers: bool,
        memory: bool,
        clerks: tuple[int, ...],
        rounds: int,
        seconds: float,
        submission: Path | None,
        json_file: Path | None,
        html_file: Path | None,
    ) -> None:
        plan = Plan(clerks, rounds, seconds)
        console = Console(width=WIDTH)
        facts = machine()
        keeper = Keeper(service.package, f"benchmark-{uuid.uuid4().hex}", _measured(submission, service.package))
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                samples, curve = runner.run(
                    _measure(service, keeper, plan, peers, memory, partial(click.echo, err=True))
                )
        finally:
            keeper.close()
        rows = summarise(samples)
        console.print(tabulate(rows))
        if curve:
            for point in (curve[0], curve[1], curve[-1]):
                own = ", ".join(f"{megabytes:.1f}" for megabytes in point.own)
                console.print(f"memory of its own, MB of each server, after {point.operations:,} operations: {own}")
        console.print(", ".join(f"{name} {value}" for name, value in facts.items()))
        report = {
            "version": 1,
            "service": service.name,
            "taken": time.strftime("%Y-%m-%d %H:%M"),
            "machine": facts,
            "plan": {**asdict(plan), "value_size": VALUE_SIZE, "keys": KEYS},
            "rows": [asdict(row) for row in rows],
            "samples": [asdict(sample) for sample in samples],
            "memory": [asdict(point) for point in curve],
        }
        if json_file is not None:
            json_file.write_bytes(msgspec.json.format(json.dumps(report).encode(), indent=1))
        if html_file is not None:
            html_file.write_text(loadpage.page(report))

    return measure_service
