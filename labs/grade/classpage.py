"""The page of a class: how the points are distributed, which tests fail most, who has what, and where the time went."""

import statistics
from typing import Final

from labs.grade import look
from labs.grade.results import OUTCOMES, ClassResult, Effort, Grade
from labs.page import document, text
from labs.results import Status

BINS: Final = 10
"""Steps of the distribution. All points are a step of their own."""
TOP: Final = 12
"""Tests that fail most, of which the page begins to tell."""
SHAPES: Final[dict[str, str]] = {"timed out": "timed", "broken": "broke"}

STYLE: Final = (
    look.STYLE
    + """
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .7rem; margin: 1rem 0; }
.tile { background: var(--card); border-radius: .4rem; padding: .6rem .8rem; }
.tile b { display: block; font-size: 1.35rem; white-space: nowrap; line-height: 1.25; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th { text-align: left; white-space: nowrap; font-weight: 600; border-bottom: 2px solid var(--faint);
  vertical-align: bottom; }
th, td { padding: .25rem .6rem .25rem 0; } td { border-bottom: 1px solid var(--faint); vertical-align: top; }
th.num { text-align: right; } td.meter { min-width: 7rem; vertical-align: middle; } td.note-cell { min-width: 12rem; }
.note-cell div { max-height: 4.5em; overflow: hidden; }
th button { all: unset; cursor: pointer; } th button:focus-visible { outline: 2px solid var(--good); }
th button::after { content: " ↕"; color: var(--soft); } th[aria-sort=ascending] button::after { content: " ↑"; }
th[aria-sort=descending] button::after { content: " ↓"; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .count { font-weight: 600; } svg .step { fill: var(--good); } svg .axis { stroke: var(--faint); }
svg .took { fill: var(--good); stroke: var(--paper); } svg .timed { fill: var(--bad); }
svg .broke { fill: var(--unclear); }
svg .lane { fill: var(--card); } svg .on { fill: var(--paper); font-size: 11px; pointer-events: none; }
.plot { max-width: 46rem; }
.map { border-spacing: 1px; border-collapse: separate; width: auto; font-size: 12px; }
.map th, .map td { border: 0; padding: 0; } .map th a, .map th.name { padding-right: .6rem; white-space: nowrap; }
.map .t { height: 11rem; vertical-align: bottom; font-weight: 400; }
.map .t span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 11rem; overflow: hidden;
  white-space: nowrap; text-overflow: ellipsis; }
.map td { width: 16px; min-width: 16px; height: 16px; text-align: center; line-height: 16px; }
.map td.passed { background: var(--track); } .map td.failed, .map td.error { background: var(--bad);
  color: var(--paper); font-weight: 700; } .map td.inconclusive { background: var(--unclear); color: var(--paper); }
.map tbody th { position: sticky; left: 0; background: var(--paper); font-weight: 400; text-align: right; }
.map td.first { border-left: 3px solid var(--paper); }
@media (max-width: 34rem) { body { padding: 1rem; } }
"""
)

SCRIPT: Final = """
for (const button of document.querySelectorAll('th button')) button.onclick = () => {
  const head = button.parentElement, body = head.closest('table').tBodies[0];
  const down = head.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
  for (const other of head.parentElement.children) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', down > 0 ? 'ascending' : 'descending');
  const key = row => row.cells[head.cellIndex].dataset.key ?? row.cells[head.cellIndex].textContent;
  const compare = (a, b) => down * key(a).localeCompare(key(b), undefined, {numeric: true});
  body.append(...[...body.rows].sort(compare));
};
"""


def page(result: ClassResult, students: str) -> str:
    """The whole page. `students` is the folder with the pages of the students."""
    count = len(result.submissions)
    title = f"{result.lab}: {count} submission{'' if count == 1 else 's'}"
    body = (
        f"<h1>{text(title)}</h1><p class=soft>{result.tests} tests, {result.max_points} points.</p>"
        f"{_tiles(result)}{_distribution(result)}{_failing(result)}{_students(result, students)}"
        f"{_map(result, students)}{_time(result)}"
    )
    return document(title, body, STYLE, SCRIPT)


def _tiles(result: ClassResult) -> str:
    there = [grade.points for grade in result.submissions if grade.outcome != "missing"]
    tiles = []
    if there:
        tiles = [
            (f"{statistics.median(there):g}", "points in the middle"),
            (f"{statistics.mean(there):.1f}", "points on average"),
            (f"{min(there):g} to {max(there):g}", "points from least to most"),
        ]
    for outcome in OUTCOMES:
        number = sum(grade.outcome == outcome for grade in result.submissions)
        if number:
            tiles.append((str(number), outcome))
    unclear = sum(bool(grade.unclear) for grade in result.submissions)
    if unclear:
        tiles.append((str(unclear), "with a test that could not tell"))
    if result.seconds:
        tiles.append((look.clock(result.seconds), "to grade them"))
    told = "".join(f'<div class="tile"><b>{text(value)}</b>{text(what)}</div>' for value, what in tiles)
    return f'<div class="tiles">{told}</div>'


