"""Live queries: the rows of a SELECT, then exactly what every commit changes in them, whichever process commits."""

import collections
import http.client
import json
import random
import signal
import sqlite3
import urllib.error
import urllib.parse
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed

from contract import check
from processes import LIMIT, Command, Terminal, write_tokens
from sockets import Client, EventStream


def key(row):
    return json.dumps(row, sort_keys=True)


class Replica:
    """What a client knows of its query. A change that does not fit fails."""

    def __init__(self, ordered):
        self.ordered = ordered
        self.rows = []
        self.position = None
        self.partial = []
        self.changes = []

    def snapshot(self, message):
        data = message["data"]
        if data.get("reset"):
            self.partial = []
        self.partial += data["rows"]
        if data["last"]:
            self.rows, self.partial = self.partial, []
            self.position = message["position"]

    def changed(self, message):
        self.changes += message["data"]["rows"]
        if not message["data"]["last"]:
            return
        changes, self.changes = self.changes, []
        self.position = message["position"]
        if self.ordered:
            for change in sorted((c for c in changes if "before" in c), key=lambda c: -c["oldIndex"]):
                assert self.rows.pop(change["oldIndex"]) == change["before"]
            for change in sorted((c for c in changes if "after" in c), key=lambda c: c["index"]):
                self.rows.insert(change["index"], change["after"])
            return
        bag = collections.Counter(map(key, self.rows))
        for change in changes:
            if "before" in change:
                assert bag[key(change["before"])] > 0, f"{change} takes a row that is not there"
                bag[key(change["before"])] -= 1
        for change in changes:
            if "after" in change:
                bag[key(change["after"])] += 1
        self.rows = [json.loads(row) for row in bag.elements()]

    def equals(self, rows):
        if self.ordered:
            return self.rows == rows
        return collections.Counter(map(key, self.rows)) == collections.Counter(map(key, rows))


class Follower(Client):
    """A connection that follows queries and keeps a replica of each."""

    def __init__(self, url, **options):
        super().__init__(url, **options)
        self.replicas = {}

    def follow(self, sql, **data):
        id = f"f{len(self.replicas)}-{random.random()}"
        self.send("query:subscribe", id=id, sql=sql, **data)
        while True:
            message = self.receive()
            if message.get("replyTo") == id:
                break
            self.apply(message)
        assert message["type"] == "query:subscribed", message
        name = message["data"]["subscription"]
        if not message["data"].get("recovered"):
            self.replicas[name] = Replica(message["data"]["ordered"])
            while self.replicas[name].position is None:
                self.apply(self.receive())
        return message["data"]

    def refused(self, sql, **data):
        self.send("query:subscribe", id="refused", sql=sql, **data)
        message = self.message("error", where=lambda m: m.get("replyTo") == "refused")
        return message["data"]["code"], message["data"]["message"]

    def apply(self, message):
        data = message["data"]
        replica = self.replicas.get(data.get("subscription"))
        if message["type"] == "query:snapshot" and replica:
            replica.snapshot(message)
        elif message["type"] == "query:changed" and replica:
            replica.changed(message)
        return message

    def reached(self, sequence):
        """Applies messages until all queries are exact as of a position, and returns it."""
        while True:
            message = self.apply(self.receive())
            if message["type"] == "query:reached" and int(message["position"].split(":")[1]) >= sequence:
                return int(message["position"].split(":")[1])


def truth(connection, sql):
    cursor = connection.execute(sql)
    names, taken = [], set()
    for column in cursor.description:
        name, number = column[0], 1
        while name in taken:
            name, number = f"{column[0]}:{number}", number + 1
        taken.add(name)
        names.append(name)
    return [dict(zip(names, row)) for row in cursor]


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.db"
    connection = sqlite3.connect(path, isolation_level=None, timeout=LIMIT)
    connection.executescript(
        """
        PRAGMA journal_mode = WAL;
        CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT, city TEXT COLLATE NOCASE);
        CREATE TABLE item(id INTEGER PRIMARY KEY, customer_id INT, price INT, note);
        CREATE TABLE secret(id INTEGER PRIMARY KEY, word);
        INSERT INTO customer VALUES (1, 'Ada', 'Oslo'), (2, 'Bob', 'Rome');
        INSERT INTO item VALUES (1, 1, 10, 'x'), (2, 1, 20, NULL);
        """
    )
    yield path, connection
    connection.close()


