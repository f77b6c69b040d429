"""A copy made of nothing but messages stays equal to a database that another process changes in every way there is.

Bounded here. For longer, with the seed and the seconds as wanted, and counts of each class printed:

    REPLICA_SECONDS=600 REPLICA_SEED=7 python -m pytest Tests/EndToEnd/test_replica.py -s
"""

import collections
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed

from contract import document
from processes import LIMIT
from replica import Replica, Violation
from service_writer import ServiceWriter
from sockets import Client
from test_memory import directories

SECONDS = float(os.environ.get("REPLICA_SECONDS", "12"))
SEED = int(os.environ.get("REPLICA_SEED", str(random.SystemRandom().randrange(1 << 30))))
# Classes of cases that are not made, by the names that the writer has for them.
LEFT_OUT = [name for name in os.environ.get("REPLICA_LEFT_OUT", "").split(";") if name]
WRITER = os.path.join(os.path.dirname(__file__), "foreign_writer.py")
# Written for the whole protocol; what the contract does not have yet is not waited for.
SNAPSHOTS_END = "snapshotEnd" in document()["components"]["messages"]


class ForeignWriter:
    def __init__(self, path, seed, journal_mode):
        arguments = [sys.executable, WRITER, str(path), str(seed), journal_mode, *LEFT_OUT]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, count):
        """Begins so many transactions."""
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()

    def mark_reached(self):
        return int(self.process.stdout.readline())

    def final_counts(self):
        self.process.stdin.close()
        return collections.Counter(json.loads(self.process.stdout.readline()))

    def kill(self):
        self.process.kill()
        self.process.wait()


class Follower:
    """A client that keeps a replica, and is cut off at random: in snapshots, within transactions, between them."""

    def __init__(self, server, seed):
        self.server = server
        self.random = random.Random(seed)
        self.replica = Replica(is_ordered="order" not in LEFT_OUT)
        self.counts = collections.Counter()
        self.client = None
        self.needs_snapshot = True
        self.in_snapshot = False
        self.transaction = []

    def connect(self):
        self.transaction = []
        self.client = Client(self.server.ws, max_queue=None)
        if self.needs_snapshot or self.in_snapshot:
            self.replica.begin_snapshot()
            self.needs_snapshot, self.in_snapshot = False, True
            self.complete = set()
            self.client.send("subscribe", channel="tables", id="s", rows="values", snapshot=True)
        else:
            self.client.send("subscribe", channel="tables", id="s", rows="values", since=self.replica.position)

    def cut(self):
        if self.client:
            self.client.socket.close_socket() if hasattr(self.client.socket, "close_socket") else self.client.close()
        self.client = None
        self.counts["cut in a snapshot" if self.in_snapshot else "cut in a transaction" if self.transaction else "cut between transactions"] += 1

    def get(self, path):
        with urllib.request.urlopen(self.server.http + path, timeout=LIMIT) as answer:
            return json.load(answer)

    def table_names(self):
        return {table["name"] for table in self.get("/tables")["tables"] if table["kind"] == "table"}

    def keys(self, name):
        """The primary key of a table that is there."""
        columns = self.get("/tables/" + urllib.parse.quote(name))["columns"]
        return [column["name"] for column in sorted(columns, key=lambda column: column["primaryKey"]) if column["primaryKey"]]

    def follow(self, mark, cuts=True):
        """Until the mark is in the replica."""
        deadline = time.monotonic() + LIMIT
        while not self.has(mark):
            if time.monotonic() > deadline:
                raise Violation(f"the mark {mark} did not come in time")
            if self.client is None:
                self.connect()
            self.take(self.client.receive(max(0.001, deadline - time.monotonic())))
            if cuts and self.random.random() < 0.01:
                self.cut()

    def has(self, mark):
        marks = self.replica.tables.get("marks")
        return not self.in_snapshot and not self.transaction and marks is not None and any(row["id"] == mark for row in marks.rows.values())

    def take(self, message):
        data = message["data"]
        match message["type"]:
            case "subscribed" if message["channel"] == "tables":
                self.subscribed(data)
            case "table:snapshot":
                self.replica.take_snapshot(data, self.known_keys)
                if data["last"]:
                    self.complete.add(data["tableName"])
                if not SNAPSHOTS_END and self.complete >= self.table_names():
                    self.end_snapshot(message["position"])
            case "snapshot:end":
                self.replica.unreadable = {table["table"] for table in data["unreadable"]}
                self.counts["unreadable tables of snapshots"] += len(self.replica.unreadable)
                self.end_snapshot(data["position"])
            case "table:created" | "table:modified" | "table:dropped":
                assert not self.in_snapshot, "a change within a snapshot"
                self.transaction.append(message)
                if data["transaction"]["last"]:
                    transaction, self.transaction = self.transaction, []
                    self.replica.apply(transaction)
                    if self.replica.is_stale:
                        self.again("rows omitted")
            case "error" | "unsubscribed" if message["channel"] == "tables" or message.get("replyTo") == "s":
                raise Violation(f"the subscription ended: {message}")

    def again(self, why):
        self.counts["snapshot again: " + why] += 1
        self.client.close()
        self.client = None
        self.needs_snapshot = True

    def subscribed(self, data):
        if data.get("recovered") is False:
            self.again("not recovered")
        elif data.get("recovered"):
            self.counts["resumed"] += 1

    def end_snapshot(self, position):
        self.in_snapshot = False
        self.replica.position = position
        self.counts["snapshots"] += 1

    def known_keys(self, name):
        try:
            return self.keys(name)
        except urllib.error.HTTPError:
            return []


def follow(writer, follower, path, title):
    """Lets the writer change the database, and compares the copy with it again and again."""
    transactions = 0
    try:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            # Snapshots are read while no table comes or goes, for their keys are asked for apart from them.
            follower.needs_snapshot = follower.needs_snapshot or follower.random.random() < 0.2
            count = follower.random.choice([1, 5, 40])
            writer.run(count)
            transactions += count
            mark = writer.mark_reached()
            follower.follow(mark)
            connection = sqlite3.connect(path)
            connection.create_collation("theirs", lambda one, other: (one > other) - (one < other))
            differences = follower.replica.differences(connection)
            connection.close()
            assert not differences, differences
        counts = writer.final_counts()
    except BaseException:
        print(f"\nREPLICA_SEED={SEED} {title}, after {transactions} transactions")
        raise
    print(f"\nseed {SEED}, {title}: {transactions} transactions, 0 differences")
    for part, counted in (("cases", counts), ("replica", follower.replica.counts), ("client", follower.counts)):
        print(part + ": " + ", ".join(f"{name} {count}" for name, count in sorted(counted.items())))


@pytest.mark.parametrize("journal_mode", ["WAL", "DELETE"])
def test_a_strict_replica_stays_equal_whatever_another_process_does(serve, tmp_path, journal_mode):
    path = tmp_path / "source.db"
    writer = ForeignWriter(path, SEED, journal_mode)
    try:
        writer.run(30)
        writer.mark_reached()
        follower = Follower(serve(path, "--max-connections", "1000"), SEED)
        follow(writer, follower, path, f"journal mode {journal_mode}")
    finally:
        writer.kill()


def test_a_strict_replica_stays_equal_to_a_database_in_memory(serve):
    before = directories()
    server = serve(":memory:", "--max-connections", "1000")
    (directory,) = directories() - before
    writer = ServiceWriter(server.ws, SEED, LEFT_OUT)
    try:
        writer.run(30)
        writer.mark_reached()
        follow(writer, Follower(server, SEED), directory / "memory.db", "in memory")
    finally:
        writer.kill()
