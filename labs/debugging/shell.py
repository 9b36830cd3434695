"""The terminal of `lab debug`: reads commands, has the session do them, shows what came of it."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from labs.debugging.divergence import COARSE, Parting, partings, simple
from labs.debugging.messages import Flight, ServerLook, TaskLook
from labs.debugging.session import Difference, Refused, Session, differences, labelled, server_in
from labs.debugging.timeline import Moment, Timeline, Wanted, is_fault, is_operation, message_to
from labs.schedules import describe
from labs.texts import visible
from labs.traces.events import Event

AROUND: Final = 5
"""Moments before and after this one that `events` shows."""
COMMON: Final = 3
"""The last moments that two runs have in common, as `diverge` shows them."""
APART: Final = 4
"""The first moments after those."""
PARTINGS: Final = 6
"""Of those who first do something else: the earliest ones."""
DIFFERENCES: Final = 8
"""Changes of state that a step shows."""

STYLES: Final = {
    "lose request": "red",
    "lose reply": "red",
    "fail": "red",
    "crash": "bold red",
    "kill": "red",
    "cut": "red",
    "hold": "red",
    "pause": "red",
    "join": "green",
    "release": "green",
    "resume": "green",
    "call": "bold cyan",
    "answer": "bold cyan",
    "log": "yellow",
    "note": "dim",
}


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that a user can ask for."""

    names: tuple[str, ...]
    usage: str
    help: str
    """What it does, in a line."""
    more: str
    """What else is to be known, for `help COMMAND`."""
    do: Callable[["Shell", list[str]], None]


