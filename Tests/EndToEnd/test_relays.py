"""A server, and relays that serve its changes to clients of their own."""

import base64
import http.client
import json
import re
import signal
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from contract import check
from processes import LIMIT, Server, free_port, self_signed_certificate, write_tokens
from relays import Relay, insert, writer
from sockets import Client, EventStream


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
def source(serve, writer, tmp_path):
    server = serve(tmp_path / "items.db")
    server.path = tmp_path / "items.db"
    return server


def sequence(message):
    return int(message["position"].split(":")[1])


def changes(client, through):
    """The messages of the channel tables up to a sequence, with the notifications about the database in between."""
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
        assert message["data"]["recovered"] is False and message["data"]["reason"] == "new-epoch"
        assert message["position"].split(":")[0] != before.split(":")[0]
        assert client.message("database:epoch")["data"]["reason"] == "state-lost"
        insert(writer, 1)
        assert sequence(client.message("table:modified")) == sequence(message) + 1


def test_a_position_of_a_later_start_is_valid_when_the_source_is_back(serve, source, relay, writer, tmp_path):
    """The relay cannot know the epoch of a start that it has not seen."""
    first = relay(names(source))
    second = relay(names(first))
    with Client(first.ws) as near, Client(second.ws) as far:
        for client in (near, far):
            client.subscribe("notifications")
        source.kill()
        # At another port, where the relay does not find it.
        elsewhere = serve(source.path)
        with Client(elsewhere.ws) as client:
            client.subscribe("tables", rows="keys")
            insert(writer, 1, 2)
            position = client.message("table:modified")["position"]
        for client in (near, far):
            client.send("subscribe", channel="tables", id="s", rows="keys", since=position)
            # What is not known is not answered.
            client.send("query:cancel", id="c", queryId="nothing")
            while not (found := client.receive()).get("replyTo"):
                pass
            assert found["replyTo"] == "c"
        with Client(first.ws) as client:
            client.send("subscribe", channel="tables", id="other", since="other-a:5")
            elsewhere.kill()
            serve(source.path, port=source.port)
            found = client.message("subscribed", where=lambda m: m.get("replyTo") == "other")
            assert found["data"]["recovered"] is False
        for client in (near, far):
            found = client.message("subscribed", where=lambda m: m.get("replyTo") == "s")
            assert found["data"]["recovered"] is True
            assert sequence(client.message("table:modified")) == sequence({"position": position}) + 1
        # At once when the source is there.
        with Client(second.ws) as client:
            assert client.subscribe("tables", since="other-a:5")["data"]["recovered"] is False


def test_a_subscription_that_waits_for_the_source_can_be_ended(source, relay):
    edge = relay(names(source))
    source.kill()
    edge.error_line("connection to the source was lost")
    with Client(edge.ws) as client:
        client.send("subscribe", channel="tables", id="s", since="other-a:5")
        client.send("unsubscribe", channel="tables", id="u")
        assert client.message("unsubscribed")["replyTo"] == "u"
        for number in range(101):
            client.send("subscribe", channel="tables", id=str(number), since="other-a:5")
        assert client.message("error")["replyTo"] == "100"


def test_a_relay_has_the_history_of_a_new_epoch(serve, writer, relay, tmp_path):
    later = free_port()
    source = serve(tmp_path / "items.db", "--state", "none")
    edge = relay(names(source), f"127.0.0.1:{later}")
    with Client(edge.ws) as waiting:
        waiting.subscribe("tables", rows="keys")
        source.kill()
        other = serve(tmp_path / "items.db", "--state", "none")
        with Client(other.ws) as client:
            begin = sequence(client.subscribe("tables", rows="keys"))
            insert(writer, 1, 2)
            positions = [client.message("table:modified")["position"] for _ in range(2)]
        relay(names(other), port=later)
        message = waiting.message("subscribed")
        assert message["data"]["recovered"] is False and message["position"] == positions[1]
        with Client(edge.ws) as client:
            assert client.subscribe("tables", rows="keys", since=positions[0])["data"]["recovered"] is True
            assert client.message("table:modified")["position"] == positions[1]
        insert(writer, 3)
        assert sequence(waiting.message("table:modified")) == begin + 3


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
    first = relay(names(source))
    edge = relay(names(first), "--upstream-heartbeat", "60s")
    leaf = relay(names(edge))
    with Client(source.ws) as client:
        begin = sequence(client.subscribe("tables"))
        first.signal(signal.SIGSTOP)
        insert(writer, 1, 2)
        position = changes(client, begin + 2)[0][-1]["position"]
    with Client(edge.ws) as near, Client(leaf.ws) as far:
        for client in (near, far):
            client.send("subscribe", channel="tables", id="s", since=position)
            is_not_answered(client)
        first.signal(signal.SIGCONT)
        insert(writer, 3)
        for client in (near, far):
            assert client.message("subscribed", where=lambda m: m.get("replyTo") == "s")["data"]["recovered"] is True
            assert [sequence(m) for m in changes(client, begin + 3)[0]] == [begin + 3]


def is_not_answered(client):
    """What the client sent before has no answer yet."""
    client.send("heartbeat", id="h")
    while not (found := client.receive()).get("replyTo"):
        pass
    assert found["replyTo"] == "h", found


