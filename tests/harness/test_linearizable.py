"""`lab linearizable` and `lab recheck`: status, words, JSON and the picture."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from labs import linearizable
from labs.cli import lab
from labs.linearizability import Verdict
from labs.running import KEPT_HISTORIES
from labs.usage import BadUsage
from tests import commands

PUT = '{"client": "1", "op": "put", "key": "k", "value": "a", "call": 1, "return": 2}'
STALE = '{"client": "2", "op": "get", "key": "k", "result": "", "call": 3, "return": 4}'
FRESH = '{"client": "2", "op": "get", "key": "k", "result": "a", "call": 3, "return": 4}'


def judge(tmp_path: Path, *lines: str, options: tuple[str, ...] = ()) -> Result:
    """Runs the command on these lines. What `main` would say in one line is raised."""
    file = tmp_path / "history.jsonl"
    file.write_text("\n".join(lines))
    return CliRunner().invoke(lab, ["linearizable", str(file), *options], standalone_mode=False)


def status(result: Result) -> int:
    """The exit status. Raises what the command raised."""
    if result.exception is not None:
        raise result.exception
    value: int = result.return_value
    return value


# --- lab linearizable ------------------------------------------------------------------------------------------------


def test_a_good_history(tmp_path: Path) -> None:
    result = judge(tmp_path, PUT, "", FRESH, "")
    assert status(result) == 0
    assert "linearizable (2 operations, 1 key, 2 clients" in result.output


def test_a_bad_history_is_explained_with_its_lines(tmp_path: Path) -> None:
    result = judge(tmp_path, PUT, "", STALE)
    assert status(result) == 1
    assert 'stale read: Get("k") by 2 (3 to 4) gave "", expected "a"' in result.output
    assert '  line 1: Put("k", "a")' in result.output
    assert '  line 3: Get("k")' in result.output


def test_json(tmp_path: Path) -> None:
    result = judge(tmp_path, PUT, STALE, options=("--json",))
    assert status(result) == 1
    found = json.loads(result.output)
    assert found["linearizable"] is False
    assert found["anomaly"] == "stale read"
    assert [each["line"] for each in found["witness"]] == [2, 1]
    assert found["witness"][1]["value"] == "a"
    assert found["legal_prefix"] == [1]


def test_a_cas_has_two_values_and_a_truth(tmp_path: Path) -> None:
    cas = '{"client": "2", "op": "cas", "key": "k", "value": ["a", "b"], "result": %s, "call": 3, "return": 4}'
    assert status(judge(tmp_path, PUT, cas % "true")) == 0
    assert status(judge(tmp_path, PUT, cas % "false")) == 1


def test_clients_may_be_numbers_and_returns_null_or_absent(tmp_path: Path) -> None:
    pending = '{"client": 7, "op": "append", "key": "k", "value": "b", "call": 2.5, "return": null}'
    absent = '{"client": 8, "op": "get", "key": "k", "call": 2.5}'
    seen = FRESH.replace('"result": "a"', '"result": "ab"')
    assert status(judge(tmp_path, PUT, pending, absent, seen)) == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2 cannot be read as JSON"),
        ("\ufeff" + PUT, "line 2 begins with a byte order mark"),
        ('{"x": ' + "[" * 50_000 + "]" * 50_000 + "}", "line 2 has too many brackets within brackets"),
        (PUT + PUT, "line 2 cannot be read as JSON"),
        (PUT.replace(", ", ",\n"), "line 2 cannot be read as JSON"),
        (PUT.replace('"1"', "1.5"), 'line 2: expected "client" to be a string or a whole number, got 1.5'),
        (PUT.replace("2}", "1e400}"), "line 2 cannot be read as JSON: Number out of range"),
        ("[]", "line 2: expected an object"),
        (FRESH.replace('"get"', '"read"'), 'line 2: expected "op" to be get, put, append or cas, got "read"'),
        (FRESH.replace('"key": "k", ', ""), 'line 2: expected "key" to be a string, got nothing'),
        (FRESH.replace('"call": 3', '"call": "3"'), 'line 2: expected "call" to be a number, got "3"'),
        (FRESH.replace('"call": 3, ', ""), 'line 2: expected "call" to be a number, got nothing'),
        (FRESH.replace('"return": 4', '"return": 2'), 'line 2: "return" 2 is before "call" 3'),
        (FRESH.replace('"result": "a", ', ""), 'line 2: expected the "result" of a get that returned to be a string'),
        (PUT.replace('"value": "a"', '"value": 5'), 'line 2: expected "value" to be a string, got 5'),
        (PUT.replace('"put"', '"cas"'), 'line 2: expected the "value" of a cas to be two strings'),
        (
            PUT.replace('"put"', '"cas"').replace('"a"', '["a", "b"]'),
            'line 2: expected the "result" of a cas to be true if it found what it expected, else false; got null',
        ),
    ],
)
def test_a_bad_line_is_named_with_its_reason(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(BadUsage, match=re.escape(reason)):
        status(judge(tmp_path, PUT, line))
    with pytest.raises(BadUsage, match="2 lines are bad"):
        status(judge(tmp_path, PUT, line, line))


def test_a_file_without_operations_is_no_history(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="found none"):
        status(judge(tmp_path, ""))


def test_what_cannot_be_decided_is_not_passed_as_good(tmp_path: Path) -> None:
    equal = [PUT.replace('"1"', f'"{number}"').replace("put", "append") for number in range(20)]
    seen = STALE.replace('"result": ""', f'"result": "{19 * "a"}"')
    result = judge(tmp_path, *equal, seen, options=("--steps", "10"))
    assert status(result) == 3
    assert "inconclusive" in result.output
    assert "10 steps" in result.output
    assert "Give each write a value of its own" in result.output


def test_the_lines_named_are_those_of_the_operations_meant(tmp_path: Path) -> None:
    """Two operations of one client may be called at the same time, where a clock is coarse."""
    first = '{"client": "1", "op": "get", "key": "k", "result": "", "call": 2, "return": 2, "line": 99}'
    second = '{"client": "1", "op": "get", "key": "k", "result": "a", "call": 2, "return": 3}'
    picture = tmp_path / "page.html"
    options = ("--json", "--html", str(picture))
    result = judge(tmp_path, PUT.replace("1,", "0,").replace("2}", "1}"), first, second, options=options)
    assert status(result) == 1
    found = json.loads(result.output)
    assert [each["line"] for each in found["witness"]] == [2, 1]
    assert found["witness"][0]["result"] == ""
    assert picture.read_text().count('id="answer"') == 1


def test_an_operation_that_takes_two_lines_is_refused(tmp_path: Path) -> None:
    """Also where another line has two, so that there are as many lines as operations."""
    with pytest.raises(BadUsage, match="line 1 cannot be read as JSON"):
        status(judge(tmp_path, PUT + STALE, *FRESH.replace('"result"', '\n"result"').splitlines()))


def test_what_a_history_says_does_nothing_to_a_terminal(tmp_path: Path) -> None:
    evil = PUT.replace('"a"', json.dumps("\x1b[2J\n  line 7: x"))
    result = judge(tmp_path, evil, STALE)
    assert status(result) == 1
    assert r'expected "\x1b[2J\n  line 7: x"' in result.output
    assert len(result.output.splitlines()) == 4


def test_the_picture_does_not_replace_the_history(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    with pytest.raises(BadUsage, match="another file than the history itself"):
        status(judge(tmp_path, PUT, options=("--html", str(file))))
    assert file.read_text() == PUT


def test_words_that_the_terminal_does_not_know_are_written_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text(PUT.replace('"k"', '"é"') + "\n" + STALE.replace('"k"', '"é"'))
    done = commands.lab("linearizable", file, folder=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert r'Get("\xe9")' in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_is_full_is_told(tmp_path: Path, unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    (tmp_path / "history.jsonl").write_text(PUT)
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-m", "labs", "linearizable", str(tmp_path / "history.jsonl")]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert done.stderr == "lab: cannot write: No space left on device\n"


def test_without_a_limit_there_is_an_answer(tmp_path: Path) -> None:
    equal = [PUT.replace('"1"', f'"{number}"').replace("put", "append") for number in range(20)]
    seen = STALE.replace('"result": ""', f'"result": "{19 * "a"}"')
    result = judge(tmp_path, *equal, seen)
    assert status(result) == 1
    assert "not linearizable" in result.output


def test_whoever_waits_for_a_long_search_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = threading.Event()

    def check(*_: object) -> Verdict:
        assert said.wait(60.0), "expected a word about the search"
        return Verdict(True)

    monkeypatch.setattr(linearizable, "LONG", 0.0)
    monkeypatch.setattr(linearizable, "say", lambda _: said.set())
    monkeypatch.setattr(linearizable, "check", check)
    assert status(judge(tmp_path, PUT)) == 0


class Page(HTMLParser):
    """What a browser would make of it: tags, and the text outside of them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_picture_shows_the_witness_and_escapes_what_the_file_says(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    lines = [line.replace('"k"', json.dumps(evil)).replace('"2"', json.dumps(evil)) for line in (PUT, STALE)]
    file = tmp_path / "page.html"
    assert status(judge(tmp_path, *lines, options=("--html", str(file)))) == 1
    text = file.read_text()
    page = Page(text)
    assert page.tags.count("script") == 1  # our own
    assert "alert(1)" in page.text
    assert "stale read" in page.text
    assert text.count('class="read marked"') == 2  # one of them in the legend
    assert 'class="write marked"' in text
    assert "://" not in text  # self-contained


def test_the_picture_of_a_long_history_is_a_window(tmp_path: Path) -> None:
    template = '{"client": "%d", "op": "put", "key": "k", "value": "v%d", "call": %d, "return": %d}'
    lines = [template % (number % 50, number, number, number + 20) for number in range(20_000)]
    stale = STALE.replace('"call": 3, "return": 4', '"call": 15000.5, "return": 15001.5')
    file = tmp_path / "page.html"
    assert status(judge(tmp_path, *lines, stale, options=("--html", str(file)))) == 1
    assert 20_000 < file.stat().st_size < 300_000
    assert 'id="answer"' in file.read_text()


@pytest.mark.parametrize("lines", [(PUT, FRESH), (PUT.replace('"return": 2', '"return": null'),)])
def test_a_good_history_has_a_picture_too(tmp_path: Path, lines: tuple[str, ...]) -> None:
    file = tmp_path / "page.html"
    assert status(judge(tmp_path, *lines, options=("--html", str(file)))) == 0
    assert "linearizable" in Page(file.read_text()).text


# --- lab recheck -----------------------------------------------------------------------------------------------------


def test_recheck_judges_what_a_run_has_kept(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for name, lines in {"kvpaxos/test_a.process": [PUT, FRESH], "kvpaxos/test_b.sim/7": [PUT, STALE]}.items():
        (run / name).mkdir(parents=True)
        (run / name / "history.jsonl").write_text("\n".join(lines))
    (run / "paxos").mkdir()
    (run / "paxos" / "history.jsonl").touch()  # its tests have no clerks
    result = CliRunner().invoke(lab, ["recheck", str(run)], standalone_mode=False)
    assert status(result) == 1
    assert "kvpaxos/test_b.sim/7\n  stale read" in result.output
    assert "1 of 2 histories linearizable" in result.output
    shutil.rmtree(run / "kvpaxos" / "test_b.sim")
    result = CliRunner().invoke(lab, ["recheck", str(run), "--json"], standalone_mode=False)
    assert status(result) == 0
    assert [each["linearizable"] for each in json.loads(result.output)["histories"]] == [True]


def test_a_run_keeps_the_histories_of_its_tests_in_both_worlds(tmp_path: Path) -> None:
    words = [
        "test",
        "pbservice",
        "-k",
        "test_calls_to_view_server",
        "--world",
        "both",
        "--seeds",
        "21",
        "--out",
        str(tmp_path / "run"),
    ]
    done = commands.lab(*words, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    result = CliRunner().invoke(lab, ["recheck", str(tmp_path / "run"), "--json"], standalone_mode=False)
    assert status(result) == 0
    histories = [each["history"] for each in json.loads(result.output)["histories"]]
    assert sum(".process" in each for each in histories) == 1
    assert sum(".sim/" in each for each in histories) == KEPT_HISTORIES


def test_recheck_goes_on_after_a_history_that_cannot_be_read(tmp_path: Path) -> None:
    for name, text in {"kvpaxos/test_a": PUT[:20], "kvpaxos/test_b": f"{PUT}\n{STALE}", "kvpaxos/test_c": "\n"}.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "history.jsonl").write_text(text)
    result = CliRunner().invoke(lab, ["recheck", str(tmp_path)], standalone_mode=False)
    with pytest.raises(BadUsage, match=r"test_a/history.jsonl, line 1 cannot be read as JSON.* \(and 1 history more\)"):
        status(result)
    assert "kvpaxos/test_b\n  stale read" in result.output
    assert "0 of 1 history linearizable" in result.output
    result = CliRunner().invoke(lab, ["recheck", str(tmp_path), "--json"], standalone_mode=False)
    found = json.loads(result.output)
    assert list(found["unreadable"]) == ["kvpaxos/test_a", "kvpaxos/test_c"]


def test_recheck_needs_a_run_with_histories(tmp_path: Path) -> None:
    for run, reason in {"nowhere": "expected the folder of a run", str(tmp_path): "there is no history.jsonl"}.items():
        with pytest.raises(BadUsage, match=reason):
            status(CliRunner().invoke(lab, ["recheck", run], standalone_mode=False))