QUERIES = [
    "SELECT id, price FROM item WHERE price > 15",
    "SELECT c.name, i.price, i.note FROM customer c JOIN item i ON i.customer_id = c.id",
    "SELECT c.id, c.name, i.id FROM customer c LEFT JOIN item i ON i.customer_id = c.id AND i.price < 50",
    "SELECT city, count(*) AS n FROM customer GROUP BY city",
    "SELECT DISTINCT note FROM item",
    "SELECT sum(price), count(*) FROM item",
    "SELECT id, name FROM customer ORDER BY name, id LIMIT 4",
    "SELECT max(price), count(*) FROM item",
    "SELECT name FROM customer WHERE id IN (SELECT customer_id FROM item)",
]


def change(random):
    id = random.randint(1, 12)
    return random.choice(
        [
            f"INSERT OR REPLACE INTO customer VALUES ({id}, '{random.choice('ABC')}', '{random.choice(['Oslo', 'Rome', 'Bonn'])}')",
            f"DELETE FROM customer WHERE id = {id}",
            f"INSERT OR REPLACE INTO item VALUES ({id}, {random.randint(1, 12)}, {random.randint(1, 99)}, {random.choice(['NULL', '1', 'x' and chr(39) + 'y' + chr(39)])})",
            f"UPDATE item SET price = price + 1 WHERE customer_id = {id}",
            f"DELETE FROM item WHERE id = {id}",
            f"UPDATE item SET customer_id = {random.randint(1, 12)} WHERE id = {id}",
        ]
    )


def test_replicas_equal_their_queries_as_of_every_position(serve, shop):
    path, writer = shop
    seed = random.randrange(1 << 32)
    print("seed", seed)
    generator = random.Random(seed)
    server = serve(path)
    with Follower(server.ws) as client:
        names = {sql: client.follow(sql) for sql in QUERIES}
        assert [names[sql]["plan"] for sql in QUERIES] == ["incremental"] * 6 + ["rerun"] * 3
        sequence = 0
        for _ in range(60):
            changes = writer.total_changes
            writer.execute("BEGIN IMMEDIATE")
            for _ in range(generator.randint(1, 4)):
                writer.execute(change(generator))
            # Each transaction has a position: this row is always another one.
            sequence += 1
            writer.execute("INSERT OR REPLACE INTO secret VALUES (1, ?)", [sequence])
            writer.execute("COMMIT")
            assert client.reached(sequence) == sequence
            for sql, data in names.items():
                assert client.replicas[data["subscription"]].equals(truth(writer, sql)), f"{sql} as of {sequence}"


def test_clients_that_follow_the_same_share_an_id_and_each_gets_everything(serve, shop):
    path, writer = shop
    server = serve(path)
    with Follower(server.ws) as one, Follower(server.ws) as other:
        first = one.follow(QUERIES[0])
        writer.execute("INSERT INTO item VALUES (7, 1, 70, 'seven')")
        one.reached(1)
        assert other.follow(QUERIES[0])["subscription"] == first["subscription"]
        writer.execute("DELETE FROM item WHERE id = 2")
        for client in (one, other):
            client.reached(2)
            assert client.replicas[first["subscription"]].equals([{"id": 7, "price": 70}])


def test_an_update_says_what_the_row_was_and_how_it_is_identified(serve, shop):
    path, writer = shop
    server = serve(path)
    with Follower(server.ws) as client:
        data = client.follow("SELECT id, price FROM item")
        assert data["key"] == ["id"] and data["tables"] == ["item"]
        writer.execute("UPDATE item SET price = 11 WHERE id = 1")
        message = client.message("query:changed")
        assert message["data"]["rows"] == [
            {"op": "update", "key": {"id": 1}, "before": {"id": 1, "price": 10}, "after": {"id": 1, "price": 11}}
        ]
        assert "transactions" not in message["data"] and message["data"]["last"]


def test_a_client_that_comes_back_gets_what_it_missed(serve, shop):
    path, writer = shop
    server = serve(path)
    with Follower(server.ws) as client:
        data = client.follow(QUERIES[0])
        writer.execute("INSERT INTO item VALUES (7, 1, 70, 'seven')")
        client.reached(1)
        replica = client.replicas[data["subscription"]]
    writer.execute("INSERT INTO item VALUES (8, 1, 80, 'eight')")
    with Follower(server.ws) as client:
        client.replicas[data["subscription"]] = replica
        again = client.follow(QUERIES[0], since=replica.position)
        assert again["recovered"] is True and again["subscription"] == data["subscription"]
        client.reached(2)
        assert replica.equals(truth(writer, QUERIES[0]))