def test_a_position_beyond_the_end_of_the_source_is_not_recovered(serve, source, relay, writer):
    edge = relay(names(source))
    leaf = relay(names(edge))
    with Client(leaf.ws) as client:
        begin = client.subscribe("tables")["position"]
        insert(writer, 1)
        end = client.message("table:modified")["position"]
    epoch, last = end.split(":")
    forged = f"{epoch}:{int(last) + 1}"
    for node in (source, edge, leaf):
        with Client(node.ws) as client:
            answer = client.subscribe("tables", since=forged)
            assert answer["data"]["recovered"] is False and answer["data"]["reason"] == "beyond-end"
            assert answer["position"] == end
        with EventStream(node.http + f"/events?since={forged}") as stream:
            answer = stream.message("subscribed")
            assert answer["data"]["recovered"] is False and answer["data"]["reason"] == "beyond-end"
    with Client(leaf.ws) as client:
        source.kill()
        client.send("subscribe", channel="tables", id="s", since=forged)
        is_not_answered(client)
        insert(writer, 2)
        # After a restart the position is one of an epoch that has ended before it.
        serve(source.path, port=source.port)
        answer = client.message("subscribed", where=lambda m: m.get("replyTo") == "s")
        assert answer["data"]["recovered"] is False and answer["data"]["reason"] == "beyond-end"
        assert sequence(answer) == int(last) + 1
        insert(writer, 3)
        assert sequence(client.message("table:modified")) == int(last) + 2


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


HEARTBEAT = ("--upstream-heartbeat", "200ms")


def test_a_source_that_is_cut_off_is_replaced(source, relay, writer):
    middle = relay(names(source))
    cut, whole = relay(names(middle)), relay(names(source))
    edge = relay(names(cut), names(whole), *HEARTBEAT)
    with Client(edge.ws) as client:
        begin = sequence(client.subscribe("tables", rows="keys"))
        insert(writer, 1, 2)
        assert [sequence(m) for m in changes(client, begin + 2)[0]] == [begin + 1, begin + 2]
        middle.kill()
        client.message("database:gone")
        insert(writer, 3, 4)
        found, notices = changes(client, begin + 4)
        assert [sequence(m) for m in found] == [begin + 3, begin + 4]
        assert "database:gone" not in notices
        if "database:back" not in notices:
            client.message("database:back")
        # Requests go there, too.
        assert client.query("SELECT count(*) AS n FROM item", "q")[0] == [{"n": 4}]


def test_a_source_that_is_cut_off_is_kept_while_no_other_is_better(source, relay, writer):
    middle = relay(names(source))
    first, second = relay(names(middle)), relay(names(middle), "--log-level", "info")
    edge = relay(names(first), names(second), *HEARTBEAT)
    with Client(edge.ws) as client:
        begin = sequence(client.subscribe("tables", rows="keys"))
        middle.kill()
        client.message("database:gone")
        # The other one was asked, twice.
        for _ in range(2):
            second.error_line("client connected")
        insert(writer, 1)
        relay(names(source), port=middle.port)
        found, notices = changes(client, begin + 1)
        assert [sequence(m) for m in found] == [begin + 1]
        assert "database:gone" not in notices


def test_queries_are_answered_by_the_source(source, relay, writer):
    edge = relay(names(relay(names(source))))
    with Client(edge.ws) as client, Client(edge.ws) as other:
        other.subscribe("tables")
        rows, end = client.query("SELECT 1 AS one UNION ALL SELECT 2", "q1")
        assert rows == [{"one": 1}, {"one": 2}] and end["type"] == "query:complete"
        # An open transaction stays with its client.
        assert client.query("BEGIN", "q2")[1]["data"]["inTransaction"] is True
        client.query("INSERT INTO item VALUES (1, 'x', 1.0, NULL)", "q3")
        position = client.query("COMMIT", "q4")[1]["data"]["position"]
        assert other.message("table:modified")["position"] == position
        assert client.query("SELECT nothing", "q5")[1]["type"] == "query:error"
        client.send("row:write", id="w", table="item", op="update", key={"id": 1}, values={"name": "y"})
        found = client.message("row:written", where=lambda m: m["replyTo"] == "w")["data"]
        assert found["op"] == "update", found
        client.send("query:cancel", id="c", queryId="nothing")
        assert client.message("error", where=lambda m: m["replyTo"] == "c")["data"]["code"] == "QUERY_NOT_FOUND"


SLOW = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


def test_a_query_is_cancelled_through_a_relay(source, relay):
    edge = relay(names(source))
    with Client(edge.ws) as client:
        client.send("query:execute", id="s", sql=SLOW, queryId="slow")
        client.message("query:started")
        client.send("query:cancel", queryId="slow")
        assert client.message("query:cancelled")["data"]["reason"] == "client"
        client.send("query:execute", id="t", sql=SLOW, queryId="left")
        client.message("query:started")
    with Client(source.ws) as client:
        # The query of a client that has disconnected ends.
        while "left" in running(client):
            pass


