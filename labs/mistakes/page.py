"""The heat map of `lab mistakes --html`: one file, mistakes by tests, in the reader's light or dark.

The colours are steps of lightness of one hue, so they need no sense of colour, and each field has its number as well.
"""

from typing import Final

from labs.mistakes import odds
from labs.mistakes.results import Matrix, MistakeResult, TestResult
from labs.page import document, text
from labs.running import World

STEPS: Final = (0.0, 0.0228, 0.1, 0.5, 1.0)
"""Rates from which on a field has the next colour. With less than the second, 200 seeds may miss it."""
LABELS: Final = ("never", "below 2.3 %: 200 seeds may miss it", "to 10 %", "to 50 %", "to 100 %", "every time")

STYLE: Final = """
:root { --alarm: #b3261e;
  --s1: #dbe7f3; --s2: #b3cfe8; --s3: #7eaed8; --s4: #3f7fb8; --s5: #0b3f73; --on: #fff; --off: #1d2530; }
@media (prefers-color-scheme: dark) { :root { --alarm: #ff8a80;
  --s1: #1c2f42; --s2: #234a6e; --s3: #34719f; --s4: #6cb2e6; --s5: #d6ecff; --on: #10161d; --off: #e4e7eb; } }
p { max-width: 75ch; }
.map { overflow: auto; max-height: 92vh; border: 1px solid var(--faint); margin-bottom: 2rem; }
table { border-collapse: separate; border-spacing: 1px; font-size: 12px; font-variant-numeric: tabular-nums; }
td, th { padding: 1px 4px; font-weight: normal; white-space: nowrap; background: var(--paper); }
thead th { position: sticky; top: 0; z-index: 2; vertical-align: bottom; text-align: left; }
thead th.t { padding: 4px 0; text-align: left; }
thead th.t span { writing-mode: vertical-rl; transform: rotate(180deg); }
tbody th { position: sticky; left: 0; z-index: 1; text-align: right; max-width: 26rem; overflow: hidden;
  text-overflow: ellipsis; }
thead th:first-child { left: 0; z-index: 3; }
td.f { width: 26px; min-width: 26px; height: 20px; padding: 0; text-align: center; background: none; }
td.q { background: color-mix(in srgb, var(--faint) 35%, transparent); }
td.s0 { outline: 2px solid var(--alarm); outline-offset: -2px; color: var(--alarm); }
td.s1 { background: var(--s1); color: var(--off); } td.s2 { background: var(--s2); color: var(--off); }
td.s3 { background: var(--s3); color: var(--off); } td.s4 { background: var(--s4); color: var(--on); }
td.s5 { background: var(--s5); color: var(--on); }
td.n { text-align: right; } .bad { color: var(--alarm); font-weight: 600; }
tr.g td, tr.g th { font-weight: 600; text-align: left; padding-top: .6rem; }
.key span { display: inline-block; min-width: 26px; height: 20px; text-align: center; margin: 0 .4rem 0 1rem; }
.s1k { background: var(--s1); } .s2k { background: var(--s2); } .s3k { background: var(--s3); }
.s4k { background: var(--s4); } .s5k { background: var(--s5); } .s0k { outline: 2px solid var(--alarm); }
"""


def page(came: Matrix) -> str:
    """The whole page."""
    sure = sum(each.sure for each in came.mistakes)
    failed, runs = sum(each.failed for each in came.reference), sum(each.runs for each in came.reference)
    maps = "".join(
        _map(lab, world, [each for each in came.mistakes if each.lab == lab and each.worlds.get(world)])
        for lab in dict.fromkeys(each.lab for each in came.mistakes)
        for world in came.worlds
    )
    key = "".join(f'<span class="s{step}k"></span>{text(label)}' for step, label in enumerate(LABELS))
    stopped = '<p class="bad">Interrupted: this is what had been measured.</p>' if came.interrupted else ""
    body = (
        "<h1>Mistakes and the tests that notice them</h1>"
        f"<p>{sure} of {len(came.mistakes)} mistakes are noticed; the reference failed in {failed} of {runs} runs of"
        " the same tests. A row is a mistake, planted in the reference; a column is a graded test. A field says in how"
        " many per cent of the runs the test failed; point at it for more. Fields with an outline are tests that the"
        " mistake's table names and that did not notice it. 2015 says how often the course's own suite noticed"
        f' mistakes of this kind.</p>{stopped}<p class="key">{key}</p>{maps}'
    )
    return document("Mistakes and tests", body, STYLE)


def _map(lab: str, world: World, mistakes: list[MistakeResult]) -> str:
    if not mistakes:
        return ""
    suites: dict[str, dict[str, None]] = {}
    for mistake in mistakes:
        for test in mistake.worlds[world].tests:
            suites.setdefault(test.suite, {})[test.test] = None
    tests = [test for suite in suites.values() for test in suite]
    heads = "".join(f'<th class="t"><span>{text(test.removeprefix("test_"))}</span></th>' for test in tests)
    rows = ""
    suite = ""
    for mistake in mistakes:
        if mistake.suite != suite:
            suite = mistake.suite
            rows += f'<tr class="g"><th>{text(suite)}</th><td colspan="{len(tests) + 4}"></td></tr>'
        rows += _row(mistake, world, tests)
    last = f"<th>{odds.SEEDS} seeds</th>" if world == "sim" else ""
    return (
        f"<h2>{text(lab)}, {'simulation' if world == 'sim' else 'real processes'}</h2><div class=map><table>"
        f"<thead><tr><th></th><th>kind</th><th>2015</th><th>rate</th><th>s</th>{last}{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(mistake: MistakeResult, world: World, tests: list[str]) -> str:
    came = mistake.worlds[world]
    fields = {test.test: test for test in came.tests}
    cells = [
        f'<th title="{text(f"{mistake.name}: {mistake.why}")}">{text(mistake.name)}</th>',
        f"<td>{text(mistake.kind)}</td><td>{mistake.in_2015}</td>",
        f"<td class=n>{100 * came.rate:.0f}</td><td class=n>{f'{came.seconds:.1f}' if came.caught else ''}</td>",
    ]
    if world == "sim":
        low = came.probability <= odds.SURE
        cells.append(f'<td class="n{" bad" * low}">{f"{100 * came.probability:.1f}" if low else "> 99"} %</td>')
    cells += [_field(mistake, fields[test]) if test in fields else '<td class="f"></td>' for test in tests]
    return f"<tr>{''.join(cells)}</tr>"


def _field(mistake: MistakeResult, test: TestResult) -> str:
    if not test.caught and not test.named:
        return f'<td class="f q" title="{text(f"{mistake.name} / {test.test}: none of {test.runs} runs")}"></td>'
    step = 0 if not test.caught else sum(test.rate >= least for least in STEPS)
    told = f"{mistake.name} / {test.test}: {test.caught} of {test.runs} runs"
    if test.caught:
        told += f", the first after {test.seconds:.1f} s: {test.said}"
    return f'<td class="f s{step}" title="{text(told)}">{_percent(test.rate)}</td>'


def _percent(rate: float) -> str:
    return f"{100 * rate:.0f}" if rate == 0 or rate >= 0.01 else "<1"
