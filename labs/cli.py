"""The `lab` command. What a subcommand does stands in a module of its own, imported when it is asked for."""

import errno
import io
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from labs.confidence import POLICIES
from labs.usage import BAD_USAGE, INTERRUPTED, PASSED, BadUsage, discard

EXISTING_FOLDER = click.Path(path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


class _Factor(click.FloatRange):
    """A number by which something can be multiplied, so neither infinite nor none at all."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        factor = super().convert(value, param, ctx)
        return factor if math.isfinite(factor) else self.fail(f"{value} is not a number above 0.", param, ctx)


PATIENCE = _Factor(min=0, min_open=True)
STEPS = "Give up a search, where one is needed, after so many steps; without this it goes on until it knows."


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(package_name="distributed-systems-labs")
@click.pass_context
def lab(context: click.Context) -> None:
    """The distributed-systems labs: run, break and check your servers.

    Exit status: 0 all passed, 1 some test failed, 2 bad usage, 3 inconclusive.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@lab.command()
@click.argument("targets", nargs=-1, metavar="[LAB, SUITE or FILE]...")
@click.option(
    "-k", "keyword", metavar="EXPR", help="Only tests whose names match: a part of the name, `and`, `or`, `not`."
)
@click.option(
    "--world",
    type=click.Choice(["process", "sim", "both"]),
    default="process",
    show_default=True,
    help="Real processes, the simulation with virtual time, or both.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    metavar="N",
    help="Simulate each test with N seeds; not for real processes.  [default: 20]",
)
@click.option("--seed", type=int, metavar="K", help="The first seed; without --seeds, the only one.")
@click.option(
    "--repeat", type=click.IntRange(min=1), metavar="N", help="Run each test N times in real processes.  [default: 1]"
)
@click.option(
    "--until-confident",
    is_flag=True,
    help="Run each test in real processes until it is known whether one can rely on it to pass.",
)
@click.option(
    "--policy",
    type=click.Choice(POLICIES),
    default="all",
    show_default=True,
    help="Which runs in real processes have to pass for a test's points; weighted: as many points as runs.",
)
@click.option(
    "-n", "workers", type=click.IntRange(min=0), metavar="WORKERS", help="Tests at once; 0 is one, in this process."
)
@click.option(
    "--submission", type=EXISTING_FOLDER, metavar="DIR", help="Test the lab packages in DIR, not the reference."
)
@click.option("--json", "json", type=NEW_FILE, metavar="FILE", help="Write the results as JSON.")
@click.option("--junit", type=NEW_FILE, metavar="FILE", help="Write the results as JUnit XML.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="The run's folder.  [default: runs/TIME-ID]"
)
@click.option(
    "--trace/--no-trace",
    default=None,
    help="Record every message between real processes, by taps on all links, or never do; by default a test that failed"
    " is run once more for that.",
)
@click.option(
    "--patience",
    type=PATIENCE,
    default=1.0,
    metavar="F",
    help="Stretch the bounds of waits by F, on a slow machine.",
)
@click.option("--sandbox", is_flag=True, help="Keep the servers from all but what they need (docs/sandbox.md).")
@click.option(
    "--limits",
    metavar="NAME=SIZE,...",
    help="What servers in the sandbox may use, such as memory=1GiB,processes=100; also files, disk, output.",
)
@click.option("--watch", is_flag=True, help="Run them again after each change of the code: first what failed last.")
def test(watch: bool, **options: object) -> int:
    """Run the graded tests of labs, suites or files: all, if none is named.

    \b
    lab test lab1                                   one lab
    lab test pbservice -k unreliable                some tests of a suite
    lab test lab1 --submission ../mine              on your own code
    lab test viewservice --world sim --seeds 1000   a thousand schedules
    lab test viewservice -k first_backup --world sim --seed 1742   one of them again
    lab test viewservice --submission ../mine --watch   again after each change, first what failed last
    """
    from labs import testing

    request = testing.Request(**options)  # type: ignore[arg-type]
    if not watch:
        return testing.run(request)
    from labs import watching

    return watching.watch(request)


@lab.command()
@click.argument("name", metavar="LAB")
@click.argument("folder", type=EXISTING_FOLDER, metavar="DIR")
def new(name: str, folder: Path) -> int:
    """Make a starting point for LAB in DIR: the assignment, and a skeleton to fill in.

    \b
    lab new lab1 mine                    makes mine/lab1_pbservice
    lab test lab1 --submission mine      everything fails, and says what is still to be written
    """
    from labs import handout

    package = handout.new(name, folder)
    click.echo(f"{package} is there; begin with {package / 'README.md'}, then: lab test {name} --submission {folder}")
    return PASSED


@lab.command("handout")
@click.argument("folder", type=EXISTING_FOLDER, metavar="DIR")
@click.option("--github", is_flag=True, help="With a workflow that grades each push, for GitHub Classroom.")
@click.option("--gradescope", is_flag=True, help="Make DIR/autograder.zip for Gradescope instead.")
@click.option("--lab", multiple=True, metavar="LAB or SUITE", help="What these two grade by.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="What a submission may take there.")
@click.option("--reference", multiple=True, metavar="LAB", help="A lab whose reference goes into autograder.zip.")
def handout_(
    folder: Path,
    github: bool,
    gradescope: bool,
    lab: tuple[str, ...],
    seconds: float | None,
    reference: tuple[str, ...],
) -> int:
    """Make a repository for students in DIR: assignments, skeletons, graded tests and the ./lab command.

    \b
    lab handout course                              to be put where students get it
    lab handout course --github --lab lab1          with .github/workflows/classroom.yml
    lab handout staff --gradescope --lab lab1       staff/autograder.zip, to be uploaded to Gradescope
    """
    from labs import handout
    from labs.handout import autograders

    if gradescope and github:
        raise BadUsage("expected --gradescope or --github, got both: the one is for staff, the other for students")
    if gradescope:
        click.echo(f"{autograders.gradescope(folder, lab, seconds, reference)} is ready for Gradescope")
        return PASSED
    if reference or (not github and (lab or seconds)):
        raise BadUsage("--lab and --seconds are for --gradescope and --github, --reference is for --gradescope")
    handout.handout(folder)
    if github:
        click.echo(f"{autograders.github(folder, lab, seconds)} grades each push")
    click.echo(f"{folder} is ready for students; begin with {folder / 'README.md'}")
    return PASSED


def by_these_means(command: Callable[..., int]) -> Callable[..., int]:
    """The options that `grade` and `regrade` share."""
    options = (
        click.option(
            *("-n", "at_once"),
            type=click.IntRange(min=1),
            metavar="AT_ONCE",
            help="Submissions at once.  [default: as many as this machine bears]",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="Tests at once, of each submission.  [default: 1, and more where there are few submissions]",
        ),
        click.option(
            "--seconds",
            type=click.FloatRange(min=0, min_open=True),
            help="Seconds that a submission may take; what had run by then counts.  [default: 3600]",
        ),
        click.option(
            "--limits",
            metavar="NAME=SIZE,...",
            help="What a submission may use, such as memory=1GiB,processes=100; also files, disk, output.",
        ),
        click.option("--no-sandbox", "sandbox", flag_value=False, default=True, help="Trust the submissions."),
        click.option("--cluster", metavar="ADDRESS", help="The address of a Dask scheduler: its workers grade."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@lab.command()
@click.argument("sources", nargs=-1, type=click.Path(path_type=Path), metavar="[SUBMISSION]...")
@click.option("--out", type=EXISTING_FOLDER, required=True, metavar="DIR", help="Where all results go.")
@click.option(
    "--lab", multiple=True, metavar="LAB or SUITE", help="What they are graded by.  [default: what they have]"
)
@click.option("--roster", type=EXISTING_FILE, metavar="CSV", help="Who is graded: a table with id, name and path.")
@click.option("-k", "keyword", metavar="EXPR", help="Only tests whose names match.")
@click.option("--repeat", type=click.IntRange(min=1), metavar="N", help="Run each test N times.  [default: 1]")
@click.option("--until-confident", is_flag=True, help="Run each test until it is known whether one can rely on it.")
@click.option("--policy", type=click.Choice(POLICIES), default="all", show_default=True, help="As of `lab test`.")
@click.option("--patience", type=PATIENCE, default=1.0, metavar="F", help="As of `lab test`.")
@by_these_means
@click.option("--gradescope", type=NEW_FILE, metavar="FILE", help="Gradescope's results of a single submission.")
@click.option("--github", is_flag=True, help="Tell GitHub Classroom the points of a single submission.")
def grade(**options: object) -> int:
    """Grade submissions, side by side: folders, archives, or a folder that holds them.

    \b
    lab grade submissions/ --out grades --lab lab1
    lab grade alice.zip bob/ --out grades
    lab grade --roster class.csv --out grades --lab lab1

    The same command goes on where it was interrupted, and grades anew what was changed. Exit status: 0 all are graded,
    2 bad usage, 3 some test could not tell, 130 interrupted. docs/grading.md tells what is in each file.
    """
    from labs.grade import command
    from labs.grade.grader import Plan

    plan = Plan.taken_from(options)
    return command.grade(command.Request(plan=plan, **options))  # type: ignore[arg-type]


@lab.command()
@click.argument("out", type=EXISTING_FOLDER, metavar="DIR")
@click.option("--student", "students", multiple=True, metavar="ID", help="Only this one.  [default: all]")
@click.option("-k", "keyword", metavar="EXPR", help="Only tests whose names match.")
@click.option(
    "--only", multiple=True, type=click.Choice(["failed", "inconclusive", "not-run"]), help="Only tests that ended so."
)
@click.option("--best", is_flag=True, help="A test keeps its old result if that was better.")
@by_these_means
def regrade(**options: object) -> int:
    """Grade again what `lab grade` has graded in DIR: all, some students, some tests. Old points stay beside the new.

    \b
    lab regrade grades --student alice
    lab regrade grades -k test_primary_failure --best
    lab regrade grades --only inconclusive
    """
    from labs.grade import regrade as again
    from labs.grade.grader import Plan

    plan = Plan.taken_from(options)
    return again.regrade(again.Again(plan=plan, **options))  # type: ignore[arg-type]


@lab.command()
@click.argument("lab", metavar="LAB")
@click.option(
    "--submission", type=EXISTING_FOLDER, metavar="DIR", help="Run the lab packages in DIR, not the reference."
)
@click.option("--servers", type=click.IntRange(1, 20), metavar="N", help="Servers; in lab 3, in each group.")
@click.option("--groups", type=click.IntRange(1, 20), metavar="N", help="Groups of servers, in lab 3.  [default: 2]")
@click.option("--script", type=EXISTING_FILE, metavar="FILE", help="Carry out the commands in FILE first.")
@click.option("--web", is_flag=True, help="A panel in the browser, too: prints its address.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="The folder of logs.  [default: runs/TIME-ID]"
)
@click.option("--patience", type=PATIENCE, default=1.0, metavar="F", hidden=True)
def up(**options: object) -> int:
    """Start a live cluster of LAB (or of a suite), to be asked, broken and healed by hand.

    \b
    lab up lab1                           the primary/backup service, three servers and a view service
    lab up lab3 --groups 3 --web          masters, three groups of servers, and a panel in the browser
    lab up paxos --submission ../mine     your own peers; `help` and `experiments` say what to try
    lab up lab1 --script session.lab      a session again, as `save` has written it
    """
    from labs.live import up

    return up.run(up.Request(**options))  # type: ignore[arg-type]


@lab.command()
@click.argument("test", metavar="TEST")
@click.option("--seed", type=int, required=True, metavar="K", help="The seed with which the test fails.")
@click.option("--out", type=NEW_FILE, required=True, metavar="FILE", help="Where the shrunk run is saved.")
@click.option("--submission", type=EXISTING_FOLDER, metavar="DIR", help="The lab packages in DIR, not the reference.")
@click.option(
    "--runs", type=click.IntRange(min=1), default=2000, show_default=True, metavar="N", help="Runs to spend, at most."
)
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=300.0, show_default=True, help="Seconds to spend, at most."
)
@click.option("--patience", type=PATIENCE, default=1.0, metavar="F", hidden=True)
def shrink(**options: object) -> int:
    """Make a failing run of the simulation small: few faults, few operations, all else simple.

    \b
    lab shrink kvpaxos::test_servers_in_a_storm --seed 17 --submission ../mine --out small.json
    """
    from labs import shrinking

    return shrinking.shrink(shrinking.Request(**options))  # type: ignore[arg-type]


@lab.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--submission", type=EXISTING_FOLDER, metavar="DIR", help="The lab packages in DIR, not the reference.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Keep trace, logs and history there.")
def replay(**options: object) -> int:
    """Run again, exactly, what `lab shrink` has saved. Exit status 1 if it fails (still), 0 if it passes."""
    from labs import replaying

    return replaying.replay(replaying.Request(**options))  # type: ignore[arg-type]


@lab.command()
@click.argument("test", metavar="TEST", required=False)
@click.option("--seed", type=int, metavar="K", help="The seed of the run.  [default: 1]")
@click.option("--submission", type=EXISTING_FOLDER, metavar="DIR", help="The lab packages in DIR, not the reference.")
@click.option("--schedule", type=EXISTING_FILE, metavar="FILE", help="A run that `lab shrink` or `save` has kept.")
@click.option("--patience", type=PATIENCE, default=1.0, metavar="F", hidden=True)
def debug(**options: object) -> int:
    """Step forward and backward through a run of the simulation, look into its servers, choose what happens next.

    \b
    lab debug kvpaxos::test_servers_in_a_storm --seed 17 --submission ../mine
    lab debug --schedule small.json --submission ../mine
    echo 'failure; events; state' | lab debug pbservice::test_basic --seed 3      without a terminal
    """
    from labs.debugging import command

    return command.debug(command.Request(**options))  # type: ignore[arg-type]


@lab.command()
@click.option("-n", "workers", type=click.IntRange(min=0), default=4, show_default=True, help="Tests at once.")
@click.option("--seeds", type=click.IntRange(min=1), default=10, show_default=True, help="Seeds for each graded test.")
def check(workers: int, seeds: int) -> int:
    """Check the project itself: lint, format, types, unit tests, graded tests in both worlds."""
    from labs import checking

    return checking.run(workers, seeds)


@lab.command()
@click.argument("targets", nargs=-1, metavar="[LAB, SUITE, KIND or NAME]...")
@click.option(
    "--world",
    type=click.Choice(["process", "sim", "both"]),
    default="sim",
    show_default=True,
    help="Real processes, the simulation with virtual time, or both.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    metavar="N",
    help="Simulate each test with up to N seeds: fewer where it notices the mistake nearly always.  [default: 200]",
)
@click.option(
    "--repeat", type=click.IntRange(min=1), metavar="N", help="Run each test N times in real processes.  [default: 1]"
)
@click.option("--all-tests", is_flag=True, help="A look at the other tests of the same suites, too.")
@click.option("-n", "workers", type=click.IntRange(min=1), metavar="WORKERS", help="Processes that measure.")
@click.option("--json", "json", type=NEW_FILE, metavar="FILE", help="Write what came of it as JSON.")
@click.option("--html", type=NEW_FILE, metavar="FILE", help="Write a heat map as a page of HTML.")
@click.option("--markdown", type=NEW_FILE, metavar="FILE", help="Write the tables as Markdown.")
@click.option(
    "--add", multiple=True, type=EXISTING_FILE, metavar="FILE", help="Show this, too: an earlier run's --json FILE."
)
@click.option("--tables", "folder", type=EXISTING_FOLDER, metavar="DIR", help="Other tables than the project's.")
def mistakes(**options: object) -> int:
    """Plant mistakes in the reference one by one, and show which graded tests notice them.

    \b
    lab mistakes                      all of them, in the simulation
    lab mistakes lab1 --world both    one lab, in both worlds
    lab mistakes PX5 "promise"        a kind of mistake; a part of a name
    """
    from labs.mistakes import command

    return command.run(command.Request(**options))  # type: ignore[arg-type]


@lab.command()
def doctor() -> int:
    """Say what this machine offers, and what that means for a run."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from labs.doctor import examine

    table = Table("", "Found", "What follows")
    for finding in examine():
        table.add_row(finding.what, Text(finding.found, "green" if finding.good else "yellow"), finding.follows)
    Console().print(table)
    return PASSED


@lab.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
@click.argument("words", nargs=-1, metavar="[NAME [OPTION]...]", type=click.UNPROCESSED)
def bench(words: tuple[str, ...]) -> int:
    """Measure this project on this machine: `checker`, `kvpaxos`, `rpc` and more, or all there is.

    What follows a name are that measurement's own options, as in `lab bench kvpaxos --help`; without a name they are
    --peers, --rounds N, --json FILE and --html FILE, and one page tells of everything.
    """
    from labs.benchmark.everything import run

    return run(words)


@lab.command()
@click.argument("file", type=EXISTING_FILE, metavar="FILE")
@click.option("--json", "json", is_flag=True, help="Print the verdict as JSON.")
@click.option("--html", type=NEW_FILE, metavar="FILE", help="Write a picture of it as a page of HTML.")
@click.option("--steps", type=click.IntRange(min=1), help=STEPS)
def linearizable(file: Path, json: bool, html: Path | None, steps: int | None) -> int:
    """Judge a history: could one server, doing one thing at a time, have given these answers?

    FILE has one operation a line, as JSON; `return` is null or absent where nobody knows what came of it:

    \b
    {"client": "1", "op": "put", "key": "k", "value": "a", "call": 0.1, "return": 0.2}
    {"client": "2", "op": "append", "key": "k", "value": "b", "call": 0.1, "return": null}
    {"client": "1", "op": "get", "key": "k", "result": "ab", "call": 0.3, "return": 0.4}
    {"client": "2", "op": "cas", "key": "k", "value": ["ab", "c"], "result": true, "call": 0.5, "return": 0.6}

    Exit status: 0 it is linearizable, 1 it is not, 2 bad usage or a bad line, 3 given up (--steps).
    """
    from labs.linearizable import judge_file

    return judge_file(file, json, html, steps)


@lab.command()
@click.argument("place", metavar="FILE or FOLDER")
@click.option("--server", "servers", multiple=True, metavar="NAME", help="Only what this server or client is part of.")
@click.option("--method", "methods", multiple=True, metavar="NAME", help="Only messages and operations of this name.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="Only this kind (as in the fourth column), or message, operation, process, fault.",
)
@click.option("--key", metavar="KEY", help="Only what is about this key.")
@click.option("--seq", type=int, metavar="N", help="Only what is about this Paxos instance.")
@click.option("--view", type=int, metavar="N", help="Only what is about this view.")
@click.option("--config", type=int, metavar="N", help="Only what is about this configuration.")
@click.option("--value", "values", multiple=True, metavar="TEXT", help="Only what has this text or number in it.")
@click.option("--after", type=float, metavar="T", help="Only from this second on.")
@click.option("--before", type=float, metavar="T", help="Only until this second.")
@click.option("--brief", is_flag=True, help="Without arrivals, returns, and what the harness itself asks.")
@click.option("--follow", is_flag=True, help="Print what comes while the run goes on (of a folder, the newest trace).")
@click.option("--causes", type=int, metavar="N", help="Only what may have caused message #N.")
@click.option("--effects", type=int, metavar="N", help="Only what message #N may have caused.")
@click.option("--shiviz", type=NEW_FILE, metavar="OUT", help="Write a log for ShiViz instead.")
@click.option("--perfetto", type=NEW_FILE, metavar="OUT", help="Write a trace for Perfetto instead.")
def trace(
    place: str,
    follow: bool,
    causes: int | None,
    effects: int | None,
    shiviz: Path | None,
    perfetto: Path | None,
    **wish: Any,
) -> int:
    """Print what happened in a run: messages, operations, faults, processes, logs.

    FILE is a trace.jsonl; FOLDER a test's folder, or a run's, or a run's name in `runs`. docs/traces.md tells what is
    in a trace. Of messages that are not in common/protocol.py the fields have no names: there --key, --seq, --view and
    --config look at all of them.

    \b
    lab trace runs/latest                                     which traces there are
    lab trace runs/latest/pbservice/test_basic --brief        one, in short
    lab trace small/1 --server pb-1 --key k --after 2.5       what pb-1 had to do with k
    lab trace small/1 --causes 42                             what message #42 knew of
    """
    from labs.traces import command
    from labs.traces.selecting import Wish

    wish["methods"] = tuple(method.lower() for method in wish["methods"])
    request = command.Request(place, Wish(**wish), follow, causes, effects, shiviz, perfetto)
    return command.run(request)


@lab.command()
@click.argument("run", metavar="RUN")
@click.option("--json", "json", is_flag=True, help="Print the verdicts as JSON.")
@click.option("--steps", type=click.IntRange(min=1), help=STEPS)
def recheck(run: str, json: bool, steps: int | None) -> int:
    """Judge the histories of a saved run again, without running anything.

    RUN is its folder, or its name in `runs`, such as `latest`.
    """
    from labs.linearizable import judge_run

    return judge_run(run, json, steps)


@lab.command()
@click.argument("run", metavar="[RUN or FILE]", default="latest")
@click.option("--open/--no-open", "opens", default=True, help="Whether a browser shows it, where there is a screen.")
def show(run: str, opens: bool) -> int:
    """Make the report of a run, and open it in a browser: what failed, with a picture of what happened.

    RUN is its folder, or its name in `runs`; without one, the latest. FILE is a single trace.
    """
    from labs.report import showing

    return showing.show(run, opens)


def main() -> NoReturn:
    """The command. Whatever is wrong with how it was called is said in one line."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what it cannot show is no reason to fail
    try:
        status = lab.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        _fail(error.format_message())
    except BadUsage as error:
        _fail(str(error))
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _let_go_of_output()
        _fail(f"cannot write: {error.strerror}")
    sys.exit(status)


def _let_go_of_output() -> None:
    """Writes what can be written, and nothing more: the end of the process would try it again."""
    try:
        sys.stdout.flush()
    except OSError:
        discard(sys.stdout.fileno())


def _fail(text: str) -> NoReturn:
    print(f"lab: {text}", file=sys.stderr)
    sys.exit(BAD_USAGE)