def running(client):
    """The ids of the queries that cannot be used again."""
    client.send("query:execute", id="probe", sql="SELECT 1", queryId="left")
    while True:
        message = client.receive()
        if message.get("replyTo") == "probe" and message["type"] in ("error", "query:error", "query:complete"):
            return [] if message["type"] == "query:complete" else ["left"]


def test_a_live_query_through_a_relay(source, relay, writer):
    edge = relay(names(source))
    insert(writer, 1)
    with Client(edge.ws) as client:
        client.send("query:subscribe", id="l", sql="SELECT id FROM item WHERE id < 10")
        assert client.message("query:snapshot")["data"]["rows"] == [{"id": 1}]
        insert(writer, 2)
        assert client.message("query:changed")["data"]["rows"][0]["after"] == {"id": 2}
        source.kill()
        assert client.message("query:unsubscribed")["data"]["code"] == "DATABASE_GONE"
        client.send("query:execute", id="q", sql="SELECT 1")
        assert client.message("error", where=lambda m: m["replyTo"] == "q")["data"]["code"] == "DATABASE_GONE"


def test_a_snapshot_joins_the_changes_of_the_relay(source, relay, writer):
    edge = relay(names(source))
    insert(writer, *range(200))
    stop = threading.Event()

    def write():
        connection = sqlite3.connect(source.path, isolation_level=None, timeout=30)
        id = 200
        while not stop.wait(0.002):
            connection.execute("INSERT INTO item VALUES (?, 'x', 0.5, NULL)", (id,))
            connection.execute("DELETE FROM item WHERE id = ?", (id - 150,))
            id += 1
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(2):
            with Client(edge.ws) as client:
                position = client.subscribe("tables", tables=["item"], rows="values", snapshot=True)["position"]
                ids = set()
                while (message := client.receive())["type"] != "snapshot:end":
                    if message["type"] == "table:snapshot":
                        ids |= {row["id"] for row in message["data"]["rows"]}
                assert message["position"] == position
                for number in range(1, 21):
                    message = client.message("table:modified")
                    assert sequence(message) == int(position.split(":")[1]) + number
                    for row in message["data"]["rows"]:
                        id = row["key"]["id"]
                        assert (id in ids) == (row["op"] == "delete")
                        ids ^= {id}
    finally:
        stop.set()
        thread.join()


def begun(edge):
    """A client with an open transaction that has inserted row 1."""
    client = Client(edge.ws + "?channels=notifications")
    assert client.query("BEGIN", "begin")[1]["data"]["inTransaction"] is True
    assert client.query("INSERT INTO item(id) VALUES (1)", "1")[1]["data"]["inTransaction"] is True
    return client


def ids(writer):
    return [id for id, in writer.execute("SELECT id FROM item ORDER BY id")]


def insert_is_refused(client, id, code="DATABASE_GONE"):
    found = client.query(f"INSERT INTO item(id) VALUES ({id})", str(id))[1]
    assert (found["type"], found["data"]["code"]) == ("query:error", code), found
    assert "until your COMMIT or ROLLBACK" in found["data"]["error"]


def works_again(client, writer, *before):
    for statement in ("BEGIN", "INSERT INTO item(id) VALUES (98)", "COMMIT", "INSERT INTO item(id) VALUES (99)"):
        assert client.query(statement, statement)[1]["type"] == "query:complete"
    assert ids(writer) == [*before, 98, 99]


@pytest.mark.parametrize("end", [Server.kill, Server.stop])
@pytest.mark.parametrize("acknowledgement", ["COMMIT", "ROLLBACK", "END", "BEGIN"])
def test_a_transaction_is_lost_with_the_connection_to_the_source(serve, source, relay, writer, acknowledgement, end):
    edge = relay(names(source))
    with begun(edge) as client, Client(edge.ws + "?channels=notifications") as other:
        assert other.query("SELECT 1", "q")[1]["type"] == "query:complete"
        end(source)
        notice = client.message("error")
        assert notice["data"]["code"] == "DATABASE_GONE" and "replyTo" not in notice
        assert "your transaction was rolled back" in notice["data"]["message"]
        # While the source is away, and when it is back.
        insert_is_refused(client, 2)
        serve(source.path, port=source.port)
        client.message("database:back")
        insert_is_refused(client, 3)
        client.send("row:write", id="w", table="item", op="insert", values={"id": 4})
        found = client.message("error", where=lambda m: m.get("replyTo") == "w")
        assert found["data"]["code"] == "DATABASE_GONE" and found["data"]["details"]["tableName"] == "item"
        # A client without a transaction receives no error, and goes on.
        while (message := other.receive())["type"] != "database:back":
            assert message["type"] != "error"
        assert other.query("INSERT INTO item(id) VALUES (5)", "5")[1]["type"] == "query:complete"
        found = client.query(acknowledgement, "end")[1]
        if acknowledgement == "BEGIN":
            assert found["data"]["inTransaction"] is True
            assert client.query("ROLLBACK", "r")[1]["type"] == "query:complete"
        else:
            assert found["data"]["code"] == "DATABASE_GONE"
        works_again(client, writer, 5)


