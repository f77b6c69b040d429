"""The command `query`, and queries over every road."""

import csv
import io
import json
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from contract import check, check_schema
from processes import LIMIT, Terminal
from sockets import Client

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


def test_a_table(server, run):
    result = run("query", server.ws, "SELECT genre_id, name FROM genre WHERE genre_id <= 2")
    assert result.stdout == "genre_id  name\n────────  ────\n       1  Folk\n       2  Jazz\n"
    assert result.stderr == ""


def test_csv_and_json(server, run):
    sql = "SELECT 1 AS a, 'x,\"y\"' AS b, NULL AS c, '' AS d, x'00ff' AS e, 9223372036854775807 AS f"
    text = run("query", server.ws, sql, "--csv").stdout
    assert list(csv.reader(io.StringIO(text))) == [
        list("abcdef"),
        ["1", 'x,"y"', "", "", "x'00ff'", "9223372036854775807"],
    ]
    line = run("query", server.ws, sql, "--json").stdout
    assert json.loads(line) == {
        "a": 1, "b": 'x,"y"', "c": None, "d": "", "e": {"$base64": "AP8="}, "f": {"$int64": "9223372036854775807"},
    }  # fmt: skip


def test_parameters(server, run):
    result = run("query", server.ws, "SELECT typeof(?1) a, typeof(?2) b, ?3 c", "-p", "5", "-p", "'5'", "-p", "ü", "--csv")
    assert result.stdout == "a,b,c\ninteger,text,ü\n"
    result = run("query", server.ws, "SELECT :a + @b AS s", "-p", ":a=1", "-p", "@b=2", "--csv")
    assert result.stdout == "s\n3\n"


def test_sql_from_standard_input(server, run):
    assert run("query", server.ws, "-", "--csv", input="SELECT 'ä' AS x;\n").stdout == "x\nä\n"


def test_an_error_shows_its_place(server, run):
    result = run("query", server.ws, "SELECT nme FROM genre")
    assert result.returncode == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert "no such column: nme" in lines[0]
    assert lines[1].index("nme") == lines[2].index("^")


@pytest.mark.parametrize(
    "sql, code",
    [("SELEKT 1", "SQL_ERROR"), ("INSERT INTO genre VALUES(1, 'x')", "CONSTRAINT"), ("ATTACH 'x' AS y", "NOT_AUTHORIZED")],
)
def test_errors_have_a_code_and_an_exit_code(server, run, sql, code):
    result = run("query", server.ws, sql)
    assert result.returncode in (1, 77)
    assert code in result.stderr


def test_no_server(run):
    result = run("query", "127.0.0.1:1", "SELECT 1")
    assert result.returncode == 69
    assert "cannot be reached" in result.stderr


def test_a_pipe_that_closes_early(server, binary):
    command = f"'{binary}' query {server.ws} 'SELECT t.* FROM track t, track u, track v' --csv | head -n 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30)
    assert result.stdout.startswith("track_id,")
    assert "error" not in result.stderr


def test_a_timeout(server, run):
    result = run("query", server.ws, ENDLESS, "--timeout", "300ms")
    assert result.returncode == 1
    assert "time" in result.stderr


def test_progress_on_a_terminal_and_ctrl_c(server, binary):
    terminal = Terminal([binary, "query", server.ws, ENDLESS])
    terminal.read_until(rb"\d+\.\d s|\d+ ms")
    terminal.type(b"\x03")
    assert terminal.wait() == 130
    assert b"cancelled after" in terminal.output
    with Client(server.ws) as client:
        rows, _ = client.query("SELECT 1 AS x", "q")
        assert rows == [{"x": 1}]


def test_colours_on_a_terminal_only(server, binary):
    arguments = [binary, "query", server.ws, "SELECT 1 AS x"]
    assert "\x1b[1m" in Terminal(arguments).read_all()
    assert "\x1b[1m" not in Terminal(arguments, env={"NO_COLOR": "1"}).read_all()


def test_a_query_is_cancelled_from_elsewhere_and_the_server_stays_responsive(server):
    with Client(server.ws) as client, Client(server.ws) as watcher:
        watcher.subscribe("queries")
        client.send("query:execute", sql=ENDLESS, queryId="endless", progressInterval=50)
        progress = watcher.message("query:progress")
        assert progress["data"]["queryId"] == "endless"
        assert progress["data"]["elapsed"] > 0
        for number in range(20):
            begin = time.monotonic()
            with urllib.request.urlopen(f"{server.http}/health", timeout=5) as response:
                assert response.status == 200
            assert time.monotonic() - begin < 1
        request = urllib.request.Request(f"{server.http}/query/endless/cancel", method="POST")
        begin = time.monotonic()
        urllib.request.urlopen(request, timeout=5).close()
        cancelled = client.message("query:cancelled")
        assert time.monotonic() - begin < 2
        assert cancelled["data"]["reason"] == "client"
        assert watcher.message("query:cancelled")["data"]["queryId"] == "endless"


