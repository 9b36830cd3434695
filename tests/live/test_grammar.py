"""Commands: how lines are read and completed, and that the table is as it should be."""

from typing import Final

import pytest

from labs.live import scripts, teaching
from labs.live.grammar import BadCommand, completions, forms, read, split
from labs.live.language import find
from labs.live.table import ALL, COMMANDS
from labs.live.teaching import EXPERIMENTS

ADDED: Final = (scripts, teaching)
"""Modules that add to the table."""


def reading(usage: str, line: str) -> dict[str, list[str]] | None:
    """What a line gives by a usage."""
    for form in forms(usage):
        arguments = read(form, split(line)[1:])
        if arguments is not None:
            return arguments
    return None


def test_words_find_their_places() -> None:
    put = "put KEY VALUE [by CLERK]"
    assert reading(put, "put a 1") == {"KEY": ["a"], "VALUE": ["1"]}
    assert reading(put, 'put a "b c" by ck-2') == {"KEY": ["a"], "VALUE": ["b c"], "CLERK": ["ck-2"]}
    assert reading("tap DST [from SRC] ODDS...", "tap a from b x y") == {"DST": ["a"], "SRC": ["b"], "ODDS": ["x", "y"]}
    assert reading("tap DST [from SRC] ODDS...", "tap a x y") == {"DST": ["a"], "ODDS": ["x", "y"]}
    assert reading("stop [CLERK]", "stop") == {}


@pytest.mark.parametrize("line", ["put a", "put a 1 by", "put a 1 in ck-2", "put a 1 by ck-2 too"])
def test_what_does_not_fit_is_no_form(line: str) -> None:
    assert reading("put KEY VALUE [by CLERK]", line) is None


def test_remarks_are_no_commands_and_quotes_come_in_pairs() -> None:
    assert split("  # put a 1") == split("") == []
    assert find("pbservice", "# kill pb-1") is None
    with pytest.raises(BadCommand, match="expected quotes in pairs"):
        split('put a "1')


def test_completion_knows_what_comes_next() -> None:
    (longer, shorter) = forms("get KEY [by CLERK]")
    choices = {"KEY": ["a", "b"], "CLERK": ["ck-1"]}
    assert completions(longer, [], choices) == ["a", "b"]
    assert completions(longer, ["a"], choices) == ["by"]
    assert completions(longer, ["a", "by"], choices) == ["ck-1"]
    assert completions(longer, ["a", "of"], choices) == []
    assert completions(shorter, ["a"], choices) == []
    assert completions(forms("partition NAMES...")[0], ["x", "y"], {"NAMES": ["z"]}) == ["z"]


def test_a_wrong_command_is_told_what_would_be_right() -> None:
    with pytest.raises(BadCommand, match=r"expected a command \(put, get, .*got \"kil\""):
        find("pbservice", "kil pb-1")
    with pytest.raises(BadCommand, match="expected `kill SERVER`, as in: kill pb-1"):
        find("pbservice", "kill")
    with pytest.raises(BadCommand, match="that one is for shardkv"):
        find("pbservice", "shards")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.usage)
def test_every_command_explains_itself_by_an_example_that_fits(command: object) -> None:
    assert command in COMMANDS
    (meant,) = [each for each in COMMANDS if each is command]
    assert meant.does.endswith(".")
    assert meant.learn
    for suite in meant.suites:
        found = find(suite, meant.example)
        assert found is not None
        assert found[0] is meant


def test_a_recorded_command_has_something_to_do_in_a_test() -> None:
    operations = {"put", "get", "append", "expect", "until"}  # made of what came of them
    missing = [each.usage for each in COMMANDS if each.recorded and not each.in_test and each.name not in operations]
    assert missing == []


def test_every_suite_has_an_experiment_and_all_steps_can_be_typed() -> None:
    assert {suite for each in EXPERIMENTS for suite in each.suites} == set(ALL)
    for experiment in EXPERIMENTS:
        for suite in experiment.suites:
            for step in experiment.steps:
                assert find(suite, step.line) is not None, step.line
