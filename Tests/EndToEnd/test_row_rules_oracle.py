"""Random transactions of another process under random rules: a replica that is made of the messages of a token with rules equals what the
rules permit of the database, after every commit, and each message fits what the replica has.

`TABLECAST_RULE_TRANSACTIONS` sets the number of transactions, `TABLECAST_SEED` the seed.
"""

import os
import random
import sqlite3

from processes import write_tokens
from sockets import Client
from test_access import bearer

SCHEMA = """
PRAGMA journal_mode = wal;
CREATE TABLE t1 (id INTEGER PRIMARY KEY, owner TEXT, a INTEGER, b, tag TEXT COLLATE NOCASE);
CREATE TABLE t2 (k TEXT, n INTEGER, owner TEXT, a INTEGER, PRIMARY KEY (k, n)) WITHOUT ROWID;
CREATE TABLE t3 (owner TEXT, a INTEGER, g AS (a * 2), s TEXT);
CREATE TABLE marker (id INTEGER PRIMARY KEY, v INTEGER);
INSERT INTO marker VALUES (1, 0);
"""
RULES = [
    "owner = :sub", "owner IN (:sub, 'team')", "a > :least", "(a IS NULL OR a < 5) AND owner <> :sub", "owner IS NULL", "0", "1",
    "owner LIKE 'a%'", "a % 2 = 0 -- even", "a BETWEEN 0 AND :least", "CASE owner WHEN :sub THEN a ELSE 0 END",
]  # fmt: skip
OWN = {"t1": ["tag = :sub", "id % 2", "b IS NOT NULL", "typeof(b) = 'text'"], "t2": ["k = 'x'", "(k, n) > ('x', :least)"], "t3": ["g > 8", "s <> 'x'"]}
TABLES = list(OWN)
COUNT = int(os.environ.get("TABLECAST_RULE_TRANSACTIONS", "80"))
SEED = int(os.environ.get("TABLECAST_SEED", random.randrange(1 << 32)))


def value(chance):
    return chance.choice([None, "ada", "bob", "eve", "team", "x", 1, 2.5, "5", b"\x00"])


def owner(chance):
    return chance.choice(["ada", "bob", "eve", "team", None, "Ada"])


def statement(chance):
    table = chance.choice(TABLES)
    number = chance.choice([None, *range(-2, 9)])
    which, bound = chance.choice([("1", []), ("a > ?", [chance.randrange(8)]), ("owner = ?", [owner(chance)]), ("owner IS ?", [owner(chance)])])
    match chance.randrange(5):
        case 0:
            return f"UPDATE {table} SET owner = ? WHERE {which}", [owner(chance), *bound]
        case 1:
            return f"UPDATE {table} SET a = ?, owner = ? WHERE {which}", [number, owner(chance), *bound]
        case 2:
            return f"DELETE FROM {table} WHERE {which} AND abs(random()) % 3 = 0", bound
    match table:
        case "t1":
            row = [chance.randrange(30), owner(chance), number, value(chance), chance.choice(["ada", "ADA", "x", None])]
        case "t2":
            row = [chance.choice("xy"), chance.randrange(9), owner(chance), number]
        case _:
            return "INSERT INTO t3 (owner, a, s) VALUES (?, ?, ?)", [owner(chance), number, chance.choice(["x", "y", None])]
    return f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row


def plain(row):
    """A row as it can be compared: values with their types."""
    return tuple(sorted((name, repr(value)) for name, value in row.items()))


def decoded(row):
    return row and {name: bytes([0]) if isinstance(value, dict) else value for name, value in row.items()}


class Replica:
    def __init__(self, client):
        self.client, self.rows = client, {table: {} for table in [*TABLES, "marker"]}
        client.send("subscribe", channel="tables", id="s", snapshot=True, rows="values")
        while True:
            message = client.receive()
            data = message["data"]
            if message["type"] == "table:snapshot":
                for index, row in enumerate(data["rows"]):
                    row = decoded(row)
                    self.rows[data["tableName"]][self.identity(data["tableName"], row, data.get("rowids", [None] * 10_000)[index])] = row
            if message["type"] == "snapshot:end":
                assert data["unreadable"] == []
                return

    @staticmethod
    def identity(table, row, rowid):
        return (row["k"], row["n"]) if table == "t2" else row["id"] if "id" in row else rowid

    def follow(self, marker):
        """Applies messages up to the one with the marker."""
        while self.rows["marker"].get(1, {}).get("v") != marker:
            message = self.client.message("table:modified")
            data, rows = message["data"], self.rows[message["data"]["tableName"]]
            assert "rowsOmitted" not in data, data
            counts = {"insert": 0, "update": 0, "delete": 0}
            for change in data["rows"]:
                counts[change["op"]] += 1
                before, after = decoded(change.get("before")), decoded(change.get("after"))
                assert (before is None, after is None) == (change["op"] == "insert", change["op"] == "delete")
                identity = self.identity(data["tableName"], after or before, change.get("rowid"))
                assert rows.pop(identity, None) == before, (change, message)
                if after is not None:
                    rows[identity] = after
            assert counts == {"insert": data["inserted"], "update": data["updated"], "delete": data["deleted"]}


def random_database(path, chance):
    """Another process's connection to a database with some rows."""
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(SCHEMA)
    for _ in range(20):
        database.execute(*statement(chance))
    return database


def random_users(chance, count):
    """Tokens with a rule for each table but `marker`."""
    users = []
    for number in range(count):
        claims = {"sub": chance.choice(["ada", "bob"]), "least": chance.choice([0, 2, 4])}
        rules = {table: chance.choice(RULES + OWN[table]) for table in TABLES}
        users.append({"token": f"user-{number}-{'x' * 16}", "rules": rules, "claims": claims, "tables": [*TABLES, "marker"]})
    return users


def test_a_replica_of_a_token_with_rules_equals_the_permitted_rows(serve, tmp_path):
    print(f"TABLECAST_SEED={SEED}")
    chance = random.Random(SEED)
    database = random_database(tmp_path / "t.db", chance)
    users = random_users(chance, 4)
    path = tmp_path / "tokens.json"
    write_tokens(path, users)
    server = serve(tmp_path / "t.db", "--tokens", path)
    clients = [Client(server.ws, **bearer(user["token"])) for user in users]
    replicas = [Replica(client) for client in clients]
    database.row_factory = sqlite3.Row
    hidden = 0
    for marker in range(1, COUNT + 1):
        database.execute("BEGIN")
        for _ in range(chance.randrange(1, 6)):
            database.execute(*statement(chance))
        database.execute("UPDATE marker SET v = ?", [marker])
        database.execute("COMMIT")
        for user, replica in zip(users, replicas):
            replica.follow(marker)
            for table in TABLES:
                rule = user["rules"][table]
                used = {name: value for name, value in user["claims"].items() if f":{name}" in rule}
                found = [dict(row) for row in database.execute(f"SELECT * FROM {table} WHERE (\n{rule}\n)", used)]
                expected = sorted(map(plain, found))
                assert sorted(map(plain, replica.rows[table].values())) == expected, (marker, table, user)
                hidden += database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] - len(expected)
        # A snapshot in the midst is the same as what a client has that stayed.
        if chance.randrange(10) == 0:
            number = chance.randrange(len(users))
            clients[number].close()
            clients[number] = Client(server.ws, **bearer(users[number]["token"]))
            replicas[number] = Replica(clients[number])
    assert hidden > COUNT
    for client in clients:
        client.close()
