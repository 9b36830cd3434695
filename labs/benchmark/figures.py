"""Measurements that give single figures: how they are asked for, and how they are told.

Each round gives a value; what is told is the median, with the least and the most. A target says how much it should be,
and whether it is reached is said beside it. Nothing fails by that: a benchmark is no test.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from rich.table import Table

from labs.benchmark import loadpage
from labs.benchmark.load import WIDTH, machine

NEW_FILE: Final = click.Path(dir_okay=False, writable=True, path_type=Path)


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured: a value for each round."""

    what: str
    unit: str
    values: Sequence[float]
    at_least: float | None = None
    """The target: the median should be so much or more."""
    at_most: float | None = None
    """The target: the median should be so much or less."""
    curve: tuple[str, str, float] | None = None
    """It is a point of a curve: of which plot, of what it is a function, and where it lies."""

    @property
    def median(self) -> float:
        """What is told."""
        return statistics.median(self.values)

    @property
    def target(self) -> str:
        """The target in words, and whether it is reached. Empty if there is none."""
        if self.at_least is not None:
            return f">= {self.at_least:,g}: {'yes' if self.median >= self.at_least else 'no'}"
        if self.at_most is not None:
            return f"<= {self.at_most:,g}: {'yes' if self.median <= self.at_most else 'no'}"
        return ""

    def as_json(self) -> dict[str, Any]:
        """All there is to say."""
        return {
            "what": self.what,
            "unit": self.unit,
            "median": self.median,
            "least": min(self.values),
            "most": max(self.values),
            "values": list(self.values),
            "target": self.target,
            "curve": self.curve,
        }


@dataclass(frozen=True, slots=True)
class Options:
    """How it was asked for."""

    rounds: int
    peers: bool
    small: bool
    """As little of everything as shows that it works."""
    say: Callable[[str], None]


def command(name: str, doc: str, measure: Callable[[Options], list[Figure]], rounds: int = 3) -> click.Command:
    """Such a measurement as a command."""

    @click.command(name=name, help=doc, context_settings={"help_option_names": ["-h", "--help"]})
    @click.option("--rounds", type=click.IntRange(min=1), default=rounds, show_default=True)
    @click.option("--peers", is_flag=True, help="In turns with what else one might take, where there is such a thing.")
    @click.option("--small", is_flag=True, help="As little of everything as shows that it works.")
    @click.option("--json", "json_file", type=NEW_FILE, metavar="FILE")
    @click.option("--html", "html_file", type=NEW_FILE, metavar="FILE")
    def run(rounds: int, peers: bool, small: bool, json_file: Path | None, html_file: Path | None) -> None:
        facts = machine()
        figures = measure(Options(rounds, peers, small, partial(click.echo, err=True)))
        console = Console(width=WIDTH)
        console.print(tabulate(figures))
        console.print(", ".join(f"{key} {value}" for key, value in facts.items()))
        report = {
            "version": 1,
            "service": name,
            "taken": time.strftime("%Y-%m-%d %H:%M"),
            "machine": facts,
            "plan": {"rounds": rounds},
            "figures": [figure.as_json() for figure in figures],
        }
        if json_file is not None:
            json_file.write_bytes(msgspec.json.format(json.dumps(report).encode(), indent=1))
        if html_file is not None:
            html_file.write_text(loadpage.page(report))

    return run


def tabulate(figures: Sequence[Figure]) -> Table:
    """The table for a person."""
    table = Table("", "median", "range", "unit", "target")
    for column in table.columns[1:3]:
        column.justify = "right"
    for each in figures:
        reach = loadpage.reach(min(each.values), max(each.values))
        table.add_row(each.what, loadpage.number(each.median), reach, each.unit, each.target)
    return table