def test_requests_without_waiting_are_not_run_after_a_lost_transaction(serve, source, relay, writer):
    edge = relay(names(source))
    with begun(edge) as client:
        source.signal(signal.SIGSTOP)
        client.send("query:execute", id="2", queryId="2", sql="INSERT INTO item(id) VALUES (2)")
        client.send("row:write", id="3", table="item", op="insert", values={"id": 3})
        is_not_answered(client)
        source.kill()
        for id in "23":
            found = client.message("query:error" if id == "2" else "error", where=lambda m: m.get("replyTo") == id)["data"]
            assert found["code"] == "DATABASE_GONE" and "rolled back" in found.get("error", found.get("message"))
            assert found.get("details", found)["inTransaction"] is False
        assert client.message("error")["data"]["code"] == "DATABASE_GONE"
        serve(source.path, port=source.port)
        client.message("database:back")
        insert_is_refused(client, 4)
        assert client.query("COMMIT", "c")[1]["data"]["code"] == "DATABASE_GONE"
        works_again(client, writer)


def test_requests_behind_a_begin_without_an_answer_are_not_run(serve, source, relay, writer):
    edge = relay(names(source))
    with Client(edge.ws + "?channels=notifications") as client:
        assert client.query("SELECT 1", "q")[1]["type"] == "query:complete"
        source.signal(signal.SIGSTOP)
        client.send("query:execute", id="begin", queryId="begin", sql="BEGIN")
        is_not_answered(client)
        source.kill()
        found = client.message("query:error")
        assert found["replyTo"] == "begin" and found["data"]["inTransaction"] is False
        insert_is_refused(client, 1)
        assert client.query("ROLLBACK", "r")[1]["data"]["code"] == "DATABASE_GONE"
        # A BEGIN that the relay cannot forward.
        assert client.query("BEGIN", "b")[1]["data"]["code"] == "DATABASE_GONE"
        serve(source.path, port=source.port)
        client.message("database:back")
        insert_is_refused(client, 2)
        works_again(client, writer)


def test_the_fate_of_a_commit_without_an_answer_is_unknown(serve, source, relay, writer):
    edge = relay(names(source))
    with begun(edge) as client:
        source.signal(signal.SIGSTOP)
        client.send("query:execute", id="c", queryId="c", sql="COMMIT")
        is_not_answered(client)
        source.kill()
        found = client.message("query:error")
        assert found["replyTo"] == "c" and "not known whether your transaction was committed" in found["data"]["error"]
        assert found["data"]["code"] == "DATABASE_GONE" and found["data"]["inTransaction"] is False
        serve(source.path, port=source.port)
        while (message := client.receive())["type"] != "database:back":
            assert message["type"] != "error"
        # It was the acknowledgement.
        assert client.query("INSERT INTO item(id) VALUES (2)", "2")[1]["type"] == "query:complete"
        assert ids(writer) in ([2], [1, 2])


def test_a_transaction_that_timed_out_is_refused_also_over_the_next_connection(serve, relay, writer, tmp_path):
    limit = ["--limit", "query.transactionIdleTimeout=300ms"]
    source = serve(tmp_path / "items.db", *limit)
    edge = relay(names(source))
    with begun(edge) as client:
        assert client.message("error")["data"]["code"] == "TRANSACTION_TIMED_OUT"
        source.kill()
        serve(tmp_path / "items.db", port=source.port)
        client.message("database:back")
        insert_is_refused(client, 2, "TRANSACTION_TIMED_OUT")
        assert client.query("COMMIT", "c")[1]["data"]["code"] == "TRANSACTION_TIMED_OUT"
        works_again(client, writer)


def test_a_transaction_is_lost_with_a_source_that_is_replaced(source, relay, writer):
    middle = relay(names(source))
    cut, whole = relay(names(middle)), relay(names(source))
    edge = relay(names(cut), names(whole), *HEARTBEAT)
    with begun(edge) as client:
        middle.kill()
        assert client.message("error")["data"]["code"] == "DATABASE_GONE"
        client.message("database:back")
        insert_is_refused(client, 2)
        assert client.query("COMMIT", "c")[1]["data"]["code"] == "DATABASE_GONE"
        # `cut` is still there, and still without its source.
        works_again(client, writer)


def test_http_requests_are_answered_by_the_source(source, relay, writer):
    edge = relay(names(source))
    assert json_of(edge, "/tables") == json_of(source, "/tables")
    assert json_of(edge, "/tables/item") == json_of(source, "/tables/item")
    request = urllib.request.Request(edge.http + "/query", json.dumps({"sql": "SELECT 1 AS one"}).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=LIMIT) as answer:
        assert {"one": 1} in json.load(answer)["results"][0]["rows"]
    with EventStream(edge.http + "/live?sql=SELECT%20count(*)%20AS%20n%20FROM%20item") as stream:
        assert stream.curl.line("query:snapshot")
    source.kill()
    edge.error_line("connection to the source was lost")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(edge.http + "/tables", timeout=LIMIT)