def test_a_position_of_another_epoch_gets_all_rows(serve, shop):
    path, writer = shop
    server = serve(path)
    with Follower(server.ws) as client:
        data = client.follow(QUERIES[0], since="other:5")
        assert data["recovered"] is False
        assert client.replicas[data["subscription"]].equals(truth(writer, QUERIES[0]))


def test_a_change_of_the_schema_sends_all_rows_again_with_the_columns(serve, shop):
    path, writer = shop
    server = serve(path)
    with Follower(server.ws) as client:
        data = client.follow("SELECT * FROM item")
        writer.execute("ALTER TABLE item ADD COLUMN size DEFAULT 3")
        message = client.message("query:snapshot")
        assert message["data"]["reset"] is True
        assert message["data"]["columns"] == ["id", "customer_id", "price", "note", "size"]
        assert message["data"]["rows"][0]["size"] == 3
        writer.execute("DROP TABLE item")
        message = client.message("query:unsubscribed")
        assert message["data"]["subscription"] == data["subscription"]
        assert message["data"]["code"] == "SQL_ERROR" and "item" in message["data"]["reason"]


@pytest.mark.parametrize(
    "alteration",
    [
        "ALTER TABLE item DROP COLUMN note",
        "ALTER TABLE item ADD COLUMN size DEFAULT 3",
        "ALTER TABLE item RENAME COLUMN note TO remark",
        "BEGIN; ALTER TABLE item DROP COLUMN customer_id; ALTER TABLE item ADD COLUMN size DEFAULT 3; COMMIT",
        "BEGIN; DROP TABLE item; CREATE TABLE item(price, id INTEGER PRIMARY KEY); "
        "INSERT INTO item VALUES (5, 1), (6, 2); COMMIT",
        "BEGIN; DROP VIEW cheap; CREATE VIEW cheap AS SELECT id, price FROM item; COMMIT",
        "BEGIN; DROP VIEW cheap; CREATE VIEW cheap AS SELECT note, price, id FROM item; COMMIT",
    ],
)
def test_changes_after_a_change_of_the_columns_have_the_new_columns(serve, shop, alteration):
    path, writer = shop
    writer.execute("CREATE VIEW cheap AS SELECT price, id FROM item")
    server = serve(path)
    queries = ["SELECT * FROM item", "SELECT * FROM item GROUP BY id", "SELECT * FROM cheap"]
    update = "UPDATE item SET price = price + 1"
    commits = iter(range(1, 100))

    def commit(client, sql):
        writer.executescript(sql)
        return client.reached(next(commits))

    with Follower(server.ws) as witness:
        names = [witness.follow(sql)["subscription"] for sql in queries]

        def check():
            for name, sql in zip(names, queries):
                assert witness.replicas[name].equals(truth(writer, sql)), (sql, witness.replicas[name].rows)

        commit(witness, update)
        old = {name: replica.position for name, replica in witness.replicas.items()}
        commit(witness, alteration)
        commit(witness, update)
        check()
        # What was sent before the alteration is not continued, and what was sent after it is.
        with Follower(server.ws) as client:
            for name, sql in zip(names, queries):
                is_altered = ("cheap" in alteration) == ("cheap" in sql) or "TABLE" in alteration
                data = client.follow(sql, since=old[name], resumes=name)
                assert data["recovered"] is not is_altered, data
                if is_altered:
                    assert client.replicas[name].equals(truth(writer, sql))
        positions = {name: replica.position for name, replica in witness.replicas.items()}
        rows = {name: witness.replicas[name].rows for name in names}
        commit(witness, update)
        commit(witness, "INSERT INTO item(price) VALUES (90)")
        check()
        with Follower(server.ws) as client:
            for name, sql in zip(names, queries):
                client.replicas[name] = Replica(False)
                client.replicas[name].rows = rows[name]
                assert client.follow(sql, since=positions[name], resumes=name)["recovered"] is True
            client.reached(5)
            for name, sql in zip(names, queries):
                assert client.replicas[name].equals(truth(writer, sql))


