"""What one can do to a live cluster: each command with what it does, what one learns by it, and how a test does it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from common.host import CallFailed
from common.protocol import (
    PING_INTERVAL,
    Decided,
    DoneUpTo,
    Forgotten,
    GetApplied,
    Join,
    Leave,
    Move,
    Number,
    Ping,
    Query,
    Status,
    Submit,
)
from common.protocol import Start as Propose
from labs import linearizability, stuck
from labs.cluster import NotInTime
from labs.faults import EVIL, UNRELIABLE, Faults
from labs.linearizability.words import describe
from labs.live.acting import NOBODY, Player, Stream, held_request, until_settled, until_view
from labs.live.grammar import Arguments, BadCommand
from labs.live.session import Session
from labs.live.shapes import FIRST_CLERKS, MASTER_CLERK, MASTERS, Start
from labs.live.state import SeenServer, config_text, odds_text
from labs.live.table import KEY_VALUE, PAXOS, SESSION, SHARDED, VIEWS, Words, command, known
from labs.texts import shown

LOG_LINES: Final = 20
SHOWN_HISTORY: Final = 20
SHOWN_INSTANCES: Final = 12
"""Lines that are shown unless more are asked for."""
ANSWERED_WITHIN: Final = 20.0
"""Seconds that `until answered` waits."""
LONGEST_WAIT: Final = 600.0

# --- asking ----------------------------------------------------------------------------------------------------------

OPERATIONS: Final = "Operations"


@command(
    "put KEY VALUE [by CLERK]",
    topic=OPERATIONS,
    suites=KEY_VALUE,
    example="put a hello",
    learn="A clerk asks the servers until one has answered. It is a process, too; ck-1 unless you name another.",
)
async def put(words: Words) -> str:
    """Makes VALUE the value of KEY."""
    return await words.session.operate(
        words.entry, words.get("CLERK", FIRST_CLERKS[0]), "put", words["KEY"], words["VALUE"]
    )


@command(
    "get KEY [by CLERK]",
    topic=OPERATIONS,
    suites=KEY_VALUE,
    example="get a by ck-2",
    learn="A key that was never written holds the empty string. Two clerks must never see time run backwards.",
)
async def get(words: Words) -> str:
    """Shows the value of KEY."""
    return await words.session.operate(words.entry, words.get("CLERK", FIRST_CLERKS[0]), "get", words["KEY"], None)


@command(
    "append KEY VALUE [by CLERK]",
    topic=OPERATIONS,
    suites=KEY_VALUE,
    example="append a x",
    learn="An append shows what a put hides: whether something was executed twice, or not at all.",
)
async def append(words: Words) -> str:
    """Adds VALUE to the end of the value of KEY."""
    return await words.session.operate(
        words.entry, words.get("CLERK", FIRST_CLERKS[0]), "append", words["KEY"], words["VALUE"]
    )


@command(
    "stream KEY [by CLERK]",
    topic=OPERATIONS,
    suites=KEY_VALUE,
    example="stream log by ck-2",
    learn="Break something while it goes on; `stop` then tells how long a client had to wait.",
    in_test="stream_{clerk_} = Stream({clerk_}, {KEY!r})",
)
async def stream(words: Words) -> str:
    """A clerk appends to KEY again and again, until you stop it."""
    session = words.session
    name = words.get("CLERK", FIRST_CLERKS[0])
    ck = await session.free_clerk(name)
    session.streams[name] = Stream(ck, words["KEY"])
    return f"{name} appends to {words['KEY']} until you say: stop {name}"


@command(
    "stop [CLERK]",
    topic=OPERATIONS,
    suites=KEY_VALUE,
    example="stop ck-2",
    learn="The longest wait is what clients saw of a failure: one time-out, one election, one new view.",
    in_test="await stream_{clerk_}.stop()",
)
async def stop(words: Words) -> str:
    """Ends a stream, and tells how it went."""
    session = words.session
    names = [words["CLERK"]] if "CLERK" in words.arguments else list(session.streams)
    if not names or names[0] not in session.streams:
        raise BadCommand(f"expected a clerk with a stream ({', '.join(session.streams) or 'there is none'})")
    told = []
    for name in names:
        stream = session.streams.pop(name)
        count = await stream.stop()
        told.append(
            f"{name} appended {count} times to {stream.key}; the longest it waited for an answer was "
            f"{stream.longest:.3f} s"
        )
    return "\n".join(told)


@command(
    "expect KEY VALUE [by CLERK]",
    topic=OPERATIONS,
    suites=KEY_VALUE,
    example='expect a "hello"',
    learn="With it a script is a test: it ends here if another value comes.",
)
async def expect(words: Words) -> str:
    """Gets KEY, and makes a fuss unless it holds VALUE."""
    said = await get(words)
    operation = words.entry.operation
    assert operation is not None
    if not words.entry.awaited:
        raise NotInTime(f"expected {shown(words['VALUE'])}: {said}")
    if operation.result != words["VALUE"]:
        raise BadCommand(f"expected {shown(words['VALUE'])}, got {shown(operation.result)}")
    return f"as expected: {said}"


@command(
    "history [KEY]",
    topic=OPERATIONS,
    suites=KEY_VALUE,
    example="history a",
    learn="What clients asked and were told, with times: this, and nothing else, is what a service is judged by.",
    recorded=False,
)
async def history(words: Words) -> str:
    """Lists what was asked and answered last."""
    key = words.get("KEY", "")
    found = [each for each in words.session.cluster.history if not key or each.key == key]
    lines = [
        describe(each) + (f" gave {shown(each.result)}" if each.result is not None else "")
        for each in found[-SHOWN_HISTORY:]
    ]
    left_out = [f"… {len(found) - len(lines)} before"] if len(found) > len(lines) else []
    return "\n".join([*left_out, *lines]) or "nothing was asked yet"


@command(
    "check",
    topic=OPERATIONS,
    suites=KEY_VALUE,
    example="check",
    learn="Could one server, doing one thing at a time, have given all these answers? That is linearizability.",
    recorded=False,
)
async def check(words: Words) -> str:
    """Judges all answers so far."""
    operations = list(words.session.cluster.history)
    verdict = await asyncio.to_thread(linearizability.check, operations)
    count = f"{len(operations)} operations"
    if verdict.ok:
        return f"linearizable ({count})"
    return f"not linearizable ({count}): {verdict.explanation}" if verdict.ok is False else verdict.explanation


# --- servers ---------------------------------------------------------------------------------------------------------

SERVERS: Final = "Servers"


@command(
    "status",
    topic=SERVERS,
    example="status",
    learn="Who is what. What servers tell by the protocol they are asked; who leads is seen from who asks whom.",
    recorded=False,
)
async def status(words: Words) -> str:
    """Shows all servers and clerks, and the links that are not as usual."""
    await words.session.look()
    seen = words.session.picture()
    width = max(len(server.name) for server in seen.servers)
    lines = [seen.headline, *(f"  {server.name:{width}}  {described(server)}" for server in seen.servers)]
    broken = [
        f"{link.src} → {link.dst}: "
        + ", ".join(
            filter(None, ["" if link.up else "cut", f"holds {len(link.held)}" if link.holds else "", link.odds])
        )
        for link in seen.links
        if not link.up or link.holds or link.odds
    ]
    return "\n".join([*lines, *(["links:"] * bool(broken)), *(f"  {line}" for line in broken)])


def described(server: SeenServer) -> str:
    """A server in a line."""
    state = "" if server.state == "running" else server.state
    return ", ".join(filter(None, [state, "deaf" * server.deaf, server.duty or server.role, server.detail]))


@command(
    "kill SERVER",
    topic=SERVERS,
    example="kill pb-1",
    learn="SIGKILL: whatever it knew is gone. Who notices, how soon, and by what?",
    in_test="await cluster.kill({SERVER!r})",
)
async def kill(words: Words) -> str:
    """Kills a process, as a power failure would."""
    name = words.server()
    if not words.session.cluster.running(name):
        raise BadCommand(f"expected a running server, but {name} is dead")
    await words.session.cluster.kill(name)
    words.session.paused.discard(name)
    return f"{name} is dead"


@command(
    "restart SERVER",
    topic=SERVERS,
    example="restart pb-1",
    learn="It comes back with an empty memory: nobody here writes to a disk. May it vote, may it answer?",
    in_test="await cluster.restart({SERVER!r})",
)
async def restart(words: Words) -> str:
    """Starts a dead process again, with nothing in its memory."""
    name = words.server()
    cluster = words.session.cluster
    cluster.bury()
    if cluster.running(name):
        raise BadCommand(f"expected a dead server, but {name} runs: kill it first")
    await cluster.restart(name)
    return f"{name} runs again, and has forgotten everything"


@command(
    "pause SERVER",
    topic=SERVERS,
    example="pause pb-1",
    learn="SIGSTOP. It is taken for dead, and wakes up as if nothing had happened: the most dangerous kind of server.",
    in_test="cluster.pause({SERVER!r})",
)
async def pause(words: Words) -> str:
    """Freezes a process. It keeps all that it has."""
    name = _running(words)
    words.session.cluster.pause(name)
    words.session.paused.add(name)
    return f"{name} stands still"


@command(
    "resume SERVER",
    topic=SERVERS,
    example="resume pb-1",
    learn="Ask it at once, before it can learn what has happened: `get a` with a clerk that knew it as primary.",
    in_test="cluster.resume({SERVER!r})",
)
async def resume(words: Words) -> str:
    """Lets a frozen process go on."""
    name = _running(words)
    words.session.cluster.resume(name)
    words.session.paused.discard(name)
    return f"{name} goes on"


@command(
    "add",
    topic=SERVERS,
    suites=("pbservice",),
    example="add",
    learn="A spare comes. It becomes backup when there is none, and gets all the data then.",
    in_test='await cluster.start("pbserver", {added!r}, viewserver="vs")',
)
async def add(words: Words) -> str:
    """Starts one more server."""
    session = words.session
    name = f"pb-{sum(start.role == 'pbserver' for start in session.starts.values()) + 1}"
    await session.start(Start("pbserver", name, {"viewserver": "vs"}))
    return f"{name} runs"


@command(
    "log SERVER [LINES]",
    topic=SERVERS,
    example="log pb-2 5",
    learn="What a server wrote, and between its lines what was done to it.",
    recorded=False,
)
async def log(words: Words) -> str:
    """Shows the end of a server's log."""
    name = words.server()
    count = words.number("LINES", 1) if "LINES" in words.arguments else LOG_LINES
    lines = words.session.cluster.log(name).splitlines()
    return "\n".join(lines[-count:]) or f"{name} has written nothing"


