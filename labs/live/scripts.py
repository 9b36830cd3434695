"""A session saved: as a script of its commands, or as a graded test that does the same in both worlds."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any, Final

from labs.faults import EVIL, UNRELIABLE, Faults
from labs.history import Operation
from labs.live import language
from labs.live.acting import NOBODY
from labs.live.commands import group_servers, parts_of, read_odds
from labs.live.grammar import Arguments, BadCommand, joined
from labs.live.session import Entry, Session, Trouble
from labs.live.shapes import FIRST_CLERKS, Shape, Start
from labs.live.table import SESSION, Words, command

SHORTEST_PAUSE: Final = 0.15
"""Seconds between two commands that a script keeps at least."""
LONGEST_PAUSE: Final = 3.0
"""At most: whoever thinks longer than that does not wait for the servers."""
MARGIN: Final = 60.0
"""Seconds that a test may take longer than the session."""
MOST_NESTED: Final = 10
"""Scripts that run scripts."""


class ScriptFailed(BadCommand):
    """A line of a script could not be carried out. The text says which, and why."""


@dataclass(slots=True)
class Line:
    """A line of a script."""

    words: list[str]
    entry: Entry | None = None
    """Whose line it is. None: it waits for what the session had waited for."""


def lines_of(entries: Sequence[Entry]) -> Iterator[Line]:
    """The commands of a session, with the pauses between them: for a view that had come meanwhile, or for a time."""
    before: Entry | None = None
    waited: list[str] = []
    for entry in entries:
        if before is not None and before.ended is not None:
            gap = min(entry.began - before.ended, LONGEST_PAUSE)
            view = ["until", "view", *(name or NOBODY for name in entry.view or ())]
            if entry.view is not None and entry.view != before.view and view not in (waited, entry.words):
                waited = view
                yield Line(view)
            elif gap >= SHORTEST_PAUSE:
                yield Line(["wait", f"{gap:.1f}"])
        yield Line(entry.words, entry)
        before = entry
        waited = entry.words if entry.words[:2] == ["until", "view"] else waited


def as_script(session: Session) -> str:
    """The session as a script."""
    name = session.shape.suite.name
    text = [f"# A session of `lab up {name}`. To see it again: lab up {name}{_options(session.shape)} --script FILE"]
    for line in lines_of(session.entries):
        if line.entry is None:
            text.append(joined(line.words))
            continue
        text.append(f"# {line.entry.began:.2f} s")
        text.append(f"# {line.entry.line}" if line.entry.failed else line.entry.line)
        text += [f"#   {said}" for said in line.entry.said.splitlines()]
    return "\n".join(text) + "\n"


def _options(shape: Shape) -> str:
    """The options with which a cluster gets its shape, where they are not the usual ones."""
    return "".join(f" --{option} {number}" for option, number in shape.options)


# --- as a test -------------------------------------------------------------------------------------------------------

IMPORTS: Final = {
    "common.protocol": ("DoneUpTo", "Join", "Leave", "Move", "Ping", "Start", "Submit"),
    "labs.asking": ("Asking",),
    "labs.cluster": ("Cluster",),
    "labs.faults": ("EVIL", "UNRELIABLE", "Faults"),
    "labs.grading": ("graded",),
    "labs.live.acting": ("Player", "Stream", "held_request", "until_settled", "until_view"),
}
"""What a test may need, by the module that has it."""


@dataclass(slots=True)
class _Test:
    """A test that grows."""

    shape: Shape
    body: list[str] = field(default_factory=list)
    clerks: set[str] = field(default_factory=set)
    late: dict[str, Operation] = field(default_factory=dict)
    """Variables of operations that had no answer when the next command was given."""
    added: int = 0

    def add(self, code: str) -> None:
        self.body += code.splitlines()

    def start(self, start: Start) -> None:
        """A server is started."""
        self.add(f"await cluster.start({_code(start.role)}, {_code(start.name)}{_keywords(start.arguments)})")

    def clerk(self, name: str) -> str:
        """The variable of a clerk, which is started when it is first needed."""
        variable = _variable(name)
        if name not in self.clerks:
            self.clerks.add(name)
            self.add(f"{variable} = await cluster.clerk({_code(name)}{_keywords(self.shape.clerk or {})})")
        return variable

    def line(self, line: Line) -> None:
        """A line of the script."""
        found = language.find(self.shape.suite.name, joined(line.words))
        assert found is not None
        meant, arguments, _ = found
        if line.entry is not None and line.entry.failed:
            self.add(f"# {line.entry.line} failed: {line.entry.said.splitlines()[0]}")
        elif line.entry is not None and line.entry.operation is not None:
            self._operation(line.entry, line.entry.operation, arguments)
        elif line.words == ["until", "answered"]:
            self._finish()
        elif meant.in_test:
            if meant.name == "add":
                self.added += 1
            if "CLERK" in meant.usage:
                self.clerk(arguments.get("CLERK", [FIRST_CLERKS[0]])[0])
            self.add(_Code().vformat(meant.in_test, (), self._fields(arguments)))

    def _operation(self, entry: Entry, operation: Operation, arguments: Arguments) -> None:
        ck = self.clerk(operation.client)
        key, value = _code(operation.key), "" if operation.value is None else f", {_code(operation.value)}"
        if not entry.awaited:
            variable = f"late_{len(self.late) + 1}"
            self.late[variable] = operation
            self.add(f"{variable} = cluster.spawn({ck}.{operation.op}({key}{value}))")
        elif operation.op == "get":
            expected = arguments.get("VALUE", [operation.result or ""])[0]
            self.add(f"await asking.check({ck}, {key}, {_code(expected)})")
        else:
            self.add(f"await asking.{operation.op}({ck}, {key}{value})")

    def _finish(self) -> None:
        for variable, operation in self.late.items():
            if operation.return_ is not None:
                self.add(f"await asking.finish({variable}, {_code(f'{operation.op} by {operation.client}')})")
            else:
                self.add(f"{variable}.cancel()  # the session ended without an answer to it")
        self.late.clear()

    def _fields(self, arguments: Arguments) -> dict[str, Any]:
        """What the lines of tests may name in braces."""
        first: dict[str, Any] = {name: words[0] for name, words in arguments.items()}
        known = {name: "" if first.get(name) == NOBODY else first.get(name, "") for name in ("PRIMARY", "BACKUP")}
        fields = first | known
        fields["clerk_"] = _variable(first.get("CLERK", FIRST_CLERKS[0]))
        fields["player"] = f"player_{_variable(first.get('NAME', ''))}"
        fields["viewnum"] = first.get("VIEWNUM", "0")
        fields["groups"] = ", ".join(map(_code, parts_of(arguments.get("NAMES", []))))
        fields["faults"] = _faults(read_odds(arguments["ODDS"])) if "ODDS" in arguments else ""
        fields["sources"] = f", {_code([first['SRC']])}" if "SRC" in first else ""
        first_servers = sum(isinstance(each, Start) and each.role == "pbserver" for each in self.shape.opening)
        fields["added"] = f"pb-{first_servers + self.added}"
        dst = _code(first.get("DST"))
        fields["untap"] = f"tap({dst}, Faults(){fields['sources']})" if fields["sources"] else f"untap({dst})"
        fields["all_groups"] = _code(self.shape.groups)
        if "GROUP" in first:
            fields["servers"] = group_servers(self.shape.groups, int(first["GROUP"]), arguments)
        return fields

    def text(self, session: Session) -> str:
        """The whole file."""
        self._finish()
        suite = self.shape.suite
        body = "\n".join(f"    {each}" for each in self.body)
        imports = [
            f"from {module} import {', '.join(used)}"
            for module, names in IMPORTS.items()
            if (used := [name for name in names if re.search(rf"\b{name}\b", body) or name in ("Cluster", "graded")])
        ]
        return _FILE.format(
            suite=suite.name,
            imports="\n".join(imports),
            within=session.cluster.now() + MARGIN,
            body=body,
        )


_FILE: Final = '''"""A session of `lab up {suite}`, saved as a test: `lab test FILE`, or with `--world sim`.

