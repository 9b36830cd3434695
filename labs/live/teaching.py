"""`help`, and experiments: what to try, step by step, and what there is to see."""

from dataclasses import dataclass
from typing import Final

from labs.live.grammar import BadCommand
from labs.live.table import SESSION, Command, Words, command, for_suite


@dataclass(frozen=True, slots=True)
class Step:
    """A line to type, and what to look for then."""

    line: str
    see: str


@dataclass(frozen=True, slots=True)
class Experiment:
    """A small guided experiment."""

    name: str
    suites: tuple[str, ...]
    question: str
    steps: tuple[Step, ...]


EXPERIMENTS: Final = (
    Experiment(
        "failover",
        ("pbservice",),
        "How long does a client wait when the primary dies, and is anything lost or done twice?",
        (
            Step("stream log by ck-2", "a clerk appends twenty times a second"),
            Step("wait 1", ""),
            Step("kill pb-1", "the primary is gone, and the append that was on its way has no answer"),
            Step("until view pb-2 pb-3", "five pings late: pb-2 becomes primary, and the spare gets all the data"),
            Step("stop ck-2", "the longest wait is the time from the last ping to the new view, and a bit"),
            Step("get log by ck-2", "every number once, none missing"),
            Step("check", "and no clerk was told anything that one single server could not have said"),
        ),
    ),
    Experiment(
        "old-primary",
        ("pbservice",),
        "Does a primary that has been replaced without noticing still answer?",
        (
            Step("put a old", "ck-1 now knows the primary"),
            Step("isolate pb-1", "it cannot ping, and hears nothing"),
            Step("join ck-1 pb-1", "but the clerk ck-1 still reaches it …"),
            Step("cut ck-1 vs", "… and nobody else who could tell it the news"),
            Step("until view pb-2 pb-3", "the others have a new primary"),
            Step("put a new by ck-2", "a clerk that knows it writes"),
            Step(
                "get a by ck-1", "no answer is right; `old` would be a stale read: the mistake of many first solutions"
            ),
            Step("heal", "and now it is answered: by whom?"),
            Step("until answered", ""),
            Step("check", "linearizable, if pb-1 kept silent"),
        ),
    ),
    Experiment(
        "late-message",
        ("pbservice",),
        "What if a message of the old primary arrives when its receiver is primary itself?",
        (
            Step("hold pb-1 pb-2", "what the primary forwards to its backup waits on the way"),
            Step("append a x", "no answer: the backup has to know first"),
            Step("held", "there it is"),
            Step("kill pb-1", "the primary dies before it learns anything"),
            Step("until view pb-2 pb-3", "its backup is primary, and has executed the append, which was repeated"),
            Step("release pb-1 pb-2", "and now the old message arrives"),
            Step("until answered", ""),
            Step("get a", "one x, and not two"),
        ),
    ),
    Experiment(
        "dead-view-service",
        ("pbservice",),
        "What still works without the view service?",
        (
            Step("put a 1", ""),
            Step("kill vs", "nobody can change views any more"),
            Step("put a 2", "a clerk that knows the primary may not need the view service at all"),
            Step("kill pb-1", "but now"),
            Step("get a", "there is nobody who could say that pb-2 is primary: one process was the whole service"),
        ),
    ),
    Experiment(
        "acknowledge",
        ("viewservice",),
        "Why does a view have to be acknowledged?",
        (
            Step("alive a", "the first to ping is primary of view 1"),
            Step("alive b", "the second becomes its backup"),
            Step("ping c 0", "a third is spare"),
            Step("silence a", "the primary dies"),
            Step("until view b nobody", "the backup takes over, since it has all the data"),
            Step("ping d 0", "a server that has just started knows nothing, so it may be backup, never primary"),
            Step("views", "which view waited for whom?"),
        ),
    ),
    Experiment(
        "minority",
        ("kvpaxos",),
        "What does a server do that is cut off with a minority?",
        (
            Step("put a 1 by ck-2", "any server takes it"),
            Step("status", "who leads? seen from who asks whom"),
            Step("partition kv-0 ck-1 | kv-1 kv-2 ck-2", "kv-0 is alone with the clerk ck-1"),
            Step("put a 2 by ck-1", "no answer: a minority can decide nothing"),
            Step("get a by ck-2", "still 1, at once: the majority goes on"),
            Step("heal", ""),
            Step("until answered", "and now the put is decided, after the get"),
            Step("get a by ck-2", ""),
            Step("check", "in which order could one server have done all this?"),
        ),
    ),
    Experiment(
        "leader",
        ("kvpaxos",),
        "What does the death of the leader cost?",
        (
            Step("stream log", "a clerk appends; soon `status` says who leads"),
            Step("wait 1", ""),
            Step("status", ""),
            Step("kill kv-0", "or whoever leads"),
            Step("wait 1", ""),
            Step("status", "another one leads: it got the promise of a majority, once, for all instances to come"),
            Step("stop ck-1", "the longest wait is what it cost"),
            Step("check", ""),
        ),
    ),
    Experiment(
        "duel",
        ("paxos",),
        "Two peers propose different values for the same instance. Which one wins?",
        (
            Step("partition px-0 | px-1 px-2", "px-0 cannot reach a majority"),
            Step("propose 0 red at px-0", "nothing comes of it"),
            Step("propose 0 blue at px-1", "a majority is there"),
            Step("instances", "blue, where anybody knows"),
            Step("heal", ""),
            Step("wait 1", ""),
            Step("instances", "px-0 has learnt blue, though it has proposed red all the time"),
        ),
    ),
    Experiment(
        "same-order",
        ("paxosrsm",),
        "Do all replicas apply the same operations in the same order?",
        (
            Step("submit one at rsm-0", ""),
            Step("isolate rsm-2", ""),
            Step("submit two at rsm-1", "a majority is enough"),
            Step("applied", "rsm-2 is behind"),
            Step("heal", ""),
            Step("wait 1", ""),
            Step("applied", "and has caught up"),
        ),
    ),
    Experiment(
        "balance",
        ("shardmaster", "shardkv"),
        "How are shards shared out, and how many change hands?",
        (
            Step("configurations", "what there is"),
            Step("join 101", "half of the shards go to the new group, and no others move"),
            Step("join 102", "a third of them"),
            Step("leave 101", "its shards go to those who have fewest"),
            Step("configurations", "each differs from the one before by as little as possible"),
        ),
    ),
    Experiment(
        "handover",
        ("shardkv",),
        "What do clients notice while shards change hands?",
        (
            Step("stream a", "key a is in shard 7: bytes modulo ten"),
            Step("shards", "group 100 serves everything"),
            Step("join 101", "five shards go to group 101"),
            Step("until settled", ""),
            Step("shards", "each shard is served by one group, and gone at the other"),
            Step("stop ck-1", "the longest wait is the handover: nobody served the shard for so long"),
            Step("check", "nothing was lost or done twice on the way"),
        ),
    ),
    Experiment(
        "stopped-handover",
        ("shardkv",),
        "What if the group that gets a shard cannot be reached?",
        (
            Step("put a 1", ""),
            Step(
                "partition kv-100-0 kv-100-1 kv-100-2 | kv-101-0 kv-101-1 kv-101-2",
                "the groups cannot reach each other",
            ),
            Step("join 101", "by the new configuration, group 101 owns shards whose data it does not have"),
            Step("wait 1", ""),
            Step("shards", "leaving here, arriving there: the right to serve has one owner, or none, never two"),
            Step("get a by ck-2", "no answer, if shard 7 is among them"),
            Step("heal", ""),
            Step("until settled", ""),
            Step("until answered", ""),
        ),
    ),
)


