"""docs/traces.md tells the truth: its examples are lines of a real trace, and nothing that is in one is left out."""

import re
from pathlib import Path
from typing import Final, get_args

import msgspec
import pytest
from click.testing import CliRunner

from labs.cli import lab
from labs.traces.bodies import MOST
from labs.traces.events import Event, Header, Kind, Verdict
from labs.traces.recorder import END, START
from tests.traces.page import PAGE, record

BLOCK: Final = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS: Final = [(found[1], found[2], found[3]) for found in BLOCK.finditer(PAGE.read_text())]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("page"))


def test_every_example_is_a_line_of_the_trace(trace: Path) -> None:
    lines = trace.read_text().splitlines()
    examples = [line for language, _, text in BLOCKS if language == "json" for line in text.splitlines()]
    assert len(examples) > 20
    assert [line for line in examples if line not in lines] == [], "`python -m tests.traces.page` prints today's"


def test_there_is_an_example_and_a_word_for_every_kind() -> None:
    examples = [msgspec.json.decode(line) for kind, _, text in BLOCKS if kind == "json" for line in text.splitlines()]
    table = "\n".join(line for line in PAGE.read_text().splitlines() if line.startswith("| `"))
    for kind in get_args(Kind):
        assert f"`{kind}`" in table, kind
        assert kind in {example.get("kind") for example in examples}, kind


@pytest.mark.parametrize("struct", [Event, Header, Verdict])
def test_no_field_is_left_out(struct: type[msgspec.Struct]) -> None:
    text = PAGE.read_text()
    for field in struct.__struct_fields__:
        assert f"`{field}`" in text or f'"{field}"' in text, field


def test_the_text_is_what_the_command_prints(trace: Path) -> None:
    ((_, options, expected),) = [block for block in BLOCKS if block[0] == "text"]
    result = CliRunner().invoke(lab, ["trace", str(trace), *options.split()], standalone_mode=False)
    assert result.stdout == expected


def test_the_numbers_are_those_of_the_code() -> None:
    text = PAGE.read_text()
    assert f"at most {START.events + END.events:,} events and {(START.bytes + END.bytes) >> 20} MiB" in text
    assert f"first {START.events:,} ({START.bytes >> 20} MiB)" in " ".join(text.split())
    assert f"last {END.events:,} ({END.bytes >> 20} MiB)" in " ".join(text.split())
    assert f"Of a body over {MOST} characters" in text
