"""No expression of a schema or a client may stop the service: queries, the watcher, snapshots, /ready, /tables, SIGTERM."""

import json
import re
import sqlite3
import time
import urllib.request

import pytest

from processes import LIMIT
from sockets import Client

# One call of one function, which took hours.
ENDLESS = "instr(printf('%.*c',16000000,'a'), printf('%.*c',8000000,'a')||'b')"
# The same without an end, whatever a single call takes.
FOREVER = f"(WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT max({ENDLESS} + i) FROM c)"


def get(server, path):
    with urllib.request.urlopen(server.http + path, timeout=LIMIT) as response:
        return response.read().decode()


def test_a_write_that_took_hours_ends_at_its_timeout_and_the_writer_goes_on(serve, music):
    server = serve(music)
    with Client(server.ws) as client:
        assert client.query(f"UPDATE genre SET name=name WHERE {ENDLESS}=1", "one", timeout=2000)[1]["type"] in (
            "query:complete",
            "query:cancelled",
        )
        last = client.query(f"UPDATE genre SET name=name WHERE {FOREVER}=1", "many", timeout=1000)[1]
        assert (last["type"], last["data"]["reason"]) == ("query:cancelled", "timeout")
        assert client.query("UPDATE genre SET name='x' WHERE genre_id=1", "next")[1]["data"]["changes"] == 1
    # Nor is another process locked out.
    with sqlite3.connect(music, timeout=LIMIT) as other:
        other.execute("UPDATE genre SET name='y' WHERE genre_id=1")


def test_a_slow_generated_column_stops_no_events(serve, music):
    server = serve(music, "--wal")
    with Client(server.ws) as client, Client(server.ws) as writer:
        client.subscribe("tables", rows="values")
        assert writer.query("CREATE TABLE evil(id INTEGER PRIMARY KEY)", "a")[1]["type"] == "query:complete"
        # In a slow build it takes longer than the watcher gives the columns of a table, and in a fast one it does not.
        writer.query(f"ALTER TABLE evil ADD COLUMN g AS ({ENDLESS} + {ENDLESS})", "b")
        assert writer.query("INSERT INTO evil(id) VALUES (7)", "c")[1]["type"] == "query:complete"
        evil = client.message("table:modified", where=lambda m: m["data"]["change"] == "rows")["data"]
        assert evil["rows"][0]["key"] == {"id": 7}
        assert "g" not in evil["rows"][0]["after"] if "columnsOmitted" in evil else evil["rows"][0]["after"]["g"] == 0
        begin = time.monotonic()
        other = sqlite3.connect(music, timeout=LIMIT)
        other.execute("UPDATE genre SET name='z' WHERE genre_id=1")
        other.commit()
        client.message("table:modified", where=lambda m: m["data"]["tableName"] == "genre")
        assert time.monotonic() - begin < 10
    assert get(server, "/health").startswith("ok\n")
    assert server.stop() == 0


def test_a_column_whose_function_only_the_writer_has_is_named_as_omitted(serve, music):
    other = sqlite3.connect(music, timeout=LIMIT)
    other.create_function("only_here", 1, lambda value: 5, deterministic=True)
    other.execute("CREATE TABLE own(id INTEGER PRIMARY KEY, a, b AS (only_here(a)), c AS (a + 1))")
    server = serve(music)
    with Client(server.ws) as client:
        client.subscribe("tables", rows="values")
        other.execute("INSERT INTO own(a) VALUES (1)")
        other.commit()
        change = client.message("table:modified")["data"]
        assert change["columnsOmitted"] == ["b"]
        assert change["rows"][0]["after"] == {"id": 1, "a": 1, "c": 2}


