"""Several subscriptions to tables on one connection: their ids, their transactions, how they end and come back."""

import json
import pathlib
import sqlite3
import urllib.error
import urllib.parse
import urllib.request

import pytest

from processes import LIMIT
from sockets import Client, EventStream

GENRES = {"tables": ["genre"], "rows": "values"}
NAMES = {"tables": ["genre", "artist"], "rows": "keys"}
BOTH = "UPDATE artist SET name = name || '!' WHERE artist_id = 1; INSERT INTO genre VALUES ({0}, 'genre {0}')"


def execute(path, *statements):
    """Another process's transactions, one each."""
    connection = sqlite3.connect(path, timeout=LIMIT)
    for sql in statements:
        connection.executescript(f"BEGIN; {sql}; COMMIT")
    connection.close()


def subscribe(client, **data):
    subscribe.count += 1
    id = f"s{subscribe.count}"
    client.send("subscribe", channel="tables", id=id, **data)
    return client.message("subscribed", where=lambda m: m.get("replyTo") == id)["data"]


subscribe.count = 0


def transaction(client):
    """The messages up to `transaction:end`, as pairs of subscription and table, and the position."""
    messages = []
    while (message := client.receive())["type"] != "transaction:end":
        messages.append(message)
    assert {m["position"] for m in messages} <= {message["position"]}
    last = {}
    for m in messages:
        assert not last.get(m["data"]["subscription"]), "something follows the last message of the subscription"
        last[m["data"]["subscription"]] = m["data"]["transaction"]["last"]
    assert all(last.values())
    return [(m["data"]["subscription"], m["data"]["tableName"]) for m in messages], message["position"]


def resident(server):
    """Bytes of memory that the server has."""
    lines = pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("RssAnon")).split()[1])


def quiet(client):
    client.send("heartbeat", id="quiet")
    assert client.receive()["type"] == "heartbeat", "nothing else came"


def test_equal_filters_have_the_same_id_for_all_clients_and_after_a_restart(serve, music):
    server = serve(music)
    with Client(server.ws) as one, Client(server.ws) as other:
        first = subscribe(one, tables=["genre", "artist"], rows="keys")["subscription"]
        assert subscribe(other, rows="keys", tables=["ARTIST", "genre"])["subscription"] == first
        assert subscribe(one, tables=["genre"], rows="keys")["subscription"] != first
    server.kill()
    with Client(serve(music).ws) as client:
        assert subscribe(client, **NAMES)["subscription"] == first


def test_conditions_on_texts_that_only_look_the_same_are_different(serve, music):
    server = serve(music)
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    with Client(server.ws) as one, Client(server.ws) as other:
        first = subscribe(one, tables=["genre"], rows="values", where="name = ?", params=[composed])
        second = subscribe(other, tables=["genre"], rows="values", where="name = ?", params=[decomposed])
        assert first["subscription"] != second["subscription"]
        execute(music, f"INSERT INTO genre VALUES (90, '{composed}'), (91, '{decomposed}')")
        for client, expected in ((one, 90), (other, 91)):
            rows = client.message("table:modified")["data"]["rows"]
            assert [row["key"] for row in rows] == [{"genre_id": expected}]


def test_a_transaction_comes_whole_for_all_subscriptions_and_then_ends(serve, music):
    with Client(serve(music).ws) as client:
        a, b = subscribe(client, **GENRES)["subscription"], subscribe(client, **NAMES)["subscription"]
        execute(music, BOTH.format(90))
        messages, _ = transaction(client)
        assert sorted(messages) == sorted([(a, "genre"), (b, "genre"), (b, "artist")])
        execute(music, "UPDATE album SET title = 'x' WHERE album_id = 1")
        quiet(client)
        client.send("unsubscribe", channel="tables", id="u", subscription=b)
        assert client.message("unsubscribed")["data"] == {"channel": "tables", "subscription": b}
        execute(music, BOTH.format(91))
        message = client.receive()
        assert (message["data"]["subscription"], message["data"]["transaction"]["last"]) == (a, True)
        quiet(client)
        client.send("unsubscribe", channel="tables", id="u")
        assert client.message("unsubscribed")["data"] == {"channel": "tables"}