def test_what_cannot_be_followed_is_refused_with_the_reason(serve, shop):
    path, _ = shop
    server = serve(path)
    with Follower(server.ws) as client:
        for sql, code, part in [
            ("SELECT random()", "NOT_LIVE", "random()"),
            ("SELECT date('now') FROM item", "NOT_LIVE", "date('now')"),
            ("DELETE FROM item", "NOT_LIVE", "SELECT"),
            ("SELECT 1; SELECT 2", "NOT_LIVE", "one statement"),
            ("SELECT nope FROM item", "SQL_ERROR", "nope"),
            ("SELECT ? FROM item", "SQL_ERROR", "parameter"),
            ("SELECT note FROM item", "SQL_ERROR", "key"),
            ("SELECT strftime('%f', ?)", "NOT_LIVE", "strftime(?) with the value 'now'"),
            ("SELECT datetime('no' || 'w')", "NOT_LIVE", "datetime('no' || 'w')"),
            ("SELECT * FROM sqlite_schema", "NOT_LIVE", "sqlite_master"),
            ("SELECT name FROM dbstat", "NOT_LIVE", "dbstat"),
        ]:
            data = {"key": ["nope"]} if part == "key" else {"params": ["Now"]} if "?)" in sql else {}
            found, message = client.refused(sql, **data)
            assert found == code and part in message, (sql, found, message)
        client.send("query:unsubscribe", id="u", subscription="q999")
        assert client.message("error")["data"]["code"] == "SUBSCRIPTION_NOT_FOUND"
        client.send("query:subscribe", id="m")
        assert client.message("error")["data"]["code"] == "INVALID_MESSAGE"


def test_what_virtual_tables_read_is_followed(serve, shop):
    path, writer = shop
    writer.executescript(
        """
        CREATE VIRTUAL TABLE f USING fts5(body);
        CREATE VIRTUAL TABLE words USING fts5vocab(f, 'row');
        CREATE VIRTUAL TABLE outside USING fts5(name, content = 'customer', content_rowid = 'id');
        """
    )
    server = serve(path)
    with Follower(server.ws) as client:
        queries = {client.follow(sql)["subscription"]: sql for sql in ["SELECT * FROM words", "SELECT * FROM outside"]}
        for sequence, sql in enumerate(
            ["INSERT INTO f VALUES ('two words')", "UPDATE customer SET name = 'Cy' WHERE id = 2", "DELETE FROM f"], 1
        ):
            writer.execute(sql)
            client.reached(sequence)
            for name, query in queries.items():
                assert client.replicas[name].equals(truth(writer, query)), (sql, query)


def test_a_query_that_was_unsubscribed_says_nothing_more(serve, shop):
    path, writer = shop
    server = serve(path)
    with Follower(server.ws) as client:
        data = client.follow(QUERIES[0])
        client.send("query:unsubscribe", id="u", subscription=data["subscription"])
        assert client.message("query:unsubscribed")["replyTo"] == "u"
        writer.execute("INSERT INTO item VALUES (7, 1, 70, 'seven')")
        other = client.follow("SELECT count(*) FROM item")
        assert other["subscription"] != data["subscription"]
        client.send("heartbeat", id="h")
        while (message := client.receive())["type"] != "heartbeat":
            assert message["type"] == "query:reached"


def test_rights_are_those_of_queries(serve, shop, tmp_path):
    path, _ = shop
    tokens = tmp_path / "tokens.json"
    token = "narrow-" + 20 * "x"
    write_tokens(tokens, [{"token": token, "tables": ["item"]}])
    server = serve(path, "--tokens", tokens)
    with Follower(server.ws + f"?access_token={token}") as client:
        client.follow("SELECT id FROM item")
        for sql in ["SELECT * FROM secret", "SELECT item.id FROM item JOIN secret USING (id)", "SELECT count(*) FROM secret"]:
            assert client.refused(sql)[0] == "NOT_AUTHORIZED", sql


def live_url(server, sql, **data):
    return f"{server.http}/live?" + urllib.parse.urlencode({"sql": sql, **data})