class Shell:
    """One user at a terminal."""

    def __init__(self, session: Session, console: Console, saved: Callable[[Path], str]) -> None:
        self.session = session
        self.console = console
        self.over = False
        """Whether the user has left."""
        self._save = saved
        """Writes the run as a schedule, and tells the command that plays it."""
        self._seen: dict[str, tuple[int, ServerLook]] = {}
        """Each server's state as it was shown last, and where."""

    # --- commands ----------------------------------------------------------------------------------------------------

    def run(self, line: str) -> bool:
        """Does what a line says. Whether it could be done."""
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            self._refuse(f"this line cannot be read: {error}")
            return False
        if not words:
            return True
        command = find_command(words[0])
        try:
            if command is None:
                raise Refused(f"expected a command, got {words[0]!r}; `help` lists them")
            command.do(self, words[1:])
        except Refused as error:
            self._refuse(str(error))
            return False
        return True

    def _refuse(self, text: str) -> None:
        self.console.print(Text(text, "red"))

    @property
    def prompt(self) -> str:
        """Where the user is."""
        session = self.session
        return f"{session.place}/{len(session.timeline)} {max(0.0, session.timeline.time(session.place)):.4f} s> "

    def completions(self, words: list[str]) -> list[str]:
        """What may be typed after these words."""
        if not words:
            return [command.names[0] for command in COMMANDS]
        match find_command(words[0]):
            case Command(names=("next" | "last" | "until", *_)):
                return ["op", "fault", "failure", *self.names()]
            case Command(names=("state" | "where" | "log", *_)):
                return self.names()
            case Command(names=("deliver" | "drop" | "delay", *_)):
                return [label for label, flight in labelled(self.session.look.flights).items() if flight.choice]
            case Command(names=("help", *_)):
                return self.completions([])
        return []

    # --- moving ------------------------------------------------------------------------------------------------------

    def step(self, words: list[str]) -> None:
        self.session.step(_count(words))
        self.show()

    def back(self, words: list[str]) -> None:
        self.session.step(-_count(words))
        self.show()

    def next(self, words: list[str]) -> None:
        self._find(words, back=False)

    def last(self, words: list[str]) -> None:
        self._find(words, back=True)

    def _find(self, words: list[str], back: bool) -> None:
        if not words:
            self.session.step(-1 if back else 1)
        else:
            wanted, what = self._wanted(words)
            self.session.find(wanted, what, back)
        self.show()

    def _wanted(self, words: list[str]) -> tuple[Wanted, str]:
        """What somebody means who looks for this."""
        what = " ".join(words)
        if what == "fault":
            return is_fault, "fault"
        if what == "op":
            return is_operation, "operation of a client"
        if what in self.names():
            return message_to(what), f"message that reaches {what}"
        words_of = self.session.timeline.words
        return lambda event: what in words_of(event), f"event with {what!r} in it"

    def names(self) -> list[str]:
        """All servers and clerks of the run."""
        events = (event for moment in self.session.timeline.moments for event in moment.events)
        return list(dict.fromkeys(event.src for event in events if event.kind == "start"))

    def until(self, words: list[str]) -> None:
        if len(words) == 1 and (seconds := _seconds(words[0])) is not None:
            self.session.go(self.session.timeline.at_time(seconds))
            self.show()
        elif words == ["failure"]:
            self.failure([])
        elif words:
            self._find(words, back=False)
        else:
            raise Refused("expected a time in seconds, `failure`, or what `next` takes")

    def goto(self, words: list[str]) -> None:
        if len(words) != 1:
            raise Refused("expected the number of a moment, a time such as 1.5s, `start` or `end`")
        word = words[0]
        if word in ("start", "end"):
            self.session.go(0 if word == "start" else len(self.session.timeline))
        elif word.endswith("s") and (seconds := _seconds(word[:-1])) is not None:
            self.session.go(self.session.timeline.at_time(seconds))
        else:
            self.session.go(_number(word))
        self.show()

    def failure(self, words: list[str]) -> None:
        if self.session.timeline.outcome.status == "passed":
            raise Refused("this run passes; another seed may fail, or another choice")
        self.session.go(self.session.failure)
        self.show()

    # --- showing -----------------------------------------------------------------------------------------------------

    def show(self) -> None:
        """The moment that has just been, and what it changed."""
        session = self.session
        moment = session.timeline.at(session.place)
        if moment is None:
            self.console.print("the beginning: nothing has happened yet")
            return
        self._moment(session.place, moment)
        before, after = session.look_at(session.place - 1), session.look
        old = {server.name: server for server in before.servers if server.fields}
        found = [
            (server.name, difference)
            for server in after.servers
            if server.name in old and server.state != "killed"
            for difference in differences(old[server.name], server)
        ]
        for name, difference in found[:DIFFERENCES]:
            self.console.print(_difference(name, difference))
        if len(found) > DIFFERENCES:
            self.console.print(Text(f"{'':>23}… and {len(found) - DIFFERENCES} more changes", "dim"))
        if session.place == len(session.timeline):
            self.verdict()

    def verdict(self) -> None:
        """How the run ends."""
        outcome = self.session.timeline.outcome
        if outcome.status == "passed":
            self.console.print(Text("the end: the test passes", "bold green"))
        else:
            self.console.print(Text(f"the end: {outcome.status}", "bold red"))
            for line in outcome.message.splitlines():
                self.console.print(Text(visible(line), "red"))

    def _moment(self, at: int, moment: Moment, here: bool = False, timeline: Timeline | None = None) -> None:
        for number, event in enumerate(_without_tracebacks(moment.events)):
            head = f"{at:>6} {moment.time:10.4f} s  " if number == 0 else f"{'':>6} {'':>10}    "
            words = (timeline or self.session.timeline).words(event)
            self.console.print(Text.assemble((head, "bold" if here else "dim"), (words, STYLES.get(event.kind, ""))))

    def events(self, words: list[str]) -> None:
        session = self.session
        around = _count(words, AROUND)
        for at in range(max(1, session.place - around), min(len(session.timeline), session.place + around) + 1):
            moment = session.timeline.at(at)
            assert moment is not None
            self._moment(at, moment, here=at == session.place)
            if at == session.place:
                self.console.print(Text(f"{'':>6} {'you are here':-^60}", "bold"))

    def state(self, words: list[str]) -> None:
        look = self.session.look
        known = {server.name for server in look.servers}
        named = [word for word in words if word in known or word in self.names()]
        parts = [word for word in words if word not in named]
        servers = [server_in(look, name) for name in named] or [s for s in look.servers if s.state != "killed"]
        if not servers:
            raise Refused("no server runs yet; `step` goes on")
        if parts and not any(part in path for server in servers for path, _ in server.fields for part in parts):
            raise Refused(f"expected the name of a server or a clerk ({', '.join(known)}), or a part of its state")
        for server in servers:
            self._server(server, parts)

    def _server(self, server: ServerLook, parts: list[str]) -> None:
        """With `parts`, only what has one of these in its name."""
        at, before = self._seen.get(server.name, (None, None))
        self._seen[server.name] = self.session.place, server
        since = "" if at is None or at == self.session.place else f", changes since moment {at}"
        self.console.print(Text.assemble((server.name, "bold"), f" ({server.role}, {server.state}{since})"))
        changed = {each.path: each for each in differences(before, server)} if before is not None else {}
        for path, value in server.fields:
            if parts and not any(part in path for part in parts):
                continue
            self.console.print(
                Text.assemble(f"  {path} = ", (value, "bold yellow"), _was(changed[path]))
                if path in changed
                else Text(f"  {path} = {value}")
            )
        for difference in changed.values():
            if difference.after is None:
                self.console.print(Text(f"  {difference.path} is gone, was {difference.before}", "yellow"))
        if parts:
            return
        for call in server.calls:
            self.console.print(Text(f"  waits for {call}", "cyan"))
        for task in server.tasks:
            self._task(task, last=True)

    def where(self, words: list[str]) -> None:
        look = self.session.look
        if words:
            for name in words:
                for task in server_in(look, name).tasks:
                    self._task(task, last=False)
            return
        if not look.test:
            self.console.print("the test is over")
        for task in look.test:
            self._task(task, last=False)
        for operation in look.operations:
            self.console.print(Text(f"  not answered yet: {operation}", "cyan"))

    def _task(self, task: TaskLook, last: bool) -> None:
        self.console.print(Text(f"  task {task.name}", "dim"))
        for (file, line, function), text in task.places[-1:] if last else task.places:
            self.console.print(Text(f"    {_short(file)}:{line} in {function}: {text}", "dim" if last else ""))

    def flight(self, words: list[str]) -> None:
        flights = labelled(self.session.look.flights)
        if not flights:
            self.console.print("nothing is on its way")
            return
        table = Table("", "From", "To", "What", "Arrives", "", box=None, pad_edge=False)
        now = self.session.timeline.time(self.session.place)
        for label, flight in flights.items():
            table.add_row(f"#{label}", flight.src, flight.dst, self._message(flight), *_arrival(flight, now))
        self.console.print(table)

    def _message(self, flight: Flight) -> str:
        if flight.what == "notice":
            return f"no reply to {flight.method} will come"
        moments = self.session.timeline.moments[: self.session.place]
        kind = "request" if flight.what == "request" else "reply"
        sent = (each for moment in moments for each in moment.events if each.kind == kind and each.id == flight.id)
        event = next(sent, None)
        said = flight.method if event is None else self.session.timeline.words(event)
        return said.partition(": ")[2].partition(" sets out")[0] + f" (reply to {flight.method})" * (kind == "reply")

    def timers(self, words: list[str]) -> None:
        table = Table("At", "Who", "What", box=None, pad_edge=False)
        for timer in self.session.look.timers:
            table.add_row(f"{timer.when:.4f} s", timer.who, Text(timer.what))
        self.console.print(table)

    def links(self, words: list[str]) -> None:
        for line in self.session.look.cuts or ["everybody who runs can call everybody"]:
            self.console.print(Text(line))

    def log(self, words: list[str]) -> None:
        if not words:
            raise Refused(f"expected a name: {', '.join(self.names())}")
        for name in words:
            for line in server_in(self.session.look, name).log:
                self.console.print(Text(line))

    # --- choosing ----------------------------------------------------------------------------------------------------

    def deliver(self, words: list[str]) -> None:
        (label,) = _words(words, 1, "the number of a message on its way, as `flight` shows it")
        self._chosen(self.session.deliver(label).words)

    def drop(self, words: list[str]) -> None:
        (label,) = _words(words, 1, "the number of a message on its way, as `flight` shows it")
        self._chosen(self.session.drop(label).words)

    def delay(self, words: list[str]) -> None:
        label, later = _words(words, 2, "the number of a message on its way, and by how many milliseconds")
        milliseconds = _seconds(later.removesuffix("ms"))
        if milliseconds is None:
            raise Refused(f"expected a number of milliseconds, got {later!r}")
        self._chosen(self.session.delay(label, milliseconds / 1000).words)

    def undo(self, words: list[str]) -> None:
        self._chosen(f"no longer: {self.session.undo().words}")

    def _chosen(self, words: str) -> None:
        status = self.session.timeline.outcome.status
        self._seen = {}
        self.console.print(
            Text.assemble(
                (words, "bold"),
                "; with that the test ",
                ("passes", "bold green") if status == "passed" else (f"has {status}", "bold red"),
                f" after {self.session.timeline.outcome.virtual_seconds:.3f} s",
            )
        )

    def choices(self, words: list[str]) -> None:
        if not self.session.changes:
            self.console.print("nothing was chosen: the run is what its seed gives")
        for number, change in enumerate(self.session.changes, 1):
            self.console.print(Text(f"{number}. at moment {change.place}: {change.words}"))

    def save(self, words: list[str]) -> None:
        (file,) = _words(words, 1, "a file to write")
        self.console.print(f"replay  {self._save(Path(file))}", soft_wrap=True)

    # --- beside other runs -------------------------------------------------------------------------------------------

    def diverge(self, words: list[str]) -> None:
        if words:
            self._beside_seed(_number(_words(words, 1, "the number of another seed")[0]))
            return
        with self.console.status("looking for the nearest run that passes") as status:
            found = self.session.nearest(status.update)
        if found is None:
            raise Refused(
                "this run fails even when every message takes the shortest time and nothing happens that need not:"
                " no chance is needed for it. `diverge SEED` compares it with another seed's run"
            )
        self.console.print(f"The nearest run that passes ({found.runs} runs tried) is this one with another outcome of")
        self.console.print(Text(f"  here   {describe(found.choice).strip()}", "red"))
        self.console.print(Text(f"  there  {describe(simple(found.choice)).strip()}", "green"))
        if not found.alone:
            self.console.print("  and all later choices as simple as they can be")
        here, there = self.session.timeline, found.timeline
        same = here.same_until(there)
        self.console.print(Text(f"\nBoth are the same up to moment {same}, {here.time(same):.4f} s:", "bold"))
        for at in range(max(1, same - COMMON + 1), same + 1):
            self._moment(at, here.moments[at - 1])
        for name, timeline, style in (("here", here, "bold red"), ("there", there, "bold green")):
            self.console.print(Text(f"then {name}", style))
            for at in range(same + 1, min(same + APART, len(timeline)) + 1):
                self._moment(at, timeline.moments[at - 1], timeline=timeline)
        self._partings(partings(here, there), there)

    def _beside_seed(self, seed: int) -> None:
        there = self.session.other_seed(seed)
        self.console.print(f"seed {seed} has {there.outcome.status} after {there.outcome.virtual_seconds:.3f} s")
        self.console.print("Of two seeds the messages take different times, so only what is said and done is compared.")
        self._partings(partings(self.session.timeline, there, lambda event: event.kind in COARSE), there)

    def _partings(self, found: list[Parting], there: Timeline) -> None:
        if not found:
            self.console.print("\nNobody does anything else, only at other times.")
            return
        here = self.session.timeline
        self.console.print(Text("\nWho first does something else, and what:", "bold"))
        for parting in found[:PARTINGS]:
            self.console.print(
                Text(f"{parting.who}, at moment {parting.here}, {here.time(parting.here):.4f} s", "bold")
            )
            for name, event, timeline, style in (
                ("here ", parting.event, here, "red"),
                ("there", parting.other, there, "green"),
            ):
                said = "nothing more" if event is None else timeline.words(event)
                self.console.print(Text(f"  {name}  {said}", style))
        if len(found) > PARTINGS:
            self.console.print(Text(f"… and {len(found) - PARTINGS} more", "dim"))

    # --- help --------------------------------------------------------------------------------------------------------

    def help(self, words: list[str]) -> None:
        if words:
            command = find_command(words[0])
            if command is None:
                raise Refused(f"there is no command {words[0]!r}; `help` lists them")
            self.console.print(Text.assemble((command.usage, "bold"), f"\n{command.help}\n{command.more}".rstrip()))
            return
        table = Table(box=None, pad_edge=False, show_header=False)
        for command in COMMANDS:
            table.add_row(Text(command.usage, "bold"), Text(command.help))
        self.console.print(table)
        self.console.print(Text(TEACHING))

    def quit(self, words: list[str]) -> None:
        self.over = True


