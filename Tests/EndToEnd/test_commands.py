"""The commands beside `serve`, `listen` and `query` on a server: on files, and what a server can be asked."""

import json
import os
import re
import sqlite3
import subprocess

import pytest

from processes import LIMIT, Terminal
from sockets import Client

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


# A file without a server


def test_a_query_on_a_file_needs_no_server(run, music):
    result = run("query", music, "SELECT genre_id, name FROM genre WHERE genre_id <= 2")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "genre_id  name\n────────  ────\n       1  Folk\n       2  Jazz\n"
    assert run("query", music, "INSERT INTO genre VALUES (90, :name)", "-p", ":name=x").returncode == 0
    assert run("query", music, "SELECT name FROM genre WHERE genre_id = 90", "--csv").stdout == "name\nx\n"


def test_what_is_written_to_a_file_is_published_by_the_server_of_it(server, run, music):
    with Client(server.ws) as client:
        client.subscribe("tables", rows="values")
        assert run("query", music, "INSERT INTO genre VALUES (91, 'y')").returncode == 0
        message = client.message("table:modified")["data"]
        assert (message["origin"], message["rows"][0]["after"]["name"]) == ("external", "y")


def test_every_form_of_output_is_the_same_on_a_file(server, run, music):
    sql = "SELECT 1 AS a, 2 AS a, 'x,y' AS b, NULL AS c, x'00ff' AS d, 9223372036854775807 AS e, 1.5 AS f; SELECT name FROM genre"
    for options in ([], ["--json"], ["--csv"], ["--vertical"]):
        assert run("query", music, sql, *options).stdout == run("query", server.ws, sql, *options).stdout != ""


@pytest.mark.parametrize(
    "sql, status, words",
    [
        ("SELECT nme FROM genre", 1, "no such column: nme (SQL_ERROR)"), ("INSERT INTO genre VALUES (1, 'x')", 1, "(CONSTRAINT)"),
        ("ATTACH 'x' AS y", 77, "(NOT_AUTHORIZED)"), ("BEGIN; DELETE FROM genre", 1, "(TRANSACTION_LEFT_OPEN)"), ("", 1, "there is no statement"),
        ("PRAGMA recursive_triggers = 1", 77, "lasts until the end"), ("SELECT ?", 1, "no parameters were given"),
    ],
)  # fmt: skip
def test_errors_of_a_query_on_a_file(run, music, sql, status, words):
    result = run("query", music, sql)
    assert (result.returncode, result.stdout) == (status, "")
    assert result.stderr.startswith("error: ") and words in result.stderr


def test_one_value_too_many_is_counted_in_english(run, music):
    assert "and 1 value was given" in run("query", music, "SELECT 1", "-p", "1").stderr
    assert "and 2 values were given" in run("query", music, "SELECT 1", "-p", "1", "-p", "2").stderr


def test_a_file_that_is_none(run, tmp_path):
    assert run("query", tmp_path / "none.db", "SELECT 1").returncode == 66
    assert run("query", tmp_path, "SELECT 1").returncode == 66
    text = tmp_path / "text.db"
    text.write_text("no database" * 100)
    result = run("query", text, "SELECT * FROM sqlite_schema")
    assert result.returncode == 65 and result.stderr.startswith("error: ")


def test_a_large_result_of_a_file_takes_no_memory_that_grows(binary, music):
    sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000) SELECT i, hex(zeroblob(500)) AS z FROM n"
    script = f"ulimit -v 4000000; '{binary}' query '{music}' \"{sql}\" --csv | tail -n 1 | cut -d, -f1"
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=LIMIT * 2)
    assert (result.stdout.strip(), result.stderr) == ("300000", "")


def test_progress_and_cancel_on_a_file(binary, music):
    terminal = Terminal([binary, "query", str(music), ENDLESS])
    terminal.read_until(rb"running|scanning|[0-9] s|ms")
    terminal.type(b"\x03")
    assert terminal.wait() == 130
    assert b"cancelled after" in terminal.output


def test_a_time_limit_on_a_file(run, music):
    result = run("query", music, ENDLESS, "--timeout", "100ms")
    assert result.returncode == 1 and "its timeout expired" in result.stderr


def test_a_reader_of_a_file_that_goes_away_is_no_error(binary, music):
    script = f"set -o pipefail; '{binary}' query '{music}' 'SELECT t.* FROM track t, track u, track v' --csv | head -n 1"
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=LIMIT)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("track_id,")


# SQL in a file