class Response:
    """An HTTP response over a connection of its own, whose body is read as it comes."""

    def __init__(self, node, path, body=None, accept="*/*"):
        self.connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=LIMIT)
        body = None if body is None else json.dumps(body)
        self.connection.request("GET" if body is None else "POST", path, body, {"Accept": accept})

    def begin(self):
        self.answer = self.connection.getresponse()
        return self.answer

    def line(self, pattern):
        while line := self.answer.readline().decode():
            if re.search(pattern, line):
                return line
        raise AssertionError(f"ended before {pattern!r}")

    def rest(self):
        """Raises IncompleteRead when the chunked body does not end properly."""
        return self.answer.read().decode()

    def failure(self):
        answer = self.begin()
        return answer.status, json.load(answer)["code"]

    def close(self):
        self.connection.close()


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x, zeroblob(2000) FROM c"
LIVE = "/live?sql=SELECT%20count(*)%20AS%20n%20FROM%20item"


def test_http_streams_do_not_block_other_requests(source, relay):
    edge = relay(names(source))
    streams = [Response(edge, LIVE) for _ in range(40)]
    for stream in streams:
        assert stream.begin().status == 200, stream.answer.read()
        stream.line("event: query:snapshot")
    assert json_of(edge, "/tables") == json_of(source, "/tables")
    for stream in streams:
        stream.close()


def streams(node, writer):
    """A live query as events and as lines, and a query as lines that runs until its client reads on."""
    insert(writer, 1)
    live = [Response(node, LIVE), Response(node, "/live", {"sql": "SELECT id FROM item"})]
    for stream in live:
        assert stream.begin().status == 200, stream.answer.read()
        stream.line("query:snapshot")
    query = Response(node, "/query", {"sql": ENDLESS, "queryId": "endless"}, accept="application/x-ndjson")
    assert query.begin().status == 200
    query.line("query:rows")
    return live + [query]


def check_endings(streams):
    """Each stream ends properly with one message of its kind."""
    events, lines, query = [stream.rest() for stream in streams]
    for text in (events.strip().rpartition("data: ")[2], lines.splitlines()[-1]):
        message = check(json.loads(text), "sendToClient")
        assert message["type"] == "query:unsubscribed" and message["data"]["code"] == "DATABASE_GONE"
    assert events.endswith("\n\n") and events.count("event: query:unsubscribed\n") == 1
    for line in query.splitlines():
        message = json.loads(line)
    return check(message, "sendToClient")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_http_streams_end_with_a_message_when_the_source_ends(source, relay, writer, number):
    edge = relay(names(source))
    open = streams(edge, writer)
    source.signal(number)
    ending = check_endings(open)
    if number == signal.SIGTERM and ending["type"] == "query:cancelled":
        # The source has reported it in time.
        assert ending["data"]["reason"] == "shutdown"
    else:
        assert ending["type"] == "query:error" and ending["data"]["queryId"] == "endless"
        assert ending["data"]["code"] == "DATABASE_GONE"


def test_http_requests_end_when_the_source_is_silent(source, relay, writer):
    edge = relay(names(source), "--upstream-heartbeat", "500ms")
    open = streams(edge, writer)
    source.signal(signal.SIGSTOP)
    try:
        requests = [
            Response(edge, "/tables"),
            Response(edge, "/query", {"sql": "SELECT 1"}),
            Response(edge, "/row", {"table": "item", "op": "insert", "values": {"name": "late"}}),
            Response(edge, "/live", {"sql": "SELECT id FROM item"}),
        ]
        for request in requests:
            assert request.failure() == (503, "DATABASE_GONE")
        ending = check_endings(open)
        assert ending["type"] == "query:error" and ending["data"]["code"] == "DATABASE_GONE"
    finally:
        source.signal(signal.SIGCONT)


def test_a_client_that_leaves_frees_its_request_while_the_source_is_silent(source, relay):
    edge = relay(names(source), "--upstream-heartbeat", "1h")
    files = Path(f"/proc/{edge.process.pid}/fd")

    def wait(condition):
        deadline = time.monotonic() + LIMIT
        while not condition(len(list(files.iterdir()))):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    source.signal(signal.SIGSTOP)
    try:
        before = len(list(files.iterdir()))
        requests = [Response(edge, "/query", {"sql": "SELECT 1"}) for _ in range(40)]
        # Those of the clients, and those to the source.
        wait(lambda count: count >= before + 80)
        for request in requests:
            request.close()
        wait(lambda count: count <= before + 8)
    finally:
        source.signal(signal.SIGCONT)
    assert json_of(edge, "/tables") == json_of(source, "/tables")