What a Get gave in the session is what it has to give here. All answers are checked for linearizability, too.
"""

{imports}

SUITE = "{suite}"


@graded(part="live", points=0, within={within:.0f})
async def test_session(cluster: Cluster) -> None:
    """A session of lab up {suite}."""
{body}
'''


def as_test(session: Session) -> str:
    """The session as a file with a graded test."""
    test = _Test(session.shape)
    if session.shape.clerk is not None:
        test.add("asking = Asking(cluster)")
    for step in session.shape.opening:
        if isinstance(step, Start) and step.role == "clerk":
            test.clerk(step.name)
        elif isinstance(step, Start):
            test.start(step)
        else:
            test.line(Line(step.split()))
    for line in lines_of(session.entries):
        test.line(line)
    return test.text(session)


class _Code(Formatter):
    """Fills a line of code in; what has `!r` becomes code."""

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        return _code(value) if conversion == "r" else value


def _code(value: object) -> str:
    """A value as Python has it, with strings in double quotes."""
    match value:
        case str() if value.isprintable():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'
        case list():
            return f"[{', '.join(map(_code, value))}]"
        case dict():
            return f"{{{', '.join(f'{_code(key)}: {_code(each)}' for key, each in value.items())}}}"
    return repr(value)


def _keywords(arguments: Mapping[str, Any]) -> str:
    return "".join(f", {name}={_code(value)}" for name, value in arguments.items())


def _variable(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _faults(faults: Faults) -> str:
    if faults in (UNRELIABLE, EVIL):
        return "UNRELIABLE" if faults == UNRELIABLE else "EVIL"
    usual = Faults()
    changed = {name: getattr(faults, name) for name in faults.__slots__}
    return (
        f"Faults({', '.join(f'{name}={value!r}' for name, value in changed.items() if value != getattr(usual, name))})"
    )


# --- the commands ----------------------------------------------------------------------------------------------------


def save(session: Session, file: Path) -> None:
    """Writes the session as a test, if the file's name ends in `.py`, or else as a script. Raises `OSError`."""
    file.write_text(as_test(session) if file.suffix == ".py" else as_script(session))