def test_a_reload_that_changes_the_rights_of_a_token_ends_its_queries_with_the_reason(serve, shop, tmp_path):
    path, _ = shop
    tokens = tmp_path / "tokens.json"
    token = "reader-" + 20 * "x"

    def write(rights):
        write_tokens(tokens, [{"token": token, **rights}])

    write({})
    server = serve(path, "--tokens", tokens)
    stream = Command(["curl", "-sN", live_url(server, "SELECT id FROM item", access_token=token)])
    with Follower(server.ws + f"?access_token={token}") as client:
        client.follow("SELECT id FROM item")
        events = sse(stream)
        while next(events)[0]["type"] != "query:snapshot":
            pass
        write({"tables": ["other"]})
        server.signal(signal.SIGHUP)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                client.receive()
    assert closed.value.rcvd.code == 1001 and "rights" in closed.value.rcvd.reason
    while (message := next(events)[0])["type"] != "error":
        pass
    assert message["data"]["code"] == "FORBIDDEN" and "rights" in message["data"]["message"]
    assert stream.wait() == 0


def test_server_sent_events_resume_by_themselves(serve, shop):
    path, writer = shop
    server = serve(path)
    stream = Command(["curl", "-sN", live_url(server, "SELECT id FROM item WHERE price > ?", params="[15]")])
    try:
        events = sse(stream)
        query = next(events)[0]["data"]["subscription"]
        message, id = next(events)
        assert message["data"]["rows"] == [{"id": 2}] and id == f"{message['position']} {query}"
        writer.execute("INSERT INTO item VALUES (7, 1, 70, 'seven')")
        while message["type"] != "query:changed":
            message, id = next(events)
        assert message["data"]["rows"][0]["after"] == {"id": 7} and id == f"{message['position']} {query}"
        writer.execute("INSERT INTO item VALUES (6, 1, 10, 'not in the result')")
        while message["type"] != "query:reached":
            message, id = next(events)
        assert id == f"{message['position']} {query}"
    finally:
        stream.kill()
    writer.execute("INSERT INTO item VALUES (8, 1, 80, 'eight')")
    stream = Command(
        ["curl", "-sN", "-H", f"Last-Event-ID: {id}", live_url(server, "SELECT id FROM item WHERE price > ?", params="[15]")]
    )
    try:
        events = sse(stream)
        message, _ = next(events)
        assert message["data"]["recovered"] is True
        message, _ = next(events)
        assert message["data"]["rows"] == [{"op": "insert", "key": {"id": 8}, "after": {"id": 8}}]
    finally:
        stream.kill()


def sse(command):
    fields = {}
    while True:
        line = command.line()
        if line == "" and fields:
            yield check(json.loads(fields["data"])), fields.get("id")
            fields = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


def test_lines_over_http_and_their_refusals(serve, shop):
    path, writer = shop
    server = serve(path)
    body = json.dumps({"sql": "SELECT id FROM item ORDER BY price DESC LIMIT 1"})
    command = Command(["curl", "-sN", "-X", "POST", "-d", body, f"{server.http}/live"])
    try:
        assert check(json.loads(command.line()))["data"]["ordered"] is True
        assert check(json.loads(command.line()))["data"]["rows"] == [{"id": 2}]
        writer.execute("UPDATE item SET price = 90 WHERE id = 1")
        while (message := check(json.loads(command.line())))["type"] != "query:changed":
            assert message["type"] == "query:reached"
        assert sorted(row["op"] for row in message["data"]["rows"]) == ["delete", "insert"]
    finally:
        command.kill()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(live_url(server, "SELECT random()"), timeout=LIMIT)
    assert refused.value.code == 400 and json.load(refused.value)["code"] == "NOT_LIVE"


def test_with_a_rollback_journal_queries_run_again(serve, tmp_path):
    path = tmp_path / "journal.db"
    writer = sqlite3.connect(path, isolation_level=None, timeout=LIMIT)
    writer.executescript("CREATE TABLE t(id INTEGER PRIMARY KEY, n); INSERT INTO t VALUES (1, 1)")
    server = serve(path)
    with Follower(server.ws) as client:
        data = client.follow("SELECT id, n FROM t")
        writer.execute("INSERT INTO t VALUES (2, 2)")
        client.reached(1)
        assert client.replicas[data["subscription"]].equals([{"id": 1, "n": 1}, {"id": 2, "n": 2}])
    writer.close()


