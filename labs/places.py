"""Where things are: in a checkout, and in an installation by pip."""

import os
import shlex
from pathlib import Path

import labs
from labs.suites import TUTORIAL, Suite


def root() -> Path:
    """The folder from which the ids of graded tests count: the checkout, or the installed package."""
    package = Path(labs.__file__).parent
    return package if (package / "graded").is_dir() else package.parent


def is_checkout() -> bool:
    """Whether this is a checkout of the project."""
    return (root() / "pyproject.toml").is_file()


def packages_folder() -> Path:
    """Where the lab packages are, beside `labs`."""
    return Path(labs.__file__).parents[1]


def graded_folder() -> Path:
    """Where the graded tests are."""
    return root() / "tests" / "graded" if is_checkout() else root() / "graded"


def tutorial_folder() -> Path:
    """Where the tutorial is, with its tests, what one starts with, and a solution."""
    return root() / "examples" / "counter" if is_checkout() else root() / "tutorial"


def tests_of(suite: Suite) -> Path:
    """The file with a suite's graded tests."""
    return (tutorial_folder() if suite is TUTORIAL else graded_folder() / suite.lab) / f"test_{suite.name}.py"


def runs_folder() -> Path:
    """Where runs keep their files unless they are told otherwise."""
    return root() / "runs" if is_checkout() else Path("runs").absolute()


def command() -> str:
    """How a user calls the `lab` command from where they are."""
    if not is_checkout():
        return "lab"
    script = os.path.relpath(root() / "lab")
    return shlex.quote(script if os.sep in script else f"./{script}")


def short(path: Path) -> str:
    """A path as one would type it from here."""
    shorter = os.path.relpath(path)
    return str(path) if shorter.startswith("..") else shorter
