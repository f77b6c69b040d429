"""Live queries of tokens with row rules: the result is what the SQL gives in a database that holds only the permitted rows, as of every
commit of another process.

`TABLECAST_LIVE_RULE_TRANSACTIONS` sets the number of transactions, `TABLECAST_SEED` the seed.
"""

import os
import random
import re
import sqlite3

import live_world
from processes import write_tokens
from sockets import Client
from test_access import ask, bearer
from test_live_oracle import Replica
from test_row_rules import ADA, BOB, ROOT, as_user, database, ruled, tokens, write  # noqa: F401
from test_row_rules_oracle import random_database, random_users, statement

COUNT = int(os.environ.get("TABLECAST_LIVE_RULE_TRANSACTIONS", "12"))
SEED = int(os.environ.get("TABLECAST_SEED", random.randrange(1 << 32)))
QUERIES = [
    "SELECT id, owner, a FROM t1", "SELECT * FROM t2", "SELECT owner, a, s FROM t3 WHERE a > 1", "SELECT count(*) AS n, sum(a) AS s FROM t1",
    "SELECT owner, count(*) AS n, max(a) AS m FROM t1 GROUP BY owner", "SELECT DISTINCT owner FROM t2",
    "SELECT id, a FROM t1 ORDER BY id LIMIT 5", "SELECT t1.id, t2.k, t2.n FROM t1 JOIN t2 ON t2.a = t1.a",
    "SELECT t1.id, t3.s FROM t1 LEFT JOIN t3 ON t3.a = t1.a", "SELECT id FROM t1 WHERE a IN (SELECT a FROM t2)",
    "SELECT (SELECT count(*) FROM t2) AS n, marker.id FROM marker", "SELECT a FROM t1 UNION SELECT a FROM t3",
    "WITH c AS (SELECT a FROM t1) SELECT count(*) AS n FROM c", "SELECT count(*) AS n FROM marker LEFT JOIN t3 ON 1",
    "SELECT t1.id, y.id AS other FROM t1 JOIN t1 AS y ON y.a = t1.a AND y.id > t1.id", "SELECT id, row_number() OVER (ORDER BY id) AS r FROM t1 ORDER BY id",
]  # fmt: skip


class Live:
    def __init__(self, server, user, sql):
        self.user, self.sql = user, sql
        self.replica = Replica({"sql": sql, "ordered": bool(re.search("ORDER BY id( LIMIT 5)?$", sql)), "open": False})
        self.client = Client(server.ws, **bearer(user["token"]))
        self.client.send("query:subscribe", id="l", sql=sql)
        subscribed = self.client.message("query:subscribed")["data"]
        assert subscribed["plan"] == "rerun"
        self.apply(self.client.message("query:snapshot"))

    def apply(self, message):
        if message["type"] == "query:snapshot":
            self.replica.snapshot(message["data"], message["position"])
        elif message["type"] == "query:changed":
            self.replica.changed(message["data"], message["position"])
        assert message["type"] not in ("error", "query:unsubscribed"), message

    def follow(self, sequence):
        while True:
            message = self.client.receive()
            self.apply(message)
            if message["type"] == "query:reached" and sequence_of(message) >= sequence:
                return


def sequence_of(message):
    return int(message["position"].split(":")[1])