def test_a_cancelled_write_is_undone_and_not_published(server):
    count = "SELECT count(*) AS n FROM track"
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    with Client(server.ws) as client, Client(server.ws) as other, Client(f"{server.ws}?channels=tables") as listener:
        before, _ = client.query(count, "before")
        client.query("CREATE TABLE w(a)", "create")
        listener.message("table:created")
        other.send("query:execute", sql=ENDLESS, queryId="others")
        other.message("query:started")
        client.send("query:execute", sql=f"INSERT INTO w {endless}", queryId="write")
        client.message("query:started")
        # Without tokens any client can cancel any query.
        other.send("query:cancel", queryId="write")
        assert client.message("query:cancelled")["data"]["reason"] == "client"
        rows, _ = client.query("SELECT count(*) AS n FROM w", "after")
        assert rows == [{"n": 0}]
        client.query("INSERT INTO w(a) VALUES (1)", "next")
        assert listener.message("table:modified")["data"]["inserted"] == 1
        assert client.query(count, "again")[0] == before
        other.send("query:cancel", queryId="others")
        assert other.message("query:cancelled")["data"]["reason"] == "client"


def test_an_idle_transaction_is_rolled_back_and_its_client_notified(server):
    with Client(server.ws) as client:
        client.query("BEGIN; INSERT INTO genre VALUES (77, 'lost')", "begin")
        error = client.message("error")
        assert error["data"]["code"] == "TRANSACTION_TIMED_OUT"
        for number, sql in enumerate(["INSERT INTO genre VALUES (78, 'late')", "INSERT INTO genre VALUES (79, 'later')", "COMMIT"]):
            client.send("query:execute", sql=sql, queryId=f"q{number}")
        for _ in range(3):
            assert client.message("query:error")["data"]["code"] == "TRANSACTION_TIMED_OUT"
        assert client.query("SELECT * FROM genre WHERE genre_id > 76", "look")[0] == []


def test_a_cancelled_write_takes_its_transaction_along_and_what_was_to_be_part_of_it(server):
    with Client(server.ws) as client:
        client.query("CREATE TABLE part(a); CREATE TABLE big(a)", "create")
        client.query("BEGIN; INSERT INTO part VALUES (1)", "begin")
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
        client.send("query:execute", sql=f"INSERT INTO big {endless}", queryId="write", progressInterval=50)
        client.message("query:progress")
        for number, sql in enumerate(["INSERT INTO part VALUES (2)", "COMMIT", "INSERT INTO part VALUES (3)"]):
            client.send("query:execute", sql=sql, queryId=f"q{number}")
        client.send("query:cancel", queryId="write")
        ends, told = {}, None
        while len(ends) < 4 or not told:
            message = client.receive()
            if message["type"] in ("query:complete", "query:error", "query:cancelled"):
                ends[message["data"]["queryId"]] = message
            if message["type"] == "error":
                told = message["data"]["code"]
        assert ends["write"]["type"] == "query:cancelled"
        assert ends["write"]["data"]["inTransaction"] is False
        assert told == ends["q0"]["data"]["code"] == ends["q1"]["data"]["code"] == "TRANSACTION_ROLLED_BACK"
        assert ends["q2"]["type"] == "query:complete"
        assert client.query("SELECT a FROM part", "look")[0] == [{"a": 3}]


def test_a_row_that_is_too_long_is_not_sent_and_those_before_it_are(serve, music):
    server = serve(music, "--limit", "query.maxRowBytes=100000")
    with Client(server.ws) as client:
        rows, end = client.query("SELECT 1 AS a UNION ALL SELECT zeroblob(100000)", "long")
        assert rows == [{"a": 1}]
        assert end["data"]["code"] == "TOO_BIG"
        assert end["data"]["error"].startswith("row 2 has")


def test_a_slow_client_with_many_queries_is_paused_and_not_closed(server):
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000) SELECT hex(zeroblob(500)) FROM n"
    with Client(server.ws) as client:
        for number in range(20):
            client.send("query:execute", sql=rows, queryId=f"q{number}")
        ends = 0
        while ends < 20:
            message = client.socket.recv(timeout=LIMIT)
            assert '"type":"query:error"' not in message
            ends += '"type":"query:complete"' in message


def test_foreign_keys_are_enforced_when_asked_for(serve, tmp_path):
    path = tmp_path / "keys.db"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p)")
    connection.close()
    with Client(serve(path, "--foreign-keys").ws) as client:
        _, end = client.query("INSERT INTO c VALUES (1)", "orphan")
        assert end["data"]["code"] == "CONSTRAINT"
    with Client(serve(path).ws) as client:
        _, end = client.query("INSERT INTO c VALUES (1)", "orphan")
        assert end["type"] == "query:complete"


