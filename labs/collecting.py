"""Finds graded tests without pytest, for commands that run them by themselves."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from labs.grading import grade_of
from labs.places import tests_of
from labs.running import GradedItem
from labs.suites import SUITES, Suite

_items: dict[Path, dict[str, GradedItem]] = {}


def graded_items(suite: Suite) -> dict[str, GradedItem]:
    """The graded tests of a suite by name, in the order of their file."""
    file = tests_of(suite)
    if not file.is_file():
        return {}
    if file not in _items:
        spec = spec_from_file_location(f"graded_{suite.name}", file)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        _items[file] = {
            name: GradedItem(name, file, function, grade, suite)
            for name, function in vars(module).items()
            if (grade := grade_of(function)) is not None
        }
    return _items[file]


def find_item(lab: str, test: str) -> GradedItem:
    """The graded test of that name in a lab. Raises `ValueError` if there is none."""
    for suite in SUITES:
        if suite.lab == lab and test in graded_items(suite):
            return graded_items(suite)[test]
    raise ValueError(f"{lab} has no graded test {test}")
