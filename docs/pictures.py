"""Draws the pictures of the assignments: `python docs/pictures.py`. Each is one SVG file beside the text that shows it.

They bring their own paper and their own colours for light and dark, so that they can be read on any page.
"""

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

ROOT: Final = Path(__file__).parents[1]

LIGHT: Final = {
    "paper": "#ffffff",
    "ink": "#1f2328",
    "faint": "#6e7781",
    "box": "#f3f5f8",
    "blue": "#0969da",
    "blue-box": "#ddf0ff",
    "green": "#1a7f37",
    "green-box": "#dafbe1",
    "red": "#cf222e",
    "red-box": "#ffebe9",
}
DARK: Final = {
    "paper": "#0d1117",
    "ink": "#e6edf3",
    "faint": "#9198a1",
    "box": "#1c222b",
    "blue": "#58a6ff",
    "blue-box": "#12294a",
    "green": "#3fb950",
    "green-box": "#12301c",
    "red": "#ff7b72",
    "red-box": "#431a1c",
}
SIZE: Final = 14
"""Pixels of a letter's height."""
HEAD: Final = 9
"""Pixels of an arrow's head."""


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


STYLE: Final = (
    f"svg{{{_variables(LIGHT)}}}@media(prefers-color-scheme:dark){{svg{{{_variables(DARK)}}}}}"
    f"text{{font:{SIZE}px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}}"
    f".code{{font:{SIZE - 1}px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace}}.bold{{font-weight:600}}"
    ".free{paint-order:stroke;stroke:var(--paper);stroke-width:5px;stroke-linejoin:round}"
)


