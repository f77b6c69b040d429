"""`tablecast listen --json --state FILE`: every change at least once, or a line that says that some are missing."""

import json
import os
import random
import sqlite3
import time

import pytest

from processes import LIMIT, Command


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "pipe.db"
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY)")
    connection.close()
    return path


class Pipe:
    """A listener that is killed and started again; its lines are appended to one file."""

    def __init__(self, binary, server, folder):
        self.output = folder / "lines.ndjson"
        self.state = folder / "position.json"
        self.arguments = [binary, "listen", server.ws, "--json", "--rows", "keys", "--state", str(self.state)]
        self.command = None

    def start(self):
        with open(self.output, "ab") as output:
            self.command = Command(self.arguments, stdout=output)
        return self.command

    def kill(self):
        self.command.kill()
        # A killed process can leave an incomplete line, which a consumer discards: end it.
        with open(self.output, "rb+") as output:
            content = output.read()
            if content and not content.endswith(b"\n"):
                output.truncate(content.rfind(b"\n") + 1)

    def messages(self):
        lines = self.output.read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines[:-1]]

    def ids(self):
        found = []
        for message in self.messages():
            if message["type"] == "table:modified":
                found += [row["key"]["id"] for row in message["data"].get("rows", [])]
        return found

    def gaps(self):
        return sum(m["type"] == "subscribed" and m["data"].get("recovered") is False for m in self.messages())

    def wait_for(self, condition):
        """Looks again at what the listener wrote; its own time limit ends a wait without an end."""
        deadline = time.monotonic() + LIMIT
        while not condition():
            assert self.command.process.poll() is None, f"the listener ended: {self.command.errors}"
            assert time.monotonic() < deadline, f"not in time; the listener said {self.command.errors[-5:]}"
            time.sleep(0.01)

    def position(self):
        return json.loads(self.state.read_text())["position"] if self.state.exists() else None


def test_a_listener_that_is_killed_at_any_time_omits_nothing(binary, serve, table, tmp_path):
    seed = int(os.environ.get("TABLECAST_SEED", random.randrange(1 << 30)))
    print(f"TABLECAST_SEED={seed}")
    choice = random.Random(seed)
    pipe = Pipe(binary, serve(table), tmp_path)
    pipe.start()
    pipe.wait_for(lambda: pipe.position() is not None)
    writer = sqlite3.connect(table, timeout=20, isolation_level=None)
    written = 0
    for _ in range(12):
        for _ in range(choice.randrange(1, 60)):
            written += 1
            writer.execute("INSERT INTO t VALUES (?)", (written,))
        # At any time: before it has connected, between its lines and the file, when it has caught up.
        wanted = choice.randrange(0, written + 1)
        pipe.wait_for(lambda: len(set(pipe.ids())) >= wanted)
        pipe.kill()
        for _ in range(choice.randrange(0, 20)):
            written += 1
            writer.execute("INSERT INTO t VALUES (?)", (written,))
        pipe.start()
    pipe.wait_for(lambda: len(set(pipe.ids())) >= written)
    assert set(pipe.ids()) == set(range(1, written + 1))
    assert pipe.gaps() == 0
    # Repetitions only begin again, in order: without them it is the history.
    first = list(dict.fromkeys(pipe.ids()))
    assert first == sorted(first)
    pipe.kill()


def test_a_server_that_is_killed_is_waited_for_and_every_gap_has_its_line(binary, serve, table, tmp_path):
    server = serve(table)
    pipe = Pipe(binary, server, tmp_path)
    pipe.start()
    pipe.wait_for(lambda: pipe.position() is not None)
    writer = sqlite3.connect(table, timeout=20, isolation_level=None)
    written, missing = 0, 0
    for _ in range(4):
        written += 1
        writer.execute("INSERT INTO t VALUES (?)", (written,))
        pipe.wait_for(lambda: written in pipe.ids())
        server.kill()
        written += 1
        writer.execute("INSERT INTO t VALUES (?)", (written,))
        gaps, answers = pipe.gaps(), len([m for m in pipe.messages() if m["type"] == "subscribed"])
        server = serve(table, port=server.port)
        pipe.wait_for(lambda: len([m for m in pipe.messages() if m["type"] == "subscribed"]) > answers)
        if pipe.gaps() == gaps:
            pipe.wait_for(lambda: written in pipe.ids())
        else:
            missing += 1
    written += 1
    writer.execute("INSERT INTO t VALUES (?)", (written,))
    pipe.wait_for(lambda: written in pipe.ids())
    absent = set(range(1, written + 1)) - set(pipe.ids())
    assert len(absent) <= missing == pipe.gaps()
    pipe.kill()


def test_a_position_beyond_the_end_is_a_gap_with_its_line(binary, serve, table, tmp_path):
    server = serve(table)
    pipe = Pipe(binary, server, tmp_path)
    pipe.start()
    pipe.wait_for(lambda: pipe.position() is not None)
    pipe.kill()
    begin = pipe.position()
    epoch, last = begin.split(":")
    state = json.loads(pipe.state.read_text())
    pipe.state.write_text(json.dumps({**state, "position": f"{epoch}:{int(last) + 1}"}))
    pipe.start()
    pipe.wait_for(lambda: pipe.gaps() == 1)
    answer = [m for m in pipe.messages() if m["type"] == "subscribed"][-1]
    assert answer["data"]["reason"] == "beyond-end" and answer["position"] == begin
    with sqlite3.connect(table) as writer:
        writer.execute("INSERT INTO t VALUES (1)")
    pipe.wait_for(lambda: pipe.ids() == [1])
    pipe.wait_for(lambda: pipe.position() == f"{epoch}:{int(last) + 1}")
    pipe.kill()


def test_a_listener_waits_for_a_server_that_is_not_there_yet(binary, serve, table, tmp_path):
    server = serve(table)
    port = server.port
    server.kill()
    pipe = Pipe(binary, server, tmp_path)
    listener = pipe.start()
    listener.error_line("connection lost, reconnecting")
    serve(table, port=port)
    pipe.wait_for(lambda: pipe.position() is not None)
    pipe.kill()


def test_a_link_to_the_state_file_stays_a_link(binary, serve, table, tmp_path):
    pipe = Pipe(binary, serve(table), tmp_path)
    target = tmp_path / "elsewhere.json"
    pipe.state.symlink_to("elsewhere.json")
    pipe.start()
    pipe.wait_for(target.exists)
    pipe.kill()
    assert pipe.state.is_symlink() and pipe.position() is not None


def test_a_file_that_is_no_state_file_is_refused_and_kept(run, server, tmp_path):
    other = tmp_path / "precious.txt"
    other.write_text("precious")
    result = run("listen", server.ws, "--json", "--state", other)
    assert result.returncode == 65
    assert "is not a state file of tablecast listen" in result.stderr
    assert other.read_text() == "precious"


def test_a_folder_that_cannot_be_written_is_an_error(run, server, tmp_path):
    result = run("listen", server.ws, "--json", "--state", tmp_path / "missing" / "position.json")
    assert result.returncode == 73
    assert "cannot be written" in result.stderr and result.stdout == ""


def test_a_state_needs_json_and_a_server(run, table):
    for arguments, reason in ((["--state", "x"], "requires --json"), ([table, "--json", "--state", "x"], "requires a server")):
        result = run("listen", *arguments)
        assert result.returncode == 64
        assert reason in result.stderr
