"""The table of commands: what a command is, and how one gets into the table."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from labs.live.grammar import Arguments, BadCommand, Form, forms
from labs.live.session import Entry, Session
from labs.texts import shown

ALL: Final = ("viewservice", "pbservice", "paxos", "paxosrsm", "kvpaxos", "shardmaster", "shardkv")
KEY_VALUE: Final = ("pbservice", "kvpaxos", "shardkv")
VIEWS: Final = ("viewservice", "pbservice")
SHARDED: Final = ("shardmaster", "shardkv")
SESSION: Final = "Session"
"""A topic."""
PAXOS: Final = ("paxos", "paxosrsm", "kvpaxos", "shardmaster", "shardkv")


@dataclass(frozen=True, slots=True)
class Words:
    """What a command was given."""

    session: Session
    entry: Entry
    arguments: Arguments

    def __getitem__(self, name: str) -> str:
        return self.arguments[name][0]

    def get(self, name: str, otherwise: str) -> str:
        """An argument that may have been left out."""
        return self.arguments.get(name, [otherwise])[0]

    def server(self, name: str = "SERVER") -> str:
        """An argument that names a server or a clerk. Raises `BadCommand`."""
        return known(self.session, self[name])

    def number(self, name: str, least: int = 0) -> int:
        """An argument that is a number. Raises `BadCommand`."""
        return number(self[name], name.lower(), least)


Action = Callable[[Words], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Command:
    """One command."""

    usage: str
    does: str
    """What it does, in a line."""
    example: str
    learn: str
    """What one learns by trying it."""
    action: Action
    topic: str
    suites: tuple[str, ...] = ALL
    """Where there is this command."""
    in_test: str | None = None
    """The line of a test that does the same, with the arguments' names in braces. None: it has no effect."""
    recorded: bool = True
    """Whether it belongs into a script."""

    @property
    def name(self) -> str:
        """Its first word."""
        return self.usage.split()[0]

    @property
    def forms(self) -> list[Form]:
        """How it can be written."""
        return forms(self.usage)


COMMANDS: Final[list[Command]] = []


def for_suite(suite: str) -> list[Command]:
    """The commands that there are for a suite."""
    return [each for each in COMMANDS if suite in each.suites]


def command(usage: str, **what: Any) -> Callable[[Action], Action]:
    """Puts a coroutine into the table. The first line of its docstring says what the command does."""

    def add(action: Action) -> Action:
        does = (action.__doc__ or "").strip().partition("\n")[0]
        COMMANDS.append(Command(usage, does, action=action, **what))
        return action

    return add


def known(session: Session, name: str) -> str:
    """A name, if something has it. Raises `BadCommand`."""
    if name not in session.starts:
        raise BadCommand(f"expected a server or a clerk ({', '.join(session.starts)}), got {shown(name)}")
    return name


def number(text: str, name: str, least: int) -> int:
    """The number that a text says. Raises `BadCommand`."""
    if not text.isdigit() or int(text) < least:
        raise BadCommand(f"expected a {name}, {least} or more, got {shown(text)}")
    return int(text)