@command(
    "save FILE",
    topic=SESSION,
    example="save old-primary.py",
    learn="Found something? As a test it runs in both worlds: lab test old-primary.py --world sim --seeds 100",
    recorded=False,
)
async def save_(words: Words) -> str:
    """Saves the session: as a script, or as a graded test if FILE ends in .py."""
    file = Path(words["FILE"])
    try:
        save(words.session, file)
    except OSError as error:
        raise BadCommand(f"cannot write {file}: {error.strerror}") from None
    return f"saved {len(words.session.entries)} commands in {file}"


@command(
    "run FILE",
    topic=SESSION,
    example="run old-primary.lab",
    learn="The same commands in the same order, with the same pauses. Does the same come of it?",
    recorded=False,
)
async def run_(words: Words) -> str:
    """Carries out the commands of a script."""
    file = Path(words["FILE"])
    if file.suffix == ".py":
        raise BadCommand(f"expected a script, but {file} is a test: lab test {file}")
    count = await run(words.session, file)
    return f"{count} commands of {file} were carried out"


async def run(session: Session, file: Path) -> int:
    """Carries out a script, and gives the number of its commands. Raises `ScriptFailed`."""
    try:
        lines = _read(file)
    except (OSError, UnicodeDecodeError) as error:
        raise BadCommand(f"cannot read {file}: {error}") from None
    if session.scripts >= MOST_NESTED:
        raise BadCommand(f"expected at most {MOST_NESTED} scripts that run each other: does {file} run itself?")
    session.scripts += 1
    count = 0
    try:
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            count += 1
            try:
                said = await language.carry_out(session, line)
            except Trouble as error:
                raise ScriptFailed(f"{file}, line {number}: {line.strip()}: {error}") from None
            session.say(f"> {line.strip()}" + (f"\n{said}" if said else ""))
    finally:
        session.scripts -= 1
    return count


def _read(file: Path) -> list[str]:
    return file.read_text().splitlines()