@command(
    "memory",
    topic=SERVERS,
    example="memory",
    learn="Put a megabyte, and see who keeps it. Does anybody keep it for ever?",
    recorded=False,
)
async def memory(words: Words) -> str:
    """Shows how much memory each process has for itself."""
    session = words.session
    names = [name for name in session.starts if session.cluster.running(name)]
    width = max(map(len, names), default=0)
    return "\n".join(f"{name:{width}}  {session.cluster.memory(name) / 1024**2:6.1f} MiB" for name in names)


@command(
    "stuck",
    topic=SERVERS,
    example="stuck",
    learn="For each server, the calls that it waits for and the line of code where each of its tasks stands.",
    recorded=False,
)
async def stuck_(words: Words) -> str:
    """Shows who waits for whom, and where in the code."""
    return await stuck.describe(words.session.cluster)


# --- the network -----------------------------------------------------------------------------------------------------

NETWORK: Final = "Network"


@command(
    "cut SRC DST",
    topic=NETWORK,
    example="cut pb-1 vs",
    learn="One way only. The socket file net/SRC/DST is deleted, so SRC can begin no more calls to DST.",
    in_test="cluster.cut({SRC!r}, {DST!r})",
)
async def cut(words: Words) -> str:
    """SRC can no longer call DST."""
    src, dst = _pair(words)
    words.session.cluster.cut(src, dst)
    return f"{src} cannot call {dst}" + (f"; {dst} can still call {src}" if _is_up(words, dst, src) else "")