def test_queries_over_a_database_in_memory_are_live(serve):
    server = serve(":memory:")
    with Follower(server.ws) as client, Client(server.ws) as writer:

        def execute(sql):
            writer.send("query:execute", sql=sql)
            return writer.message("query:complete")

        execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n)")
        rows, total = client.follow("SELECT id, n FROM t WHERE n > 1"), client.follow("SELECT count(*), sum(n) FROM t")
        assert rows["plan"] == total["plan"] == "incremental"
        sequence = int(execute("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")["data"]["position"].split(":")[1])
        client.reached(sequence)
        assert client.replicas[rows["subscription"]].equals([{"id": 2, "n": 2}, {"id": 3, "n": 3}])
        assert client.replicas[total["subscription"]].equals([{"count(*)": 3, "sum(n)": 6}])


def test_rows_that_match_a_condition_enter_change_and_leave(serve, shop):
    path, writer = shop
    server = serve(path)
    with Client(server.ws) as client:
        client.subscribe("tables", tables=["item"], rows="values", where="price > :low", params={"low": 15})
        for sql, expected in [
            ("UPDATE item SET price = 30 WHERE id = 1", ("insert", "entered")),
            ("UPDATE item SET price = 40 WHERE id = 1", ("update", None)),
            ("UPDATE item SET price = 5 WHERE id = 1", ("delete", "left")),
            ("INSERT INTO item VALUES (9, 1, 90, NULL)", ("insert", None)),
            ("DELETE FROM item WHERE id = 9", ("delete", None)),
        ]:
            writer.execute("UPDATE item SET note = note WHERE id = 1")
            writer.execute("INSERT INTO item VALUES (50, 1, 1, NULL)")
            writer.execute("DELETE FROM item WHERE id = 50")
            writer.execute(sql)
            data = client.message("table:modified")["data"]
            assert [(row["op"], row.get("filter")) for row in data["rows"]] == [expected], sql
            assert data["inserted"] + data["updated"] + data["deleted"] == 1


def test_operations_select_by_what_the_transaction_did(serve, shop):
    path, writer = shop
    server = serve(path)
    with Client(server.ws) as client:
        client.subscribe("tables", tables=["item"], rows="keys", operations=["update"], where="price > 15")
        writer.execute("INSERT INTO item VALUES (9, 1, 90, NULL)")
        writer.execute("UPDATE item SET price = 30 WHERE id = 1")
        rows = client.message("table:modified")["data"]["rows"]
        assert rows == [{"op": "insert", "filter": "entered", "key": {"id": 1}, "rowid": 1}]


def test_a_snapshot_holds_the_rows_that_match(serve, shop):
    path, writer = shop
    server = serve(path)
    with Client(server.ws) as client:
        client.subscribe("tables", tables=["item"], where="price > ?", params=[15], snapshot=True)
        assert [row["id"] for row in client.message("table:snapshot")["data"]["rows"]] == [2]
        client.message("snapshot:end")
        writer.execute("UPDATE item SET price = 16 WHERE id = 1")
        assert client.message("table:modified")["data"]["inserted"] == 1


def test_a_condition_that_cannot_be_evaluated_is_refused_with_the_place(serve, shop):
    path, _ = shop
    server = serve(path)
    with Client(server.ws) as client:
        for data, part in [
            ({"tables": ["item"], "where": "nope > 1"}, "nope (at byte 0)"),
            ({"tables": ["item"], "where": "price IN (SELECT 1)"}, "subqueries (at byte 10)"),
            ({"tables": ["item"], "where": "random() > price"}, "random()"),
            ({"tables": ["item"], "where": "1) OR (1"}, "parenthesis"),
            ({"tables": ["item", "secret"], "where": "1"}, "one table"),
            ({"where": "1"}, "one table"),
            ({"tables": ["nothing"], "where": "1"}, "no table"),
            ({"tables": ["item"], "where": "price > ?"}, "parameter"),
            ({"tables": ["item"], "params": [1]}, "params"),
        ]:
            client.send("subscribe", channel="tables", id="bad", **data)
            message = client.message("error")["data"]["message"]
            assert part in message, message


def test_events_and_listen_take_a_condition(serve, shop, start):
    path, writer = shop
    server = serve(path)
    query = urllib.parse.urlencode({"tables": "item", "rows": "keys", "where": "price > ?", "params": "[15]"})
    with EventStream(f"{server.http}/events?{query}") as stream:
        stream.message("subscribed")
        listen = start("listen", server.ws, "--tables", "item", "--where", "price > ?", "--param", "15", "--json")
        file = start("listen", path, "--tables", "item", "--where", "price > 15", "--json")
        listen.line('"type":"subscribed"')
        file.error_line("watching")
        writer.execute("UPDATE item SET price = 1")
        lines = [json.loads(command.line("table:modified")) for command in (listen, file)]
        for message in [stream.message("table:modified"), *lines]:
            assert message["data"]["deleted"] == 1 and message["data"]["rows"][0]["filter"] == "left"


