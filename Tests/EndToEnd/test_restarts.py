"""Stops, kills and starts of the service on one file, and states that cannot be used: never a wrong continuation, never a refusal
to start."""

import json
import os
import pathlib
import shutil
import signal
import sqlite3
import urllib.request
import zlib

import pytest

from processes import LIMIT
from sockets import Client, EventStream


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
        connection.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    connection.close()
    return path


def connect(path):
    """A process that keeps its connection open."""
    return sqlite3.connect(path, isolation_level=None, timeout=20)


def position(server):
    with Client(server.ws) as client:
        return client.subscribe("tables")["position"]


def resume(server, since, **filter):
    client = Client(server.ws)
    return client, client.subscribe("tables", since=since, **filter)


def commit(server, sql):
    """Runs SQL over HTTP, so that nothing of a client's messages is skipped."""
    body = json.dumps({"sql": sql}).encode()
    with urllib.request.urlopen(server.http + "/query", body, timeout=LIMIT) as answer:
        assert answer.status == 200


def warnings(server):
    return [line for line in server.errors if "warning" in line or "error" in line]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_client_gets_what_it_missed(serve, database, number):
    server = serve(database)
    with Client(server.ws) as client:
        client.subscribe("tables", rows="values")
        commit(server, "UPDATE t SET v = 'x' WHERE id = 1")
        live = client.message("table:modified")
    writer = connect(database)
    writer.execute("UPDATE t SET v = 'y' WHERE id = 1")
    server.signal(number)
    server.wait()
    writer.execute("UPDATE t SET v = 'z' WHERE id = 1")
    writer.execute("INSERT INTO t VALUES (3, 'c')")
    server = serve(database)
    client, subscribed = resume(server, live["position"], rows="values")
    assert subscribed["data"]["recovered"] is True
    changes = [client.message("table:modified") for _ in range(3)]
    assert [change["data"]["rows"][0].get("before", {}).get("v") for change in changes] == ["x", "y", None]
    assert [change["data"]["rows"][0]["after"]["v"] for change in changes] == ["y", "z", "c"]
    client.close()
    # The messages before the restart have the same ids.
    with EventStream(f"{server.http}/events?channels=tables&rows=values&since={before(live)}") as stream:
        assert stream.message("table:modified")["data"]["rows"] == live["data"]["rows"]
    writer.close()


def before(message):
    epoch, number = message["position"].split(":")
    return f"{epoch}:{int(number) - 1}"


def test_a_killed_server_that_was_alone_continues(serve, database):
    server = serve(database)
    with Client(server.ws) as client:
        since = client.subscribe("tables", rows="values")["position"]
        for number in range(20):
            commit(server, f"UPDATE t SET v = {number} WHERE id = 1")
    server.kill()
    server = serve(database)
    client, subscribed = resume(server, since, rows="values")
    assert subscribed["data"]["recovered"] is True
    values = [client.message("table:modified")["data"]["rows"][0]["after"]["v"] for _ in range(20)]
    assert values == list(range(20))
    client.close()


def test_commits_that_nobody_kept_begin_a_new_epoch_with_its_reason(serve, database, shell):
    server = serve(database)
    since = position(server)
    assert server.stop() == 0
    # Alone with the file, the shell copies its commit and deletes the log.
    shell(database, "UPDATE t SET v = 'unseen'")
    server = serve(database)
    with Client(server.ws) as client:
        client.send("subscribe", channel="tables", id="s", since=since)
        epoch = client.message("database:epoch")
        assert epoch["data"]["reason"] == "restarted"
        subscribed = client.message("subscribed")
        assert subscribed["data"]["recovered"] is False
    # A client that does not resume learns nothing of it.
    with Client(server.ws) as client:
        client.send("subscribe", channel="tables")
        assert client.receive()["type"] == "subscribed"
    assert any("a new epoch begins" in line for line in server.errors)