TEACHING: Final = """
A run is a row of moments. What happens in one moment happens at once; `step` goes to the next one and shows what it
changed in the servers. Begin at the end: `failure` goes where it shows that the run fails, `last pb-1` back to what
reached the server pb-1 before that, `state pb-1` shows what it knew then. `flight` lists the messages on their way:
`deliver` one of them next, or `drop` it, and see what becomes of the test. `help COMMAND` says more."""


COMMANDS: Final = (
    Command(("step", "s"), "step [N]", "one moment on, or N", "An empty line does the last command again.", Shell.step),
    Command(("back", "b"), "back [N]", "one moment back, or N", "", Shell.back),
    Command(
        ("next", "n"),
        "next WHAT",
        "on to the next message to a server, op, fault, or text",
        "next pb-1      a request or a reply reaches pb-1, or it learns that none will come\n"
        "next op        a client asks for something, or has its answer\n"
        "next fault     a server is killed or paused, a link is cut, a message is lost, …\n"
        "next Forward   an event with this text in it: a method, a value, a number such as #57, a word of a log",
        Shell.next,
    ),
    Command(("last", "l"), "last WHAT", "the same, backward", "", Shell.last),
    Command(
        ("until", "u"),
        "until SECONDS",
        "on or back to a time; `until failure` as well",
        "until 1.5      all that happens up to 1.5 s is over then",
        Shell.until,
    ),
    Command(
        ("failure", "f"),
        "failure",
        "to where it shows that the run fails",
        "Of a history that is not linearizable that is the answer which nothing explains; otherwise it is the end.",
        Shell.failure,
    ),
    Command(("goto", "g"), "goto N", "to moment N, to a time (1.5s), to `start` or `end`", "", Shell.goto),
    Command(("events", "e"), "events [N]", "the N moments before and after this one", "", Shell.events),
    Command(
        ("state", "p"),
        "state [NAME…] [PART…]",
        "what servers know, wait for and do",
        "What has changed since you last looked at a server is marked, with what it was.\n"
        "state pb-1 view      of pb-1, only what has `view` in its name",
        Shell.state,
    ),
    Command(
        ("where", "w"),
        "where [NAME…]",
        "the line of the test, or of servers, that waits",
        "With a name: every line of each of its tasks, from the outermost to the one that waits.",
        Shell.where,
    ),
    Command(
        ("flight", "m"),
        "flight",
        "the messages on their way",
        "Each has the number of its call, by which `deliver`, `drop` and `delay` know it.",
        Shell.flight,
    ),
    Command(("timers", "t"), "timers", "what will happen by itself", "", Shell.timers),
    Command(("links",), "links", "which links are cut or held", "", Shell.links),
    Command(("log",), "log NAME", "what a server has written so far", "", Shell.log),
    Command(
        ("deliver",),
        "deliver NUMBER",
        "lets a message arrive next",
        "The run goes on from there as that makes it, with all else drawn from the seed as before.\n"
        "Going back keeps the choice; `undo` takes it back.",
        Shell.deliver,
    ),
    Command(
        ("drop",),
        "drop NUMBER",
        "lets a message never arrive",
        "Nobody is told: whoever waits for it waits until its own patience ends.",
        Shell.drop,
    ),
    Command(("delay",), "delay NUMBER MS", "lets a message arrive so many milliseconds later", "", Shell.delay),
    Command(("choices",), "choices", "what you have chosen", "", Shell.choices),
    Command(("undo",), "undo", "takes the last choice back", "", Shell.undo),
    Command(
        ("diverge",),
        "diverge [SEED]",
        "where this failing run first parts from one that passes",
        "Without a seed, the nearest passing run is looked for: this one with fewer choices left to chance.\n"
        "It takes some seconds. With a seed, what is said and done in its run is compared with this one.",
        Shell.diverge,
    ),
    Command(
        ("save",),
        "save FILE",
        "keeps this run, with what you chose",
        "`lab replay FILE` runs exactly this again, and `lab debug TEST --schedule FILE` steps through it.",
        Shell.save,
    ),
    Command(("help", "h", "?"), "help [COMMAND]", "this, or more about a command", "", Shell.help),
    Command(("quit", "q"), "quit", "leave", "", Shell.quit),
)


