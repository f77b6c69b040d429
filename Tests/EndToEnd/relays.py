"""A relay as a process, and the database that tests of relays write to."""

import sqlite3

import pytest

from processes import Command, Server


class Relay(Server):
    def __init__(self, binary, *arguments, port=0, env=None):
        Command.__init__(self, [binary, "relay", *map(str, arguments), "--port", str(port)], env=env)
        self.listens()


@pytest.fixture
def writer(tmp_path):
    """Another process's connection to `items.db`, which keeps the log while no server runs."""
    connection = sqlite3.connect(tmp_path / "items.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL, data BLOB)")
    yield connection
    connection.close()


def insert(writer, *ids):
    """One commit for each row."""
    for id in ids:
        writer.execute("INSERT INTO item VALUES (?, 'x', 0.5, NULL)", (id,))