def test_requests_have_the_rights_of_the_client(serve, writer, relay, tmp_path):
    source = serve(tmp_path / "items.db", env={"TABLECAST_RELAY_TOKEN": "s" * 32, "TABLECAST_READ_WRITE_TOKEN": "w" * 32})
    insert(writer, 1)
    writer.execute("CREATE TABLE secret(x)")
    tokens = tmp_path / "tokens.json"
    write_tokens(
        tokens,
        [{"token": "a" * 32, "role": "read-only", "tables": ["item"]}, {"token": "b" * 32, "role": "read-write", "username": "ada"}],
    )
    edge = relay(names(source), "--tokens", tokens, env={"TABLECAST_UPSTREAM_TOKEN": "s" * 32})

    def connect(token):
        return Client(edge.ws, additional_headers={"Authorization": "Bearer " + token * 32})

    with connect("a") as client:
        assert client.query("SELECT id FROM item", "q1")[0] == [{"id": 1}]
        assert client.query("SELECT * FROM secret", "q2")[1]["data"]["code"] == "NOT_AUTHORIZED"
        assert client.query("DELETE FROM item", "q3")[1]["type"] == "query:error"
        client.send("subscribe", channel="tables", id="s", snapshot=True, rows="values")
        assert client.message("subscribed", where=lambda m: m.get("replyTo") == "s")["data"]["tables"] == ["item"]
    with connect("b") as client, connect("b") as other:
        other.subscribe("tables")
        assert client.query("DELETE FROM item", "q1")[1]["type"] == "query:complete"
        assert other.message("table:modified")["data"]["username"] == "ada"
    # A header alone grants nothing.
    admin = base64.b64encode(json.dumps({"id": "x", "role": "admin"}).encode()).decode()
    with Client(serve(tmp_path / "items.db", "--state", "none").ws, additional_headers={"Tablecast-Identity": admin}) as client:
        assert client.query("PRAGMA wal_checkpoint", "q1")[1]["type"] == "query:error"
    # Only a relay may act for others.
    with pytest.raises(Exception, match="403"):
        Client(source.ws, additional_headers={"Authorization": "Bearer " + "w" * 32, "Tablecast-Identity": "e30="})
    with pytest.raises(Exception, match="401"):
        Client(source.ws, additional_headers={"Authorization": "Bearer " + "s" * 32, "Tablecast-Identity": "e30="})


def test_an_identity_that_a_client_claims_has_no_more_rights_than_the_relay(serve, relay, tmp_path):
    path = tmp_path / "items.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE item(id INTEGER PRIMARY KEY)")
    source = serve(path, env={"TABLECAST_RELAY_TOKEN": "s" * 32})
    edge = relay(names(source), env={"TABLECAST_UPSTREAM_TOKEN": "s" * 32})
    for role in ("read-only", "read-write", "admin", "relay"):
        claimed = base64.b64encode(json.dumps({"id": "x", "role": role}).encode()).decode()
        with Client(edge.ws, additional_headers={"Tablecast-Identity": claimed}) as client:
            assert client.query("SELECT count(*) AS n FROM item", "q1")[0] == [{"n": 0}]
            assert client.query("INSERT INTO item VALUES (1)", "q2")[1]["data"]["code"] == "READ_ONLY", role
            assert client.query("DROP TABLE item", "q3")[1]["data"]["code"] == "READ_ONLY", role
    # What it claims to lack, it lacks.
    claimed = base64.b64encode(json.dumps({"id": "x", "role": "admin", "tables": ["other"]}).encode()).decode()
    with Client(edge.ws, additional_headers={"Tablecast-Identity": claimed}) as client:
        assert client.query("SELECT * FROM item", "q1")[1]["data"]["code"] == "NOT_AUTHORIZED"


def joined(node, name, **keywords):
    """A client that sees the others."""
    client = Client(node.ws + f"?username={name}", **keywords)
    client.send("subscribe", channel="collaboration", id="c")
    users = client.message("user:list")["data"]["users"]
    return client, {user["username"] for user in users}


def user_named(client, type, name):
    return client.message(type, where=lambda m: m["data"]["username"] == name)["data"]


def test_clients_of_all_places_see_each_other(source, relay):
    left, right = relay(names(source)), relay(names(source))
    leaf = relay(names(right))
    clients = {}
    places = {"source": source, "left": left, "right": right, "leaf": leaf}
    for name, place in places.items():
        clients[name], _ = joined(place, name)
        for other in set(clients) - {name}:
            assert user_named(clients[other], "user:joined", name)["connectedUsers"] == len(clients)
    # A relay, and a connection for the requests of a client, is no user.
    assert clients["leaf"].query("SELECT 1", "q")[0] == [{"1": 1}]
    late, users = joined(left, "late")
    assert users == {*places, "late"}
    for client in clients.values():
        assert user_named(client, "user:joined", "late")["connectedUsers"] == 5
    clients["leaf"].send("user:cursor", position={"line": 3, "column": 4}, text="hello")
    for name in ("source", "left", "right"):
        assert user_named(clients[name], "user:cursor", "leaf")["text"] == "hello"
    clients["leaf"].send("user:identify", username="tree")
    for name in ("source", "left", "right"):
        user_named(clients[name], "user:left", "leaf")
        user_named(clients[name], "user:joined", "tree")
    late.close()
    for client in clients.values():
        user_named(client, "user:left", "late")
    # A lost relay, or the connection to it, takes its users away.
    right.kill()
    for name in ("source", "left"):
        gone = {clients[name].message("user:left")["data"]["username"] for _ in range(2)}
        assert gone == {"right", "tree"}
    gone = {clients["leaf"].message("user:left")["data"]["username"] for _ in range(3)}
    assert gone == {"source", "left", "right"}
    right = relay(names(source), port=right.port)
    for name in ("source", "left"):
        user_named(clients[name], "user:joined", "tree")
        assert user_named(clients[name], "user:cursor", "tree")["position"] == {"line": 3, "column": 4}
    back = {clients["leaf"].message("user:joined")["data"]["username"] for _ in range(2)}
    assert back == {"source", "left"}
    # Nothing came twice, and nothing to its own client.
    for name in ("source", "left", "leaf"):
        clients[name].send("query:cancel", id="end", queryId="nothing")
        while (message := clients[name].receive()).get("replyTo") != "end":
            assert message["channel"] != "collaboration", message