class Picture:
    """One SVG in the making. Places are pixels from the upper left corner."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height = width, height
        self._parts = [f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>"]
        self._parts.append(f'<rect width="{width}" height="{height}" rx="8" fill="var(--paper)"/>')
        self._texts: list[str] = []
        """Above everything else."""

    def write(self, file: Path) -> None:
        """Writes it."""
        opening = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img">'
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join([opening, *self._parts, *self._texts, "</svg>"]) + "\n")

    def text(
        self, x: float, y: float, text: str, colour: str = "ink", kind: str = "free", anchor: str = "middle"
    ) -> None:
        """A line of text whose middle is at (x, y). `kind`: code or bold, and free where no box is behind it."""
        self._texts.append(
            f'<text x="{x:g}" y="{y + SIZE * 0.36:g}" text-anchor="{anchor}" class="{kind}" '
            f'fill="var(--{colour})">{escape(text)}</text>'
        )

    def box(self, x: float, y: float, width: float, height: float, lines: Iterable[str], colour: str = "") -> None:
        """A box with lines of text in its middle, the first of them bold."""
        fill, stroke = (f"{colour}-box", colour) if colour else ("box", "faint")
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="var(--{fill})" '
            f'stroke="var(--{stroke})" stroke-width="1.5"/>'
        )
        lines = list(lines)
        for number, line in enumerate(lines):
            at = y + height / 2 + (number - (len(lines) - 1) / 2) * (SIZE + 5)
            self.text(x + width / 2, at, line, kind="bold" if number == 0 else "")

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = "faint", dashed: bool = False) -> None:
        """A line."""
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="var(--{colour})" '
            f'stroke-width="1.5"{dashes}/>'
        )

    def arrow(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        label: str = "",
        colour: str = "ink",
        *,
        both: bool = False,
        dashed: bool = False,
        kind: str = "free",
        at: float = 0.5,
        above: float = 10,
    ) -> None:
        """An arrow, with a label beside its middle (or `at` another part of it), so many pixels `above` it."""
        self.line(x1, y1, x2, y2, colour, dashed)
        self._head(x1, y1, x2, y2, colour)
        if both:
            self._head(x2, y2, x1, y1, colour)
        if label:
            self.text(x1 + (x2 - x1) * at, y1 + (y2 - y1) * at - above, label, colour, kind)

    def _head(self, x1: float, y1: float, x2: float, y2: float, colour: str) -> None:
        angle = math.atan2(y2 - y1, x2 - x1)
        corners = [(x2, y2)]
        corners += [(x2 - HEAD * math.cos(angle + turn), y2 - HEAD * math.sin(angle + turn)) for turn in (-0.42, 0.42)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        self._parts.append(f'<polygon points="{points}" fill="var(--{colour})"/>')

    def cross(self, x: float, y: float) -> None:
        """Here a message was lost, or a server died."""
        for sign in (1, -1):
            self._parts.append(
                f'<line x1="{x - 7:g}" y1="{y - 7 * sign:g}" x2="{x + 7:g}" y2="{y + 7 * sign:g}" '
                'stroke="var(--red)" stroke-width="3"/>'
            )


class Sequence(Picture):
    """Who said what to whom, from top to bottom: a vertical line for each of those who speak."""

    def __init__(self, title: str, lanes: dict[str, int], width: int, height: int) -> None:
        super().__init__(width, height, title)
        self.lanes = lanes
        for name, x in lanes.items():
            self.line(x, 46, x, height - 14, dashed=True)
            self.box(x - 62, 14, 124, 32, [name])

    def say(
        self, y: float, source: str, to: str, label: str, colour: str = "ink", *, lost: bool = False, takes: float = 12
    ) -> None:
        """A message that leaves at y. A lost one ends in a cross, two thirds of the way."""
        x1, x2 = self.lanes[source], self.lanes[to]
        share = 0.66 if lost else 1.0
        end = x1 + (x2 - x1) * share, y + takes * share
        self.arrow(x1, y, *end, label, "red" if lost else colour, kind="code free", at=0.5 / share, above=11)
        if lost:
            self.cross(*end)

    def note(self, y: float, who: str, text: str, colour: str = "blue", right: bool = True) -> None:
        """What somebody thinks or does, beside their line."""
        x = self.lanes[who]
        self.text(x + (12 if right else -12), y, text, colour, anchor="start" if right else "end")


# --- the tutorial ----------------------------------------------------------------------------------------------------


def counter() -> Picture:
    """Harness, clerk and server."""
    picture = Picture(700, 130, "The harness asks the clerk, the clerk asks the server")
    picture.box(20, 40, 130, 56, ["harness", "plays the user"])
    picture.box(290, 40, 130, 56, ["clerk", "you write it"], "blue")
    picture.box(550, 40, 130, 56, ["server", "you write it"], "blue")
    picture.arrow(150, 68, 290, 68, "Increment", kind="code free")
    picture.arrow(420, 68, 550, 68, "Add", kind="code free")
    picture.text(485, 92, "may be lost", "red")
    picture.text(220, 92, "never lost", "green")
    return picture


def lost_reply() -> Picture:
    """The reason for everything."""
    picture = Sequence("A lost reply, and the same request again", {"clerk": 250, "server": 540}, 830, 280)
    picture.say(76, "clerk", "server", "Add(client 7, number 1)")
    picture.note(90, "server", "value: 1")
    picture.say(118, "server", "clerk", "Count(1)", lost=True)
    picture.note(150, "clerk", "no reply. Was it counted?", right=False)
    picture.say(182, "clerk", "server", "Add(client 7, number 1)")
    picture.note(194, "server", "number 1 of client 7 again:")
    picture.note(214, "server", "add nothing, say what I said")
    picture.say(240, "server", "clerk", "Count(1)", "green")
    picture.note(256, "clerk", "counted once", "green", right=False)
    return picture


# --- lab 1 -----------------------------------------------------------------------------------------------------------


def overview1() -> Picture:
    """Who speaks to whom in lab 1."""
    picture = Picture(850, 330, "View service, primary, backup, idle server and clerk, and what they say to each other")
    picture.box(30, 110, 150, 90, ["view service", "who is what?"], "blue")
    picture.box(370, 30, 150, 60, ["pb-1", "primary"], "green")
    picture.box(370, 135, 150, 60, ["pb-2", "backup"], "green")
    picture.box(370, 240, 150, 60, ["pb-3", "idle"])
    picture.box(690, 30, 130, 60, ["clerk"], "blue")
    picture.arrow(370, 66, 180, 135, both=True)
    picture.text(262, 76, "Ping, View", kind="code free")
    picture.arrow(370, 165, 180, 158, both=True)
    picture.text(285, 148, "Ping, View", kind="code free")
    picture.arrow(370, 264, 180, 180, both=True)
    picture.text(262, 246, "Ping, View", kind="code free")
    picture.arrow(445, 90, 445, 135, colour="green")
    picture.text(458, 112, "every operation, before it is answered", "green", anchor="start")
    picture.arrow(690, 60, 520, 60, "Get, Put, Append", kind="code free", above=12)
    picture.text(458, 217, "comes up when one is missing", "faint", anchor="start")
    picture.line(755, 90, 755, 316, dashed=True)
    picture.line(755, 316, 105, 316, dashed=True)
    picture.arrow(105, 316, 105, 200, colour="faint", dashed=True)
    picture.text(532, 298, "GetView, when nobody answers", "faint", anchor="start")
    return picture


def views() -> Picture:
    """How views follow each other."""
    picture = Picture(800, 210, "Four views: each follows when the primary of the one before has acknowledged it")
    steps = [
        ("view 1", "primary A", "backup none", ""),
        ("view 2", "primary A", "backup B", "B pings"),
        ("view 3", "primary B", "backup none", "A falls silent"),
        ("view 4", "primary B", "backup C", "C pings"),
    ]
    for number, (name, primary, backup, why) in enumerate(steps):
        x = 20 + number * 208
        picture.box(x, 56, 136, 84, [name, primary, backup], "green")
        if number:
            picture.arrow(x - 72, 98, x, 98)
            picture.text(x - 36, 34, why, "blue")
            picture.line(x - 36, 46, x - 36, 90, "blue", dashed=True)
        picture.text(x + 68, 160, f"{primary[-1]}: Ping({number + 1})", "faint", "code free")
    picture.text(400, 190, "No arrow before the primary has acknowledged the view that it leaves.", "ink")
    return picture


def stale_get() -> Picture:
    """Why a Get needs the backup."""
    lanes = {"clerk 1": 90, "A": 290, "view service": 440, "B": 600, "clerk 2": 770}
    picture = Sequence("A primary that was replaced without knowing it", lanes, 880, 330)
    picture.cross(365, 78)
    picture.text(365, 98, "cut off", "red")
    picture.note(78, "A", "primary of view 2", "green", right=False)
    picture.say(116, "view service", "B", "View(3, B, none)")
    picture.note(140, "B", "primary now", "green", right=False)
    picture.say(158, "clerk 2", "B", "Put(k, new)")
    picture.say(184, "B", "clerk 2", "Done", "green")
    picture.say(214, "clerk 1", "A", "Get(k)")
    picture.say(244, "A", "B", "still my backup?", "blue")
    picture.say(272, "B", "A", "NotBackup(3)", "blue")
    picture.say(298, "A", "clerk 1", "NotPrimary", "green")
    return picture


# --- lab 2 -----------------------------------------------------------------------------------------------------------


def layers() -> Picture:
    """The three layers, on three servers."""
    picture = Picture(840, 300, "Three servers, each with Paxos, a replicated state machine and a key/value service")
    for number in range(3):
        x = 60 + number * 170
        picture.box(x, 90, 130, 46, ["kvpaxos"], "green")
        picture.box(x, 152, 130, 46, ["rsm"], "blue")
        picture.box(x, 214, 130, 46, ["paxos"])
        if number:
            picture.arrow(x - 40, 237, x, 237, both=True)
        picture.box(x + 20, 16, 90, 34, ["clerk"])
        picture.arrow(x + 65, 50, x + 65, 90)
    picture.arrow(160, 50, 270, 90, colour="faint", dashed=True)
    picture.text(560, 33, "any clerk asks any server", "faint", anchor="start")
    picture.text(560, 113, "B  which operation came before?", "green", anchor="start")
    picture.text(560, 175, "B  one order, applied once by each", "blue", anchor="start")
    picture.text(560, 237, "A  one value for each number", "ink", anchor="start")
    picture.text(295, 280, "messages go only from layer to the same layer", "faint")
    return picture


def paxos() -> Picture:
    """One instance, with a rival's value that was accepted before."""
    lanes = {"proposer": 110, "acceptor 1": 330, "acceptor 2": 510, "acceptor 3": 690}
    picture = Sequence("One instance of Paxos: prepare, promise, accept, accepted", lanes, 800, 470)
    x = list(lanes.values())
    picture.text(690, 64, "accepted: (3, blue)", "blue")
    y = 92.0
    picture.text(220, y - 12, "Prepare(5)", kind="code free")
    for number, end in enumerate(x[1:]):
        picture.arrow(x[0], y, end, y + 8 + 8 * number)
    picture.text(220, y + 38, "Promise(5)", "green", "code free")
    picture.arrow(x[1], y + 40, x[0], y + 60, colour="green")
    picture.text(430, y + 62, "Promise(5), accepted (3, blue)", "green", "code free")
    picture.arrow(x[3], y + 56, x[0], y + 104, colour="green")
    picture.text(116, y + 132, "a majority has promised. One of them has", "blue", anchor="start")
    picture.text(116, y + 150, "accepted blue: so it has to be blue", "blue", anchor="start")
    y = 286.0
    picture.text(220, y - 12, "Accept(5, blue)", kind="code free")
    for number, end in enumerate(x[1:]):
        picture.arrow(x[0], y, end, y + 8 + 8 * number)
    picture.text(220, y + 36, "Accepted(5)", "green", "code free")
    for number, start in enumerate(x[1:3]):
        picture.arrow(start, y + 38 + 10 * number, x[0], y + 58 + 22 * number, colour="green")
    picture.text(116, y + 108, "a majority: decided", "blue", "bold free", anchor="start")
    y = 424.0
    picture.text(220, y - 10, "Decided(blue)", kind="code free")
    for number, end in enumerate(x[1:]):
        picture.arrow(x[0], y, end, y + 8 + 8 * number)
    return picture