@command(
    "help [COMMAND]",
    topic=SESSION,
    example="help hold",
    learn="Everything is in here. After that: `experiments`.",
    recorded=False,
)
async def help_(words: Words) -> str:
    """Explains a command, or lists them all."""
    suite = words.session.shape.suite.name
    known = for_suite(suite)
    if "COMMAND" not in words.arguments:
        return overview(known)
    meant = [each for each in known if each.name == words["COMMAND"]]
    if not meant:
        raise BadCommand(f"expected a command ({', '.join(dict.fromkeys(each.name for each in known))})")
    return "\n\n".join(map(explained, meant))


def overview(known: list[Command]) -> str:
    """All commands, by topic."""
    width = max(len(each.usage) for each in known)
    lines = []
    for topic in dict.fromkeys(each.topic for each in known):
        lines += ["", topic]
        lines += [f"  {each.usage:{width}}  {each.does}" for each in known if each.topic == topic]
    return "\n".join(
        [*lines[1:], "", "`help COMMAND` has an example and what one learns by it; `experiments` has more."]
    )


def explained(meant: Command) -> str:
    """One command."""
    return f"{meant.usage}\n  {meant.does}\n  {meant.learn}\n  For example: {meant.example}"


def experiments_of(suite: str) -> list[Experiment]:
    """The experiments that there are for a suite."""
    return [each for each in EXPERIMENTS if suite in each.suites]


@command(
    "experiments [EXPERIMENT]",
    topic=SESSION,
    example="experiments failover",
    learn="Guess before each step what you will see. What surprises you is worth a test.",
    recorded=False,
)
async def experiments(words: Words) -> str:
    """Lists small guided experiments, or shows the steps of one."""
    known = experiments_of(words.session.shape.suite.name)
    if "EXPERIMENT" not in words.arguments:
        width = max(len(each.name) for each in known)
        return "\n".join(
            [*(f"{each.name:{width}}  {each.question}" for each in known), "`experiments NAME` has the steps."]
        )
    for each in known:
        if each.name == words["EXPERIMENT"]:
            width = max(len(step.line) for step in each.steps)
            steps = [f"  {step.line:{width}}  {step.see}".rstrip() for step in each.steps]
            return "\n".join([each.question, *steps])
    raise BadCommand(f"expected an experiment ({', '.join(each.name for each in known)})")
