"""How a `lab` command ends: its exit status, and the error of a command that makes no sense."""

from typing import Final

PASSED: Final = 0
FAILED: Final = 1
BAD_USAGE: Final = 2
INCONCLUSIVE: Final = 3
INTERRUPTED: Final = 130


class BadUsage(ValueError):
    """The command makes no sense. The text is one line for the user."""