def test_a_generated_column_named_rowid_costs_tables_and_ready_nothing(serve, music):
    other = sqlite3.connect(music)
    # In this order: SQLite itself computes the column of a row that it inserts.
    other.executescript(
        f"CREATE TABLE evil(a); INSERT INTO evil(a) VALUES (1), (2), (3); ALTER TABLE evil ADD COLUMN rowid AS ({ENDLESS})"
    )
    server = serve(music)
    begin = time.monotonic()
    assert get(server, "/ready") == "ready\n"
    tables = {table["name"]: table for table in json.loads(get(server, "/tables"))["tables"]}
    assert tables["evil"]["rowEstimate"] == 3
    assert json.loads(get(server, "/tables/evil"))["rowEstimate"] == 3
    assert time.monotonic() - begin < 10


def test_sigterm_ends_the_process_whatever_runs(serve, music):
    server = serve(music)
    client = Client(server.ws)
    client.send("query:execute", sql=f"UPDATE genre SET name={FOREVER}", queryId="w")
    reader = Client(server.ws)
    reader.send("query:execute", sql=f"SELECT {FOREVER}", queryId="r")
    reader.send("query:execute", sql="SELECT 1", queryId="s")
    reader.message("query:complete")
    begin = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begin < 6


def test_health_says_when_the_watcher_moved(serve, music):
    server = serve(music)
    assert re.fullmatch(r"ok\nwatcher moved \d+ ms ago, 0 commits behind\n", get(server, "/health"))


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE j(id INTEGER PRIMARY KEY, doc, name AS (json_extract(doc, '$.name')))",
        "CREATE TABLE j(id INTEGER PRIMARY KEY, doc); CREATE INDEX ji ON j(doc ->> '$.name')",
        "CREATE TABLE j(id INTEGER PRIMARY KEY, doc); CREATE INDEX ji ON j(id) WHERE json_valid(doc)",
    ],
)
def test_a_snapshot_works_where_a_table_uses_json_functions(serve, music, schema):
    with sqlite3.connect(music) as other:
        other.executescript(f"""{schema}; INSERT INTO j(doc) VALUES ('{{"name": "ada"}}')""")
    server = serve(music)
    with Client(server.ws) as client:
        client.send("subscribe", channel="tables", id="s", tables=["j"], snapshot=True, rows="values")
        row = client.message("table:snapshot")["data"]["rows"][0]
        assert row["doc"] == '{"name": "ada"}'
        assert row.get("name", "ada") == "ada"


def test_a_query_beyond_its_memory_or_temporary_files_fails_alone(serve, music):
    server = serve(music, "--max-query-memory", "32M", "--max-temporary-bytes", "8M")
    with Client(server.ws) as client:
        greedy = ", ".join(f"max(CASE WHEN genre_id > 0 THEN printf('%16000000d', {n}) END)" for n in range(66))
        last = client.query(f"SELECT {greedy} FROM genre", "memory")[1]
        assert (last["type"], last["data"]["code"]) == ("query:error", "TOO_BIG")
        last = client.query("SELECT DISTINCT zeroblob(1000000) || track_id FROM track", "files", maxRows=100000)[1]
        assert (last["type"], last["data"]["code"]) == ("query:error", "TOO_BIG")
        assert client.query("SELECT 1 AS one", "next")[0] == [{"one": 1}]


@pytest.mark.parametrize("lane", ["reader", "writer"])
def test_sigterm_ends_the_process_while_a_call_runs_that_nothing_interrupts(serve, music, lane):
    server = serve(music)
    client = Client(server.ws)
    if lane == "writer":
        client.query("BEGIN IMMEDIATE", "begin")
    # Rows that fill a batch, and then comparisons that each take a second or so.
    rows = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 4096) SELECT i FROM c"
    text, pattern = "printf('%.*c', 4190000, 'a')", "'%' || printf('%.*c', 248, 'a') || 'b'"
    client.send("query:execute", sql=f"{rows} UNION ALL SELECT {text} || i LIKE {pattern} FROM c", queryId="m")
    client.message("query:rows")
    with Client(server.ws) as other:
        other.query("SELECT 1", "other")
    begin = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begin < 6