@command(
    "join SRC DST",
    topic=NETWORK,
    example="join pb-1 vs",
    learn="The socket file is there again, and the next call finds it.",
    in_test="cluster.join({SRC!r}, {DST!r})",
)
async def join_link(words: Words) -> str:
    """SRC can call DST again."""
    src, dst = _pair(words)
    words.session.cluster.join(src, dst)
    return f"{src} can call {dst}"


@command(
    "partition NAMES...",
    topic=NETWORK,
    example="partition kv-0 kv-1 | kv-2 ck-1",
    learn="Which part goes on? Which part knows that it must not? Clerks that you do not name reach both.",
    in_test="cluster.partition({groups})",
)
async def partition(words: Words) -> str:
    """Parts the named servers: links are up exactly within each part."""
    parts = parts_of(words.arguments["NAMES"])
    for name in (each for part in parts for each in part):
        known(words.session, name)
    if len(parts) < 2:
        raise BadCommand("expected two parts or more, with | between them, as in: partition a b | c")
    words.session.cluster.partition(*parts)
    return " and ".join("{" + ", ".join(part) + "}" for part in parts) + " cannot reach each other"


@command(
    "isolate SERVER",
    topic=NETWORK,
    example="isolate kv-0",
    learn="Nobody reaches it, and it reaches nobody; it does not know whether it is alone or all others are dead.",
    in_test="for other in cluster.names:\n"
    "    if other != {SERVER!r}:\n"
    "        cluster.partition([{SERVER!r}], [other])",
)
async def isolate(words: Words) -> str:
    """Cuts all links from and to a server."""
    name = words.server()
    for other in words.session.starts:
        if other != name:
            words.session.cluster.partition([name], [other])
    return f"{name} is alone"


