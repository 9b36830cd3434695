"""Measurements: each is a module run by `lab bench NAME` in a process of its own."""

from typing import Final

MEASUREMENTS: Final = (
    "start",
    "sim",
    "checker",
    "rpc",
    "pbservice",
    "kvpaxos",
    "shardkv",
    "overload",
    "curves",
    "model",
    "report",
    "suites",
)
