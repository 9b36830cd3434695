"""A node of PySyncObj with load in it: `python -m labs.benchmark.pysyncobj OWN_PLACE OTHER_PLACE ...`.

The node that leads says so in a line; then it gets the fields of `RunLoad` as a line of JSON, and answers with those of
`LoadDone`. Clients are callbacks within the leader. Entries are sent every 2 ms, which is the fastest that the library
was seen to do; the default period gives 10 operations a second to one client.
"""

import importlib
import json
import sys
import threading
import time
from typing import Any, Final

PERIOD: Final = 0.002


def run(table: Any, request: dict[str, Any]) -> dict[str, float]:
    """Writes every key once; then as many clients as asked for, each with one put after the other."""
    keys = [f"key-{number}" for number in range(request["keys"])]
    value = "v" * request["value_size"]
    took: list[float] = []
    over = threading.Semaphore(0)
    for key in keys:
        table.set(key, value, callback=lambda *_: over.release())
    for _ in keys:
        over.acquire()
    began = time.perf_counter()
    end = began + request["seconds"]

    def start(place: int) -> None:
        asked = time.perf_counter()

        def done(_result: object, _error: object) -> None:
            now = time.perf_counter()
            took.append(now - asked)
            if now < end:
                start(place + 1)
            else:
                over.release()

        table.set(keys[place % len(keys)], value, callback=done)

    for client in range(request["clerks"]):
        start(client * len(keys) // request["clerks"])
    for _ in range(request["clerks"]):
        over.acquire()
    seconds = time.perf_counter() - began
    took.sort()
    count = len(took)
    return {
        "operations": count,
        "seconds": seconds,
        "median": took[count // 2],
        "slow": took[count * 99 // 100],
        "slowest": took[-1],
    }


def main() -> None:
    """The node."""
    library = importlib.import_module("pysyncobj")
    table = importlib.import_module("pysyncobj.batteries").ReplDict()
    options = library.SyncObjConf(appendEntriesPeriod=PERIOD, commandsQueueSize=1_000_000)
    node = library.SyncObj(sys.argv[1], sys.argv[2:], conf=options, consumers=[table])
    while not (node.isReady() and (status := node.getStatus())["leader"] == status["self"]):
        time.sleep(0.01)
    print("leads", flush=True)
    for line in sys.stdin:
        print(json.dumps(run(table, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
