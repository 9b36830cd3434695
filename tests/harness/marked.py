"""Processes that came of a command: they carry its mark in their environment, whoever their parent is by now."""

from typing import Final

import psutil

MARK: Final = "LAB_TEST_MARK"
"""The variable's name."""


def marked(mark: str) -> list[psutil.Process]:
    """Every process that carries this mark, and is alive."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs. It may end between two looks at it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
