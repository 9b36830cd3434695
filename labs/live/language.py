"""What a line means, and doing it: for the prompt, for scripts and for the panel, from one table."""

from collections.abc import Mapping

from labs.live.acting import NOBODY
from labs.live.grammar import Arguments, BadCommand, completions, read, split
from labs.live.session import Entry, Session, Trouble
from labs.live.shapes import Start
from labs.live.table import COMMANDS, Command, Words, for_suite
from labs.texts import shown


def find(suite: str, line: str) -> tuple[Command, Arguments, list[str]] | None:
    """What a line means: its command, arguments and words. None if it is empty. Raises `BadCommand`."""
    words = split(line)
    if not words:
        return None
    named = [each for each in for_suite(suite) if each.name == words[0]]
    if not named:
        names = ", ".join(dict.fromkeys(each.name for each in for_suite(suite)))
        elsewhere = [each for each in COMMANDS if each.name == words[0]]
        where = f"; that one is for {' and '.join(elsewhere[0].suites)}" if elsewhere else ""
        raise BadCommand(f"expected a command ({names}), got {shown(words[0])}{where}")
    for each in named:
        for form in each.forms:
            arguments = read(form, words[1:])
            if arguments is not None:
                return each, arguments, words
    usages = " or ".join(f"`{each.usage}`" for each in named)
    raise BadCommand(f"expected {usages}, as in: {named[0].example}")


async def carry_out(session: Session, line: str) -> str:
    """Does what a line says, and gives the answer. Raises what is in `session.Trouble`."""
    found = find(session.shape.suite.name, line)
    if found is None:
        return ""
    meant, arguments, words = found
    if not meant.recorded:
        return await meant.action(Words(session, Entry(0.0, words), arguments))
    entry = session.entry(words)
    session.cluster.record("note", "", text=f"> {entry.line}")
    try:
        entry.said = await meant.action(Words(session, entry, arguments))
    except BadCommand:
        session.entries.remove(entry)
        raise
    except Trouble as error:
        entry.failed, entry.said = True, str(error)
        raise
    finally:
        entry.ended = session.cluster.now()
        if entry in session.entries:
            for follow in session.followers:
                follow(entry)
    return entry.said


async def open_session(session: Session) -> None:
    """Starts all that the session's shape has, and waits as it says."""
    for step in session.shape.opening:
        if isinstance(step, Start):
            await session.start(step)
        else:
            found = find(session.shape.suite.name, step)
            assert found is not None
            await found[0].action(Words(session, Entry(0.0, found[2]), found[1]))
    await session.look()
    session.watch()


def complete(session: Session, words: list[str]) -> list[str]:
    """What may come next after these words."""
    known = for_suite(session.shape.suite.name)
    if not words:
        return list(dict.fromkeys(each.name for each in known))
    choices = choices_of(session)
    found = [
        each
        for meant in known
        if meant.name == words[0]
        for form in meant.forms
        for each in completions(form, words[1:], choices)
    ]
    return list(dict.fromkeys(found))


def choices_of(session: Session) -> Mapping[str, list[str]]:
    """What each argument may be."""
    names = list(session.starts)
    keys = list(dict.fromkeys(operation.key for operation in session.cluster.history))
    groups = [str(gid) for gid in session.shape.groups]
    clerks = [*session.clerks, session.new_clerk()] if session.shape.clerk else []
    return {
        **dict.fromkeys(("SERVER", "SRC", "DST"), names),
        "NAMES": [*names, "|"],
        "PRIMARY": session.servers,
        "BACKUP": [*session.servers, NOBODY],
        "KEY": keys,
        "CLERK": clerks,
        "GROUP": groups,
        "SHARD": [str(shard) for shard in range(len(session.config.shards))] if session.config else [],
        "NAME": list(session.players),
        "ODDS": [
            "unreliable",
            "evil",
            "loss=10%",
            "reply-loss=20%",
            "duplicate=10%",
            "reorder=20%",
            "delay=0.1",
            "silent",
        ],
    }