@command(
    "heal",
    topic=NETWORK,
    example="heal",
    learn="Everything should now be answered, sooner or later: that is liveness.",
    in_test="cluster.heal()",
)
async def heal(words: Words) -> str:
    """All links are up again. Taps stay."""
    words.session.cluster.heal()
    return "all links are up"


@command(
    "deafen SERVER",
    topic=NETWORK,
    example="deafen kv-0",
    learn="Its own socket file is deleted. It still speaks: a deaf primary goes on pinging.",
    in_test="cluster.deafen({SERVER!r})",
)
async def deafen(words: Words) -> str:
    """Nobody can call a server; it can still call others."""
    name = words.server()
    words.session.cluster.deafen(name)
    return f"nobody can call {name}"


@command(
    "undeafen SERVER",
    topic=NETWORK,
    example="undeafen kv-0",
    learn="It has missed what was said meanwhile. How does it catch up?",
    in_test="cluster.undeafen({SERVER!r})",
)
async def undeafen(words: Words) -> str:
    """Everybody can call it again."""
    name = words.server()
    words.session.cluster.undeafen(name)
    return f"{name} can be called"


@command(
    "tap DST [from SRC] ODDS...",
    topic=NETWORK,
    example="tap pb-1 loss=10% reply-loss=20% delay=0.05",
    learn="A lost request and a lost reply look the same to the caller, and only one of them was executed. ODDS: loss, "
    "reply-loss, duplicate, reorder, each =N%; delay=SECONDS; silent; or `unreliable`, as in the course, or `evil`.",
    in_test="cluster.tap({DST!r}, {faults}{sources})",
)
async def tap(words: Words) -> str:
    """Requests to DST (from SRC alone) are lost, delayed, doubled or disordered from now on."""
    faults = read_odds(words.arguments["ODDS"])
    dst = words.server("DST")
    sources = [words.server("SRC")] if "SRC" in words.arguments else None
    words.session.cluster.tap(dst, faults, sources)
    return f"{dst}, called by {sources[0] if sources else 'anybody'}: {odds_text(faults) or 'nothing happens'}"


@command(
    "untap DST [from SRC]",
    topic=NETWORK,
    example="untap pb-1",
    learn="Whatever was lost stays lost, unless somebody asks again.",
    in_test="cluster.{untap}",
)
async def untap(words: Words) -> str:
    """Nothing happens to requests to DST (from SRC alone) any more. What is held sets out."""
    dst = words.server("DST")
    sources = [words.server("SRC")] if "SRC" in words.arguments else None
    cluster = words.session.cluster
    for src in sources or [name for name in words.session.starts if name != dst]:
        cluster.release(src, dst)
    if sources is None:
        cluster.untap(dst)
    else:
        cluster.tap(dst, sources=sources)
    return f"requests reach {dst} as they were sent"


@command(
    "hold SRC DST",
    topic=NETWORK,
    example="hold pb-1 pb-2",
    learn="The requests wait at the tap: change the world meanwhile, and then let one of them arrive, late.",
    in_test="cluster.hold({SRC!r}, {DST!r})",
)
async def hold(words: Words) -> str:
    """Keeps back every request from SRC to DST."""
    src, dst = _pair(words)
    words.session.cluster.hold(src, dst)
    return f"requests from {src} to {dst} are held: see `held`"


