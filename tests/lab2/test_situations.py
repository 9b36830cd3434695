"""Situations of Paxos as text: commands, each followed by what came of it.

    start PEER SEQ "value"      the application of a peer proposes; if the peer leads, its proposal sets out
    campaign PEER               a peer begins phase 1
    resend PEER                 a peer sends its standing proposals again
    widen PEER                  a peer asks everybody to accept where it has asked some only
    tell PEER                   a peer tells the others what they have not heard, or miss
    ask PEER OTHER SEQ          a peer asks another for its decisions from an instance on
    done PEER SEQ               the application of a peer needs nothing up to an instance
    restart PEER                a peer dies, and begins anew without memory
    deliver [WHICH]             what is under way arrives; not what is sent because of it
    settle                      everything arrives, and everybody tells, until all is quiet
    duplicate [WHICH]           it arrives, and stays under way: a copy will arrive later
    lose [WHICH]                it is lost, and who asked notices
    cut A B, deafen A, heal     links lose questions: between two peers, or all to one; none any more
    status SEQ, show PEER       what each peer knows of an instance; what one peer knows
    waiting                     what is under way

WHICH narrows it down: by sender and receiver, by kind, or both, as in `deliver 0->1 Accept`. In place of a peer may
stand `*`. `2.p1` is the ballot of peer 1's second round. After a change, write the expected parts anew, and read the
difference:

    pytest tests/lab2/test_situations.py --rewrite-situations
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.lab2.carrier import Message
from tests.lab2.world import Lines, World

SITUATIONS: Final = sorted((Path(__file__).parent / "situations").glob("*.txt"))
PEERS: Final = 3
LINK: Final = re.compile(r"([\d*])->([\d*])")
INDENT: Final = "    "


def matching(world: World, words: list[str]) -> list[Message]:
    """The messages under way that these words mean, in the order in which they were sent."""
    found = list(world.under_way)
    for word in words:
        link = LINK.fullmatch(word)
        if link is None:
            found = [message for message in found if type(message.body).__name__ == word]
        else:
            ends = [set(range(len(world.peers))) if end == "*" else {int(end)} for end in link.groups()]
            found = [message for message in found if message.src in ends[0] and message.dst in ends[1]]
    if not found:
        raise ValueError(f"nothing of that kind is under way; there is {[str(message) for message in world.under_way]}")
    return found


def settle(world: World) -> Iterator[str]:
    """Delivers everything until nobody has anything to say."""
    while True:
        while world.under_way:
            yield from world.deliver(world.under_way.pop(0))
        for me in range(len(world.peers)):
            yield from world.tell(me)
        if not world.under_way:
            return


def do(world: World, command: str) -> Lines:
    """What comes of one command."""
    verb, *words = shlex.split(command)
    peers = range(len(world.peers))
    match verb, words:
        case "start", [me, seq, value]:
            return world.start(int(me), int(seq), value.encode())
        case (("campaign" | "resend" | "widen" | "tell" | "restart" | "show"), [me]):
            lines: Lines = getattr(world, verb)(int(me))
            return lines
        case "ask", [me, other, first]:
            return world.ask(int(me), int(other), int(first))
        case "done", [me, seq]:
            return world.done(int(me), int(seq))
        case "status", [seq]:
            return world.status(int(seq))
        case "waiting", []:
            return [str(message) for message in world.under_way]
        case "settle", []:
            return list(settle(world))
        case (("deliver" | "lose" | "duplicate"), _):
            lines = []
            for message in matching(world, words):
                if verb != "duplicate":
                    world.under_way.remove(message)
                lines += world.lose(message) if verb == "lose" else world.deliver(message)
            return lines
        case "cut", [one, other]:
            world.cuts |= {(int(one), int(other)), (int(other), int(one))}
        case "deafen", [deaf]:
            world.cuts |= {(peer, int(deaf)) for peer in peers}
        case "heal", []:
            world.cuts.clear()
        case _:
            raise ValueError(f"expected a command (see the top of {Path(__file__).name}), got {command!r}")
    return []


def play(script: str) -> str:
    """The script with what comes of its commands now. Indented lines are what came of them before."""
    world = World(PEERS)
    lines = []
    for line in script.splitlines():
        if line.startswith(INDENT):
            continue
        lines.append(line)
        if line and not line.startswith("#"):
            lines += [INDENT + result for result in do(world, line)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda path: path.stem)
def test_what_comes_of_each_command_is_what_is_written(situation: Path, request: pytest.FixtureRequest) -> None:
    script = situation.read_text()
    played = play(script)
    if request.config.getoption("--rewrite-situations", False):
        situation.write_text(played)
    else:
        assert played.splitlines() == script.splitlines()


def test_there_are_situations() -> None:
    assert SITUATIONS


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda path: path.stem)
def test_a_situation_says_what_it_shows_and_what_it_guards(situation: Path) -> None:
    head = " ".join(line[1:].strip() for line in situation.read_text().partition("\n\n")[0].splitlines())
    assert re.search(r"Guards: .*“.+” \(.+\)", head), f"expected 'Guards: “sentence” (where)' at the top, got {head!r}"
