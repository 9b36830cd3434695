"""`lab linearizable FILE` and `lab recheck RUN`: judges histories that were saved."""

import contextlib
import gc
import math
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from labs.history import Operation
from labs.linearizability import Verdict, check, legal_prefix
from labs.linearizability.reading import BadLine, line_numbers, read
from labs.linearizability.words import describe
from labs.places import short
from labs.texts import visible
from labs.usage import FAILED, INCONCLUSIVE, PASSED, BadUsage

VERSION: Final = 1
"""Of the shape of what `--json` prints."""
LONG: Final = 10.0
"""Seconds after which a search is long."""
PATIENCE: Final = (
    "still searching: the same value was written more than once, or there is a cas, so there may be very many orders to"
    " try. Ctrl-C ends this, --steps N gives up after so many"
)
HISTORY: Final = "history.jsonl"
"""A saved history's name, in the folder of its test or of its seed."""


def judge_file(file: Path, json: bool, html: Path | None, steps: int | None) -> int:
    """Judges one history, tells what came of it, and returns the exit status. Raises `BadUsage`."""
    if html is not None and html.resolve() == file.resolve():
        raise BadUsage(f"expected --html to be another file than the history itself, got {html}")
    began = time.perf_counter()
    gc.disable()  # there is nothing to collect, and all too much to look at
    data, operations = _load(file)
    with _patience_asked():
        verdict = check(operations, math.inf if steps is None else steps)
    seconds = time.perf_counter() - began
    prefix = legal_prefix(operations, verdict) if verdict.ok is False and (json or html) else []
    with _bad_lines_of(file):
        lines = line_numbers(data) if verdict.operations else []
    if json:
        _print_json(_as_json(file, data, lines, operations, verdict, prefix, seconds))
    else:
        print(_as_text(file, lines, operations, verdict, seconds))
    if html is not None:
        from labs.linearizability.page import page

        _write(html, page(file.name, operations, verdict, prefix))
    return _status([verdict])


def judge_run(run: str, json: bool, steps: int | None) -> int:
    """Judges all histories that a run has kept. Returns the exit status. Raises `BadUsage`."""
    from labs.runs import find_run

    folder = find_run(run)
    files = sorted(file for file in folder.resolve().rglob(HISTORY) if file.stat().st_size)
    if not files:
        raise BadUsage(f"there is no {HISTORY} in {short(folder)}: none of its tests asked clerks for anything")
    verdicts: dict[str, Verdict] = {}
    unreadable: dict[str, str] = {}
    operations = 0
    for file in files:
        name = str(file.parent.relative_to(folder.resolve()))
        try:
            _, history = _load(file)
        except BadUsage as error:
            unreadable[name] = str(error)
            continue
        operations += len(history)
        with _patience_asked():
            verdict = verdicts[name] = check(history, math.inf if steps is None else steps)
        if not json and not verdict.ok:
            print(visible(name))
            print(visible(f"  {'' if verdict.ok is False else 'inconclusive: '}{verdict.explanation}"), flush=True)
    if json:
        histories = [{"history": name, **_facts(verdict)} for name, verdict in verdicts.items()]
        found = {"version": VERSION, "run": str(folder), "operations": operations, "histories": histories}
        _print_json({**found, "unreadable": unreadable})
    else:
        good = sum(verdict.ok is True for verdict in verdicts.values())
        print(f"{good:,} of {_count(len(verdicts), 'history')} linearizable, {_count(operations, 'operation')}")
    if unreadable:
        others = f" (and {_count(len(unreadable) - 1, 'history')} more)" if len(unreadable) > 1 else ""
        raise BadUsage(f"{next(iter(unreadable.values()))}{others}")
    return _status(list(verdicts.values()))


@contextlib.contextmanager
def _patience_asked() -> Iterator[None]:
    """Whoever waits for a long search is told what it is, and how to end it."""
    notice = threading.Timer(LONG, say, (PATIENCE,))
    notice.daemon = True
    notice.start()
    try:
        yield
    finally:
        notice.cancel()


def say(text: str) -> None:
    """A word beside the results."""
    print(text, file=sys.stderr, flush=True)


def _status(verdicts: Sequence[Verdict]) -> int:
    if any(verdict.ok is False for verdict in verdicts):
        return FAILED
    return PASSED if all(verdict.ok for verdict in verdicts) else INCONCLUSIVE


def _load(file: Path) -> tuple[bytes, list[Operation]]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise BadUsage(f"cannot read {file}: {error.strerror}") from None
    with _bad_lines_of(file):
        operations = read(data)
    if not operations:
        raise BadUsage(f"expected a history in {file}, one operation a line, and found none")
    return data, operations


@contextlib.contextmanager
def _bad_lines_of(file: Path) -> Iterator[None]:
    """A line that is no operation is bad usage."""
    try:
        yield
    except BadLine as error:
        raise BadUsage(f"{file}, {error}") from None


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise BadUsage(f"cannot write {file}: {error.strerror}") from None


# --- words and JSON --------------------------------------------------------------------------------------------------


def _as_text(file: Path, lines: list[int], operations: list[Operation], verdict: Verdict, seconds: float) -> str:
    keys, clients = len({each.key for each in operations}), len({each.client for each in operations})
    size = ", ".join((_count(len(operations), "operation"), _count(keys, "key"), _count(clients, "client")))
    answer = {True: "linearizable", False: "not linearizable", None: "inconclusive"}[verdict.ok]
    said = [f"{file}: {answer} ({size}, {seconds:.2f} s)"]
    said += [verdict.explanation] * bool(verdict.explanation)
    said += [
        f"  line {number}: {describe(original)}"
        for number, original in sorted(_found(lines, operations, verdict.operations), key=lambda each: each[0])
    ]
    return "\n".join(map(visible, said))


def _as_json(
    file: Path,
    data: bytes,
    lines: list[int],
    operations: list[Operation],
    verdict: Verdict,
    prefix: list[Operation] | None,
    seconds: float,
) -> dict[str, Any]:
    found: dict[str, Any] = {"version": VERSION, "file": visible(str(file)), **_facts(verdict)}
    found["operations"] = len(operations)
    found["keys"] = len({each.key for each in operations})
    found["clients"] = len({each.client for each in operations})
    texts = data.split(b"\n")
    found["witness"] = [
        {**msgspec.json.decode(texts[number - 1]), "line": number}
        for number, _ in _found(lines, operations, verdict.operations)
    ]
    found["legal_prefix"] = None if prefix is None else [number for number, _ in _found(lines, operations, prefix)]
    found["seconds"] = round(seconds, 3)
    return found


def _facts(verdict: Verdict) -> dict[str, Any]:
    return {
        "linearizable": verdict.ok,
        "anomaly": verdict.anomaly or None,
        "key": verdict.key,
        "explanation": verdict.explanation,
    }


def _found(lines: list[int], operations: list[Operation], wanted: Sequence[Operation]) -> list[tuple[int, Operation]]:
    """The lines where these stand, and they."""
    if not wanted:
        return []
    places = {id(each): place for place, each in enumerate(operations)}
    return [(lines[places[id(each)]], each) for each in wanted]


def _count(number: int, thing: str) -> str:
    many = {"history": "histories"}.get(thing, f"{thing}s")
    return f"{number:,} {thing if number == 1 else many}"


def _print_json(found: dict[str, Any]) -> None:
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