def test_presence_needs_the_role_relay(serve, relay, tmp_path, writer):
    env = {"TABLECAST_RELAY_TOKEN": "r" * 32, "TABLECAST_READ_ONLY_TOKEN": "o" * 32}
    source = serve(tmp_path / "items.db", env=env)
    trusted = relay(names(source), env={"TABLECAST_UPSTREAM_TOKEN": "r" * 32})
    other = relay(names(source), env={"TABLECAST_UPSTREAM_TOKEN": "o" * 32})
    here, _ = joined(source, "here", additional_headers={"Authorization": "Bearer " + "o" * 32})
    alone, users = joined(other, "alone")
    assert users == {"alone"}
    seen, users = joined(trusted, "seen")
    if "here" not in users:
        user_named(seen, "user:joined", "here")
    message = here.message("user:joined", where=lambda m: m["data"]["username"] != "here")
    assert message["data"]["username"] == "seen"
    # A client that is no relay cannot show users.
    here.send("relay:presence", id="p", users=[{"userId": "x", "username": "x", "joinedAt": 1}], left=[])
    assert here.message("error")["data"]["code"] == "UNKNOWN_TYPE"


def test_requests_see_the_rows_of_the_client(serve, writer, relay, tmp_path):
    source = serve(tmp_path / "items.db", env={"TABLECAST_RELAY_TOKEN": "s" * 32})
    insert(writer, 1, 2, 3)
    tokens = tmp_path / "tokens.json"
    rules = {"item": {"where": "id >= 2 AND name = 'x'", "check": "id < 10 AND name = 'x'"}}
    write_tokens(tokens, [{"token": "a" * 32, "role": "read-write", "rules": rules}])
    first = relay(names(source), env={"TABLECAST_UPSTREAM_TOKEN": "s" * 32, "TABLECAST_RELAY_TOKEN": "t" * 32})
    second = relay(names(first), "--tokens", tokens, env={"TABLECAST_UPSTREAM_TOKEN": "t" * 32})
    with Client(second.ws, additional_headers={"Authorization": "Bearer " + "a" * 32}) as client:
        assert client.query("SELECT id FROM item", "q")[0] == [{"id": 2}, {"id": 3}]
        client.send("subscribe", channel="tables", id="s", rows="values", snapshot=True)
        assert [row["id"] for row in client.message("table:snapshot")["data"]["rows"]] == [2, 3]
        insert(writer, 4)
        assert client.message("table:modified")["data"]["rows"][0]["key"] == {"id": 4}
        client.send("query:subscribe", id="l", sql="SELECT id FROM item")
        assert client.message("query:snapshot")["data"]["rows"] == [{"id": 2}, {"id": 3}, {"id": 4}]

        def write(**data):
            client.send("row:write", id="w", table="item", **data)
            while True:
                message = client.receive()
                if message.get("replyTo") == "w":
                    return message

        assert write(op="delete", key={"id": 1})["data"]["code"] == "CONFLICT"
        assert write(op="insert", values={"id": 10, "name": "x"})["data"]["code"] == "NOT_AUTHORIZED"
        assert write(op="insert", values={"id": 5, "name": "x"})["type"] == "row:written"
        insert(writer, 6)
        changed = client.message("query:changed", where=lambda m: {"id": 6} in [row["after"] for row in m["data"]["rows"]])
        assert {row["after"]["id"] for row in changed["data"]["rows"]} <= {5, 6}


def test_limits_count_for_each_client_of_a_relay(serve, writer, relay, tmp_path):
    limits = ["--limit", "clients.maxConnectionsOfIdentity=1"]
    source = serve(tmp_path / "items.db", *limits, env={"TABLECAST_RELAY_TOKEN": "s" * 32})
    edge = relay(names(source), "--trusted-proxy", "127.0.0.1", env={"TABLECAST_UPSTREAM_TOKEN": "s" * 32})

    def connect(address):
        return Client(edge.ws, additional_headers={"X-Forwarded-For": address})

    with connect("192.0.2.1") as one, connect("192.0.2.2") as other, connect("192.0.2.1") as again:
        for client in (one, other):
            assert client.query("SELECT 1", "q")[1]["type"] == "query:complete"
        found = again.query("SELECT 1", "q2")[1]
        assert found["type"] == "error" and "429" in found["data"]["message"], found
    # Without tokens any client could claim to be a relay: its address counts.
    guarded = serve(tmp_path / "items.db", "--state", "none", *limits)
    headers = [{"Tablecast-Identity": base64.b64encode(json.dumps(fields).encode()).decode()} for fields in ({"share": "a"}, {"id": "b"})]
    with Client(guarded.ws, additional_headers=headers[0]):
        for forged in headers:
            with pytest.raises(Exception, match="429"):
                Client(guarded.ws, additional_headers=forged)


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