def log() -> Picture:
    """The log of three replicas, with a hole."""
    picture = Picture(
        800, 250, "The log of three replicas: each applies what is decided, in order, up to the first hole"
    )
    values = ["Put a 1", "Append a 2", "Get a", "Append b x", "Put a 3"]
    knows = [[1, 1, 1, 1, 1], [1, 1, 1, 0, 1], [1, 0, 0, 0, 1]]
    for number in range(5):
        picture.text(210 + number * 118, 26, f"instance {number}", "faint")
    for row, known in enumerate(knows):
        y = 44 + row * 58
        picture.text(78, y + 20, f"replica {row + 1}", kind="bold")
        applied = known.index(0) if 0 in known else len(known)
        for number, value in enumerate(values):
            colour = "green" if number < applied else "blue" if known[number] else ""
            picture.box(156 + number * 118, y, 108, 40, [value if known[number] else "?"], colour)
    picture.text(156, 228, "green: applied", "green", anchor="start")
    picture.text(276, 228, "blue: decided, but waits for the hole before it", "blue", anchor="start")
    picture.text(606, 228, "?: not known here yet", "faint", anchor="start")
    return picture


# --- lab 3 -----------------------------------------------------------------------------------------------------------


def overview3() -> Picture:
    """Masters, groups and clerks."""
    picture = Picture(
        840, 380, "Shard masters hold the configuration; groups of replicas serve shards; clerks ask both"
    )
    picture.box(20, 40, 120, 50, ["operator"])
    picture.box(20, 130, 120, 50, ["clerk"], "blue")
    picture.box(370, 30, 190, 90, ["shard masters", "3 replicas, Paxos"], "blue")
    picture.arrow(140, 60, 370, 60, "Join, Leave, Move", kind="code free")
    picture.arrow(140, 146, 370, 100, "Query", kind="code free", above=12, at=0.42)
    shards = [1, 1, 1, 2, 2, 2, 2, 3, 3, 3]
    colours = {1: "green", 2: "blue", 3: "red"}
    picture.text(700, 24, "configuration 4", kind="bold")
    for shard, gid in enumerate(shards):
        x = 590 + shard * 22
        picture.text(x + 10, 46, str(shard), "faint")
        picture.box(x, 58, 20, 26, [str(gid)], colours[gid])
    picture.text(700, 102, "shard, and whose it is", "faint")
    for gid in (1, 2, 3):
        x = 150 + (gid - 1) * 230
        mine = [str(shard) for shard, owner in enumerate(shards) if owner == gid]
        picture.box(x, 232, 170, 96, [f"group {gid}", "3 replicas, Paxos", f"shards {' '.join(mine)}"], colours[gid])
        picture.arrow(x + 85 + (2 - gid) * 20, 232, 465 + (gid - 2) * 50, 120, colour="faint", dashed=True)
    picture.text(588, 160, "what is the next configuration?", "faint", anchor="start")
    picture.arrow(80, 180, 80, 280)
    picture.arrow(80, 280, 150, 280)
    picture.text(70, 300, "Get, Put, Append", kind="code free", anchor="middle")
    picture.arrow(320, 306, 380, 306, colour="green")
    picture.text(350, 346, "a shard moves", "green")
    picture.text(350, 364, "from group to group", "green")
    return picture