@command(
    "release SRC DST",
    topic=NETWORK,
    example="release pb-1 pb-2",
    learn="A request that is old arrives in a new world. Is it recognised as old?",
    in_test="cluster.release({SRC!r}, {DST!r})",
)
async def release(words: Words) -> str:
    """Lets everything that is held from SRC to DST arrive."""
    src, dst = _pair(words)
    count = len(words.session.cluster.held(src, dst))
    words.session.cluster.release(src, dst)
    return f"{count} requests set out from {src} to {dst}"


@command(
    "held",
    topic=NETWORK,
    example="held",
    learn="What is on its way: each request has a number, for `deliver` and `drop`.",
    recorded=False,
)
async def held(words: Words) -> str:
    """Lists the requests that are held."""
    return (
        "\n".join(
            f"{link.src} → {link.dst}  {each.number}: {each.method}({each.params})"
            for link in words.session.picture().links
            for each in link.held
        )
        or "nothing is held"
    )


@command(
    "deliver SRC DST NUMBER",
    topic=NETWORK,
    example="deliver pb-1 pb-2 1",
    learn="One request arrives, in whatever order you like.",
    in_test="await held_request(cluster, {SRC!r}, {DST!r}, {NUMBER})\ncluster.deliver({SRC!r}, {DST!r}, {NUMBER})",
)
async def deliver(words: Words) -> str:
    """Lets one held request arrive."""
    src, dst = _pair(words)
    return await _one_held(words, lambda number: words.session.cluster.deliver(src, dst, number), "sets out")


@command(
    "drop SRC DST NUMBER",
    topic=NETWORK,
    example="drop pb-1 pb-2 1",
    learn="It is lost, and the caller learns that no reply will come: it cannot know which of the two was lost.",
    in_test="await held_request(cluster, {SRC!r}, {DST!r}, {NUMBER})\ncluster.drop({SRC!r}, {DST!r}, {NUMBER})",
)
async def drop(words: Words) -> str:
    """Loses one held request."""
    src, dst = _pair(words)
    return await _one_held(words, lambda number: words.session.cluster.drop(src, dst, number), "is lost")


async def _one_held(words: Words, do: Callable[[int], None], becomes: str) -> str:
    number = words.number("NUMBER", 1)
    src, dst = _pair(words)
    if words.session.cluster.link(src, dst).held:
        await held_request(words.session.cluster, src, dst, number)  # a script cannot look whether it is there already
    try:
        do(number)
    except ValueError as error:
        raise BadCommand(str(error)) from None
    return f"request {number} {becomes}"


# --- lab 1 -----------------------------------------------------------------------------------------------------------

LAB1: Final = "Views"


@command(
    "views",
    topic=LAB1,
    suites=VIEWS,
    example="views",
    learn="A view changes only after its primary has acknowledged it. Where did it have to wait?",
    recorded=False,
)
async def views(words: Words) -> str:
    """Lists the views that there were."""
    await words.session.look()
    return "\n".join(
        f"{when:8.3f} s  view {view.viewnum}: primary {view.primary or NOBODY}, backup {view.backup or NOBODY}"
        for when, view in words.session.views
    )


@command(
    "until view PRIMARY BACKUP",
    topic=LAB1,
    suites=VIEWS,
    example="until view pb-2 pb-3",
    learn="A server is dead when it has been silent for five ping intervals. Count.",
    in_test="await until_view(cluster, {PRIMARY!r}, {BACKUP!r})",
)
async def until_view_(words: Words) -> str:
    """Waits for a view with this primary and this backup (or `nobody`)."""
    primary, backup = ("" if words[which] == NOBODY else words[which] for which in ("PRIMARY", "BACKUP"))
    began = words.session.cluster.now()
    await until_view(words.session.cluster, primary, backup)
    return f"it came after {words.session.cluster.now() - began:.2f} s"


@command(
    "ping NAME [VIEWNUM]",
    topic=LAB1,
    suites=("viewservice",),
    example="ping a 0",
    learn="You are server NAME. 0 says that you have just started; the number of a view says that you know it.",
    in_test='await cluster.call("vs", Ping({NAME!r}, {viewnum}))',
)
async def ping(words: Words) -> str:
    """Sends one Ping to the view service, and shows the view that it answers."""
    viewnum = words.number("VIEWNUM") if "VIEWNUM" in words.arguments else 0
    cluster = words.session.cluster
    return str(await cluster.call("vs", Ping(words["NAME"], viewnum), timeout=1.0 * cluster.patience))


