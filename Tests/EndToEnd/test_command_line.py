"""What the commands say of their own failures, to people and to scripts: words, streams and exit codes."""

import json
import pathlib
import sqlite3
import subprocess
import urllib.error
import urllib.request

import pytest

from processes import LIMIT, Command
from sockets import Client

FULL = pathlib.Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


def into(path, arguments, **options):
    """Runs a command whose standard output is a file."""
    with open(path, "wb") as output:
        return subprocess.run(
            [*map(str, arguments)], stdout=output, stderr=subprocess.PIPE, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL, **options
        )


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_rows_that_cannot_be_written_are_an_error(server, binary, form):
    result = into(FULL, [binary, "query", server.ws, "SELECT 1 AS a", *form])
    assert result.returncode == 74
    assert result.stderr == "error: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["query", "--help"], ["help", "serve"], ["--generate-completion-script", "bash"]])
def test_help_that_cannot_be_written_is_an_error(binary, arguments):
    result = into(FULL, [binary, *arguments])
    assert result.returncode == 74
    assert result.stderr == "error: the output cannot be written: No space left on device\n"


def test_a_server_that_cannot_say_where_it_listens_does_not_start(binary, music):
    result = into(FULL, [binary, "serve", music, "--port", 0])
    assert result.returncode == 74
    assert "error: the output cannot be written" in result.stderr


@pytest.mark.parametrize("source", ["server", "file"])
def test_a_feed_that_cannot_be_written_is_an_error(server, binary, music, shell, source):
    arguments = [binary, "listen", server.ws if source == "server" else str(music)]
    with open(FULL, "wb") as output:
        listener = Command(arguments, stdout=output)
    try:
        listener.error_line("connected|watching")
        # What is committed before the subscription is live is not printed, so that more may be needed.
        for index in range(1000, 1100):
            shell(music, f"INSERT INTO genre VALUES ({index}, 'x')")
            try:
                assert listener.wait(0.5) == 74
                break
            except subprocess.TimeoutExpired:
                continue
        assert any("error: the output cannot be written" in line for line in listener.errors)
    finally:
        listener.kill()


@pytest.mark.parametrize("command", ["query {ws} 'SELECT t.* FROM track t, track u'", "--help"])
def test_a_reader_that_goes_away_is_no_error(server, binary, command):
    script = f"set -o pipefail; '{binary}' {command.format(ws=server.ws)} | head -n 1"
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=LIMIT)
    assert (result.returncode, result.stderr) == (0, "")


def test_every_error_begins_with_the_same_word(run, tmp_path):
    for arguments in (["nonsense"], ["query"], ["serve", tmp_path / "none.db"], ["listen", "--rows", "x"], ["query", "--nonsense", "x"]):
        result = run(*arguments)
        assert result.stderr.startswith("error: "), result.stderr
        assert result.returncode in (64, 66)
        assert result.stdout == ""


OPEN = [
    "BEGIN; INSERT INTO genre VALUES (900, 'x')", "BEGIN IMMEDIATE", "SAVEPOINT a; INSERT INTO genre VALUES (900, 'x')",
    "INSERT INTO genre VALUES (901, 'y'); BEGIN; INSERT INTO genre VALUES (900, 'x')",
]  # fmt: skip


@pytest.mark.parametrize("sql", OPEN)
def test_a_transaction_that_a_command_leaves_open_is_an_error(server, run, music, sql):
    result = run("query", server.ws, sql)
    assert result.returncode == 1
    assert "(TRANSACTION_LEFT_OPEN)" in result.stderr and result.stderr.startswith("error: ")
    assert genres(music, 900) == 0
    closed = run("query", server.ws, "BEGIN; INSERT INTO genre VALUES (902, 'z'); COMMIT")
    assert (closed.returncode, genres(music, 902)) == (0, 1)


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize("sql", OPEN)
def test_a_transaction_that_a_request_leaves_open_is_an_error(server, music, sql, accept):
    request = urllib.request.Request(
        server.http + "/query", data=json.dumps({"sql": sql}).encode(), headers={"Accept": accept}
    )
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as response:
            body = response.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    last = json.loads(body.splitlines()[-1])
    assert last.get("data", last)["code"] == "TRANSACTION_LEFT_OPEN", last
    assert genres(music, 900) == 0


def genres(path, key):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT count(*) FROM genre WHERE genre_id = ?", (key,)).fetchone()[0]
    finally:
        connection.close()


def test_columns_of_one_name_are_distinct_on_every_path(server, run):
    sql = "SELECT 1 AS n, 2 AS n, 3 AS \"n:1\", 4 AS n"
    expected = {"n": 1, "n:2": 2, "n:1": 3, "n:3": 4}
    assert json.loads(run("query", server.ws, sql, "--json").stdout) == expected
    request = urllib.request.Request(server.http + "/query", data=json.dumps({"sql": sql}).encode())
    with urllib.request.urlopen(request, timeout=LIMIT) as response:
        [result] = json.load(response)["results"]
    assert result == {"statementIndex": 0, "columns": list(expected), "rows": [expected]}
    with Client(server.ws) as client:
        assert client.query(sql, "q")[0] == [expected]
        client.send("query:execute", sql=sql, queryId="a", rowFormat="arrays")
        rows = client.message("query:rows")["data"]
        assert (rows["columns"], rows["rows"]) == (["n", "n", "n:1", "n"], [[1, 2, 3, 4]])


def test_what_would_be_forgotten_is_refused_on_every_road(server, run):
    for sql in ("CREATE TEMP TABLE genre(a)", "PRAGMA recursive_triggers = ON", "PRAGMA foreign_keys = ON"):
        result = run("query", server.ws, sql)
        assert (result.returncode, "NOT_AUTHORIZED" in result.stderr) == (77, True), result.stderr
        assert "lasts until the end of the request or transaction" in result.stderr
        request = urllib.request.Request(server.http + "/query", data=json.dumps({"sql": sql}).encode())
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=LIMIT)
        assert (caught.value.code, json.load(caught.value)["code"]) == (403, "NOT_AUTHORIZED")
        with Client(server.ws) as client:
            assert client.query(sql, "q")[1]["data"]["code"] == "NOT_AUTHORIZED"
    with Client(server.ws) as client:
        # Within a transaction it is meant, and it works.
        for sql in ("BEGIN", "CREATE TEMP TABLE genre(a)", "DELETE FROM genre", "COMMIT"):
            assert client.query(sql, sql)[1]["type"] == "query:complete"
        assert client.query("SELECT count(*) > 1 AS n FROM genre", "n")[0] == [{"n": 1}]


def test_a_statement_meets_the_schema_that_another_process_left(server, shell, music):
    with Client(server.ws) as client:
        client.query("CREATE TABLE t(a, b)", "c")
        client.query("INSERT INTO t VALUES (1, 2)", "i")
        shell(music, "ALTER TABLE t ADD COLUMN c")
        _, end = client.query("INSERT INTO t VALUES (1, 2, 3)", "j")
        assert end["type"] == "query:complete", end