@pytest.mark.parametrize("where", ["file", "server"])
def test_sql_in_a_file(server, run, music, tmp_path, where):
    script = tmp_path / "report.sql"
    script.write_text("-- a report\nSELECT 1 AS a;\nSELECT nonsense;\n")
    target = music if where == "file" else server.ws
    result = run("query", target, "-f", script)
    assert result.returncode == 1
    assert "line 3" in result.stderr
    script.write_text("SELECT ? AS a")
    assert run("query", "-f", script, target, "--csv", "-p", "5").stdout == "a\n5\n"
    assert run("query", target, "-f", tmp_path / "none.sql").returncode == 66
    assert run("query", target, "-f", tmp_path).returncode == 66
    assert "there is no statement" in run("query", target, "-f", "/dev/null").stderr


def test_what_is_given_in_the_wrong_place_is_explained(run, music, tmp_path):
    script = tmp_path / "report.sql"
    script.write_text("SELECT 1")
    for arguments, words in (
        (["query", script], f"run the file with -f {script}"), (["query", music, "report.sql"], "run the file with -f report.sql"),
        (["query", music], "the SQL is missing"), (["query", "SELECT", "1"], "neither a server address nor a file"),
        (["query", music, "SELECT 1", "-f", script], "cannot be combined with SQL in an argument"), (["query"], "Expected the SQL"),
        (["schema", music], "the table is missing"), (["broadcast", "hi"], "The data is not JSON"), (["broadcast", "[1]"], "must be a JSON object"),
        (["broadcast", "{}", "--channel", "nonsense"], "--channel"), (["cancel"], "query-id"), (["completions", "csh"], "csh"),
        (["cancel", "nonsense", "id"], "not a server address"),
    ):  # fmt: skip
        result = run(*arguments)
        assert result.returncode == 64, result
        assert words in result.stderr and result.stderr.startswith("error: "), result.stderr


def test_a_script_in_the_place_of_a_database_is_explained(run, tmp_path):
    script = tmp_path / "report.sql"
    script.write_text("SELECT 1")
    for arguments in (["serve", script], ["query", script, "SELECT 1"], ["listen", script]):
        result = run(*arguments)
        assert result.returncode == 65 and f"--init {script}" in result.stderr, result


@pytest.mark.parametrize("place", [["-f", "-"], ["-"]])
def test_sql_from_standard_input(run, music, place):
    result = run("query", music, *place, "--csv", input="SELECT count(*) AS n FROM genre")
    assert result.stdout.splitlines() == ["n", "10"], result


# What a server can be asked


def test_the_server_of_the_environment(server, run, start):
    env = {"TABLECAST_URL": server.ws}
    assert run("query", "SELECT 41 + 1 AS n", "--csv", env=env).stdout == "n\n42\n"
    assert "genre" in run("tables", env=env).stdout
    assert run("status", "--json", env=env).returncode == 0
    listener = start("listen", "--json", env=env)
    listener.error_line("connected")
    run("query", "INSERT INTO genre VALUES (92, 'z')", env=env)
    assert "table:modified" in listener.line("table:modified")
    # An argument says more than the environment.
    assert run("query", server.ws, "SELECT 1", env={"TABLECAST_URL": "ws://127.0.0.1:1"}).returncode == 0
    result = run("query", "SELECT 1", env={"TABLECAST_URL": "ftp://x"})
    assert result.returncode == 64 and "TABLECAST_URL" in result.stderr


@pytest.mark.parametrize("where", ["file", "server"])
def test_tables(server, run, music, where):
    target = music if where == "file" else server.ws
    lines = run("tables", target).stdout.splitlines()
    assert lines[0].split() == ["name", "kind", "rows"]
    kinds = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert kinds["genre"][0] == "table" and kinds["genre"][1].startswith("~") and kinds["best_sellers"] == ["view"]
    document = json.loads(run("tables", target, "--json").stdout)
    assert {table["name"] for table in document["tables"]} == set(kinds)


@pytest.mark.parametrize("where", ["file", "server"])
def test_the_schema_of_a_table_can_be_run(server, run, music, where, tmp_path):
    target = music if where == "file" else server.ws
    connection = sqlite3.connect(music)
    for name, sql in connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name IN ('track', 'genre')"):
        text = run("schema", target, name).stdout
        assert text.startswith(sql + ";\n")
        sqlite3.connect(":memory:").executescript(text)
    assert json.loads(run("schema", target, "genre", "--json").stdout)["name"] == "genre"
    result = run("schema", target, "nothing")
    assert result.returncode == 1 and "no table" in result.stderr


def test_cancel(server, run, start):
    listener = start("listen", server.ws, "--channels", "queries", "--json")
    listener.error_line("connected")
    query = start("query", server.ws, ENDLESS)
    identifier = json.loads(listener.line("query:started"))["data"]["queryId"]
    assert run("cancel", server.ws, identifier).returncode == 0
    assert query.wait() == 1
    assert "requested by another client" in query.error_line("cancelled")
    result = run("cancel", server.ws, "no such query/?")
    assert result.returncode == 1 and 'no query with the id "no such query/?" is queued or running' in result.stderr