def test_several_resume_from_one_position_with_the_messages_of_the_live_ones(serve, music):
    server = serve(music)
    with Client(server.ws) as client:
        ids = subscribe(client, subscriptions=[GENRES, NAMES])["subscriptions"]
        execute(music, BOTH.format(90))
        _, position = transaction(client)
        execute(music, BOTH.format(91), "DELETE FROM genre WHERE genre_id = 91")
        live = [client.receive() for _ in range(7)]
        assert live[3]["type"] == live[6]["type"] == "transaction:end"
    with Client(server.ws) as client:
        again = subscribe(client, subscriptions=[NAMES, GENRES], since=position)
        assert again["subscriptions"] == ids[::-1] and again["recovered"] is True
        assert [client.receive() for _ in range(7)] == live, "ids and timestamps too"
        quiet(client)


def test_one_that_resumes_beside_others_comes_up_with_them_before_a_position_is_good(serve, music):
    server = serve(music)
    with Client(server.ws) as client:
        b = subscribe(client, **NAMES)["subscription"]
        execute(music, BOTH.format(90))
        early = client.message("table:modified", where=lambda m: m["data"]["transaction"]["last"])["position"]
        execute(music, BOTH.format(91), BOTH.format(92))
        for _ in range(4):
            late = client.message("table:modified")["position"]
        a = subscribe(client, **GENRES, since=early)
        assert a["recovered"] is True
        messages, position = catch_up(client)
        assert messages == [(a["subscription"], "genre")] * 2 and position == late
        execute(music, BOTH.format(93))
        assert sorted(transaction(client)[0]) == sorted([(a["subscription"], "genre"), (b, "genre"), (b, "artist")])


def catch_up(client):
    messages = []
    while (message := client.receive())["type"] != "transaction:end":
        messages.append((message["data"]["subscription"], message["data"]["tableName"]))
    return messages, message["position"]


def test_a_subscription_is_replaced_between_two_transactions(serve, music):
    server = serve(music)
    with Client(server.ws) as client:
        old = subscribe(client, **GENRES)["subscription"]
        execute(music, BOTH.format(90))
        assert client.receive()["data"]["subscription"] == old
        new = subscribe(client, **NAMES, replaces=old)["subscription"]
        execute(music, BOTH.format(91))
        assert {client.receive()["data"]["subscription"] for _ in range(2)} == {new}
        quiet(client)
        client.send("subscribe", channel="tables", id="x", **GENRES, replaces=old)
        error = client.message("error")
        assert error["data"]["code"] == "SUBSCRIPTION_NOT_FOUND" and new in error["data"]["message"]
        client.send("unsubscribe", channel="tables", id="x", subscription=old)
        assert client.message("error")["data"]["code"] == "SUBSCRIPTION_NOT_FOUND"


def test_a_snapshot_goes_on_beside_another_subscription_and_ends_as_a_whole(serve, music):
    with Client(serve(music).ws) as client:
        subscribe(client, **NAMES)
        snapshot = subscribe(client, tables=["genre", "art*"], rows="values", snapshot=True)
        assert sorted(snapshot["tables"]) == ["artist", "genre"]
        rows, lasts = {}, []
        while (message := client.receive())["type"] != "snapshot:end":
            data = message["data"]
            assert data["subscription"] == snapshot["subscription"] and "rowids" not in data
            rows.setdefault(data["tableName"], []).extend(data["rows"])
            lasts += [data["tableName"]] if data["last"] else []
        assert sorted(lasts) == ["artist", "genre"] and len(rows["genre"]) == 10
        assert message["data"] == {
            "subscription": snapshot["subscription"],
            "tables": lasts,
            "unreadable": [],
            "position": snapshot["position"],
        }
        execute(music, BOTH.format(90))
        assert {s for s, _ in transaction(client)[0]} >= {snapshot["subscription"]}