def test_a_reader_while_the_service_is_down_changes_nothing(serve, database, shell):
    server = serve(database)
    since = position(server)
    assert server.stop() == 0
    shell(database, "SELECT * FROM t")
    server = serve(database)
    client, subscribed = resume(server, since)
    assert subscribed["data"]["recovered"] is True
    client.close()


def test_a_rollback_journal_goes_on_when_nothing_was_written(serve, database, shell):
    shell(database, "PRAGMA journal_mode = DELETE")
    server = serve(database)
    with Client(server.ws) as client:
        since = client.subscribe("tables", rows="values")["position"]
        shell(database, "UPDATE t SET v = 'x' WHERE id = 1")
        client.message("table:modified")
    sealed(database)
    assert server.stop() == 0
    server = serve(database)
    client, subscribed = resume(server, since, rows="values")
    assert subscribed["data"]["recovered"] is True
    assert client.message("table:modified")["data"]["rows"][0]["after"]["v"] == "x"
    client.close()
    assert server.stop() == 0
    shell(database, "UPDATE t SET v = 'y' WHERE id = 1")
    client, subscribed = resume(serve(database), since)
    assert subscribed["data"]["recovered"] is False
    client.close()


def sealed(database):
    """Waits until the state says that the file is complete: a record of kind 4."""
    directory = pathlib.Path(f"{database}-tablecast")
    for _ in range(2000):
        if any(4 in kinds(path.read_bytes())[-1:] for path in sorted(directory.glob("*.segment"))[-1:]):
            return
        os.sched_yield()
        signal.sigtimedwait([], 0.01)
    raise AssertionError("the file was never recorded as complete")


def kinds(segment):
    offset, kinds = 32, []
    while offset + 32 <= len(segment):
        kinds.append(segment[offset + 24])
        offset += 32 + int.from_bytes(segment[offset : offset + 4], "little")
    return kinds


def test_a_second_server_runs_without_state(serve, database):
    first = serve(database)
    second = serve(database)
    assert any("is in use by another process" in line for line in second.errors)
    assert not warnings(first)
    assert second.stop() == 0
    assert first.stop() == 0


def test_no_state_leaves_no_directory(serve, database, run):
    server = serve(database, "--state", "none")
    since = position(server)
    assert "-" not in since
    assert server.stop() == 0
    server = serve(database, env={"TABLECAST_STATE": "none"})
    client, subscribed = resume(server, since)
    assert subscribed["data"]["recovered"] is False
    client.close()
    assert not pathlib.Path(f"{database}-tablecast").exists()
    refused = run("serve", database, "--state", "")
    assert refused.returncode == 64 and "--state is empty" in refused.stderr


def test_a_chosen_directory(serve, database, tmp_path):
    server = serve(database, "--state", tmp_path / "elsewhere")
    since = position(server)
    assert server.stop() == 0
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in (tmp_path / "elsewhere").iterdir())
    client, subscribed = resume(serve(database, "--state", tmp_path / "elsewhere"), since)
    assert subscribed["data"]["recovered"] is True
    client.close()


def test_a_directory_that_cannot_be_used(serve, database, tmp_path):
    (tmp_path / "file").write_text("no directory")
    for path, reason in ((tmp_path / "file", "is not a directory"), (tmp_path / "missing" / "state", "No such file or directory")):
        server = serve(database, "--state", path)
        assert any("no state is kept" in line and reason in line for line in server.errors), server.errors
        position(server)
        assert server.stop() == 0


