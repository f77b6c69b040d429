"""The same random transactions as foreign_writer.py, run by the service itself for a WebSocket client."""

import base64
import math
import sqlite3
import threading

from foreign_writer import Writer
from replica import decoded
from sockets import Client

# What the service refuses, or what only a program with its own collation can do.
LEFT_OUT = ("edit_default", "foreign collation")


def encoded(value):
    """A value as a parameter on the wire."""
    match value:
        case bytes():
            return {"$base64": base64.b64encode(value).decode()}
        case int() if abs(value) > 2**53 - 1:
            return {"$int64": str(value)}
        case float() if math.isinf(value):
            return {"$real": "Infinity" if value > 0 else "-Infinity"}
    return value


class Rows:
    def __init__(self, rows):
        self.rows = rows

    def fetchall(self):
        return [tuple(map(decoded, row.values())) for row in self.rows]


class ServiceConnection:
    """The part of `sqlite3.Connection` that the writer uses."""

    def __init__(self, url):
        self.client = Client(url)
        self.number = 0

    def execute(self, sql, values=()):
        self.number += 1
        rows, end = self.client.query(sql, f"q{self.number}", params=[encoded(value) for value in values])
        if end["type"] != "query:complete":
            raise sqlite3.OperationalError(f"{sql}: {end['data']}")
        return Rows(rows)


class ServiceWriter(Writer):
    """Answers like a `ForeignWriter`, on a thread of its own, so that the follower reads meanwhile."""

    def __init__(self, url, seed, left_out=()):
        self.connect = lambda: ServiceConnection(url)
        super().__init__(None, seed, None, (*LEFT_OUT, *left_out))
        self.thread = None

    def prepare(self, path, journal_mode):
        self.connection = self.connect()
        self.execute("CREATE TABLE IF NOT EXISTS marks(id INTEGER PRIMARY KEY)")

    def run(self, count):
        self.failure = None

        def work():
            try:
                Writer.run(self, count)
            except BaseException as failure:
                self.failure = failure

        self.thread = threading.Thread(target=work)
        self.thread.start()

    def mark_reached(self):
        self.thread.join()
        if self.failure:
            raise self.failure
        return self.mark

    def final_counts(self):
        return self.counts

    def kill(self):
        self.connection.client.close()
