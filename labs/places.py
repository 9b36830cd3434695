"""Where things are: in a checkout, and in an installation by pip."""

from pathlib import Path

import labs


def root() -> Path:
    """The folder from which the ids of graded tests count: the checkout, or the installed package."""
    package = Path(labs.__file__).parent
    return package if (package / "graded").is_dir() else package.parent


def is_checkout() -> bool:
    """Whether this is a checkout of the project."""
    return (root() / "pyproject.toml").is_file()


def graded_folder() -> Path:
    """Where the graded tests are."""
    return root() / "tests" / "graded" if is_checkout() else root() / "graded"


def command() -> str:
    """How a user calls the `lab` command."""
    return "./lab" if is_checkout() else "lab"