@command(
    "alive NAME",
    topic=LAB1,
    suites=("viewservice",),
    example="alive a",
    learn="A server that does nothing but ping: the first becomes primary, the second backup.",
    in_test="{player} = Player(cluster, {NAME!r})",
)
async def alive(words: Words) -> str:
    """From now on a server NAME pings, ten times a second, as a real one would."""
    session, name = words.session, words["NAME"]
    if name in session.players:
        raise BadCommand(f"{name} pings already")
    session.players[name] = Player(session.cluster, name)
    await session.cluster.sleep(2 * PING_INTERVAL)
    return f"{name} pings, and was told {session.players[name].view}"


@command(
    "silence NAME",
    topic=LAB1,
    suites=("viewservice",),
    example="silence a",
    learn="Half a second later it is dead. If it comes back, it has forgotten everything, and says so with a 0.",
    in_test="{player}.abandon()",
)
async def silence(words: Words) -> str:
    """The server NAME pings no more."""
    player = words.session.players.pop(words["NAME"], None)
    if player is None:
        raise BadCommand(f"expected a server that pings ({', '.join(words.session.players) or 'there is none'})")
    player.abandon()
    return f"{words['NAME']} is silent"


# --- lab 2 -----------------------------------------------------------------------------------------------------------

LAB2: Final = "Paxos"


@command(
    "instances",
    topic=LAB2,
    suites=PAXOS,
    example="instances",
    learn="Who knows of how many instances, and what was forgotten: only what every peer is done with.",
    recorded=False,
)
async def instances(words: Words) -> str:
    """Shows which instances each server knows of."""
    session = words.session
    await session.look()
    lines = []
    for server in session.picture().servers:
        if server.is_clerk or server.role == "shardkv":
            continue
        knows = "instance" in server.detail or "applied" in server.detail
        lines.append(
            f"{server.name}: {server.detail if knows else 'says nothing of its instances'}"
            + (f", {server.state}" if server.state != "running" else "")
        )
    if session.shape.suite.name == "paxos":
        lines += await _instance_table(session)
    return "\n".join(lines)


async def _instance_table(session: Session) -> list[str]:
    """The newest instances: what each peer says of them."""
    peers = [name for name in session.servers if session.cluster.running(name) and name not in session.paused]
    highest = max((_seq(session, name) for name in peers), default=-1)

    async def say(name: str, seq: int) -> str:
        try:
            answer = await session.cluster.peek(name, Status(seq), timeout=1.0 * session.cluster.patience)
        except CallFailed:
            return "?"
        match answer:
            case Decided(value):
                return shown(value)
            case Forgotten():
                return "forgotten"
        return "-"

    lines = []
    for seq in range(max(0, highest - SHOWN_INSTANCES + 1), highest + 1):
        told = await asyncio.gather(*(say(name, seq) for name in peers))
        lines.append(f"{seq:4}  " + "  ".join(f"{name} {each}" for name, each in zip(peers, told, strict=True)))
    return lines


def _seq(session: Session, name: str) -> int:
    highest = session.observed(name).answers.get("Max")
    return highest.seq if isinstance(highest, Number) else -1


@command(
    "propose SEQ VALUE at SERVER",
    topic=LAB2,
    suites=("paxos",),
    example="propose 0 blue at px-0",
    learn="Propose another value at another peer at once: one of the two wins, everywhere.",
    in_test="await cluster.call({SERVER!r}, Start({SEQ}, {VALUE!r}))",
)
async def propose(words: Words) -> str:
    """Start(SEQ, VALUE): a peer proposes a value for an instance."""
    await words.session.cluster.call(words.server(), Propose(words.number("SEQ"), words["VALUE"]))
    return f"{words['SERVER']} proposes {shown(words['VALUE'])} for instance {words['SEQ']}: see `instances`"


@command(
    "done SEQ at SERVER",
    topic=LAB2,
    suites=("paxos",),
    example="done 3 at px-0",
    learn="Nothing is forgotten until everybody is done with it, and everybody has heard that.",
    in_test="await cluster.call({SERVER!r}, DoneUpTo({SEQ}))",
)
async def done(words: Words) -> str:
    """Done(SEQ): the application at a peer needs nothing up to SEQ any more."""
    await words.session.cluster.call(words.server(), DoneUpTo(words.number("SEQ")))
    return f"{words['SERVER']} is done up to {words['SEQ']}"