def test_curl_posts_a_query_and_reads_lines(server):
    body = json.dumps({"sql": "SELECT name FROM genre ORDER BY genre_id LIMIT 2"})
    output = subprocess.run(
        ["curl", "-sN", "-H", "Accept: application/x-ndjson", "-H", "Content-Type: application/json", "-d", body,
         f"{server.http}/query"],
        capture_output=True, text=True, timeout=30, check=True,
    ).stdout  # fmt: skip
    messages = [check(json.loads(line), "sendLine") for line in output.splitlines()]
    assert [m["type"] for m in messages] == ["query:started", "query:rows", "query:complete"]
    assert messages[1]["data"]["rows"] == [{"name": "Folk"}, {"name": "Jazz"}]


@pytest.mark.parametrize(
    "query, last",
    [
        ({"sql": "INSERT INTO genre VALUES (70, 'x'); SELECT * FROM genre", "rowFormat": "arrays"}, "query:complete"),
        ({"sql": "SELECT * FROM nothing"}, "query:error"),
        ({"sql": "SELECT 1; BEGIN"}, "query:error"),
        ({"sql": ENDLESS, "timeout": 300, "progressInterval": 50}, "query:cancelled"),
    ],
)
def test_every_line_follows_the_contract(server, query, last):
    request = urllib.request.Request(
        f"{server.http}/query", data=json.dumps(query).encode(), headers={"Accept": "application/x-ndjson"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        messages = [check(json.loads(line), "sendLine") for line in response]
    assert messages[-1]["type"] == last
    if last == "query:cancelled":
        assert "query:progress" in {message["type"] for message in messages}


def test_one_document_follows_the_contract(server):
    request = urllib.request.Request(
        f"{server.http}/query", data=json.dumps({"sql": "INSERT INTO genre VALUES (70, 'x'); SELECT * FROM genre"}).encode()
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        document = check_schema("QueryDocument", json.load(response))
    assert {"genre_id": 70, "name": "x"} in document["results"][-1]["rows"]


PARTLY_COMMITTED = "BEGIN; INSERT INTO genre VALUES ({0}, 'genre {0}'); COMMIT; {1}"


def error_document(server, **query):
    request = urllib.request.Request(f"{server.http}/query", data=json.dumps(query).encode())
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    return json.load(caught.value)


def test_a_query_that_ends_early_names_the_position_of_what_it_committed(server):
    failing, endless = "SELECT nope", ENDLESS
    with Client(server.ws) as client, Client(f"{server.ws}?channels=tables") as listener:
        _, error = client.query(PARTLY_COMMITTED.format(70, failing), "failing")
        assert (error["type"], error["data"]["code"]) == ("query:error", "SQL_ERROR")
        assert error["data"]["position"] == listener.message("table:modified")["position"]
        _, cancelled = client.query(PARTLY_COMMITTED.format(71, endless), "endless", timeout=300)
        assert (cancelled["type"], cancelled["data"]["reason"]) == ("query:cancelled", "timeout")
        assert cancelled["data"]["position"] == listener.message("table:modified")["position"]
        document = error_document(server, sql=PARTLY_COMMITTED.format(72, failing))
        assert document["position"] == listener.message("table:modified")["position"]
        document = error_document(server, sql=PARTLY_COMMITTED.format(73, endless), timeout=300)
        assert document["position"] == listener.message("table:modified")["position"]
        _, error = client.query(f"INSERT INTO genre VALUES (74, 'genre 74'); {failing}", "undone")
        assert "position" not in error["data"]
        assert "position" not in error_document(server, sql=failing)


def test_curl_closes_the_connection_and_the_query_is_cancelled(server):
    with Client(server.ws) as watcher:
        watcher.subscribe("queries")
        body = json.dumps({"sql": ENDLESS, "queryId": "curl"})
        curl = subprocess.Popen(
            ["curl", "-sN", "-H", "Accept: application/x-ndjson", "-d", body, f"{server.http}/query"],
            stdout=subprocess.DEVNULL,
        )
        watcher.message("query:started")
        curl.kill()
        curl.wait()
        cancelled = watcher.message("query:cancelled")
        assert cancelled["data"] == {**cancelled["data"], "queryId": "curl", "reason": "disconnect"}


def test_every_value_survives_the_way_there_and_back(serve, nasty):
    server = serve(nasty)
    with Client(server.ws) as client:
        rows, end = client.query('SELECT what, value, hex(value) AS h, typeof(value) AS t FROM "values"', "all")
        assert end["type"] == "query:complete", end
        for row in rows:
            again, end = client.query(
                "SELECT hex(?1) AS h, typeof(?1) AS t", f"q{row['what']}"[:100], params=[row["value"]]
            )
            assert again == [{"h": row["h"], "t": row["t"]}], row["what"]


def test_a_body_that_is_no_query_is_refused(server):
    for body, word in ((b"{", "JSON"), (b"{}", "sql"), (b'{"sql": 5}', "sql"), (b"\xff", "JSON")):
        request = urllib.request.Request(f"{server.http}/query", data=body)
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request, timeout=10)
        assert error.value.code == 400
        assert word in error.value.read().decode()
