"""`docs/mistakes.md`, as `lab mistakes --markdown` writes it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from labs.mistakes import Kind, Mistake, odds
from labs.mistakes.results import Matrix, MistakeResult, WorldResult
from labs.suites import SUITES

HEAD: Final = """\
# Mistakes, and the tests that notice them

*Made by `lab mistakes{worlds} --markdown docs/mistakes.md`; changes by hand are lost.*

A graded test is worth what it catches. Each row below is a mistake that was planted in a copy of the reference, most of
them one line, together with the tests that fail because of it. Most are of a kind found in students' solutions
(VS, PB, PX, KV, SM, SK and a number); the others are our own.

* **2015** says how often the course's own suite of 2015 noticed mistakes of that kind, in repeated runs: always,
  sometimes, or never. Empty: nobody has tried.
* **Noticed by** has, for each test, in how many of the seeds it failed in the simulation. A test that fails nearly
  always ran with few seeds, since more would tell nothing.
* **Seconds** passed until the first of these tests failed, on one core: what a student waits.
* The **rate** of a mistake is that of its best test. By the lower bound of that rate ({confidence:.0%} confidence)
  {seeds} seeds show the mistake with a probability of more than {sure:.0%}, unless the row says otherwise.
"""


def document(came: Matrix, kinds: Mapping[str, Kind], chosen: Mapping[str, list[Mistake]]) -> str:
    """The page."""
    worlds = "" if came.worlds == ["sim"] else " --world both"
    parts = [HEAD.format(worlds=worlds, confidence=1 - odds.DOUBT, seeds=odds.SEEDS, sure=odds.SURE)]
    parts.append(_summary(came))
    for suite in SUITES:
        these = [each for each in came.mistakes if each.lab == suite.lab and each.suite == suite.name]
        if these:
            parts.append(f"## {suite.title}\n\n{_table(came, these)}")
    left_out = _left_out(kinds, [mistake for mistakes in chosen.values() for mistake in mistakes])
    if left_out:
        parts.append(
            "## Kinds without a mistake here\n\nWhat cannot be said as a change of this reference, or cannot be seen"
            f" from outside, and why.\n\n{left_out}"
        )
    return "\n".join(parts)


def _summary(came: Matrix) -> str:
    counts = Counter(each.in_2015 for each in came.mistakes)
    rows = [
        f"| {said or 'not known'} | {counts[said]} | {sum(e.sure for e in came.mistakes if e.in_2015 == said)} |"
        for said in ("always", "sometimes", "never", "")
    ]
    failed, runs = sum(each.failed for each in came.reference), sum(each.runs for each in came.reference)
    return (
        f"| the suite of 2015 noticed it | mistakes | of them noticed here |\n|---|--:|--:|\n{_lines(rows)}"
        f"| all | {len(came.mistakes)} | {sum(each.sure for each in came.mistakes)} |\n\n"
        f"The reference failed in {failed} of {runs} runs of the same tests, each with"
        f" {min((each.runs for each in came.reference), default=0)} seeds or more.\n"
    )


def _table(came: Matrix, mistakes: Iterable[MistakeResult]) -> str:
    process = "process" in came.worlds
    heads = ["mistake", "kind", "2015", "noticed by", "rate", "seconds", *(["in real processes"] if process else [])]
    rows = []
    for each in mistakes:
        world = each.worlds[came.worlds[0]]
        tests = "<br>".join(
            f"`{test.test}` {test.caught} of {test.runs}" for test in world.tests if test.named or test.caught
        )
        doubt = "" if each.sure else f" (**{100 * world.probability:.0f} % with {odds.SEEDS} seeds**)"
        cells = [
            f"**{each.name}**. {each.why}",
            each.kind,
            each.in_2015,
            tests,
            f"{100 * world.rate:.3g} %{doubt}",
            f"{world.seconds:.1f}" if world.caught else "",
        ]
        if process:
            cells.append(_in_processes(each.worlds.get("process")))
        rows.append(f"| {' | '.join(cells)} |")
    right = {"rate", "seconds"}
    return f"| {' | '.join(heads)} |\n|{'|'.join('--:' if head in right else '---' for head in heads)}|\n{_lines(rows)}"


def _in_processes(came: WorldResult | None) -> str:
    if came is None:
        return ""
    if not came.tests:
        return "unknown: the machine was too busy"
    return f"{100 * came.rate:.0f} %, {came.seconds:.1f} s" if came.caught else "no"


def _left_out(kinds: Mapping[str, Kind], mistakes: Iterable[Mistake]) -> str:
    there = {mistake.student_bug for mistake in mistakes}
    rows = [
        f"* **{name}**, {kind.what}: {kind.left_out}"
        for name, kind in kinds.items()
        if name not in there and kind.left_out
    ]
    return _lines(rows)


def _lines(rows: Iterable[str]) -> str:
    return "".join(f"{row}\n" for row in rows)