@command(
    "submit OPERATION at SERVER",
    topic=LAB2,
    suites=("paxosrsm",),
    example="submit one at rsm-0",
    learn="The same list, in the same order, at every replica: see `applied`.",
    in_test="await cluster.call({SERVER!r}, Submit({OPERATION!r}))",
)
async def submit(words: Words) -> str:
    """A replica is given an operation, and answers when it has applied it."""
    cluster = words.session.cluster
    place = await cluster.call(words.server(), Submit(words["OPERATION"]), timeout=5.0 * cluster.patience)
    return f"it has place {place.index}"


@command(
    "applied",
    topic=LAB2,
    suites=("paxosrsm",),
    example="applied",
    learn="One may be behind, but no two may differ.",
    recorded=False,
)
async def applied(words: Words) -> str:
    """Shows the list of each replica."""
    cluster = words.session.cluster
    lines = []
    for name in words.session.servers:
        try:
            said = await cluster.peek(name, GetApplied(), timeout=1.0 * cluster.patience)
            lines.append(f"{name}: {' '.join(said.operations[-SHOWN_HISTORY:]) or '(nothing)'}")
        except CallFailed:
            lines.append(f"{name}: does not answer")
    return "\n".join(lines)


# --- lab 3 -----------------------------------------------------------------------------------------------------------

LAB3: Final = "Shards"


@command(
    "join GROUP [with SERVERS...]",
    topic=LAB3,
    suites=SHARDED,
    example="join 101",
    learn="The shards are shared out anew, and as few as possible change hands. Watch with `shards`.",
    in_test='await cluster.call("mck", Join({GROUP}, {servers!r}))',
)
async def join_group(words: Words) -> str:
    """A group comes, and gets its share of the shards."""
    gid = words.number("GROUP", 1)
    return await _change(words, Join(gid, group_servers(words.session.shape.groups, gid, words.arguments)))


@command(
    "leave GROUP",
    topic=LAB3,
    suites=SHARDED,
    example="leave 101",
    learn="Its shards go to the others. It must keep them until those have them for certain.",
    in_test='await cluster.call("mck", Leave({GROUP}))',
)
async def leave(words: Words) -> str:
    """A group goes, and gives its shards to the others."""
    return await _change(words, Leave(words.number("GROUP", 1)))


@command(
    "move SHARD GROUP",
    topic=LAB3,
    suites=SHARDED,
    example="move 3 101",
    learn="One shard changes hands, whatever balance there was.",
    in_test='await cluster.call("mck", Move({SHARD}, {GROUP}))',
)
async def move(words: Words) -> str:
    """A shard goes to a group."""
    return await _change(words, Move(words.number("SHARD"), words.number("GROUP", 1)))


async def _change(words: Words, change: Join | Leave | Move) -> str:
    before = words.session.config or await words.session.newest_config()
    try:
        await words.session.ask_masters(change)
        config = await words.session.newest_config()
    except CallFailed:
        raise CallFailed(
            f"the masters have not answered: a majority of {MASTERS} has to be reached by {MASTER_CLERK}, and by each "
            f"other; it goes on trying"
        ) from None
    return "nothing has changed" if config.num == before.num else config_text(config)


@command(
    "configurations",
    topic=LAB3,
    suites=SHARDED,
    example="configurations",
    learn="A configuration never changes; a change makes a new one. Groups follow them one by one.",
    recorded=False,
)
async def configurations(words: Words) -> str:
    """Lists the configurations, oldest first."""
    newest = await words.session.newest_config()
    first = max(0, newest.num - SHOWN_HISTORY + 1)
    configs = [await words.session.ask_masters(Query(num)) for num in range(first, newest.num)]
    return "\n".join(config_text(config) for config in [*configs, newest])


@command(
    "shards",
    topic=LAB3,
    suites=("shardkv",),
    example="shards",
    learn="serving, arriving, leaving, gone: at no moment may two groups serve a shard.",
    recorded=False,
)
async def shards(words: Words) -> str:
    """Shows which group owns each shard, and how far each group is with it."""
    session = words.session
    await session.look()
    lines = ["shard  owner  " + "  ".join(f"{f'group {gid}':16}" for gid in session.shape.groups)]
    for shard, owner, told in session.picture().shards:
        cells = [
            " ".join(dict.fromkeys(f"{told[name][0]}/{told[name][1]}" for name in names if name in told)) or "?"
            for names in session.shape.groups.values()
        ]
        lines.append(f"{shard:5}  {owner or '-':>5}  " + "  ".join(f"{cell:16}" for cell in cells))
    return "\n".join([*lines, "(state/keys; more than one where a group's servers are not equally far)"])