def test_the_command_line_follows_a_query(serve, shop, start, run):
    path, writer = shop
    server = serve(path)
    live = start("query", server.ws, "--live", "SELECT id, price FROM item ORDER BY id")
    assert live.line().split() == ["id", "price"]
    while live.line().split() != ["2", "20"]:
        pass
    writer.execute("INSERT INTO item VALUES (3, 1, 33, NULL)")
    while live.line().split() != ["3", "33"]:
        pass
    refused = run("query", server.ws, "--live", "SELECT random()")
    assert refused.returncode == 1 and "random()" in refused.stderr


def test_a_terminal_shows_the_rows_again_with_each_change(serve, shop, binary):
    path, writer = shop
    server = serve(path)
    terminal = Terminal([binary, "query", server.ws, "--live", "SELECT id, price FROM item ORDER BY id"])
    terminal.read_until(rb"20")
    writer.execute("UPDATE item SET price = 33 WHERE id = 2")
    shown = terminal.read_until(rb"33").split(b"\x1b[H\x1b[2J")
    assert len(shown) == 3 and b"10" in shown[2] and b"20" not in shown[2]
    terminal.type(b"\x03")
    assert terminal.wait() == 0


def test_the_command_line_prints_changes_as_json_until_the_query_ends(serve, shop, start):
    path, writer = shop
    server = serve(path)
    live = start("query", server.ws, "--live", "--json", "SELECT id, price FROM item WHERE price > ?", "--param", "15")
    assert check(json.loads(live.line()))["type"] == "query:subscribed"
    assert check(json.loads(live.line()))["data"]["rows"] == [{"id": 2, "price": 20}]
    writer.execute("INSERT INTO item VALUES (3, 1, 33, NULL)")
    assert check(json.loads(live.line()))["data"]["rows"][0]["after"] == {"id": 3, "price": 33}
    writer.execute("DROP TABLE item")
    assert "no such table: item" in live.error_line()
    assert live.wait() == 1


def test_metrics_say_what_each_query_costs(serve, shop):
    path, writer = shop
    server = serve(path)
    with Follower(server.ws) as client:
        one = client.follow('SELECT id AS "the id" FROM item WHERE price > 15')["subscription"]
        other = client.follow("SELECT max(price) FROM item")["subscription"]
        writer.execute("INSERT INTO item VALUES (7, 1, 70, 'seven')")
        client.reached(1)
        metrics = urllib.request.urlopen(f"{server.http}/metrics", timeout=LIMIT).read().decode().splitlines()
    for line in [
        f'tablecast_live_query_info{{query="{one}",plan="incremental",sql="SELECT id AS \\"the id\\" FROM item WHERE price > 15"}} 1',
        f'tablecast_live_query_subscribers{{query="{one}"}} 1',
        f'tablecast_live_query_steps_total{{query="{one}"}} 1',
        f'tablecast_live_query_runs_total{{query="{one}"}} 0',
        f'tablecast_live_query_changes_total{{query="{one}"}} 1',
        f'tablecast_live_query_lag_seconds{{query="{one}"}} 0.0',
        f'tablecast_live_query_runs_total{{query="{other}"}} 1',
        f'tablecast_live_query_resets_total{{query="{other}"}} 0',
    ]:
        assert line in metrics, line
    reason = next(line for line in metrics if line.startswith(f'tablecast_live_query_info{{query="{other}",plan="rerun",reason="'))
    assert 'reason="",' not in reason


def restricted(serve, tmp_path, path, **rights):
    tokens = tmp_path / "tokens.json"
    token = "narrow-" + 20 * "x"
    write_tokens(tokens, [{"token": token, **rights}])
    return serve(path, "--tokens", tokens), token, tokens


def test_metrics_do_not_say_the_sql_of_others_to_a_token_with_tables(serve, shop, tmp_path):
    path, _ = shop
    server, token, _ = restricted(serve, tmp_path, path, tables=["item"])
    with Follower(f"{server.ws}?access_token={token}") as client:
        client.follow("SELECT id FROM item")
        metrics = urllib.request.urlopen(f"{server.http}/metrics?access_token={token}", timeout=LIMIT).read().decode()
    assert "tablecast_live_query_steps_total{" in metrics and "SELECT" not in metrics