@pytest.mark.parametrize("module", ["fts5", "fts4"])
def test_a_full_text_search_that_took_hours_fails_and_the_writer_goes_on(serve, music, module):
    with sqlite3.connect(music) as other:
        other.execute(f"CREATE VIRTUAL TABLE f USING {module}(x)")
        other.execute("INSERT INTO f VALUES (?)", ("a " * 8_000_000,))
    near = "NEAR(" + " ".join(["a"] * 32) + ", 10)" if module == "fts5" else " NEAR ".join(["a"] * 12)
    searches = [("length(x)", near, "TOO_BIG"), ("length(x)", near.replace("a", "a a a a"), "SQL_ERROR"), ("length(x)", "a " * 20_000, "TOO_BIG")]
    if module == "fts4":
        searches[1] = ("length(x)", " NEAR ".join(["a"] * 33), "SQL_ERROR")
        searches += [(f"length({call})", "a a a", "SQL_ERROR") for call in ("snippet(f)", "matchinfo(f, '" + "s" * 20 + "')")]
        searches += [("length(offsets(f))", "a a a", "TOO_BIG"), ("length(x)", "a a a a", "TOO_BIG")]
    server = serve(music)
    with Client(server.ws) as client, Client(server.ws) as writer:
        for index, (call, expression, code) in enumerate(searches):
            # On the writer, so that all other writers wait.
            sql = f"UPDATE genre SET name = name WHERE genre_id = (SELECT {call} FROM f WHERE f MATCH ?)"
            client.send("query:execute", sql=sql, params=[expression], queryId=f"s{index}")
            assert writer.query("UPDATE genre SET name = 'x' WHERE genre_id = 1", f"w{index}")[1]["type"] == "query:complete"
            end = client.message("query:error", where=lambda m: m["data"]["queryId"] == f"s{index}")["data"]
            assert end["code"] == code, (call, expression[:20], end)
        # An ordinary search works.
        client.query("INSERT INTO f VALUES ('one two three four')", "i")
        found = "one NEAR three" if module == "fts4" else "NEAR(one three four, 5) NOT a"
        assert client.query("SELECT length(x) AS n FROM f WHERE f MATCH ?", "o", params=[found])[0] == [{"n": 18}]


def test_a_condition_that_takes_hours_holds_nothing_up(serve, music):
    server = serve(music)
    with Client(server.ws) as hostile, Client(server.ws) as client:
        endless = ENDLESS.replace("16000000", "4000000").replace("8000000", "2000000")
        hostile.subscribe("tables", tables=["genre"], rows="keys", where=f"{endless} + {endless} = genre_id")
        client.subscribe("tables", tables=["genre"])
        begin = time.monotonic()
        assert client.query("UPDATE genre SET name = 'x' WHERE genre_id = 1", "w")[1]["type"] == "query:complete"
        with sqlite3.connect(music, timeout=LIMIT) as other:
            other.execute("UPDATE genre SET name = 'y' WHERE genre_id = 2")
        client.messages("table:modified", 1)
        assert time.monotonic() - begin < 10
    assert server.stop() == 0


@pytest.mark.parametrize("call", ["snippet(f, 0, '<', '>', '…', 10)", "highlight(f, 0, '<', '>')", "bm25(f)"])
def test_full_text_functions_end_at_the_deadline(serve, music, call):
    with sqlite3.connect(music) as other:
        other.execute("CREATE VIRTUAL TABLE f USING fts5(x)")
        other.execute("INSERT INTO f VALUES (?)", ("a " * 500_000,))
    server = serve(music)
    with Client(server.ws) as client:
        begin = time.monotonic()
        end = client.query(f"SELECT length({call}) FROM f WHERE f MATCH 'a OR a'", "f", timeout=1_000)[1]
        assert end["type"] in ("query:complete", "query:cancelled"), end
        assert time.monotonic() - begin < 10
        short = "SELECT snippet(f, 0, '<', '>', '…', 2) AS s FROM f WHERE f MATCH 'b'"
        client.query("INSERT INTO f VALUES ('x y. a b c')", "i")
        assert client.query(short, "s")[0] == [{"s": "…a <b>…"}]