@command(
    "until settled",
    topic=LAB3,
    suites=("shardkv",),
    example="until settled",
    learn="A change is carried out when every shard is served by its owner, and nobody else has anything of it.",
    in_test="await until_settled(cluster, {all_groups})",
)
async def until_settled_(words: Words) -> str:
    """Waits until the newest configuration is carried out."""
    began = words.session.cluster.now()
    await words.session.newest_config()
    await until_settled(words.session.cluster, words.session.shape.groups)
    return f"it took {words.session.cluster.now() - began:.2f} s"


# --- the session -----------------------------------------------------------------------------------------------------


@command(
    "wait SECONDS",
    topic=SESSION,
    example="wait 1",
    learn="For scripts: nothing is done for so long.",
    in_test="await cluster.sleep({SECONDS})",
)
async def wait(words: Words) -> str:
    """Waits."""
    try:
        seconds = float(words["SECONDS"])
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        raise BadCommand(f"expected seconds from 0 to {LONGEST_WAIT:g}, got {words['SECONDS']!r}")
    await words.session.cluster.sleep(seconds)
    return ""


@command(
    "until answered",
    topic=SESSION,
    suites=KEY_VALUE,
    example="until answered",
    learn="For scripts: after a `heal`, say, everything under way should be answered.",
)
async def until_answered(words: Words) -> str:
    """Waits until no clerk waits for an answer (streams not counted)."""
    session = words.session
    within = ANSWERED_WITHIN * session.cluster.patience
    began = session.cluster.now()
    while session.pending:
        if session.cluster.now() - began > within:
            raise NotInTime(
                f"waited {within:g} s for an answer to {', '.join(map(describe, session.pending.values()))}"
            )
        await session.cluster.sleep(0.02)
    return "everything is answered"


# --- reading ---------------------------------------------------------------------------------------------------------


def parts_of(names: list[str]) -> list[list[str]]:
    """Names with | between them, as parts."""
    parts: list[list[str]] = [[]]
    for name in names:
        if name == "|":
            parts.append([])
        else:
            parts[-1].append(name)
    return [part for part in parts if part]


_ODDS: Final = {"loss": "request_lost", "reply-loss": "reply_lost", "duplicate": "duplicate", "reorder": "reorder"}
MOST_DELAY: Final = 60.0


def read_odds(words: list[str]) -> Faults:
    """The odds that these words say. Raises `BadCommand`."""
    faults = Faults()
    for word in words:
        name, _, value = word.partition("=")
        if word in ("unreliable", "evil"):
            faults = UNRELIABLE if word == "unreliable" else EVIL
        elif word == "silent":
            faults = replace(faults, silent=True)
        elif name == "delay":
            faults = replace(faults, delay=_fraction(value, word, MOST_DELAY))
        elif name in _ODDS:
            share = value.removesuffix("%")
            most = 100.0 if share != value else 1.0
            odds: dict[str, Any] = {_ODDS[name]: _fraction(share, word, most) / most}
            faults = replace(faults, **odds)
        else:
            raise BadCommand(
                f"expected {', '.join(f'{each}=N%' for each in _ODDS)}, delay=SECONDS, silent, unreliable or evil, "
                f"got {shown(word)}"
            )
    return faults


def _fraction(text: str, word: str, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise BadCommand(f"expected a number from 0 to {most:g}, got {shown(word)}")
    return number


def group_servers(groups: Mapping[int, list[str]], gid: int, arguments: Arguments) -> list[str]:
    """The servers of a group that joins. One that has no servers here gets names that nobody has."""
    return arguments.get("SERVERS") or groups.get(gid) or [f"g{gid}-{number}" for number in range(3)]


def _running(words: Words) -> str:
    name = words.server()
    if not words.session.cluster.running(name):
        raise BadCommand(f"expected a running server, but {name} is dead")
    return name


def _pair(words: Words) -> tuple[str, str]:
    src, dst = words.server("SRC"), words.server("DST")
    if src == dst:
        raise BadCommand(f"expected two servers, got {src} twice (to cut a server off from everybody: deafen {src})")
    return src, dst


def _is_up(words: Words, src: str, dst: str) -> bool:
    return words.session.cluster.link(src, dst).up