def test_a_query_whose_tables_cannot_be_read_any_more_ends_with_the_reason(serve, shop, tmp_path):
    path, writer = shop
    writer.execute("CREATE VIEW v AS SELECT id FROM item")
    server, token, _ = restricted(serve, tmp_path, path, tables=["item", "v"])
    with Follower(f"{server.ws}?access_token={token}") as client:
        data = client.follow("SELECT * FROM v")
        writer.executescript("BEGIN; DROP VIEW v; CREATE VIEW v AS SELECT id FROM secret; COMMIT")
        ended = client.message("query:unsubscribed")["data"]
        assert ended["subscription"] == data["subscription"] and ended["code"] == "NOT_AUTHORIZED"
        assert "secret" not in ended["reason"]


def test_a_token_with_tables_does_not_learn_what_else_there_is(serve, shop, tmp_path):
    path, writer = shop
    writer.execute("CREATE VIEW v AS SELECT word FROM secret")
    server, token, _ = restricted(serve, tmp_path, path, tables=["item", "v"])
    with Follower(f"{server.ws}?access_token={token}") as client:
        for sql in [
            "SELECT word FROM {}", "SELECT nope FROM {}", "SELECT id FROM item WHERE id IN (SELECT id FROM {})",
            "WITH x AS (SELECT 1) DELETE FROM {}", "DROP TABLE {}", "DROP TABLE IF EXISTS {}", "EXPLAIN SELECT * FROM {}",
            "SELECT id FROM item; SELECT word FROM {}", "SELECT count(*) FROM {}, item",
        ]:
            assert client.refused(sql.format("secret")) == client.refused(sql.format("absent")), sql
        code, message = client.refused("SELECT * FROM v")
        assert code == "NOT_AUTHORIZED" and "secret" not in message
        # What is wrong with the grammar depends on no table.
        assert client.refused("SELEC id FROM item")[0] == "NOT_LIVE"
        assert "syntax error" in client.refused("SELECT id FROM FROM item")[1]


def test_a_query_that_takes_too_long_is_refused(serve, shop):
    server = serve(shop[0], "--limit", "live.maxRunTime=50ms")
    with Follower(server.ws) as client:
        endless = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT max(i) FROM c, item"
        code, message = client.refused(endless)
        assert code == "TOO_BIG" and "longer" in message


def test_the_limits_have_their_answers(serve, shop):
    path, writer = shop
    # Longer than any stall of a busy machine: none of these limits is one of time.
    server = serve(path, "--limit", "live.maxRunTime=10m")
    with Follower(server.ws) as client:
        for number in range(100):
            client.follow(f"SELECT id FROM item WHERE id = {number}")
        code, message = client.refused("SELECT id FROM item")
        assert code == "TOO_MANY_QUERIES" and "100" in message
    with Follower(server.ws) as client:
        many = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 100001) SELECT i FROM c, item WHERE item.id = 1"
        code, message = client.refused(many)
        assert code == "TOO_BIG" and "100000 rows" in message
        data = client.follow("SELECT id FROM item")
        writer.execute(
            "WITH RECURSIVE c(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM c LIMIT 10001) INSERT INTO item SELECT i, 1, 1, 1 FROM c"
        )
        message = client.message("query:snapshot")
        assert message["data"]["reset"] is True and message["data"]["subscription"] == data["subscription"]


def test_the_limit_of_a_client_holds_for_queries_that_are_sent_at_once(serve, shop):
    path, _ = shop
    server = serve(path, "--limit", "live.maxQueriesPerClient=10")
    with Client(server.ws) as client:
        for number in range(30):
            client.send("query:subscribe", id=f"q{number}", sql=f"SELECT id FROM item WHERE id > {number}")
        answers = collections.Counter()
        while answers["query:subscribed"] + answers["error"] < 30:
            message = client.receive()
            answers[message["type"]] += "replyTo" in message
        assert answers["query:subscribed"] == 10


def test_several_first_live_queries_at_the_same_time(serve, music):
    for _ in range(5):
        server = serve(music)
        connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT) for _ in range(8)]
        for connection in connections:
            connection.connect()
        for connection in connections:
            connection.request("GET", "/live?sql=SELECT%20count(*)%20FROM%20genre")
        for connection in connections:
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            connection.close()
        server.kill()
