"""`lab debug`: a run of the simulation, step by step."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from labs.debugging.player import WorkerPlayer
from labs.debugging.session import Refused, Session
from labs.debugging.shell import Shell
from labs.places import command, runs_folder, short
from labs.running import GradedItem, parse_traceback
from labs.schedules import VERSION, Schedule, find_test, path_of
from labs.texts import visible
from labs.usage import FAILED, PASSED, BadUsage

HISTORY: Final = ".debug-history"
"""Among the runs: what was typed before."""


@dataclass(frozen=True, slots=True)
class Request:
    """What `lab debug` was asked for."""

    test: str | None = None
    seed: int | None = None
    submission: Path | None = None
    schedule: Path | None = None
    patience: float = 1.0


@dataclass(frozen=True, slots=True)
class Subject:
    """The run in question."""

    item: GradedItem
    seed: int
    patience: float
    schedule: Schedule | None

    @classmethod
    def of(cls, request: Request) -> "Subject":
        """Raises `BadUsage`."""
        if request.schedule is None:
            if request.test is None:
                raise BadUsage("expected a graded test, as in kvpaxos::test_basic, or --schedule FILE")
            return cls(find_test(request.test), 1 if request.seed is None else request.seed, request.patience, None)
        schedule = Schedule.read(request.schedule)
        item = schedule.item
        if request.test is not None and find_test(request.test).name != item.name:
            raise BadUsage(f"expected {schedule.suite}::{schedule.test}, which {request.schedule} is of")
        if request.seed not in (None, schedule.seed):
            raise BadUsage(f"expected no other seed than {schedule.seed}, which {request.schedule} has")
        return cls(item, schedule.seed, schedule.patience, schedule)


def debug(request: Request) -> int:
    """Lets a user step through a run. Returns the exit status: 1 if a command could not be done. Raises `BadUsage`."""
    subject = Subject.of(request)
    path = path_of(request.submission, subject.item)
    console = Console(highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())
    choices = None if subject.schedule is None else subject.schedule.choices
    with WorkerPlayer(subject.item, subject.seed, path, subject.patience, choices) as player:
        try:
            with console.status(f"seed {subject.seed} of {subject.item.name}"):
                session = Session(player)
        except Refused as error:
            raise BadUsage(str(error)) from None

        def save(file: Path) -> str:
            """Writes the run as a schedule. Gives the command that plays it. Raises `Refused`."""
            outcome = session.timeline.outcome
            message, _ = parse_traceback(outcome.message)
            suite, name = subject.item.suite.name, subject.item.name
            schedule = Schedule(
                VERSION, suite, name, subject.seed, subject.patience, message, outcome.digest, outcome.choices
            )
            try:
                schedule.write(file)
            except BadUsage as error:
                raise Refused(str(error)) from None
            submission = f" --submission {short(request.submission)}" if request.submission else ""
            return f"{command()} replay {short(file)}{submission}"

        shell = Shell(session, console, save)
        _introduce(console, subject, session)
        return _converse(shell, console)


def _introduce(console: Console, subject: Subject, session: Session) -> None:
    outcome = session.timeline.outcome
    console.print(Text(f"{subject.item.suite.name}: {subject.item.grade.title}", "bold"))
    came = Text("passes", "green") if outcome.status == "passed" else Text(f"has {outcome.status}", "red")
    console.print(
        Text.assemble(
            f"seed {subject.seed} ",
            came,
            f" after {outcome.virtual_seconds:.3f} s, {len(session.timeline)} moments, {outcome.messages} messages",
        )
    )
    message, _ = parse_traceback(outcome.message)
    for line in message.splitlines():
        console.print(Text(visible(line), "red"))
    first = "`failure` goes to where that shows, " if outcome.status != "passed" else ""
    console.print(Text(f"{first}`help` says what can be done here", "dim"))


def _converse(shell: Shell, console: Console) -> int:
    """Until the user has had enough."""
    status = PASSED
    before = ""
    for line in _typed(shell) if sys.stdin.isatty() else _piped(shell, console):
        line = line.strip() or before
        try:
            if not shell.run(line):
                status = FAILED
        except KeyboardInterrupt:
            console.print(Text("interrupted", "red"))
        if shell.over:
            break
        before = line
    return PASSED if sys.stdin.isatty() else status


def _typed(shell: Shell) -> Iterator[str]:
    """What the user types at a terminal."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import FileHistory

    class Words(Completer):
        """Commands first; then names of servers, and what else a command takes."""

        def get_completions(self, document: Document, complete_event: object) -> Iterator[Completion]:
            words = document.text_before_cursor.split()
            begun = "" if document.text_before_cursor.endswith(" ") or not words else words.pop()
            for known in shell.completions(words):
                if known.startswith(begun):
                    yield Completion(known, -len(begun))

    runs_folder().mkdir(parents=True, exist_ok=True)
    history = FileHistory(str(runs_folder() / HISTORY))
    prompt: PromptSession[str] = PromptSession(history=history, completer=Words(), complete_while_typing=False)
    while True:
        try:
            yield prompt.prompt(shell.prompt)
        except EOFError:
            return
        except KeyboardInterrupt:
            continue


def _piped(shell: Shell, console: Console) -> Iterator[str]:
    """Commands from a file or another program, one a line or several with `;` between them. Each is shown."""
    for line in sys.stdin:
        for part in line.split(";"):
            if part.strip():
                console.print(Text(f"\n{shell.prompt}{part.strip()}", "bold"))
                yield part
