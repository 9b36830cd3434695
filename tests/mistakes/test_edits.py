"""Planting: an edit fits exactly once, at whatever depth, or not at all."""

import pytest

from labs.mistakes import Edit

TEXT = """\
class Door:
    def open(self) -> None:
        if self.locked:
            raise Locked

        self.is_open = True
"""


def test_lines_are_replaced_at_their_depth() -> None:
    edit = Edit("door.py", "if self.locked:\n    raise Locked\n\nself.is_open = True", "if True:\n    return")
    assert edit.apply(TEXT) == "class Door:\n    def open(self) -> None:\n        if True:\n            return\n"


def test_part_of_a_line_does_not_fit() -> None:
    with pytest.raises(ValueError, match="holds this 0 times, expected once"):
        Edit("door.py", "if self.lock", "if True").apply(TEXT)


def test_two_places_are_one_too_many() -> None:
    with pytest.raises(ValueError, match="holds this 2 times, expected once"):
        Edit("door.py", "self.is_open = True", "pass").apply(TEXT + "        self.is_open = True\n")
