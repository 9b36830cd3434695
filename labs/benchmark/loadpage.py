"""The page of a measurement under load: one file, plots as inline SVG, in the reader's light or dark."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from labs.page import document, text

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 70, 110, 16, 44
NAME_HEIGHT: Final = 13
"""Of a line's name, in the same units."""

STYLE: Final = """
:root {
  --c0: #0b62a4; --c1: #b4500f; --c2: #2d7d46; --c3: #7a3e9d; }
@media (prefers-color-scheme: dark) { :root {
  --c0: #6cb2f0; --c1: #f0a05c; --c2: #76c893; --c3: #c792ea; } }
body { max-width: 1200px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--faint); }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }
.figures :is(th, td) { text-align: left; white-space: nowrap; }
.figures :is(th, td):is(:nth-child(2), :nth-child(3)) { text-align: right; }
.yes { color: var(--c2); } .no { color: var(--c1); }
figure { display: inline-block; margin: 0 1rem 1.5rem 0; max-width: 100%; } svg { max-width: 100%; }
text { fill: var(--ink); font-size: 12px; } .grid { stroke: var(--faint); }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot."""

    name: str
    points: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to places on the page."""

    low: float
    high: float
    logarithmic: bool
    begin: float
    end: float

    def place(self, value: float) -> float:
        """Where the value is drawn."""
        low, high, value = (
            (math.log(each) for each in (self.low, self.high, value))
            if self.logarithmic
            else (self.low, self.high, value)
        )
        return self.begin + (self.end - self.begin) * (value - low) / ((high - low) or 1)

    def ticks(self) -> list[float]:
        """Round values from end to end."""
        if self.logarithmic:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            candidates = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
        else:
            step = 10 ** math.floor(math.log10(self.high - self.low or 1))
            step = step if (self.high - self.low) / step > 4 else step / 2
            candidates = [step * number for number in range(math.floor(self.high / step) + 1)]
        return [tick for tick in candidates if self.low <= tick <= self.high]


def plot(title: str, below: str, lines: Sequence[Line], logarithmic: bool = True) -> str:
    """A figure with a line for each series."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    bottom = min(ys) / 1.3 if logarithmic else 0.0
    across = Axis(min(xs), max(xs), logarithmic, LEFT, WIDTH - RIGHT)
    up = Axis(bottom, max(ys) * (1.3 if logarithmic else 1.15), logarithmic, HEIGHT - BOTTOM, TOP)
    parts = [f'<figure><figcaption>{text(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" ']
    parts.append(f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{text(title)}">')
    for tick in up.ticks():
        y = up.place(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:,g}</text>')
    parts += [
        f'<text x="{across.place(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_short(tick)}</text>'
        for tick in (sorted(set(xs)) if logarithmic else across.ticks())
    ]
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{text(below)}</text>')
    for number, line in enumerate(lines):
        places = [(across.place(x), up.place(y)) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        colour = f"var(--c{number % 4})"
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(places) <= 12:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
    ends = [(across.place(line.points[-1][0]), up.place(line.points[-1][1])) for line in lines]
    for number, (line, (x, _), y) in enumerate(zip(lines, ends, apart([y for _, y in ends], NAME_HEIGHT), strict=True)):
        style = f"fill:var(--c{number % 4})"
        parts.append(f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" style="{style}">{text(line.name)}</text>')
    return "".join(parts) + "</svg></figure>"


def apart(places: Sequence[float], least: float) -> list[float]:
    """These places in the same order from low to high, moved up where two would be nearer than `least`."""
    moved = list(places)
    below = -math.inf
    for number in sorted(range(len(places)), key=places.__getitem__):
        below = moved[number] = max(places[number], below + least)
    return moved


def number(value: float) -> str:
    """With as many digits as tell something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def reach(least: float, most: float) -> str:
    """From the least to the most, if they are not the same."""
    return "" if least == most else f"{number(least)}-{number(most)}"


def _short(value: float) -> str:
    return f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k" if value >= 1e4 else f"{value:g}"


def page(*reports: dict[str, Any]) -> str:
    """The whole page, of one or more things that `--json` writes."""
    title = ", ".join(report["service"] for report in reports)
    body = "".join(_figures(report) if "figures" in report else _under_load(report) for report in reports)
    return document(f"Measured: {title}", body, STYLE)


def _figures(report: dict[str, Any]) -> str:
    """Single figures, and curves through some of them."""
    figures: list[dict[str, Any]] = report["figures"]
    curves: dict[str, dict[str, Line]] = {}
    below: dict[str, str] = {}
    for each in figures:
        if each["curve"]:
            of, over, x = each["curve"]
            line = curves.setdefault(of, {}).setdefault(each["unit"], Line("", []))
            line.points.append((x, each["median"]))
            below[of] = over
    plots = "".join(
        plot(f"{of}: {unit}", below[of], [line], logarithmic=min(x for x, _ in line.points) > 0)
        for of, lines in curves.items()
        for unit, line in lines.items()
        if len(line.points) > 1 and min(y for _, y in line.points) > 0
    )
    heads = "".join(f"<th>{head}</th>" for head in ("", "median", "range", "unit", "target"))
    lines = "".join(
        f"<tr><td>{text(each['what'])}</td><td>{number(each['median'])}</td>"
        f"<td>{reach(each['least'], each['most'])}</td>"
        f'<td>{text(each["unit"])}</td><td class="{_verdict(each["target"])}">{text(each["target"])}</td></tr>'
        for each in figures
    )
    return (
        f"<h1>{text(report['service'])}</h1><p>{_taken(report)}. {report['plan']['rounds']} rounds; medians.</p>"
        f'{plots}<table class="figures"><tr>{heads}</tr>{lines}</table>'
    )


def _verdict(target: str) -> str:
    return target.rpartition(" ")[2] if target else "none"


def _taken(report: dict[str, Any]) -> str:
    machine = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    return f"{text(report['taken'])}: {text(machine)}"


def _under_load(report: dict[str, Any]) -> str:
    """A key/value service under load."""
    rows: list[dict[str, Any]] = report["rows"]
    figures = ""
    for operation in dict.fromkeys(row["operation"] for row in rows):
        these = [row for row in rows if row["operation"] == operation]
        if len({row["clerks"] for row in these}) > 1:
            speed = _lines(these, lambda row: row["operations_per_second"])
            latency = _lines(these, lambda row: row["median_ms"])
            figures += plot(f"{operation}: operations a second", "clerks", speed)
            figures += plot(f"{operation}: median latency, ms", "clerks", latency)
    if report.get("memory"):
        curve = report["memory"]
        own = Line("of its own", [(point["operations"], statistics.mean(point["own"])) for point in curve])
        resident = Line("resident", [(point["operations"], statistics.mean(point["resident"])) for point in curve])
        figures += plot("memory of a server, MB", "operations on the same keys", [resident, own], logarithmic=False)
    plan = report["plan"]
    return (
        f"<h1>{text(report['service'])} under load</h1><p>{_taken(report)}. Values of {plan['value_size']}"
        f" characters, {plan['keys']} keys, {plan['rounds']} rounds of {plan['seconds']:g} s, all systems in turns;"
        f" medians. A ratio is the median of the rounds' ratios.</p>{figures}{_table(rows)}"
    )


def _lines(rows: Sequence[dict[str, Any]], value: Callable[[dict[str, Any]], float]) -> list[Line]:
    lines: dict[str, Line] = {}
    for row in rows:
        name = row["system"]
        lines.setdefault(name, Line(name, [])).points.append((row["clerks"], value(row)))
    return list(lines.values())


def _table(rows: Sequence[dict[str, Any]]) -> str:
    heads = (
        "operation",
        "clerks",
        "system",
        "ops/s",
        "range",
        "p50 ms",
        "p99 ms",
        "CPU µs/op",
        "messages/op",
        "MB/server",
        "times peer's",
    )
    lines = [f"<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"]
    for row in rows:
        ratio = row["throughput_ratio"]
        cells = [
            row["operation"],
            str(row["clerks"]),
            row["system"],
            f"{row['operations_per_second']:,.0f}",
            f"{row['least']:,.0f}-{row['most']:,.0f}",
            f"{row['median_ms']:.2f}",
            f"{row['slow_ms']:.2f}",
            f"{row['cpu_us']:.0f}",
            "" if row["messages"] is None else f"{row['messages']:.1f}",
            f"{row['server_megabytes']:.0f}",
            "" if ratio is None else f"{ratio:.1f}",
        ]
        lines.append(f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"
