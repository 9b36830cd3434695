"""`docs/mistakes.md`, as `lab mistakes --markdown` writes it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from labs.mistakes import Kind, odds
from labs.mistakes.results import Matrix, MistakeResult, WorldResult
from labs.running import World
from labs.suites import SUITES

HEAD: Final = """\
# Mistakes, and the tests that notice them

*Made by `{command} --markdown`; changes by hand are lost.*

A graded test is worth what it catches. Each row below is a mistake that was planted in a copy of the reference, most of
them one line, together with the tests that fail because of it. Most are of a kind found in students' solutions
(VS, PB, PX, KV, SM, SK and a number); the others are our own.

* **2015** says how often the course's own suite of 2015 noticed mistakes of that kind, in repeated runs: always,
  sometimes, or never. Empty: nobody has tried.
* **Noticed by** has, for each test, in how many of its runs it failed{seeds}.
* **Seconds** passed until the first of these tests failed, on one core: what a student waits.
* The **rate** of a mistake is that of its best test.{sure}
"""
OF_SEEDS: Final = """, in the simulation, where each run has a seed of its own. A
  test that fails nearly always ran with few seeds, since more would tell nothing"""
SURE: Final = f""" By the lower bound of that rate ({1 - odds.DOUBT:.0%} confidence)
  {odds.SEEDS} seeds show the mistake with a probability of more than {odds.SURE:.0%}, unless the row says otherwise"""
IN_PROCESSES: Final = """\
* **In real processes** tells the same of its best test there, and the seconds. What needs a rare order of messages is
  seldom seen there, and a leak of some bytes a request not at all, as the memory of a real process is only roughly
  known: for these there is the simulation.
"""


def document(came: Matrix, kinds: Mapping[str, Kind], command: str) -> str:
    """The page, which that command has made. Of `kinds` without a mistake it says why there is none."""
    simulated, both = "sim" in came.worlds, len(came.worlds) > 1
    head = HEAD.format(
        command=command, seeds=OF_SEEDS if simulated else ", in real processes", sure=f"{SURE}." if simulated else ""
    )
    parts = [head + (IN_PROCESSES if both else ""), _summary(came)]
    for suite in SUITES:
        these = [each for each in came.mistakes if each.lab == suite.lab and each.suite == suite.name]
        if these:
            parts.append(f"## {suite.title}\n\n{_table(came, these)}")
    left_out = _left_out(kinds, came.mistakes)
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
    table = (
        f"| the suite of 2015 noticed it | mistakes | of them noticed here |\n|---|--:|--:|\n{_lines(rows)}"
        f"| all | {len(came.mistakes)} | {sum(each.sure for each in came.mistakes)} |\n"
    )
    return "\n".join([table, *(_sums(came, world) for world in came.worlds)])


def _sums(came: Matrix, world: World) -> str:
    """What came of all in one world."""
    there = [each.worlds[world] for each in came.mistakes if world in each.worlds]
    runs = [each.runs for each in came.reference if each.world == world]
    failed = sum(each.failed for each in came.reference if each.world == world)
    least = min(runs, default=0)
    times, where = ("seed", "In the simulation") if world == "sim" else ("run", "In real processes")
    return (
        f"{where} {sum(each.caught for each in there)} of {len(there)} mistakes were noticed. The reference failed in"
        f" {failed} of {sum(runs)} runs of the same tests, each with {least} {times}{'s' * (least != 1)} or more.\n"
    )


def _table(came: Matrix, mistakes: Iterable[MistakeResult]) -> str:
    both = len(came.worlds) > 1
    heads = ["mistake", "kind", "2015", "noticed by", "rate", "seconds", *(["in real processes"] if both else [])]
    rows = []
    for each in mistakes:
        first, world = next(iter(each.worlds.items()))
        tests = "<br>".join(
            f"`{test.test}` {test.caught} of {test.runs}" for test in world.tests if test.named or test.caught
        )
        doubt = ""
        if first == "sim" and not each.sure:
            doubt = f" (**{100 * world.probability:.0f} % with {odds.SEEDS} seeds**)"
        rate = f"{100 * world.rate:.3g} %{doubt}" if world.tests else "unknown: the machine was too busy"
        cells = [
            f"**{each.name}**. {each.why}",
            each.kind,
            each.in_2015,
            tests,
            rate,
            f"{world.seconds:.1f}" if world.caught else "",
        ]
        if both:
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


def _left_out(kinds: Mapping[str, Kind], mistakes: Iterable[MistakeResult]) -> str:
    there = {mistake.kind for mistake in mistakes}
    rows = [
        f"* **{name}**, {kind.what}: {kind.left_out}"
        for name, kind in kinds.items()
        if name not in there and kind.left_out
    ]
    return _lines(rows)


def _lines(rows: Iterable[str]) -> str:
    return "".join(f"{row}\n" for row in rows)