# --- points ----------------------------------------------------------------------------------------------------------


def _distribution(result: ClassResult) -> str:
    """How many submissions have how many points, in steps of a tenth."""
    counts = [0] * (BINS + 1)
    for grade in result.submissions:
        if grade.outcome != "missing":
            counts[int(BINS * grade.points / grade.max_points) if grade.max_points else 0] += 1
    width, height, gap = 640, 170, 6
    step = width / len(counts)
    most = max(counts) or 1
    parts = []
    for number, count in enumerate(counts):
        tall = (height - 50) * count / most
        x, middle = number * step + gap / 2, (number + 0.5) * step
        edge = "all" if number == BINS else f"{result.max_points * number / BINS:g}"
        at = f'x="{middle:.1f}" text-anchor="middle"' if number == BINS else f'x="{x:.1f}"'
        parts.append(f'<rect class="step" x="{x:.1f}" y="{height - 26 - tall:.1f}" width="{step - gap:.1f}" ')
        parts.append(f'height="{tall:.1f}" rx="2"/><text {at} y="{height - 8}">{edge}</text>')
        if count:
            parts.append(f'<text class="count" x="{middle:.1f}" y="{height - 32 - tall:.1f}" ')
            parts.append(f'text-anchor="middle">{count}</text>')
    axis = f'<line class="axis" x1="0" x2="{width}" y1="{height - 25.5}" y2="{height - 25.5}"/>'
    said = "How many submissions have how many points"
    return (
        f"<h2>{said}</h2><p class=soft>From this number of points on, up to the next.</p>"
        f'<div class="plot"><svg viewBox="0 0 {width} {height}" role="img" aria-label="{said}">{axis}{"".join(parts)}'
        "</svg></div>"
    )


def _failing(result: ClassResult) -> str:
    """The tests, from the one that fails most."""
    tried: dict[str, list[Status]] = {}
    titles: dict[str, tuple[str, str]] = {}
    for grade in result.submissions:
        for test in grade.tests:
            titles[test.id] = (test.title, test.suite)
            if test.ran:
                tried.setdefault(test.id, []).append(test.status)
    failed = {name: sum(each in ("failed", "error") for each in came) for name, came in tried.items()}
    order = sorted((name for name in failed if failed[name]), key=lambda name: -failed[name] / len(tried[name]))
    if not order:
        return ""
    rows = [
        f"<tr><td>{text(titles[name][0])} <span class=soft>{text(titles[name][1])}</span></td>"
        f"<td class=num>{failed[name]} of {len(tried[name])}</td>"
        f'<td class="meter">{look.bar(failed[name], len(tried[name]), "fails")}</td></tr>'
        for name in order
    ]
    more = ""
    if len(rows) > TOP:
        more = f"<details><summary>{len(rows) - TOP} more</summary><table>{''.join(rows[TOP:])}</table></details>"
    return (
        f'<h2>Which tests fail most</h2><div class="wide"><table>{"".join(rows[:TOP])}</table>{more}</div>'
        f"<p class=soft>Of the submissions in which the test has run.</p>"
    )


# --- students --------------------------------------------------------------------------------------------------------