def test_an_event_stream_of_several_resumes_from_the_end_of_a_transaction(serve, music):
    server = serve(music)
    fields = [("subscription", json.dumps(GENRES)), ("subscription", json.dumps(NAMES))]
    url = f"{server.http}/events?{urllib.parse.urlencode(fields)}"
    with EventStream(url) as stream:
        subscribed = stream.message("subscribed")
        assert len(subscribed["data"]["subscriptions"]) == 2
        execute(music, BOTH.format(90))
        end = stream.message("transaction:end")
        position, _, ids = stream.last_id.partition(" ")
        assert position == end["position"] and set(ids.split(",")) == set(subscribed["data"]["subscriptions"])
    execute(music, BOTH.format(91))
    for resumed, expected in [(["-H", f"Last-Event-ID: {position} {ids},t0"], True), (["-H", f"Last-Event-ID: {position} t0"], False)]:
        with EventStream(url, *resumed) as stream:
            assert stream.message("subscribed")["data"]["recovered"] is expected
    with EventStream(f"{url}&{urllib.parse.urlencode({'since': f'{position} {ids}'})}") as stream:
        assert stream.message("subscribed")["data"]["recovered"] is True
        assert {stream.receive()["data"]["subscription"] for _ in range(3)} == set(subscribed["data"]["subscriptions"])
        assert stream.receive()["type"] == "transaction:end"


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({"subscriptions": []}, "subscriptions"),
        ({"subscriptions": [{"rows": "all"}]}, "subscriptions[0].rows"),
        ({"subscriptions": [{}, 1]}, "subscriptions[1]"),
        ({"subscriptions": [{}], "rows": "keys"}, "rows"),
        ({"subscriptions": [{}], "snapshot": True}, "snapshot"),
        ({"subscriptions": [{}], "replaces": "t"}, "replaces"),
        ({"subscriptions": [{}] * 101}, "100"),
        ({"subscriptions": [{}], "since": "a:1", "resumes": "t"}, "resumes"),
        ({"subscriptions": [{}], "since": "a:1", "resumes": []}, "resumes"),
        ({"subscriptions": [{}], "resumes": ["t"]}, "since"),
        ({"since": "a:1", "resumes": ["t"]}, "resumes"),
        ({"replaces": 1}, "replaces"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_by_name(server, data, word):
    with Client(server.ws) as client:
        client.send("subscribe", channel="tables", id="x", **data)
        error = client.message("error")
        assert error["data"]["code"] == "INVALID_MESSAGE" and word in error["data"]["message"]
        client.send("unsubscribe", channel="queries", id="y", subscription="t")
        assert "subscription" in client.message("error")["data"]["message"]


@pytest.mark.parametrize(
    ("fields", "word"),
    [([("subscription", "{")], "subscription"), ([("subscription", "{}"), ("rows", "keys")], "rows"),
     ([("subscription", "[]")], "object")],
)
def test_an_address_that_makes_no_sense_is_refused_by_name(server, fields, word):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{server.http}/events?{urllib.parse.urlencode(fields)}", timeout=LIMIT)
    assert refused.value.code == 400 and word in json.loads(refused.value.read())["error"]


def test_the_subscriptions_of_a_connection_are_limited(server):
    with Client(server.ws) as client:
        for number in range(100):
            subscribe(client, tables=[f"t{number}"])
        client.send("subscribe", channel="tables", id="x", tables=["one more"])
        error = client.message("error")
        assert error["data"]["code"] == "RATE_LIMITED" and "100" in error["data"]["message"]
        subscribe(client, tables=["t7"])


def test_conditions_of_subscriptions_that_ended_take_no_memory(serve, music):
    server = serve(music)
    with Client(server.ws) as client:

        def replace(round):
            conditions = [f"genre_id + {round} = {number} AND name LIKE 'genre%'" for number in range(100)]
            client.send("subscribe", channel="tables", id=f"r{round}", subscriptions=[dict(GENRES, where=sql) for sql in conditions])
            ids = client.message("subscribed", where=lambda m: m.get("replyTo") == f"r{round}")["data"]["subscriptions"]
            client.send("unsubscribe", channel="tables", id=f"u{round}")
            client.message("unsubscribed", where=lambda m: m.get("replyTo") == f"u{round}")
            return ids

        for round in range(20):
            assert len(replace(round)) == 100
        before = resident(server)
        for round in range(20, 120):
            replace(round)
        assert resident(server) - before < 20 * 1024 * 1024
