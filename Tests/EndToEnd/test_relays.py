"""A server, and relays that serve its changes to clients of their own."""

import json
import signal
import socket
import sqlite3
import urllib.request

import pytest

from processes import LIMIT
from relays import Relay
from sockets import Client, EventStream

SCHEMA = "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL, data BLOB)"


@pytest.fixture
def relay(binary):
    """Starts a relay on a free port and waits until it listens."""
    started = []

    def relay(*arguments, **keywords):
        process = Relay(binary, *arguments, **keywords)
        started.append(process)
        return process

    yield relay
    for process in reversed(started):
        process.signal(signal.SIGCONT)
        process.kill()


@pytest.fixture
def writer(tmp_path):
    """Another process's connection, which keeps the log while no server runs."""
    connection = sqlite3.connect(tmp_path / "items.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(SCHEMA)
    yield connection
    connection.close()


@pytest.fixture
def source(serve, writer, tmp_path):
    return serve(tmp_path / "items.db")


def sequence(message):
    return int(message["position"].split(":")[1])


def changes(client, through):
    """The messages of the channel tables up to a sequence, with what is told of the database in between."""
    found, notices = [], []
    while True:
        message = client.receive()
        if message["type"].startswith("database:"):
            notices.append(message["type"])
        if message["channel"] != "tables":
            continue
        assert message["data"].get("recovered") is not False, message
        if message["type"] == "subscribed":
            continue
        found.append(message)
        if sequence(message) == through and message["data"]["transaction"]["last"]:
            return found, notices


def insert(writer, *ids):
    for id in ids:
        writer.execute("INSERT INTO item VALUES (?, 'x', 0.5, NULL)", (id,))


def names(address):
    return f"127.0.0.1:{address.port}"


def test_every_hop_sends_the_bytes_of_the_source(source, relay, writer):
    first = relay(names(source))
    second = relay(names(first))
    filters = [
        {"rows": "values"},
        {"rows": "keys"},
        {},
        {"tables": ["item"], "rows": "values", "where": "id > 1 AND name <> 'y'"},
        {"operations": ["delete", "schema"], "rows": "values"},
    ]
    clients = [[Client(node.ws) for node in (source, first, second)] for _ in filters]
    for filter, row in zip(filters, clients):
        for client in row:
            begin = sequence(client.subscribe("tables", **filter))
    writer.execute("INSERT INTO item VALUES (1, 'x', 1.0, x'00ff'), (2, 'y', 1e300, NULL), (9007199254740993, 'é', -0.0, 't')")
    writer.execute("UPDATE item SET name = 'z' WHERE id = 2")
    writer.execute("CREATE VIEW names AS SELECT name FROM item")
    writer.execute("ALTER TABLE item ADD COLUMN note DEFAULT 'n'")
    writer.executemany("INSERT INTO item(id, data) VALUES (?, zeroblob(50000))", [(id,) for id in range(10, 13)])
    # In more than one message.
    writer.execute("UPDATE item SET data = zeroblob(200000) WHERE id >= 10")
    writer.execute("DELETE FROM item")
    last = begin + 9
    for filter, row in zip(filters, clients):
        expected = changes(row[0], last)[0]
        assert len(expected) > 1
        for client in row[1:]:
            assert changes(client, last)[0] == expected, filter
        for client in row:
            client.close()


def json_of(node, path):
    with urllib.request.urlopen(node.http + path, timeout=LIMIT) as answer:
        return json.load(answer)


def test_no_transaction_is_missed_or_repeated_around_a_restart(serve, source, relay, writer, tmp_path):
    first = relay(names(source))
    second = relay(names(first))
    with Client(first.ws) as near, Client(second.ws) as far:
        begin = sequence(near.subscribe("tables", rows="keys"))
        far.subscribe("tables", rows="keys")
        insert(writer, 1)
        assert [sequence(m) for m in changes(near, begin + 1)[0]] == [begin + 1]
        source.kill()
        near.message("database:gone")
        insert(writer, 2, 3)
        serve(tmp_path / "items.db", port=source.port)
        insert(writer, 4)
        found, notices = changes(near, begin + 4)
        assert [sequence(m) for m in found] == [begin + 2, begin + 3, begin + 4]
        found, notices = changes(far, begin + 4)
        assert [sequence(m) for m in found] == [begin + 1, begin + 2, begin + 3, begin + 4]
        assert notices.count("database:gone") == 1
        # A position from before the restart, at every place.
        with Client(second.ws) as client:
            assert client.subscribe("tables", rows="keys", since=found[0]["position"])["data"]["recovered"] is True
            assert [m["id"] for m in changes(client, begin + 4)[0]] == [m["id"] for m in found[1:]]


def test_a_new_epoch_of_the_source_is_announced(serve, writer, relay, tmp_path):
    source = serve(tmp_path / "items.db", "--state", "none")
    edge = relay(names(source))
    with Client(edge.ws) as client:
        before = client.subscribe("tables")["position"]
        source.kill()
        serve(tmp_path / "items.db", "--state", "none", port=source.port)
        message = client.message("subscribed")
        assert message["data"]["recovered"] is False
        assert message["position"].split(":")[0] != before.split(":")[0]
        assert client.message("database:epoch")["data"]["reason"] == "state-lost"
        insert(writer, 1)
        assert sequence(client.message("table:modified")) == sequence(message) + 1


def test_a_client_resumes_at_another_relay(source, relay, writer):
    first = relay(names(source))
    with Client(first.ws) as client:
        begin = sequence(client.subscribe("tables", rows="values"))
        insert(writer, 1, 2)
        seen = changes(client, begin + 2)[0]
        position = seen[0]["position"]
    first.kill()
    insert(writer, 3)
    # It has the transactions from before its start.
    second = relay(names(source))
    with Client(second.ws) as client:
        assert client.subscribe("tables", rows="values", since=position)["data"]["recovered"] is True
        found = changes(client, begin + 3)[0]
        assert [sequence(m) for m in found] == [begin + 2, begin + 3] and found[0] == seen[1]


def test_a_client_that_is_ahead_of_the_relay_waits_for_it(source, relay, writer):
    edge = relay(names(source), "--upstream-heartbeat", "60s")
    with Client(source.ws) as client:
        begin = sequence(client.subscribe("tables"))
        edge.signal(signal.SIGSTOP)
        insert(writer, 1, 2)
        position = changes(client, begin + 2)[0][-1]["position"]
    source.signal(signal.SIGSTOP)
    edge.signal(signal.SIGCONT)
    with Client(edge.ws) as client:
        assert client.subscribe("tables", since=position)["data"]["recovered"] is True
        source.signal(signal.SIGCONT)
        insert(writer, 3)
        assert [sequence(m) for m in changes(client, begin + 3)[0]] == [begin + 3]


def test_an_event_stream_of_a_relay(source, relay, writer):
    edge = relay(names(source))
    with EventStream(edge.http + "/events?tables=item&rows=values&where=id%3E1") as stream:
        assert stream.message("subscribed")["position"]
        insert(writer, 1, 2)
        assert stream.message("table:modified")["data"]["rows"][0]["key"] == {"id": 2}


def test_the_next_source_is_used_when_one_is_away(source, relay, writer):
    first = relay(names(source))
    edge = relay(names(first), names(source))
    with Client(edge.ws) as client:
        begin = sequence(client.subscribe("tables"))
        first.kill()
        insert(writer, 1, 2)
        assert [sequence(m) for m in changes(client, begin + 2)[0]] == [begin + 1, begin + 2]
        assert len(client.acknowledgement["data"]["relays"]) == 2


def test_what_needs_the_database_is_refused_with_its_name(source, relay):
    edge = relay(names(source))
    with Client(edge.ws) as client:
        assert "snapshot" not in client.acknowledgement["data"]["serverInfo"]["capabilities"]
        for type, data in [
            ("query:execute", {"sql": "SELECT 1"}),
            ("query:subscribe", {"sql": "SELECT 1"}),
            ("subscribe", {"snapshot": True}),
        ]:
            client.send(type, channel="tables" if type == "subscribe" else None, id=type, **data)
            error = client.message("error", where=lambda m: m.get("replyTo") == type)["data"]
            assert error["code"] == "FORBIDDEN" and "source of items.db" in error["message"]


def test_status_and_metrics(source, relay, writer):
    edge = relay(names(source))
    assert json_of(edge, "/status")["position"] == json_of(source, "/status")["position"]
    assert "tablecast_relay_connected 1" in edge.metrics()
    source.kill()
    edge.error_line("connection to the source was lost")
    assert "tablecast_relay_connected 0" in edge.metrics()


def test_a_relay_stops_like_a_server(source, relay):
    edge = relay(names(source))
    assert edge.stop() == 0


def test_a_loop_is_refused(source, relay, start):
    first = relay(names(source))
    second = relay(names(first))
    port = first.port
    first.kill()
    # The second waits for the first, which now asks the second.
    again = start("relay", names(second), "--port", port)
    second.error_line("a relay cannot be its own source")
    assert second.wait() == 64
    again.kill()


def test_errors_of_the_command_line(serve, source, run, tmp_path, free_port):
    unreachable = run("relay", f"127.0.0.1:{free_port}")
    assert unreachable.returncode == 69 and "cannot be reached" in unreachable.stderr
    both = run("relay", f"127.0.0.1:{free_port}", f"127.0.0.1:{free_port}")
    assert both.returncode == 69 and both.stderr.count(f":{free_port}/ws") == 2
    assert run("relay", "ftp://x").returncode == 64
    assert run("relay", f"ws://127.0.0.1:{source.port}/nothing").returncode == 76
    tokens = tmp_path / "tokens.json"
    tokens.write_text(
        json.dumps([{"token": "a" * 32, "role": "read-only"}, {"token": "b" * 32, "role": "read-only", "tables": ["item"]}])
    )
    tokens.chmod(0o600)
    guarded = serve(tmp_path / "items.db", "--tokens", tokens, "--state", "none")
    wrong = run("relay", names(guarded), env={"TABLECAST_UPSTREAM_TOKEN": "c" * 32})
    assert wrong.returncode == 77 and "TABLECAST_UPSTREAM_TOKEN" in wrong.stderr
    narrow = run("relay", names(guarded), env={"TABLECAST_UPSTREAM_TOKEN": "b" * 32})
    assert narrow.returncode == 77 and "without a list of tables" in narrow.stderr


def test_a_relay_has_tokens_of_its_own(serve, writer, relay, tmp_path):
    source = serve(tmp_path / "items.db", env={"TABLECAST_READ_ONLY_TOKEN": "s" * 32})
    env = {"TABLECAST_UPSTREAM_TOKEN": "s" * 32, "TABLECAST_ADMIN_TOKEN": "r" * 32}
    edge = relay(names(source), env=env)
    with Client(edge.ws, additional_headers={"Authorization": "Bearer " + "r" * 32}) as client:
        client.subscribe("tables")
        insert(writer, 1)
        client.message("table:modified")
    with pytest.raises(Exception, match="401"):
        Client(edge.ws, additional_headers={"Authorization": "Bearer " + "s" * 32})


@pytest.fixture
def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