def find_command(name: str) -> Command | None:
    """The command of that name, or the only one whose name begins so."""
    begun = [command for command in COMMANDS if command.names[0].startswith(name)]
    named = [command for command in COMMANDS if name in command.names]
    found = named or begun
    return found[0] if len(found) == 1 else None


# --- words -----------------------------------------------------------------------------------------------------------


def _words(words: list[str], count: int, expected: str) -> list[str]:
    if len(words) != count:
        raise Refused(f"expected {expected}")
    return words


def _count(words: list[str], usual: int = 1) -> int:
    return _number(_words(words, 1, "one number")[0]) if words else usual


def _number(word: str) -> int:
    try:
        number = int(word)
    except ValueError:
        raise Refused(f"expected a number, got {word!r}") from None
    if number < 0:
        raise Refused(f"expected a number of at least 0, got {word}")
    return number


def _seconds(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _without_tracebacks(events: Sequence[Event]) -> Iterator[Event]:
    """What a server writes of its own end is in its log, and in the verdict."""
    crashed = {event.src for event in events if event.kind == "crash"}
    dying: set[str] = set()
    for event in events:
        if event.kind == "log" and event.src in crashed and event.text.startswith("Traceback"):
            dying.add(event.src)
        if event.kind != "log" or event.src not in dying:
            yield event


def _short(file: str) -> str:
    return "/".join(Path(file).parts[-3:])


def _was(difference: Difference) -> str:
    return "  (new)" if difference.before is None else f"  (was {difference.before})"


def _difference(name: str, difference: Difference) -> Text:
    path, before, after = difference
    line = Text(f"{'':>23}{name}.{path}: ", "dim")
    if before is None:
        return line.append(f"{after}", "yellow").append(" (new)")
    if after is None:
        return line.append(f"{before} is gone", "yellow")
    return line.append(before).append(" → ").append(after, "yellow")


def _arrival(flight: Flight, now: float) -> tuple[str, str]:
    if flight.arrives is None:
        return "", flight.why
    return f"{flight.arrives:.4f} s, in {1000 * (flight.arrives - now):.1f} ms", flight.why
