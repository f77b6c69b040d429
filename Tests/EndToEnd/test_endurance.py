"""What must hold when things go wrong, or go on for long: no row lost, no memory or descriptor kept."""

import concurrent.futures
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from sockets import Client

WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
number = 0
while True:
    connection.execute("INSERT INTO genre(name) VALUES ('row ' || ?)", (number,))
    print(number, flush=True)
    number += 1
    # Without a pause it would hardly let go of the lock.
    time.sleep(0.005)
"""


def write(path) -> subprocess.Popen:
    """Another process that inserts without end, and says the number of each row once it is committed."""
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)


def memory(server) -> int:
    """Of the server, in bytes."""
    with open(f"/proc/{server.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_a_server_that_is_killed_loses_nothing(serve, music, shell):
    shell(music, "PRAGMA journal_mode=WAL")
    epochs = set()
    own = 0
    writer = write(music)
    try:
        for turn in range(3):
            server = serve(music)
            with Client(server.ws) as client:
                epochs.add(client.acknowledgement["data"]["position"].split(":")[0])
                while own < 5 * (turn + 1):
                    own += client.query(f"INSERT INTO genre(name) VALUES ('own {own}')", f"q{own}")[1]["type"] == "query:complete"
                assert writer.stdout.readline()
                server.signal(signal.SIGKILL)
                server.wait()
    finally:
        writer.kill()
        committed = len(writer.stdout.readlines()) + 3
        writer.wait()
    assert len(epochs) == 3
    with sqlite3.connect(music) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        count = "SELECT count(*) FROM genre WHERE name LIKE ?"
        assert connection.execute(count, ("own %",)).fetchone() == (own,)
        # The last one may have been committed and not have been said.
        assert connection.execute(count, ("row %",)).fetchone()[0] in (committed, committed + 1)


def test_a_writer_that_is_killed_in_mid_transaction_leaves_no_trace(server, music, shell):
    unfinished = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size=5")
connection.execute("BEGIN IMMEDIATE")
connection.executemany("INSERT INTO genre(name) VALUES (?)", ((f"{i:0500}",) for i in range(500)))
print("under way", flush=True)
sys.stdin.read()
"""
    with Client(server.ws) as client:
        client.subscribe("tables", tables=["genre"], rows="values")
        for turn in range(3):
            arguments = [sys.executable, "-c", unfinished, str(music)]
            writer = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert writer.stdout.readline()
            writer.kill()
            writer.wait()
            shell(music, f"INSERT INTO genre(name) VALUES ('after {turn}')")
            data = client.message("table:modified")["data"]
            assert [row["after"]["name"] for row in data["rows"]] == [f"after {turn}"]


def test_many_queries_of_one_client_leave_no_memory(server):
    with Client(server.ws) as client:

        def turns(count):
            for _ in range(count):
                client.query("BEGIN", "begin")
                client.query("COMMIT", "commit")

        turns(300)
        before = memory(server)
        turns(1_000)
        # A query that was kept took 25 kB and more.
        assert memory(server) - before < 10 << 20


def test_a_storm_of_connections_leaves_nothing_open(server):
    def connect(_):
        with Client(server.ws) as client:
            client.send("query:execute", sql="WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c) SELECT i FROM c")

    def descriptors():
        return len(os.listdir(f"/proc/{server.process.pid}/fd"))

    connect(0)
    before = descriptors()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(connect, range(300)))
    with Client(server.ws) as client:
        # Readers are free for this one because the others' queries ended with them.
        assert client.query("SELECT 1 AS x", "q")[0] == [{"x": 1}]
        # The pool of readers opens its connections when they are needed.
        assert descriptors() <= before + 40


@pytest.mark.parametrize("name", ["a b.db", "ünï ←😀.db", "what?mode=ro.db", "#1.db", "100%25.db", "file:x.db", "quo'te\".db"])
def test_any_name_of_a_file(serve, music, shell, name):
    shell(music, "PRAGMA journal_mode=WAL")
    path = music.rename(music.with_name(name))
    with Client(serve(path).ws) as client:
        client.subscribe("tables", rows="values")
        shell(path, "INSERT INTO genre VALUES (50, 'theirs')")
        assert client.message("table:modified")["data"]["rows"][0]["after"]["name"] == "theirs"
        client.send("query:execute", sql="INSERT INTO genre VALUES (51, 'own')")
        client.message("table:modified", where=lambda m: m["data"]["rows"][0]["after"]["name"] == "own")


def test_a_link_to_a_database(serve, music, shell):
    shell(music, "PRAGMA journal_mode=WAL")
    link = music.with_name("link.db")
    link.symlink_to(music)
    with Client(serve(link).ws) as client:
        client.subscribe("tables", rows="values")
        for path, number in ((music, 50), (link, 51)):
            shell(path, f"INSERT INTO genre VALUES ({number}, 'row {number}')")
            assert client.message("table:modified")["data"]["rows"][0]["after"]["genre_id"] == number


def test_a_file_without_a_byte(serve, tmp_path, shell):
    path = tmp_path / "new.db"
    path.touch()
    with Client(serve(path).ws) as client:
        client.subscribe("tables", rows="values")
        shell(path, "CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        assert client.message("table:created")["data"]["tableName"] == "t"


def test_a_deleted_log(serve, music, shell):
    shell(music, "PRAGMA journal_mode=WAL")
    with Client(serve(music).ws) as client:
        client.subscribe("tables", rows="values")
        client.subscribe("notifications")
        # Every connection of the server has the log open.
        assert client.query("INSERT INTO genre VALUES (50, 'lost with the log')", "q1")[1]["type"] == "query:complete"
        assert client.query("SELECT count(*) FROM genre", "q2")[1]["type"] == "query:complete"
        music.with_name(music.name + "-wal").unlink()
        client.message("database:epoch")
        client.send("query:execute", sql="INSERT INTO genre VALUES (51, 'own')")
        client.message("table:modified", where=lambda m: m["data"]["rows"][0]["after"]["name"] == "own")
        shell(music, "INSERT INTO genre VALUES (52, 'theirs')")
        client.message("table:modified", where=lambda m: m["data"]["rows"][0]["after"]["name"] == "theirs")


def test_a_deleted_index_of_the_log(serve, music, shell, run):
    shell(music, "PRAGMA journal_mode=WAL")
    server = serve(music)
    with Client(server.ws) as client:
        client.subscribe("tables", rows="values")
        client.subscribe("notifications")
        # Every connection of the server has the index open.
        assert client.query("INSERT INTO genre VALUES (50, 'before')", "q1")[1]["type"] == "query:complete"
        assert client.query("SELECT count(*) FROM genre", "q2")[1]["type"] == "query:complete"
        music.with_name(music.name + "-shm").unlink()
        client.message("database:epoch")
        for genre in range(51, 56):
            shell(music, f"INSERT INTO genre VALUES ({genre}, 'theirs {genre}')")
        client.send("query:execute", sql="INSERT INTO genre VALUES (56, 'own')")
        client.message("table:modified", where=lambda m: m["data"]["rows"][0]["after"]["name"] == "own")
    counted = run("query", server.ws, "SELECT count(*) AS n FROM genre WHERE genre_id BETWEEN 50 AND 56", "--csv")
    assert counted.stdout == "n\n7\n"
    assert server.stop() == 0
    with sqlite3.connect(music) as connection:
        assert connection.execute("SELECT count(*) FROM genre WHERE genre_id BETWEEN 50 AND 56").fetchone() == (7,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
