"""Another program deletes or damages the log while the server has it open."""

import sqlite3
import threading
import time

import pytest

from processes import LIMIT
from sockets import Client

FRAME_BYTES = 24 + 4096


@pytest.fixture
def logged(tmp_path, shell):
    path = tmp_path / "live.db"
    shell(path, "PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    return path


def beside(path, suffix):
    return path.with_name(path.name + suffix)


class Writer:
    """A client that inserts ascending numbers until it is stopped."""

    def __init__(self, server):
        self.acknowledged = []
        self.afterwards = []
        self.failures = []
        self.is_afterwards = threading.Event()
        self.is_enough = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(server.ws,))
        self.thread.start()

    def run(self, url):
        with Client(url) as client:
            number = 0
            while not self.is_enough.is_set():
                number += 1
                is_afterwards = self.is_afterwards.is_set()
                _, end = client.query(f"INSERT INTO t VALUES ({number}, 'acknowledged')", f"q{number}")
                if end["type"] != "query:complete":
                    self.failures.append(end["data"])
                elif is_afterwards:
                    self.afterwards.append(number)
                else:
                    self.acknowledged.append(number)

    def wait(self, numbers, count):
        deadline = time.monotonic() + LIMIT
        while len(numbers) < count:
            assert time.monotonic() < deadline, self.failures[-3:]
            time.sleep(0.001)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_enough.set()
        self.thread.join()


def kept(path):
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {row[0] for row in connection.execute("SELECT id FROM t")}


@pytest.mark.parametrize("suffixes", [("-wal",), ("-shm",), ("-wal", "-shm"), ("-shm", "-wal")], ids=" ".join)
def test_no_write_is_acknowledged_that_a_deleted_log_takes_with_it(serve, logged, suffixes):
    server = serve(logged)
    with Client(server.ws) as client, Writer(server) as writer:
        client.subscribe("notifications")
        writer.wait(writer.acknowledged, 20)
        for suffix in suffixes:
            beside(logged, suffix).unlink()
        writer.is_afterwards.set()
        assert client.message("database:epoch")["data"]["reason"] == "log-lost"
        writer.wait(writer.afterwards, 50)
    # A write that was not accepted had not been made, and may be repeated; one whose fate is unknown says so.
    assert {failure["code"] for failure in writer.failures} <= {"DATABASE_GONE", "DB_ERROR"}, writer.failures
    assert server.stop() == 0
    found = kept(logged)
    assert set(writer.afterwards) <= found
    if suffixes == ("-wal",):
        # The index is still that of the log, which is copied into the file by the last who has it open.
        assert set(writer.acknowledged) <= found


def damage(log, how):
    if how == "truncated":
        with open(log, "r+b") as file:
            file.truncate(0)
    else:
        size = log.stat().st_size
        with open(log, "r+b") as file:
            file.write(bytes(size))


@pytest.mark.parametrize("how", ["truncated", "zeroed"])
def test_a_log_that_is_damaged_while_nothing_is_written_begins_a_new_epoch(serve, logged, how):
    server = serve(logged)
    with Client(server.ws) as client:
        client.subscribe("notifications")
        assert client.query("INSERT INTO t VALUES (1, 'in the log')", "q1")[1]["type"] == "query:complete"
        assert client.query("SELECT * FROM t", "q2")[0] == [{"id": 1, "a": "in the log"}]
        damage(beside(logged, "-wal"), how)
        assert client.message("database:epoch")["data"]["reason"] == "log-lost"
        rows, end = client.query("INSERT INTO t VALUES (2, 'afterwards')", "q3")
        assert end["type"] == "query:complete" and "position" in end["data"], end
        assert {"id": 2, "a": "afterwards"} in client.query("SELECT * FROM t", "q4")[0]
    assert server.stop() == 0
    assert 2 in kept(logged)


@pytest.mark.parametrize("how", ["truncated", "zeroed"])
def test_a_damaged_log_is_not_copied_into_the_file_at_the_end(serve, logged, how):
    server = serve(logged, "--limit", "capture.identityInterval=1h")
    with Client(server.ws) as client:
        for number in range(20):
            assert client.query(f"INSERT INTO t VALUES ({number}, hex(randomblob(500)))", f"q{number}")[1]["type"] == "query:complete"
    damage(beside(logged, "-wal"), how)
    server.stop()
    kept(logged)
