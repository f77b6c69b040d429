"""What becomes of the file while it is served: crashes of writers, copies over it, names that move."""

import ctypes
import os
import platform
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

import hostile
from processes import LIMIT
from sockets import Client

UNFINISHED = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size=5")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE big SET v = v || 'unfinished'")
print("under way", flush=True)
sys.stdin.read()
"""


def big(path, rows=5_000, mode="DELETE"):
    """A table of which a transaction does not fit into the cache: it is in the file before it commits."""
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.execute("CREATE TABLE big (id INTEGER PRIMARY KEY, v)")
    connection.executemany("INSERT INTO big(v) VALUES (?)", (("x" * 400,) for _ in range(rows)))
    connection.commit()
    connection.close()
    return path


def kill_in_mid_transaction(path):
    writer = subprocess.Popen([sys.executable, "-c", UNFINISHED, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout.readline()
    writer.kill()
    writer.wait()
    assert path.with_name(path.name + "-journal").stat().st_size > 0


COUNT_UNFINISHED = "SELECT count(*) AS n FROM big WHERE v LIKE '%unfinished'"


@pytest.mark.parametrize("options", [[], ["--read-only"], ["--wal"]])
def test_a_server_starts_after_a_writer_died_in_mid_commit(serve, run, tmp_path, options):
    path = big(tmp_path / "hot.db")
    kill_in_mid_transaction(path)
    server = serve(path, *options)
    counted = run("query", server.ws, COUNT_UNFINISHED, "--csv")
    assert counted.stdout.splitlines()[1:] == ["0"], counted
    assert not path.with_name(path.name + "-journal").exists()


def test_a_server_starts_after_one_that_was_killed_in_a_large_update(serve, run, tmp_path):
    path = big(tmp_path / "hot.db", rows=40_000)
    server = serve(path)
    journal = path.with_name(path.name + "-journal")
    with Client(server.ws) as client:
        # More than what a writer may hold back in memory.
        client.send("query:execute", sql="UPDATE big SET v = hex(zeroblob(4000)) || 'unfinished'")
        size = path.stat().st_size
        deadline = time.monotonic() + LIMIT
        while not (journal.exists() and path.stat().st_size > size) and time.monotonic() < deadline:
            assert server.process.poll() is None
        assert path.stat().st_size > size
        server.kill()
    assert journal.exists()
    counted = run("query", serve(path).ws, COUNT_UNFINISHED, "--csv")
    assert counted.stdout.splitlines()[1:] == ["0"], counted


def test_readers_go_on_after_a_writer_died_in_mid_commit(serve, tmp_path):
    path = big(tmp_path / "hot.db")
    server = serve(path)
    with Client(server.ws) as client:
        client.subscribe("tables", rows="values")
        kill_in_mid_transaction(path)
        rows, end = client.query(COUNT_UNFINISHED, "q1")
        assert (rows, end["type"]) == ([{"n": 0}], "query:complete")
        # Connections that only read come to the file too: of snapshots, of the catalogue.
        kill_in_mid_transaction(path)
        client.send("subscribe", channel="tables", id="s", snapshot=True, rows="values")
        assert client.message("table:snapshot")["data"]["tableName"] == "big"
        for table in ("", "/big"):
            kill_in_mid_transaction(path)
            with urllib.request.urlopen(f"{server.http}/tables{table}", timeout=LIMIT) as response:
                assert b'"big"' in response.read()


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("command", [["serve", "--read-only"], ["listen"]])
def test_a_journal_that_may_not_be_rolled_back_is_named(binary, tmp_path, command):
    path = big(tmp_path / "hot.db")
    kill_in_mid_transaction(path)
    for directory in [tmp_path, *tmp_path.parents[:-2]]:
        directory.chmod(0o755)
    drop = ["setpriv", "--reuid=65534", "--clear-groups"]
    ended = subprocess.run([*drop, binary, command[0], str(path), *command[1:]], capture_output=True, text=True, timeout=LIMIT)
    assert ended.returncode == 77, ended
    assert "died during a commit" in ended.stderr and "--read-only" in ended.stderr


class Copying:
    """Commits of another process at a rate, and a copy over the file in their midst."""

    WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
while True:
    try:
        connection.execute("UPDATE counted SET n = n + 1 WHERE id = 1")
    except sqlite3.DatabaseError:
        connection.close()
        connection = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
    print("committed", flush=True)
    time.sleep(float(sys.argv[2]))
"""

    def __init__(self, path, rate):
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.WRITER, str(path), str(1 / rate)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def commits(self, count):
        for _ in range(count):
            assert self.process.stdout.readline()

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.mark.parametrize("rate", [1, 2, 5, 10, 20, 100])
def test_a_backup_copied_over_the_live_file_begins_a_new_epoch(serve, tmp_path, shell, rate):
    path = tmp_path / "live.db"
    shell(path, "PRAGMA journal_mode=WAL; CREATE TABLE counted(id INTEGER PRIMARY KEY, n); INSERT INTO counted VALUES (1, 0), (2, 0)")
    backup = tmp_path / "backup.db"
    shell(path, f"VACUUM INTO '{backup}'")
    shell(backup, "PRAGMA journal_mode=WAL; UPDATE counted SET n = -1 WHERE id = 2")
    server = serve(path)
    writer = Copying(path, rate)
    try:
        with Client(server.ws) as client:
            client.subscribe("notifications")
            client.subscribe("tables", rows="values")
            writer.commits(2)
            shutil.copyfile(backup, path)
            epoch = client.message("database:epoch", limit=30)
            assert epoch["data"]["reason"] == "overwritten"
            assert epoch["data"]["message"]
    finally:
        writer.stop()