def move() -> Picture:
    """What may happen to a clerk whose shard moves."""
    lanes = {"clerk": 100, "group 1": 380, "group 2": 640}
    picture = Sequence("A request whose shard moves while its reply is lost", lanes, 860, 400)
    picture.note(68, "group 1", "serves shard 4", "green")
    picture.say(96, "clerk", "group 1", "Append(k, x), number 9")
    picture.note(112, "group 1", "executed, noted: number 9")
    picture.say(134, "group 1", "clerk", "Done", lost=True)
    picture.text(510, 172, "configuration 5: shard 4 to group 2", "faint")
    picture.line(380, 184, 640, 184, "faint", dashed=True)
    picture.note(204, "group 1", "serves it no longer", "red", right=False)
    picture.say(222, "group 1", "group 2", "keys, and who asked what", "blue")
    picture.note(244, "group 2", "serves shard 4", "green")
    picture.say(270, "clerk", "group 1", "Append(k, x), number 9")
    picture.say(302, "group 1", "clerk", "WrongGroup")
    picture.say(334, "clerk", "group 2", "Append(k, x), number 9")
    picture.note(348, "group 2", "number 9: has been done")
    picture.say(368, "group 2", "clerk", "Done", "green")
    return picture


PICTURES: Final = {
    "examples/counter/pictures/counter.svg": counter,
    "examples/counter/pictures/lost_reply.svg": lost_reply,
    "lab1_pbservice/pictures/overview.svg": overview1,
    "lab1_pbservice/pictures/views.svg": views,
    "lab1_pbservice/pictures/stale_get.svg": stale_get,
    "lab2_kvpaxos/pictures/layers.svg": layers,
    "lab2_kvpaxos/pictures/paxos.svg": paxos,
    "lab2_kvpaxos/pictures/log.svg": log,
    "lab3_shardkv/pictures/overview.svg": overview3,
    "lab3_shardkv/pictures/move.svg": move,
}
"""Each picture, by its file."""


def draw(folder: Path = ROOT) -> None:
    """Draws all of them."""
    for file, picture in PICTURES.items():
        picture().write(folder / file)


if __name__ == "__main__":
    draw(*map(Path, sys.argv[1:2]))
