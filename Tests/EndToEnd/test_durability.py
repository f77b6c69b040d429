"""When a commit of the service's own is durable: before it is answered or published, many of them by one sync of the log."""

import shutil
import sqlite3
import struct
import subprocess
import time
from pathlib import Path

import pytest

from processes import LIMIT
from sockets import Client

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "durable.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
    connection.commit()
    connection.close()
    return path


class Tracer:
    """Changes what the server's fdatasync of the log does, from when this returns until `end`."""

    def __init__(self, server, database, inject):
        log = f"{database}-wal"
        self.output = Path(f"{database}.trace")
        pid = server.process.pid
        options = ["-f", "-q", "-o", str(self.output), "-P", log, "-e", "trace=fdatasync", "-e", f"inject=fdatasync:{inject}"]
        self.process = subprocess.Popen(["strace", *options, "-p", str(pid)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + LIMIT
        tasks = Path(f"/proc/{pid}/task")
        while not all(f"TracerPid:\t{self.process.pid}\n" in (task / "status").read_text() for task in tasks.iterdir()):
            assert time.monotonic() < deadline and self.process.poll() is None, "strace cannot trace here"

    def end(self):
        self.process.terminate()
        self.process.wait()

    @property
    def syncs(self):
        return self.output.read_text().count("fdatasync(")


def salt(database):
    with open(f"{database}-wal", "rb") as log:
        return struct.unpack(">II", log.read(24)[16:24])


def insert(client, number):
    return client.query(f"INSERT INTO t VALUES ({number}, 'own')", f"q{number}")[1]


def test_one_sync_serves_the_commits_of_many_clients(serve, database):
    server = serve(database)
    clients = [Client(server.ws) for _ in range(8)]
    assert insert(clients[0], 0)["type"] == "query:complete"
    tracer = Tracer(server, database, "delay_enter=30000")
    count = 10
    for number in range(count):
        for index, client in enumerate(clients):
            client.send("query:execute", id=f"q{number}", sql="INSERT INTO t(v) VALUES ('own')", queryId=f"{index}-{number}")
    for client in clients:
        client.messages("query:complete", count)
        client.close()
    tracer.end()
    assert 1 <= tracer.syncs <= len(clients) * count / 4, tracer.syncs


def test_a_commit_is_answered_and_published_after_its_sync_and_later_ones_of_other_processes_wait(serve, database):
    server = serve(database)
    with Client(server.ws) as client, Client(server.ws) as subscriber:
        assert insert(client, 0)["type"] == "query:complete"
        subscriber.subscribe("tables", rows="values")
        tracer = Tracer(server, database, "delay_enter=1500000")
        client.send("query:execute", id="q1", sql="INSERT INTO t VALUES (1, 'own')", queryId="q1")
        other = sqlite3.connect(database, timeout=LIMIT, isolation_level=None)
        deadline = time.monotonic() + LIMIT
        while other.execute("SELECT count(*) FROM t").fetchone() != (2,):
            assert time.monotonic() < deadline
        other.execute("INSERT INTO t VALUES (2, 'other')")
        for waiting in (client, subscriber):
            with pytest.raises(TimeoutError):
                while waiting.receive(0.2)["type"] == "query:started":
                    pass
        changed = subscriber.messages("table:modified", 2)
        assert [message["data"]["rows"][0]["after"]["id"] for message in changed] == [1, 2], changed
        assert [message["data"]["origin"] for message in changed] == ["service", "external"]
        assert client.message("query:complete")["data"]["position"] == changed[0]["position"]
        tracer.end()


def test_a_sync_that_fails_is_an_error_of_a_commit_that_is_published_until_the_log_begins_again(serve, database):
    server = serve(database)
    with Client(server.ws) as client, Client(server.ws) as subscriber:
        assert insert(client, 0)["type"] == "query:complete"
        subscriber.subscribe("notifications")
        subscriber.subscribe("tables", rows="values")
        before = salt(database)
        tracer = Tracer(server, database, "error=EIO")
        failed = insert(client, 1)
        assert (failed["type"], failed["data"]["code"]) == ("query:error", "DB_ERROR"), failed
        assert failed["data"]["sqliteCode"] == 1034
        notice = subscriber.message("database:notice")
        assert "may not survive a loss of power" in notice["data"]["message"]
        changed = subscriber.message("table:modified")
        assert failed["data"]["error"] == (
            f"committed at position {changed['position']}, durability unknown: the write-ahead log cannot be synced: Input/output error"
        )
        tracer.end()
        # The next sync would succeed, but the system may have discarded what the last one could not write.
        number, deadline = 2, time.monotonic() + LIMIT
        while (answer := insert(client, number))["type"] == "query:error":
            assert (answer["data"]["code"], salt(database)) == ("DB_ERROR", before), answer
            assert time.monotonic() < deadline
            number += 1
        assert salt(database) != before
    assert sqlite3.connect(database).execute("SELECT count(*) FROM t").fetchone() == (number + 1,)
