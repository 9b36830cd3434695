"""Files of one JSON object a line: whatever was torn off in the middle was never there."""

from pathlib import Path

import msgspec
import pytest

from labs import jsonlines

LONG = "x" * 10_000


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    assert jsonlines.read(file, str) == []
    for number in range(3):
        jsonlines.append(file, f"line {number}\nand more", lasting=number == 1)
    assert jsonlines.read(file, str) == ["line 0\nand more", "line 1\nand more", "line 2\nand more"]


@pytest.mark.parametrize("torn", ['"', '"torn', '{"a": 1', LONG, '"whole"'])
@pytest.mark.parametrize("before", [[], ["one"], ["one", LONG]])
def test_a_torn_line_is_not_read_and_the_next_takes_its_place(tmp_path: Path, before: list[str], torn: str) -> None:
    file = tmp_path / "a.jsonl"
    file.touch()
    for line in before:
        jsonlines.append(file, line)
    with file.open("a") as stream:
        stream.write(torn)
    assert jsonlines.read(file, str) == before
    jsonlines.append(file, "next")
    assert jsonlines.read(file, str) == [*before, "next"]


def test_a_whole_line_that_is_something_else_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('"one"\n2\n')
    with pytest.raises(msgspec.ValidationError):
        jsonlines.read(tmp_path / "a.jsonl", str)