@pytest.mark.parametrize("damage", ["torn", "flipped", "empty", "newer", "foreign", "garbage"])
def test_a_state_that_cannot_be_trusted(serve, database, tmp_path, damage):
    server = serve(database)
    with Client(server.ws) as client:
        since = client.subscribe("tables", rows="values")["position"]
        for number in range(10):
            commit(server, f"UPDATE t SET v = {number} WHERE id = 1")
        last = client.messages("table:modified", 10)[-1]["position"]
    assert server.stop() == 0
    directory = pathlib.Path(f"{database}-tablecast")
    segment = sorted(directory.glob("*.segment"))[-1]
    content = bytearray(segment.read_bytes())
    match damage:
        case "torn":
            segment.write_bytes(content[:-5])
        case "flipped":
            content[len(content) // 2] ^= 1
            segment.write_bytes(content)
        case "empty":
            segment.write_bytes(b"")
        case "newer":
            content[8] = 2
            content[12:16] = zlib.crc32(bytes(content[0:12] + content[16:32])).to_bytes(4, "little")
            segment.write_bytes(content)
        case "garbage":
            segment.write_bytes(os.urandom(len(content)))
        case "foreign":
            other = tmp_path / "other.db"
            shutil.copy(database, other)
            shutil.move(directory, f"{other}-tablecast")
            database = other
    server = serve(database)
    client, subscribed = resume(server, last, rows="values")
    if damage == "torn":
        # Only the record of the complete file was lost: the log is gone as well.
        assert warnings(server)
    assert subscribed["data"]["recovered"] is False
    assert warnings(server), "a clear notice"
    commit(server, "UPDATE t SET v = 'after'")
    assert client.message("table:modified")["data"]["rows"][0]["after"]["v"] == "after"
    client.close()
    # The new state is good.
    since = position(server)
    assert server.stop() == 0
    client, subscribed = resume(serve(database), since)
    assert subscribed["data"]["recovered"] is True
    client.close()


def test_a_restored_snapshot_of_database_and_state(serve, database, tmp_path):
    server = serve(database)
    early = position(server)
    assert server.stop() == 0
    shutil.copytree(f"{database}-tablecast", tmp_path / "copy")
    saved = os.stat(database)
    content = database.read_bytes()
    server = serve(database)
    with Client(server.ws) as client:
        client.subscribe("tables")
        commit(server, "UPDATE t SET v = 'lost'")
        late = client.message("table:modified")["position"]
    assert server.stop() == 0
    # As a snapshot of the file system restores it: the same file, the same times.
    with open(database, "r+b") as file:
        file.write(content)
        file.truncate()
    os.utime(database, ns=(saved.st_atime_ns, saved.st_mtime_ns))
    shutil.rmtree(f"{database}-tablecast")
    shutil.move(tmp_path / "copy", f"{database}-tablecast")
    server = serve(database)
    commit(server, "UPDATE t SET v = 'other'")
    # The same sequence was used twice, for different transactions.
    client, subscribed = resume(server, late)
    assert subscribed["data"]["recovered"] is False
    client.close()
    client, subscribed = resume(server, early)
    assert subscribed["data"]["recovered"] is True
    assert client.message("table:modified")["position"].endswith(":1")
    client.close()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_disk_that_is_full(serve, database):
    """The service goes on without state, and a later start does not take what is missing for nothing."""
    directory = pathlib.Path(f"{database}-tablecast")
    segment = directory / "0000000000000001.segment"
    under = ["strace", "-f", "-D", "-q", "-o", "/dev/null", "-P", str(segment), "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC:when=6+"]
    server = serve(database, under=under)
    with Client(server.ws) as client:
        since = client.subscribe("tables", rows="values")["position"]
        for number in range(10):
            commit(server, f"UPDATE t SET v = {number} WHERE id = 1")
        last = client.messages("table:modified", 10)[-1]["position"]
    assert server.error_line("no state is kept any more.*No space left on device")
    server.kill()
    server = serve(database)
    client, subscribed = resume(server, last)
    assert subscribed["data"]["recovered"] is False
    client.close()


def test_metrics_of_the_state(serve, database):
    server = serve(database)
    found = dict(line.rsplit(" ", 1) for line in server.metrics().splitlines() if line.startswith("tablecast_state_"))
    assert float(found["tablecast_state_bytes"]) > 0
    assert float(found["tablecast_state_age_seconds"]) >= 0
    assert float(found["tablecast_state_sync_seconds"]) >= 0
    assert found["tablecast_state_segments_removed"] == "0"
    assert "tablecast_state_bytes" not in serve(database, "--state", "none").metrics()