def permitted(database, user):
    """A copy of the database with only the permitted rows."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    database.backup(copy)
    for table, rule in user["rules"].items():
        used = {name: value for name, value in user["claims"].items() if f":{name}" in rule}
        copy.execute(f"DELETE FROM {table} WHERE (\n{rule}\n) IS NOT TRUE", used)
    return copy


def test_a_live_result_is_that_of_the_permitted_rows(serve, tmp_path):
    print(f"TABLECAST_SEED={SEED}")
    chance = random.Random(SEED)
    database = random_database(tmp_path / "t.db", chance)
    users = random_users(chance, 3)
    path = tmp_path / "tokens.json"
    write_tokens(path, [*users, {"token": ROOT, "role": "admin"}])
    server = serve(tmp_path / "t.db", "--tokens", path)
    # The same SQL for all, so that evaluations could be shared.
    queries = [Live(server, user, sql) for sql in chance.sample(QUERIES, 5) for user in users]
    root = Client(server.ws, **bearer(ROOT))
    root.subscribe("tables", tables=["marker"])
    changed = 0
    for marker in range(1, COUNT + 1):
        database.execute("BEGIN")
        for _ in range(chance.randrange(1, 6)):
            database.execute(*statement(chance))
        database.execute("UPDATE marker SET v = ?", [marker])
        database.execute("COMMIT")
        sequence = sequence_of(root.message("table:modified"))
        copies = {user["token"]: permitted(database, user) for user in users}
        for query in queries:
            before = query.replica.canonical()
            query.follow(sequence)
            expected = live_world.result(copies[query.user["token"]], query.replica.query | {"params": []})
            assert query.replica.canonical() == expected, (marker, query.sql, query.user)
            changed += expected != before
    assert changed > COUNT
    for query in queries:
        query.client.close()


def live(client, sql):
    client.send("query:subscribe", id=sql, sql=sql)
    while (message := client.receive())["type"] not in ("query:snapshot", "error"):
        pass
    return message["data"]


def test_a_row_enters_and_leaves_a_live_result_with_its_rule(ruled):
    sql = "SELECT id, text FROM note"
    with as_user(ruled, ADA) as ada, as_user(ruled, BOB) as bob, as_user(ruled, ADA) as again:
        assert live(ada, sql)["rows"] == [{"id": 1, "text": "a1"}, {"id": 3, "text": "a2"}]
        assert live(bob, sql)["rows"] == [{"id": 2, "text": "b1"}]
        # Equal rules and claims share one query.
        assert live(again, sql)["subscription"] == live(ada, sql)["subscription"] != live(bob, sql)["subscription"]
        write(ruled, "UPDATE note SET owner = 'bob' WHERE id = 1")
        assert ada.message("query:changed")["data"]["rows"] == [{"op": "delete", "key": {"id": 1}, "before": {"id": 1, "text": "a1"}}]
        assert bob.message("query:changed")["data"]["rows"] == [{"op": "insert", "key": {"id": 1}, "after": {"id": 1, "text": "a1"}}]
        assert live(bob, "SELECT count(*) AS n FROM note")["rows"] == [{"n": 2}]


# What reads a table without its rule, or without being allowed at all.
REFUSED = [
    "SELECT * FROM main.note", "SELECT count(*) FROM main.note", "SELECT 1 FROM main.note", "SELECT rowid FROM note", "SELECT n FROM counted",
    "SELECT 1 FROM counted", "SELECT text FROM through", "WITH note AS (SELECT * FROM main.note) SELECT * FROM note",
    "SELECT name FROM sqlite_temp_schema", "SELECT 1 FROM temp.sqlite_schema", "SELECT tablecast_claim('sub')", "SELECT * FROM other",
    # SQLite does not call the authorizer for these columns.
    "SELECT id FROM public FULL JOIN main.note USING (id)", "SELECT count(*) FROM public NATURAL JOIN main.note",
    "SELECT id FROM public FULL JOIN other USING (id)", "SELECT count(*) FROM note NATURAL JOIN main.note", "SELECT id FROM joined",
    "SELECT count(*) FROM public JOIN joined USING (id)", "SELECT name FROM (SELECT 1 AS name) FULL JOIN sqlite_schema USING (name)",
    "SELECT name FROM (SELECT 1 AS name) FULL JOIN sqlite_temp_schema USING (name)",
]  # fmt: skip


def test_no_way_around_a_rule_in_a_live_query_or_a_join(serve, database, tmp_path):
    connection = sqlite3.connect(database)
    connection.execute("CREATE VIEW joined AS SELECT id FROM public FULL JOIN note USING (id)")
    connection.close()
    path = tmp_path / "t.json"
    tables = ["note", "public", "counted", "through", "joined"]
    write_tokens(
        path,
        [
            {"token": ADA, "tables": tables, "rules": {"note": "owner = 'ada'"}},
            {"token": BOB, "tables": [name for name in tables if name != "note"]},
        ],
    )
    server = serve(database, "--tokens", path)
    with as_user(server, ADA) as ada, as_user(server, BOB) as bob:
        for sql in REFUSED:
            answer = live(ada, sql)
            assert answer.get("code") == "NOT_AUTHORIZED" or "temporary tables" in answer.get("message", ""), (sql, answer)
            rows, end = ada.query(sql, f"q{sql}"[:60])
            assert rows == [] and end["type"] == "query:error", (sql, rows, end)
            if "note" in sql or "joined" in sql or "other" in sql:
                assert live(bob, sql).get("code") == "NOT_AUTHORIZED", sql
                rows, end = bob.query(sql, f"q{sql}"[:60])
                assert rows == [] and end["data"]["code"] == "NOT_AUTHORIZED", (sql, end)
        # A table that is not allowed and one that does not exist.
        texts = []
        for name in ("other", "nope"):
            end = bob.query(f"SELECT id FROM public FULL JOIN {name} USING (id)", f"e{name}")[1]
            texts.append(end["data"]["error"].replace(name, "…"))
        assert texts[0] == texts[1]
        # What is allowed stays so.
        for sql, expected in (
            ("SELECT id FROM public FULL JOIN note USING (id) ORDER BY id", [1, 2, 3]),
            ("SELECT id FROM note NATURAL JOIN public", [1]),
            ("SELECT id FROM public JOIN public AS p USING (id)", [1, 2]),
        ):
            assert [row["id"] for row in live(ada, sql)["rows"]] == expected, sql
            assert [row["id"] for row in ada.query(sql, f"a{sql}"[:60])[0]] == expected, sql
    assert ask(server, "/live", ADA, {"sql": "SELECT * FROM main.note"})[0] in (400, 403)
