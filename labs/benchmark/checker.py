"""How fast histories are judged, on one core.

The folder that LAB_PORCUPINE names may hold histories of the tests of github.com/anishathalye/porcupine, such as
`c10-ok.txt`. These, and long ones of one key, are judged both ways: as every history is, and by a search as if nothing
else did tell. What Porcupine itself took for them, on a machine of two cores, stands beside them as the target.
"""

import gc
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from labs.benchmark.figures import Figure, Options, command
from labs.history import Operation
from labs.linearizability import STEP_LIMIT, by_key, check
from labs.linearizability.reading import read
from labs.linearizability.search import Budget, search

CHECK_MS: Final = 300.0
"""Milliseconds in which 100,000 operations should be judged."""
FILE_MS: Final = 500.0
"""The same from a file, with all that the command does besides."""
PORCUPINE: Final = Path(os.environ["LAB_PORCUPINE"]) if "LAB_PORCUPINE" in os.environ else None
PORCUPINE_MS: Final = {"c10-ok.txt": 0.75, "c50-ok.txt": 182.0, "c50-bad.txt": 38.0}
"""What Porcupine took for them."""
LONG_ENOUGH: Final = 0.1
"""Seconds that a measurement takes at least."""
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


def measure(options: Options) -> list[Figure]:
    """Each history judged, and some by a search, too."""
    count = 1000 if options.small else 100_000
    operations: list[Operation] = []
    figures: list[Figure] = []

    def note(what: str, action: Callable[[], object], limit: float | None = None) -> None:
        options.say(what)
        figures.append(Figure(what, "ms", _milliseconds(action, options.rounds), at_most=limit))

    for what, keys, gets, puts in WORKLOADS:
        operations = list(executed(Random(keys), 50, count, keys, gets, puts))
        note(f"{count:,} operations, 50 clients, {keys:,} keys, {what}", partial(check, operations), CHECK_MS)
    data = b"\n".join(map(msgspec.json.encode, operations))
    note(f"to read these {count:,} from JSON lines", partial(read, data))
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(data)
        file.flush()
        words = [sys.executable, "-m", "labs", "linearizable", file.name]
        options.say("lab linearizable")
        values = [_processor_ms(words) for _ in range(options.rounds)]
        figures.append(Figure("the same from a file, by lab linearizable", "ms", values, at_most=FILE_MS))
    for clients in (3, 10):
        operations = list(executed(Random(clients), clients, count // 10, 1, 0.3, 0.0))
        size = f"{len(operations):,} operations, {clients} clients, one key"
        note(f"{size}, checked", partial(check, operations))
        note(f"{size}, by search", partial(_search, operations))
    for path in sorted(PORCUPINE.glob("c*.txt")) if PORCUPINE else ():
        operations = porcupine(path)
        note(f"{path.name}, checked", partial(check, operations), PORCUPINE_MS.get(path.name))
        note(f"{path.name}, by search", partial(_search, operations))
    return figures


def _search(operations: list[Operation]) -> bool:
    return all(search(history, Budget(STEP_LIMIT)) is not None for history in by_key(operations).values())


def _milliseconds(action: Callable[[], object], rounds: int) -> list[float]:
    """Of the processor, which does not tell what else the machine did."""
    gc.collect()
    values = []
    for _ in range(rounds):
        began, times = time.process_time(), 0
        while times == 0 or time.process_time() - began < LONG_ENOUGH:
            action()
            times += 1
        values.append(1000 * (time.process_time() - began) / times)
    return values


def _processor_ms(words: list[str]) -> float:
    """Milliseconds of the processor that a command takes, Python's start included."""
    before = os.times()
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return 1000 * (after.children_user + after.children_system - before.children_user - before.children_system)


main = command("checker", __doc__ or "", measure)

if __name__ == "__main__":
    main()