def _students(result: ClassResult, students: str) -> str:
    heads = ["Submission", "Name", "Points", "", "Failed", "Time", "Remarks"]
    numbers = {"Points", "Failed", "Time"}
    named = any(grade.name != grade.id for grade in result.submissions)
    regraded = any(grade.before is not None for grade in result.submissions)
    if not named:
        heads.remove("Name")
    if regraded:
        heads.insert(heads.index("Points") + 1, "Before")
        numbers.add("Before")
    told = "".join(
        f"<th{' class=num' if head in numbers else ''}>{f'<button>{head}</button>' if head else ''}</th>"
        for head in heads
    )
    rows = "".join(_student(grade, students, named, regraded) for grade in result.submissions)
    return (
        f'<h2>Everybody</h2><div class="wide"><table><thead><tr>{told}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _student(grade: Grade, students: str, named: bool, regraded: bool) -> str:
    failed = grade.count("failed", "error")
    before = "" if grade.before is None else f"{grade.before:g} ({grade.points - grade.before:+g})"
    remarks = [look.note(grade)] if grade.note else []
    if grade.unclear:
        remarks.append(f'<span class="inconclusive">{len(grade.unclear)} could not tell</span>')
    cells = [f'<td><a href="{_address(grade, students)}">{text(grade.id)}</a></td>']
    cells += [f"<td>{text(grade.name)}</td>"] * named
    cells.append(f'<td class=num data-key="{grade.points:g}"><b>{grade.points:g}</b></td>')
    cells += [f'<td class=num data-key="{grade.before or 0:g}">{before}</td>'] * regraded
    cells.append(f'<td class="meter">{look.bar(grade.points, grade.max_points)}</td>')
    cells.append(f'<td class=num data-key="{failed}">{failed or ""}</td>')
    cells.append(
        f'<td class=num data-key="{grade.seconds:.1f}">{look.clock(grade.seconds) if grade.seconds >= 0.5 else ""}</td>'
    )
    cells.append(f'<td class="note-cell"><div>{" · ".join(remarks)}</div></td>')
    return f"<tr>{''.join(cells)}</tr>"


def _address(grade: Grade, students: str) -> str:
    return text(f"{students}/{grade.folder}.html")


def _map(result: ClassResult, students: str) -> str:
    """Who failed what: a row a submission, a column a test."""
    graded = [grade for grade in result.submissions if any(test.ran for test in grade.tests)]
    if not graded:
        return ""
    tests = graded[0].tests
    first = {next(test.id for test in tests if test.suite == suite) for suite in {test.suite for test in tests}}
    heads = "".join(f'<th class="t"><span>{text(test.title)}</span></th>' for test in tests)
    rows = "".join(
        f'<tr><th class="name"><a href="{_address(grade, students)}">{text(grade.id)}</a></th>'
        + "".join(
            f'<td class="{test.status}{" first" if test.id in first else ""}" '
            f'title="{text(f"{grade.id}: {test.title}: {look.MARKS[test.status][1]}")}">'
            f"{'' if test.status == 'passed' else look.MARKS[test.status][0]}</td>"
            for test in grade.tests
        )
        + "</tr>"
        for grade in graded
    )
    return (
        "<h2>Who failed what</h2><p class=soft>An empty field passed; ✗ failed, ? could not tell, ○ did not run.</p>"
        f'<div class="wide"><table class="map"><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        "</div>"
    )


# --- time ------------------------------------------------------------------------------------------------------------


def _time(result: ClassResult) -> str:
    told = "".join(_effort(effort, result.submissions) for effort in result.efforts if effort.seconds)
    return f"<h2>Where the time went</h2>{told}" if told else ""


def _effort(effort: Effort, grades: list[Grade]) -> str:
    """One call of the command: a lane for each place, a bar for each submission in it."""
    end = effort.began + effort.seconds
    drawn = [grade for grade in grades if effort.began <= grade.began <= end and grade.seconds]
    tests = effort.at_once * effort.workers
    facts = (
        f"{effort.submissions} submissions in {look.clock(effort.seconds)}, {effort.at_once} at once, {tests} tests at"
        f" once. {effort.limit}"
    )
    width, lane = 920, 22
    scale = width / effort.seconds
    lanes = max([effort.at_once, *(grade.slot + 1 for grade in drawn)])
    parts = [f'<rect class="lane" y="{number * lane}" width="{width}" height="{lane - 2}"/>' for number in range(lanes)]
    for grade in drawn:
        x, long = (grade.began - effort.began) * scale, max(2.0, grade.seconds * scale)
        said = text(f"{grade.id}: {look.clock(grade.seconds)}, {grade.points:g} points, {grade.outcome}")
        kind = SHAPES.get(grade.outcome, "")
        parts.append(f'<rect class="took {kind}" x="{x:.1f}" y="{grade.slot * lane}" width="{long:.1f}" ')
        parts.append(f'height="{lane - 2}" rx="2"><title>{said}</title></rect>')
        room = int(long / 6.5)
        if room >= 3:
            label = grade.id if len(grade.id) <= room else grade.id[: room - 1] + "…"
            parts.append(f'<text class="on" x="{x + 4:.1f}" y="{grade.slot * lane + 14}">{text(label)}</text>')
    base = lanes * lane + 14
    parts.append(f'<text x="0" y="{base}">0</text>')
    parts.append(f'<text x="{width}" y="{base}" text-anchor="end">{text(look.clock(effort.seconds))}</text>')
    picture = (
        f'<div class="wide"><svg viewBox="0 0 {width} {base + 4}" style="min-width:30rem" role="img" '
        f'aria-label="which submission was graded when">{"".join(parts)}</svg></div>'
        if drawn
        else ""
    )
    return f"<p>{text(facts)}</p>{picture}"
