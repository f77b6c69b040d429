"""tablecast serve :memory:, a private file that behaves as every other."""

import os
import pathlib
import signal

from sockets import Client

BASE = pathlib.Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else os.environ.get("TMPDIR", "/tmp"))


def directories():
    return set(BASE.glob("tablecast-memory-*"))


def test_every_feature_works_on_a_database_in_memory(serve, run):
    before = directories()
    server = serve(":memory:")
    (directory,) = directories() - before
    assert directory.stat().st_mode & 0o777 == 0o700
    with Client(server.ws) as writer, Client(server.ws) as reader:
        assert writer.acknowledgement["data"]["database"] == ":memory:"
        assert writer.query("CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'x')", "q1")[1]["type"] == "query:complete"
        reader.subscribe("tables", rows="values", snapshot=True)
        assert reader.message("table:snapshot")["data"]["rows"] == [{"id": 1, "a": "x"}]
        # Readers go on while a transaction is open.
        writer.query("BEGIN", "q2")
        writer.query("UPDATE t SET a = 'y'", "q3")
        assert reader.query("SELECT a FROM t", "q4")[0] == [{"a": "x"}]
        position = writer.query("COMMIT", "q5")[1]["data"]["position"]
        modified = reader.message("table:modified")
        assert (modified["position"], modified["data"]["rows"][0]["after"]["a"]) == (position, "y")
        assert reader.query("PRAGMA journal_mode", "q6")[0] == [{"journal_mode": "wal"}]
    assert server.stop() == 0
    assert not directory.exists()


def test_a_database_in_memory_is_filled_from_sql(serve, run, tmp_path):
    script = tmp_path / "schema.sql"
    script.write_text("PRAGMA journal_mode=DELETE; CREATE TABLE t (x); INSERT INTO t VALUES (1), (2);")
    server = serve(":memory:", "--init", script, "--read-only", cwd=tmp_path)
    assert run("query", server.ws, "SELECT sum(x) AS n FROM t", "--csv").stdout == "n\n3\n"
    assert run("query", server.ws, "DELETE FROM t").returncode != 0
    assert sorted(os.listdir(tmp_path)) == ["schema.sql"]
    script.write_text("CREATE TABLE t (x);\nINSERT INTO nowhere VALUES (1);")
    before = directories()
    failed = run("serve", ":memory:", "--init", script)
    assert failed.returncode == 1 and "line 2" in failed.stderr
    assert not directories() - before


def test_what_a_killed_server_left_in_memory_is_removed_by_the_next(serve):
    before = directories()
    first = serve(":memory:")
    first.signal(signal.SIGKILL)
    first.wait()
    (left,) = directories() - before
    second = serve(":memory:")
    assert not left.exists()
    third = serve(":memory:")
    # Each has its own, and leaves the others alone.
    assert len(directories() - before) == 2
    for server in (second, third):
        assert server.stop() == 0
    assert not directories() - before


def test_a_database_in_memory_cannot_be_followed_from_outside(run):
    result = run("listen", ":memory:")
    assert result.returncode == 64 and "through its server" in result.stderr