def test_a_checkpoint_is_no_copy_over_the_file(serve, tmp_path, shell):
    path = tmp_path / "live.db"
    shell(path, "PRAGMA journal_mode=WAL; CREATE TABLE t(a)")
    server = serve(path)
    with Client(server.ws) as client:
        client.subscribe("notifications")
        client.subscribe("tables", rows="values")
        for turn, mode in enumerate(["PASSIVE", "FULL", "RESTART", "TRUNCATE"] * 5):
            shell(path, f"INSERT INTO t VALUES ({turn}); PRAGMA wal_checkpoint({mode})")
            seen = client.receive()
            assert seen["type"] == "table:modified" and seen["data"]["rows"][0]["after"] == {"a": turn}


def retarget(link, target):
    other = link.with_name("next-link")
    other.symlink_to(target)
    other.replace(link)


@pytest.mark.parametrize("move", ["link", "directory", "rename"])
def test_no_acknowledged_write_goes_into_the_file_that_lost_its_name(serve, tmp_path, shell, move):
    old, new = tmp_path / "old", tmp_path / "new"
    for directory in (old, new):
        directory.mkdir()
        shell(directory / "live.db", "PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    if move == "link":
        (tmp_path / "current").symlink_to(old)
        path = tmp_path / "current" / "live.db"
    else:
        path = old / "live.db"
    server = serve(path)
    acknowledged = []
    failed = []
    is_moved = threading.Event()
    enough = threading.Event()

    def write():
        with Client(server.ws) as client:
            number = 0
            while not enough.is_set():
                number += 1
                was_moved = is_moved.is_set()
                _, end = client.query(f"INSERT INTO t VALUES ({number}, 'acknowledged')", f"q{number}")
                if end["type"] != "query:complete":
                    failed.append(end["data"])
                elif was_moved:
                    acknowledged.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        deadline = time.monotonic() + LIMIT
        while sqlite3.connect(path).execute("SELECT count(*) FROM t").fetchone()[0] < 20:
            assert time.monotonic() < deadline
        if move == "link":
            retarget(tmp_path / "current", new)
        elif move == "directory":
            old.rename(tmp_path / "older")
            new.rename(old)
        else:
            shutil.copyfile(new / "live.db", new / "next.db")
            (new / "next.db").replace(path)
        is_moved.set()
        while len(acknowledged) < 50:
            assert time.monotonic() < deadline, failed[-3:]
            time.sleep(0.01)
    finally:
        enough.set()
        writer.join()
    # A commit at the moment of the move may be in either file, and its answer says so.
    unknown = [failure for failure in failed if failure["code"] == "DB_ERROR"]
    assert len(unknown) <= 1 and all("durability unknown" in failure["error"] for failure in unknown), unknown
    assert all(failure["code"] in ("DATABASE_GONE", "BUSY", "DB_ERROR") for failure in failed), failed
    # The end of the server leaves everything in the file.
    assert server.stop() == 0
    with sqlite3.connect(path) as connection:
        kept = {row[0] for row in connection.execute("SELECT id FROM t WHERE a = 'acknowledged'")}
    assert set(acknowledged) <= kept


def peak_memory(pid):
    """In bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) << 10


PLAIN_MEMORY = 400 << 20  # a debug build with nothing to do has a quarter of it


def test_a_log_that_claims_pages_that_cannot_be_is_refused(run, tmp_path):
    path = hostile.log_that_claims(tmp_path / "hostile.db", 0x7FFFFFFE)
    result = run("serve", path)
    assert result.returncode == 65
    assert "2147483646 pages" in result.stderr


def test_a_log_that_claims_pages_while_it_is_watched_costs_no_memory(serve, tmp_path):
    path = tmp_path / "live.db"
    owner = sqlite3.connect(path, isolation_level=None)
    owner.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t(a)")
    server = serve(path)
    with Client(server.ws) as client:
        client.subscribe("notifications")
        # A process that writes the frames and their index by itself can claim what it likes; here: a database that was
        # replaced by one whose log claims it.
        other = hostile.log_that_claims(tmp_path / "other.db", 0x7FFFFFFE)
        owner.close()
        other.with_name("other.db-wal").replace(path.with_name("live.db-wal"))
        path.with_name("live.db-shm").unlink()
        other.replace(path)
        gone = client.message("database:gone")
        assert "2147483646 pages" in gone["data"]["message"]
    assert peak_memory(server.process.pid) < PLAIN_MEMORY


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_sparse_file_of_a_tebibyte_takes_memory_for_the_pages_that_exist(serve, tmp_path, shell, mode):
    path = hostile.sparse(tmp_path / "sparse.db", 1 << 40, mode)
    server = serve(path)
    with Client(server.ws) as client:
        client.subscribe("tables", rows="values")
        shell(path, "INSERT INTO t VALUES (2)")
        client.message("table:modified")
        assert client.query("SELECT count(*) AS n FROM t", "q")[0] == [{"n": 2}]
    assert peak_memory(server.process.pid) < PLAIN_MEMORY


def crash(server):
    """Makes the server execute an illegal instruction when it accepts the next connection."""

    def libc(pid):
        with open(f"/proc/{pid}/maps") as maps:
            return next(int(line.split("-")[0], 16) for line in maps if "libc.so.6" in line)

    here = ctypes.CDLL("libc.so.6")
    with open(f"/proc/{server.process.pid}/mem", "r+b", buffering=0) as memory:
        for function in (here.accept, here.accept4):
            offset = ctypes.cast(function, ctypes.c_void_p).value - libc("self")
            memory.seek(libc(server.process.pid) + offset)
            # Undefined on x86-64 and, with the zeros, on AArch64.
            memory.write({"x86_64": b"\x0f\x0b", "aarch64": b"\0\0\0\0"}[platform.machine()])
    with socket.create_connection((server.host, server.port)):
        return server.wait()


@pytest.mark.parametrize("backtrace", ["enable=no", "enable=yes,symbolicate=off"])
def test_a_server_starts_on_the_port_of_one_that_crashed(serve, music, backtrace):
    server = serve(music, env={"SWIFT_BACKTRACE": backtrace})
    with Client(server.ws) as client:
        assert client.query("UPDATE genre SET name = 'kept' WHERE genre_id = 1", "u")[1]["type"] == "query:complete"
        assert crash(server) == -signal.SIGILL
    again = serve(music, port=server.port)
    with Client(again.ws) as client:
        assert client.query("SELECT name FROM genre WHERE genre_id = 1", "q")[0] == [{"name": "kept"}]
