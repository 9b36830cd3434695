"""The matrix on a terminal: each mistake with the tests that notice it, and what was found beside that."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from labs.mistakes import odds
from labs.mistakes.results import Matrix, MistakeResult, TestResult
from labs.running import World

SHOWN: list[tuple[float, str]] = [(0.9, "green"), (0.3, "cyan"), (0.0, "yellow")]
"""From which rate on a test is shown in which colour."""


def tables(came: Matrix) -> Iterator[RenderableType]:
    """All that there is to see, from the mistakes of each suite to the summary."""
    for world in came.worlds:
        here = [each for each in came.mistakes if world in each.worlds]
        for suite in dict.fromkeys(each.suite for each in here):
            yield _table(suite, world, [each for each in here if each.suite == suite])
    yield from _remarks(came)
    yield _summary(came)


def _table(suite: str, world: World, mistakes: list[MistakeResult]) -> Table:
    table = Table(title=f"{suite} ({world})", title_justify="left", title_style="bold")
    table.add_column("Mistake", ratio=4)
    table.add_column("Kind")
    table.add_column("2015")
    table.add_column("Noticed by", ratio=5, overflow="fold")
    table.add_column("Rate", justify="right")
    table.add_column("Seconds", justify="right")
    if world == "sim":
        table.add_column(f"{odds.SEEDS} seeds", justify="right")
    for mistake in mistakes:
        came = mistake.worlds[world]
        tests = Text("\n").join(_test(each) for each in came.tests if each.named or each.caught)
        cells: list[RenderableType] = [mistake.name, mistake.kind, mistake.in_2015, tests]
        rate = _percent(came.rate) if came.caught else "never" if came.tests else "unknown"
        cells.append(Text(rate, _colour(came.rate)))
        cells.append(f"{came.seconds:.1f}" if came.caught else "")
        if world == "sim":
            low = came.probability <= odds.SURE
            cells.append(
                Text(f"{100 * came.probability:.1f} %" if low else f"> {100 * odds.SURE:g} %", "red" if low else "")
            )
        table.add_row(*cells)
    return table


def _test(came: TestResult) -> Text:
    name = came.test.removeprefix("test_")
    return Text.assemble(name, (f"  {came.caught} of {came.runs}", _colour(came.rate)))


def _colour(rate: float) -> str:
    return next((colour for least, colour in SHOWN if rate > 0 and rate >= least), "red")


def _percent(rate: float) -> str:
    return f"{100 * rate:.0f} %" if rate >= 0.1 else f"{100 * rate:.1f} %"


def _remarks(came: Matrix) -> Iterator[Text]:
    for each in came.mistakes:
        if each.error:
            yield Text(f"{each.lab}: the mistake {each.name!r} could not be made: {each.error}", "red")
        elif not each.was_measured:
            yield Text(
                f"{each.lab}: nobody knows whether the mistake {each.name!r} is noticed: each run was inconclusive,"
                " for the machine was too busy. Measure it again when less else runs, or more often (--repeat)",
                "red",
            )
        elif not each.sure:
            yield Text(f"{each.lab}: the mistake {each.name!r} is not noticed reliably: {each.why}", "red")
    for test in came.reference:
        if test.failed:
            said = f"{test.failed} of {test.runs} runs ({test.world}): {test.said}"
            yield Text(f"{test.lab}: the reference failed {test.suite}/{test.test} in {said}", "red")


def _summary(came: Matrix) -> Text:
    sure = sum(each.sure for each in came.mistakes)
    failed = sum(test.failed for test in came.reference)
    runs = sum(test.runs for test in came.reference)
    missed = sum(each.sure and each.in_2015 in ("sometimes", "never") for each in came.mistakes)
    real = sum("process" in each.worlds and each.worlds["process"].caught for each in came.mistakes)
    return Text.assemble(
        (f"{sure} of {len(came.mistakes)} mistakes noticed", "green" if sure == len(came.mistakes) else "red"),
        f", {missed} of them of a kind that the suites of 2015 let through; ",
        f"{real} in real processes, too; " if len(came.worlds) > 1 else "",
        (f"the reference failed in {failed} of {runs} runs", "red" if failed else "green"),
    )
