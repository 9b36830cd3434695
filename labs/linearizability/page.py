"""The picture of a verdict: one self-contained page, a lane for each client, a bar for each operation.

Only the key in question is drawn, and of a long history the surroundings of the operations that the explanation speaks
of. Across, each call and each return has a column of its own: what overlaps and what came before what is exact, while
the distances say nothing. Nothing is told by colour alone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from labs.history import Operation
from labs.linearizability import Verdict, by_key
from labs.linearizability.epochs import end
from labs.linearizability.words import answer_of, describe, time_text
from labs.page import document, text
from labs.texts import contrast, shown

AROUND_ANSWER: Final = (140, 30)
"""Operations drawn before and after the answer, in the order of their calls."""
AROUND_OTHERS: Final = (8, 8)
"""The same, for each other operation of the explanation."""
STEPS: Final = (22, 100)
"""Width of a column, at least and at most."""
WIDE: Final = 1000
"""Width that columns fill together, if they may be so wide."""
LANE: Final = 40
"""Height of a lane."""
BAR: Final = 24
"""Height of a bar in it."""
TOP: Final = 28
"""Height of the line of times above the lanes."""
AXIS: Final = 20
"""Where the lines below the times begin."""
CHARACTER: Final = 6.7
"""Width of a character in a bar."""
A_TIME: Final = 132
"""After so much, or a column, the time is written above."""
FOOT: Final = 4
"""Height of what is below the lanes."""

STYLE: Final = """
:root { --stripe: #f2f3f3;
  --read: #dcebf8; --read-edge: #0b62a4; --write: #fbe3c8; --write-edge: #8f5000; --mark: #a8006d; }
@media (prefers-color-scheme: dark) { :root { --stripe: #1d2126;
  --read: #123450; --read-edge: #6cb2f0; --write: #4a3008; --write-edge: #f0b05c; --mark: #ff8fd0; } }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; } p, ol { max-width: 70rem; overflow-wrap: anywhere; }
.lanes { display: flex; border: 1px solid var(--faint); } .scroll { overflow-x: auto; flex: 1; }
.names { flex: none; max-width: 12rem; padding: 28px .6rem 0; border-right: 1px solid var(--faint); }
.names div { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
svg { display: block; } text { fill: var(--ink); font: 11px ui-monospace, monospace; }
.stripe { fill: var(--stripe); } .column { stroke: var(--faint); } .gap { stroke: var(--ink); stroke-dasharray: 2 4; }
.end { stroke: var(--mark); stroke-width: 2; stroke-dasharray: 7 4; }
.read rect { fill: var(--read); stroke: var(--read-edge); }
.write rect { fill: var(--write); stroke: var(--write-edge); }
.open rect { stroke-dasharray: 4 3; } .after { opacity: .45; }
.marked rect { stroke: var(--mark); stroke-width: 4; } .marked .badge { fill: var(--mark); }
.badge-text { fill: var(--paper); font-weight: bold; } .point { fill: var(--ink); } .place { font-size: 9px; }
.legend svg { display: inline-block; vertical-align: middle; }
.legend span { margin-right: 1.5rem; white-space: nowrap; }
"""

SCRIPT: Final = """
const answer = document.querySelector('#answer rect'), view = document.querySelector('.scroll');
if (answer) view.scrollLeft = answer.x.baseVal.value + answer.width.baseVal.value - view.clientWidth * 0.7;
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """Where one operation is drawn."""

    operation: Operation
    begin: int
    finish: int
    """Columns of its call and its return."""
    lane: tuple[str, int]
    """The client, and which of its lanes: it has several if it did several things at once."""
    mark: int
    """Its number in the explanation, or 0."""
    is_known: bool
    """Whether it was called before the answer came."""


def page(name: str, operations: Iterable[Operation], verdict: Verdict, prefix: Sequence[Operation] | None) -> str:
    """The whole page. `prefix` is the longest legal one, in an order that explains it, or None if that is not known."""
    keys = by_key(operations)
    key = max(keys, key=lambda each: len(keys[each])) if verdict.key is None else verdict.key
    history = sorted(keys[key], key=lambda each: each.call)
    title = {True: "linearizable", None: "inconclusive", False: f"not linearizable: {verdict.anomaly}"}[verdict.ok]
    drawn, skipped = _window(history, verdict.operations)
    answer = verdict.operations[0] if verdict.operations else None
    total = sum(map(len, keys.values()))
    facts = f"Key {shown(key)}: {len(drawn):,} of its {len(history):,} operations are drawn"
    facts += f" ({total:,} operations on {len(keys):,} keys in all)." if len(keys) > 1 else "."
    results = [each.result for each in verdict.operations if each.op == "get"]
    witness = "".join(
        f"<li>{text(_told(each, next((other for other in results if other != each.result), None)))}</li>"
        for each in verdict.operations
    )
    body = (
        f"<h1>{text(f'{name}: {title}')}</h1><p>{text(verdict.explanation)}</p>"
        f"<ol>{witness}</ol><p>{text(facts)} {_prefix_facts(verdict, prefix)}</p>{_legend(verdict)}"
        f"{_lanes(drawn, skipped, verdict, answer, prefix or ())}"
    )
    return document(f"{name}: {title}", body, STYLE, SCRIPT)


def _told(operation: Operation, other: str | None = None) -> str:
    """An operation with what came of it: of a long value the part where it begins to differ from another one."""
    if operation.result is None:
        return describe(operation)
    if operation.op == "cas":
        return f"{describe(operation)} gave {answer_of(operation)}"
    return f"{describe(operation)} gave {contrast(operation.result, other or '')[0]}"


def _prefix_facts(verdict: Verdict, prefix: Sequence[Operation] | None) -> str:
    if verdict.ok is not False:
        return ""
    if prefix is None:
        return "An order of what came before the answer would take too long to find, so no place is shown."
    if not prefix:
        return "Before the answer nothing had been asked that an order could be given of."
    return (
        f"The longest legal prefix ends right before the answer: a dot, with its place among the {len(prefix):,}, shows"
        " where each operation may have taken effect."
    )


def _window(history: list[Operation], marked: Sequence[Operation]) -> tuple[list[Operation], set[int]]:
    """What is drawn, and the places in it before which operations are left out."""
    places = {id(each): place for place, each in enumerate(history)}
    chosen: set[int] = set()
    for number, each in enumerate(marked):
        before, after = AROUND_OTHERS if number else AROUND_ANSWER
        place = places[id(each)]
        chosen.update(range(max(0, place - before), min(len(history), place + after + 1)))
    chosen = chosen or set(range(min(len(history), sum(AROUND_ANSWER))))
    order = sorted(chosen)
    skipped = {number for number, place in enumerate(order) if place - (order[number - 1] if number else -1) > 1}
    return [history[place] for place in order], skipped


# --- drawing ---------------------------------------------------------------------------------------------------------


def _lanes(
    drawn: list[Operation],
    skipped: set[int],
    verdict: Verdict,
    answer: Operation | None,
    prefix: Sequence[Operation],
) -> str:
    events = [(each.call, 0, number) for number, each in enumerate(drawn)]
    events += [(end(each), 1, number) for number, each in enumerate(drawn)]
    events.sort()  # at the same time calls come first, for what happens at the same time overlaps
    columns = {(kind, number): column for column, (_, kind, number) in enumerate(events)}
    marks = {id(each): number for number, each in enumerate(verdict.operations, 1)}
    last = math.inf if answer is None else end(answer)
    busy: dict[tuple[str, int], int] = {}  # until which column, each lane of a client
    bars: list[Bar] = []
    for number, each in enumerate(drawn):
        begin, finish = columns[0, number], columns[1, number]
        lane = next(lane for lane in count() if busy.get((each.client, lane), -1) < begin)
        busy[each.client, lane] = finish
        bars.append(Bar(each, begin, finish, (each.client, lane), marks.get(id(each), 0), each.call <= last))
    first = [bar.lane for bar in sorted(bars, key=lambda bar: bar.mark) if bar.mark]
    lanes = list(dict.fromkeys([*first, *sorted(busy, key=_natural)]))
    rows = {lane: row for row, lane in enumerate(lanes)}
    step = min(max(WIDE // (len(events) + 1), STEPS[0]), STEPS[1])
    width, height = (len(events) + 1) * step, TOP + LANE * len(lanes) + FOOT
    parts = [f'<svg width="{width}" height="{height}" role="img" aria-label="the operations of each client">']
    parts += [
        f'<rect class="stripe" y="{TOP + LANE * row}" width="{width}" height="{LANE}"/>'
        for row in range(0, len(lanes), 2)
    ]
    for column in range(0, len(events), math.ceil(A_TIME / step)):
        if events[column][0] < math.inf:
            x = column * step + step // 2
            parts.append(f'<line class="column" x1="{x}" x2="{x}" y1="{AXIS}" y2="{height}"/>')
            parts.append(f'<text x="{x + 3}" y="14">{text(time_text(events[column][0]))}</text>')
    for number in sorted(skipped):
        left_out = "<title>operations left out</title>"
        parts.append(_upright("gap", columns[0, number] * step, height, left_out))
    parts += [_upright("end", (bar.finish + 1) * step, height) for bar in bars if bar.mark == 1]
    points = _points(bars, prefix)
    parts += [_bar(bar, step, rows[bar.lane], points.get(id(bar.operation))) for bar in bars]
    names = "".join(
        f'<div style="height:{LANE}px;line-height:{LANE}px" title="{text(client)}">{text(client)}</div>'
        for client, lane in lanes
    )
    return f'<div class="lanes"><div class="names">{names}</div><div class="scroll">{"".join(parts)}</svg></div></div>'


def _upright(name: str, x: int, height: int, inside: str = "") -> str:
    return f'<line class="{name}" x1="{x}" x2="{x}" y1="{AXIS}" y2="{height}">{inside}</line>'


def _points(bars: list[Bar], prefix: Sequence[Operation]) -> dict[int, tuple[float, int]]:
    """Where, and as which one, each operation of the prefix takes effect: from left to right, each in its bar."""
    begins = {id(bar.operation): bar.begin for bar in bars}
    groups: dict[int, list[tuple[int, int]]] = {}
    column = 0
    for place, each in enumerate(prefix, 1):
        if id(each) in begins:
            column = max(column, begins[id(each)])
            groups.setdefault(column, []).append((id(each), place))
    return {
        name: (column + 0.5 + number / len(group), place)
        for column, group in groups.items()
        for number, (name, place) in enumerate(group)
    }


def _bar(bar: Bar, step: int, row: int, point: tuple[float, int] | None) -> str:
    operation = bar.operation
    x, y = bar.begin * step + step // 2, TOP + row * LANE + (LANE - BAR) // 2
    width = (bar.finish - bar.begin) * step
    classes = ["read" if operation.op == "get" else "write"]
    classes += ["open"] * (operation.return_ is None) + ["marked"] * (bar.mark > 0) + ["after"] * (not bar.is_known)
    room = int((width - 6 - 20 * (bar.mark > 0)) / CHARACTER)
    identifier = ' id="answer"' if bar.mark == 1 else ""
    parts = [f'<g class="{" ".join(classes)}"{identifier}><title>{text(_told(operation))}</title>']
    parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{BAR}" rx="{3 if operation.op == "get" else 0}"/>')
    label = _label(operation, room)
    parts.append(f'<text x="{x + 4 + 20 * (bar.mark > 0)}" y="{y + 16}">{text(label)}</text>')
    if bar.mark:
        parts.append(f'<circle class="badge" cx="{x + 12}" cy="{y + BAR / 2}" r="8"/>')
        parts.append(f'<text class="badge-text" x="{x + 12}" y="{y + 16}" text-anchor="middle">{bar.mark}</text>')
    if point is not None:
        column, place = point
        parts.append(f'<circle class="point" cx="{column * step:.1f}" cy="{y + BAR}" r="3"/>')
        parts.append(f'<text class="place" x="{column * step + 5:.1f}" y="{y + BAR + 8}">{place}</text>')
    return "".join(parts) + "</g>"


def _label(operation: Operation, room: int) -> str:
    """What fits into the bar. Of a long value the end says most, since appends change that."""
    if operation.op == "get":
        name, value = "get", "?" if operation.result is None else operation.result
    elif operation.op == "cas":
        name, value = (
            "cas",
            f"{operation.expected}→{operation.value} {answer_of(operation) if operation.result else '?'}",
        )
    else:
        name, value = operation.op, operation.value or ""
    left = room - len(name) - 1
    if left < 2:
        return name[:room] if room < len(name) else name
    return f"{name} {value if len(value) <= left else '…' + value[len(value) - left + 1 :]}"


def _legend(verdict: Verdict) -> str:
    def sample(classes: str, inside: str = "") -> str:
        shape = f'<rect x="3" y="3" width="44" height="16" rx="{3 if "read" in classes else 0}"/>'
        return f'<svg width="50" height="22"><g class="{classes}">{shape}{inside}</g></svg>'

    badge = '<circle class="badge" cx="13" cy="11" r="7"/>'
    badge += '<text class="badge-text" x="13" y="15" text-anchor="middle">1</text>'
    entries = [(sample("read"), "get"), (sample("write"), "put, append or cas")]
    entries.append((sample("write open"), "no answer came"))
    if verdict.ok is False:
        entries.append((sample("read marked", badge), "named above, the answer first"))
        line = '<svg width="20" height="22"><line class="end" x1="10" x2="10" y1="0" y2="22"/></svg>'
        entries += [(line, "here the longest legal prefix ends"), (sample("write after"), "asked later")]
    return '<p class="legend">' + "".join(f"<span>{picture} {text(said)}</span>" for picture, said in entries) + "</p>"


def _natural(name: tuple[str, int]) -> tuple[str, int, str, int]:
    """`ck-2` before `ck-10`."""
    client, lane = name
    stem = client.rstrip("0123456789")
    return stem, len(client) - len(stem), client, lane