def test_errors_of_the_command_line(serve, start, source, run, tmp_path):
    closed = free_port()
    waiting = start("relay", f"127.0.0.1:{closed}", "--wait", "--port", 0)
    assert f":{closed}/ws" in waiting.error_line("the source cannot be used")
    for address in ("", "ws://", "http:///ws"):
        refused = run("relay", address)
        assert refused.returncode == 64 and "it has no host" in refused.stderr
    unreachable = run("relay", f"127.0.0.1:{closed}")
    assert unreachable.returncode == 69 and "cannot be reached" in unreachable.stderr
    both = run("relay", f"127.0.0.1:{closed}", f"127.0.0.1:{closed}")
    assert both.returncode == 69 and both.stderr.count(f":{closed}/ws") == 2
    assert run("relay", "ftp://x").returncode == 64
    assert run("relay", f"ws://127.0.0.1:{source.port}/nothing").returncode == 76
    tokens = tmp_path / "tokens.json"
    write_tokens(tokens, [{"token": "a" * 32, "role": "read-only"}, {"token": "b" * 32, "role": "read-only", "tables": ["item"]}])
    guarded = serve(tmp_path / "items.db", "--tokens", tokens, "--state", "none")
    wrong = run("relay", names(guarded), env={"TABLECAST_UPSTREAM_TOKEN": "c" * 32})
    assert wrong.returncode == 77 and "TABLECAST_UPSTREAM_TOKEN" in wrong.stderr
    narrow = run("relay", names(guarded), env={"TABLECAST_UPSTREAM_TOKEN": "b" * 32})
    assert narrow.returncode == 77 and "without a list of tables" in narrow.stderr


def test_a_source_with_a_self_signed_certificate(serve, run, relay, writer, tmp_path):
    certificate, key = self_signed_certificate(tmp_path)
    source = serve(tmp_path / "items.db", "--tls-certificate", certificate, "--tls-key", key)
    address = f"wss://127.0.0.1:{source.port}"
    refused = run("relay", address, "--port", 0)
    assert refused.returncode == 69 and "certificate" in refused.stderr and "--insecure" in refused.stderr, refused.stderr
    edge = relay(address, "--insecure")
    with Client(edge.ws) as client:
        client.subscribe("tables")
        insert(writer, 1)
        client.message("table:modified")
        # Requests that are forwarded, over both protocols.
        assert client.query("SELECT id FROM item", "q")[0] == [{"id": 1}]
    assert json_of(edge, "/tables/item")


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


class RelayClient(Client):
    """What a relay receives, held against the contract."""

    def receive(self, limit=LIMIT):
        message = json.loads(self.socket.recv(timeout=limit))
        return check(message, "sendToRelay" if message["type"].startswith("relay:") else "sendToClient")


def test_the_messages_for_relays_are_in_the_contract(source, relay, writer):
    edge = relay(names(source))
    user, _ = joined(source, "ada")
    with RelayClient(edge.ws, additional_headers={"Tablecast-Relay": "test"}) as client:
        client.send("subscribe", channel="tables", id="s", relay=1)
        found = {}
        while not {"relay:state", "relay:presence", "subscribed"} <= set(found):
            message = client.receive()
            found[message["type"]] = message
        assert found["relay:state"]["data"]["presence"] is True
        assert [user["username"] for user in found["relay:presence"]["data"]["users"]] == ["ada"]
        insert(writer, 1)
        client.message("relay:transaction")
        check({"type": "relay:check", "id": "c", "data": {}}, "receiveFromRelay")
        client.send("relay:check", id="c")
        assert client.message("relay:checked")["replyTo"] == "c"
        users = [{"userId": "u1", "username": "eve", "joinedAt": 1, "cursor": {"table": "item"}}]
        check({"type": "relay:presence", "data": {"users": users, "left": []}}, "receiveFromRelay")
        client.send("relay:presence", users=users, left=[])
        assert user_named(user, "user:joined", "eve")["userId"] == "u1"
        client.send("relay:presence", id="bad", users=[{"userId": ""}], left=[])
        assert client.message("error", where=lambda m: m.get("replyTo") == "bad")["data"]["code"] == "INVALID_MESSAGE"
        source.kill()
        restarted = Server(edge.process.args[0], source.path, port=source.port)
        try:
            client.message("relay:renamed")
        finally:
            restarted.kill()


def test_settings_of_a_relay(source, run, relay, tmp_path):
    settings = tmp_path / "relay.yaml"
    settings.write_text("maxConnections: 1\nlimits:\n  clients:\n    maxMessagesPerSecond: 7\n")
    edge = relay(names(source), "--config", settings, env={"TABLECAST_UPSTREAM_HEARTBEAT": "2s"})
    with Client(edge.ws):
        with pytest.raises(Exception, match="503"):
            Client(edge.ws)
    settings.write_text("readOnly: true\n")
    refused = run("relay", names(source), "--config", settings)
    assert refused.returncode == 64 and "unknown setting 'readOnly'" in refused.stderr
    refused = run("relay", names(source), env={"TABLECAST_UPSTREAM_HEARTBEAT": "soon"})
    assert refused.returncode == 64 and "the environment" in refused.stderr