def test_broadcast(server, run):
    with Client(server.ws) as client:
        assert run("broadcast", server.ws, '{"text": "hi"}', "--type", "chat:message").returncode == 0
        assert client.message("chat:message")["data"] == {"text": "hi"}
        client.subscribe("collaboration")
        assert run("broadcast", server.ws, '{"text": "ho"}', "--channel", "collaboration").returncode == 0
        assert client.message("notification")["channel"] == "collaboration"
    result = run("broadcast", server.ws, "{}", "--type", "table:created")
    assert result.returncode == 77 and "belongs to the protocol" in result.stderr


def test_status(server, run):
    with Client(server.ws):
        text = run("status", server.ws).stdout
    assert re.search(r"^connectedClients +1$", text, re.M) and re.search(r"^database +music.db$", text, re.M)
    assert run("status", "127.0.0.1:1").returncode == 69


def test_a_server_that_is_none(run, tmp_path):
    import http.server
    import threading

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_):
            pass

    other = http.server.HTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    result = run("tables", f"127.0.0.1:{other.server_port}")
    other.shutdown()
    assert result.returncode == 1 and "the server responded with status 404" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions(run, shell):
    script = run("completions", shell).stdout
    assert "tablecast" in script and "vertical" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=LIMIT)


# On a terminal


def columns(count):
    return "SELECT " + ", ".join(f"{i} AS column_{i}" for i in range(count))


def test_rows_that_do_not_fit_a_terminal_are_printed_one_value_a_line(binary, music):
    text = Terminal([binary, "query", str(music), columns(200)], columns=100, env={"NO_COLOR": "1"}).read_all()
    lines = [line.rstrip("\r") for line in text.split("\n")]
    assert lines[0] == "── row 1 ──"
    assert lines[1] == "  column_0  0" and lines[200] == "column_199  199"


def test_rows_that_fit_are_a_table_and_can_be_vertical(binary, music, run):
    text = Terminal([binary, "query", str(music), columns(3)], columns=100, env={"NO_COLOR": "1"}).read_all()
    assert text.startswith("column_0  column_1  column_2")
    assert run("query", music, "SELECT 1 AS a, 'x' AS bc UNION ALL SELECT 2, 'y'", "--vertical").stdout == (
        "── row 1 ──\n a  1\nbc  x\n── row 2 ──\n a  2\nbc  y\n"
    )
    # To a file nothing is cut, so that a table always fits.
    assert len(run("query", music, columns(200)).stdout.splitlines()) == 3


def test_an_error_on_a_terminal_is_red(binary):
    terminal = Terminal([binary, "query", "nonsense", "x"])
    assert terminal.wait() == 64
    assert terminal.output.startswith(b"\x1b[1;31merror:\x1b[0m ")


# Building a file


@pytest.mark.parametrize("script", ["/dev/null", "empty", "comment"])
def test_a_database_is_built_from_nothing(serve, tmp_path, script):
    path = script
    if script != "/dev/null":
        path = tmp_path / "init.sql"
        path.write_text("" if script == "empty" else "-- nothing yet\n")
    server = serve(tmp_path / "new.db", "--init", path)
    with Client(server.ws) as client:
        client.query("CREATE TABLE t(a)", "c")
        assert client.query("SELECT count(*) AS n FROM t", "q")[0] == [{"n": 0}]
    assert os.path.getsize(tmp_path / "new.db") > 0


# Help


# Left out, nothing of the kind is done.
WITHOUT_DEFAULT = {
    "--init", "--allowed-origin", "--trusted-proxy", "--tls-certificate", "--tls-key", "--tokens", "--file", "--param",
    "--config", "--where", "--jwt-keys", "--jwt-issuer", "--jwt-audience", "--jwt-claims",
    "--nats", "--nats-credentials", "--nats-nkey", "--nats-ca", "--nats-certificate", "--nats-key", "--upstream-token",
}  # fmt: skip


@pytest.mark.parametrize("command", ["serve", "relay", "listen", "query", "tables", "schema", "cancel", "broadcast", "status"])
def test_help_names_the_default_of_every_option(run, command):
    text = run(command, "--help").stdout
    options = [" ".join(option.split("\n\n")[0].split()) for option in re.split(r"\n(?=  -)", text)[1:]]
    with_values = [option for option in options if re.match(r"(-\w, )?--[\w-]+ <", option)]
    assert with_values
    for option in with_values:
        name = re.search(r"--[\w-]+", option).group()
        assert name in WITHOUT_DEFAULT or re.search(r"\b[Dd]efault\b", option), option
