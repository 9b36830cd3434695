"""How fast histories are judged: `python -m labs.benchmark.checker [FOLDER]`, on one core.

FOLDER may hold histories of the tests of github.com/anishathalye/porcupine, such as `c10-ok.txt`. These, and long ones
of one key, are judged both ways: by their epochs, and by a search as if those did not tell.
"""

import gc
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from labs.history import Operation
from labs.linearizability import STEP_LIMIT, by_key, check
from labs.linearizability.reading import read
from labs.linearizability.search import Budget, search

ROUNDS: Final = 5
"""Of so many measurements the best counts."""
WORKLOADS: Final = (("appends, some puts", 10, 0.5, 0.05), ("appends", 1000, 0.5, 0.0), ("puts", 10, 0.5, 0.5))
"""What is written, the number of keys, and how many operations are gets and puts."""
LINE: Final = re.compile(
    r"\{:process (?P<client>\d+), :type :(?P<type>invoke|ok), :f :(?P<op>get|put|append), "
    r':key "(?P<key>[^"]*)", :value (?:"(?P<value>[^"]*)"|nil)\}'
)


def executed(random: Random, clients: int, count: int, keys: int, gets: float, puts: float) -> Iterator[Operation]:
    """What a correct server answers to clients that each do one thing after another. No value is written twice."""
    effects = []
    for client in range(clients):
        now = random.random()
        for number in range(count // clients):
            end = now + random.random()
            effects.append((random.uniform(now, end), now, end, client, number))
            now = end + random.random() / 10
    values: dict[str, str] = {}
    for _, call, end, client, number in sorted(effects):
        key, kind, value = f"key {random.randrange(keys)}", random.random(), f"x {client} {number} y"
        if kind < gets:
            yield Operation(str(client), "get", key, None, values.get(key, ""), call, end)
        elif kind < gets + puts:
            values[key] = value
            yield Operation(str(client), "put", key, value, None, call, end)
        else:
            values[key] = values.get(key, "") + value
            yield Operation(str(client), "append", key, value, None, call, end)


def porcupine(path: Path) -> list[Operation]:
    """A history from the tests of github.com/anishathalye/porcupine: the number of a line is its time."""
    operations: list[Operation] = []
    asked: dict[str, Operation] = {}
    for number, line in enumerate(path.read_text().splitlines()):
        match = LINE.fullmatch(line.strip())
        assert match, f"expected an event in {path}, line {number + 1}, got {line}"
        client, value = match["client"], match["value"]
        if match["type"] == "invoke":
            asked[client] = Operation(client, match["op"], match["key"], value, None, number)  # type: ignore[arg-type]
            operations.append(asked[client])
        else:
            asked[client].return_ = number
            asked[client].result = value if match["op"] == "get" else None
    return operations


def measure(folder: Path | None = None) -> Iterator[tuple[str, int, float]]:
    """What was judged, how many operations it has, and in how many seconds."""
    operations: list[Operation] = []
    for what, keys, gets, puts in WORKLOADS:
        operations = list(executed(Random(keys), 50, 100_000, keys, gets, puts))
        yield f"epochs: 50 clients, {keys:,} keys, {what}", len(operations), _best(partial(check, operations))
    data = b"\n".join(map(msgspec.json.encode, operations))
    yield "to read these from JSON lines", len(operations), _best(partial(read, data))
    for clients in (3, 10):
        operations = list(executed(Random(clients), clients, 10_000, 1, 0.3, 0.0))
        yield f"epochs: {clients} clients, one key", len(operations), _best(partial(check, operations))
        yield f"search: {clients} clients, one key", len(operations), _best(partial(_search, operations))
    for file in sorted(folder.glob("c*.txt")) if folder else ():
        operations = porcupine(file)
        yield f"epochs: {file.name}", len(operations), _best(partial(check, operations))
        yield f"search: {file.name}", len(operations), _best(partial(_search, operations))


def _search(operations: list[Operation]) -> bool:
    return all(search(history, Budget(STEP_LIMIT)) is not None for history in by_key(operations).values())


def _best(action: Callable[[], object]) -> float:
    """Seconds of the processor, which do not tell what else the machine did."""
    gc.collect()
    seconds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        action()
        seconds.append(time.process_time() - began)
    return min(seconds)


def main() -> None:
    """Prints the table."""
    table = Table("", "operations", "ms", "operations a second")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, operations, seconds in measure(*map(Path, sys.argv[1:2])):
        table.add_row(name, f"{operations:,}", f"{1000 * seconds:.1f}", f"{operations / seconds:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
