"""One student's page: the points, and for each test what came of it; of those that failed, all that helps.

Everything on it may come from the submission: messages, logs, even the name.
"""

from typing import Final

from labs.grade import look
from labs.grade.results import Grade, TestGrade
from labs.page import document, text

STYLE: Final = (
    look.STYLE
    + """
.score { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; align-items: baseline; margin: .8rem 0 .4rem; }
.score b { font-size: 2.6rem; line-height: 1; } .big { height: .8rem; max-width: 48rem; }
.suite { display: flex; gap: 1rem; align-items: baseline; justify-content: space-between;
  border-bottom: 2px solid var(--faint); padding-bottom: .2rem; }
.suite span { font-weight: 400; font-size: .95rem; }
.test { border-bottom: 1px solid var(--faint); padding: .3rem 0; } summary.row { cursor: pointer; }
.row { display: grid; grid-template-columns: 1.4rem 1fr 4.2rem 3.6rem; gap: .5rem; align-items: baseline; }
.row small { color: var(--soft); } summary.row::-webkit-details-marker { display: none; }
.row .more { color: var(--good); font-size: .85rem; text-decoration: underline; }
details[open] > summary .more { visibility: hidden; }
.why { margin: .4rem 0 .6rem 1.9rem; } pre { background: var(--card); padding: .6rem .8rem; border-radius: .3rem;
  white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0; font: 13px/1.45 ui-monospace, monospace; }
pre.message { border-left: 4px solid var(--bad); } .inconclusive-why pre.message { border-color: var(--unclear); }
.why summary { cursor: pointer; color: var(--soft); }
@media (max-width: 34rem) { body { padding: 1rem; } .row { grid-template-columns: 1.3rem 1fr 3.6rem; }
  .row .seconds { display: none; } .why { margin-left: 0; } }
"""
)


FEW: Final = 4
"""Failures that are told at once. Of more, each is told when it is asked for."""


def page(grade: Grade, above: str) -> str:
    """The whole page. `above` is where the class's page is."""
    name = grade.name if grade.name == grade.id else f"{grade.name} ({grade.id})"
    suites = dict.fromkeys(test.suite for test in grade.tests)
    few = len(grade.tests) - grade.count("passed", "skipped") <= FEW
    parts = "".join(_suite(suite, [test for test in grade.tests if test.suite == suite], few) for suite in suites)
    body = (
        f'<p><a href="{text(above)}">all submissions</a></p><h1>{text(name)}</h1>{_score(grade)}'
        f"{_note(grade)}<p class=soft>{_facts(grade)}</p>{parts}"
    )
    return document(f"{name}: {grade.points:g} of {grade.max_points} points", body, STYLE)


def _score(grade: Grade) -> str:
    before = ""
    if grade.before is not None:
        before = f"<span>{grade.before:g} before ({grade.points - grade.before:+g})</span>"
    return (
        f'<div class="score"><b>{grade.points:g}</b><span>of {grade.max_points} points</span>{before}</div>'
        f"{look.bar(grade.points, grade.max_points, 'big')}"
    )


def _note(grade: Grade) -> str:
    return f'<div class="note">{look.note(grade)}</div>' if grade.note else ""


def _facts(grade: Grade) -> str:
    told = [f"{grade.count('passed')} of {len(grade.tests)} tests passed"]
    if grade.unclear:
        told.append(f"{len(grade.unclear)} could not tell, since the machine was too busy")
    if grade.seconds >= 0.5:
        told.append(f"graded in {look.clock(grade.seconds)}")
    if grade.digest:
        told.append(f"files {grade.digest[:12]}")
    return text("; ".join(told) + ".")


def _suite(suite: str, tests: list[TestGrade], few: bool) -> str:
    total = f"{sum(test.points for test in tests):g} of {sum(test.max_points for test in tests)} points"
    rows = "".join(_test(test, few) for test in tests)
    return f'<h2 class="suite">{text(suite)}<span class="num">{total}</span></h2>{rows}'


def _test(test: TestGrade, few: bool) -> str:
    shown = test.message or test.where or test.logs
    more = ' <span class="more">why?</span>' if shown and test.ran else ""
    runs = f" · {test.passes} of {test.runs} runs passed" if test.runs > 1 else ""
    before = ""
    if test.before is not None and test.before != test.points:
        before = f" · {test.before:g} points before"
    row = (
        f"{look.mark(test.status)}<span>{text(test.title)} <small>part {text(test.part)}{text(runs + before)}</small>"
        f'{more}</span><span class="num">{test.points:g} / {test.max_points}</span>'
        f'<span class="num soft seconds">{f"{test.seconds:.1f} s" if test.ran else ""}</span>'
    )
    if not shown or not test.ran:
        return f'<div class="test row">{row}</div>'
    opened = " open" if few and test.status != "passed" else ""
    return f'<details class="test"{opened}><summary class="row">{row}</summary>{_why(test)}</details>'


def _why(test: TestGrade) -> str:
    where = f"<p class=soft><code>{text(test.where)}</code></p>" if test.where else ""
    logs = "".join(
        f"<details><summary>what {text(name)} wrote last</summary><pre>{text(log, lines=True)}</pre></details>"
        for name, log in test.logs.items()
    )
    again = f"<p>See it again: <code>{text(test.replay)}</code></p>" if test.replay else ""
    return (
        f'<div class="why {test.status}-why"><pre class="message">{text(test.message, lines=True)}</pre>'
        f"{where}{logs}{again}</div>"
    )
