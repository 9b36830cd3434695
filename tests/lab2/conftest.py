"""The option with which the situations' expected parts are written anew."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Registers it. Pytest knows it where a test of this folder is named on the command line."""
    parser.addoption(
        "--rewrite-situations", action="store_true", help="write what comes now into the situations of lab 2"
    )
