"""The service is killed and stopped at random while another process writes; clients resume.

What each client received, over all of its connections, must be the exact history: the ledger has a row for each commit. A gap is
allowed only where the service announced it with `recovered: false`.

    RESTARTS=200 .build/venv/bin/python -m pytest Tests/EndToEnd/test_restart_oracle.py -s --timeout 3600

prints the seed, and how often each case occurred. RESTART_SEED repeats a run.
"""

import collections
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync import client as websocket_client

from contract import check
from processes import LIMIT

RESTARTS = int(os.environ.get("RESTARTS", "12"))
SEED = int(os.environ.get("RESTART_SEED", random.randrange(1 << 30)))

# Commits until its input ends. Each transaction adds a row to the ledger, and some of them move, change and delete items.
WRITER = """
import random, sqlite3, sys, threading
path, seed, checkpoint, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
random = random.Random(seed)
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
connection = sqlite3.connect(path, isolation_level=None, timeout=60)
connection.execute(f"PRAGMA wal_autocheckpoint = {checkpoint}")
connection.execute("PRAGMA synchronous = NORMAL")
count = 0
while not ended.is_set():
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO ledger(writer) VALUES (?)", (seed,))
    for _ in range(random.randrange(4)):
        key = random.randrange(60)
        match random.randrange(5):
            case 0 | 1: connection.execute("INSERT OR REPLACE INTO item VALUES (?, ?)", (key, random.randrange(1000)))
            case 2: connection.execute("UPDATE item SET value = value + 1 WHERE id BETWEEN ? AND ?", (key, key + 3))
            case 3: connection.execute("DELETE FROM item WHERE id = ?", (key,))
            case 4: connection.execute("UPDATE OR REPLACE item SET id = id + 1 WHERE id = ?", (key,))
    connection.execute("COMMIT")
    count += 1
    if random.randrange(20) == 0:
        # A commit without a change has no position.
        connection.execute("UPDATE item SET value = value")
    ended.wait(random.expovariate(1 / pause) if pause else 0)
print(count)
"""


class Client(threading.Thread):
    """Resumes for as long as the test runs; keeps what it received."""

    def __init__(self, world, seed):
        super().__init__(daemon=True)
        self.world = world
        self.random = random.Random(seed)
        self.position = None
        self.items = None
        # Ledger rows in the order received; None where the service announced a gap.
        self.ledger = []
        self.partial = None
        self.counts = collections.Counter()
        self.fault = None
        self.url = None

    def run(self):
        try:
            while not self.world.is_complete(self):
                url = self.world.url
                if url is None:
                    self.world.changed.wait(0.01)
                    continue
                try:
                    self.connect(url)
                except (OSError, ConnectionClosed, EOFError, TimeoutError) as error:
                    # The service is gone. A server that stops between the request and its answer closes without one.
                    self.counts[type(error).__name__] += 1
                except Exception as error:
                    if type(error).__name__ not in ("InvalidMessage", "InvalidStatus"):
                        raise
        except BaseException as error:
            self.fault = error
            raise

    def connect(self, url):
        with websocket_client.connect(url, open_timeout=LIMIT, close_timeout=1, max_size=64 << 20, max_queue=None) as socket:
            data = {"rows": "values", "tables": ["ledger", "item"]}
            if self.position:
                data["since"] = self.position
            else:
                data["snapshot"] = True
            socket.send(json.dumps({"type": "subscribe", "channel": "tables", "id": "s", "data": data}))
            # Some hang up by themselves.
            stays = self.random.choice([None, None, self.random.randrange(1, 200)])
            while not self.world.is_complete(self):
                try:
                    message = json.loads(socket.recv(timeout=0.2))
                    # Validation takes longer than a commit.
                    if self.random.randrange(50) == 0:
                        check(message)
                except TimeoutError:
                    continue
                self.receive(message)
                if stays is not None:
                    stays -= 1
                    if stays <= 0:
                        self.counts["hung up"] += 1
                        return

    def receive(self, message):
        kind, data = message["type"], message["data"]
        if kind == "error":
            raise AssertionError(message)
        if kind == "subscribed":
            self.partial = None
            if data.get("recovered") is True:
                self.counts["resumed"] += 1
            elif data.get("recovered") is False:
                self.counts["gaps"] += 1
                self.position = None
                raise EOFError("a new snapshot is needed")
            else:
                self.counts["snapshots"] += 1
                self.items = {}
                self.ledger.append(None)
        elif kind == "table:snapshot":
            for row in data["rows"] if data["tableName"] == "item" else []:
                row = dict(zip([c["name"] if isinstance(c, dict) else c for c in data["columns"]], row)) if isinstance(row, list) else row
                self.items[row["id"]] = row["value"]
        elif kind == "snapshot:end":
            self.position = message["position"]
        elif kind == "table:modified" and data["change"] == "rows":
            if self.partial is None:
                self.partial = (message["position"], [])
            assert self.partial[0] == message["position"], "the messages of a transaction are contiguous"
            self.partial[1].append(data)
            if data["transaction"]["last"]:
                for part in self.partial[1]:
                    self.apply(part)
                self.partial = None
                self.position = message["position"]
                self.counts["transactions"] += 1

    def apply(self, data):
        assert not data.get("rowsOmitted"), data
        for row in data["rows"]:
            if data["tableName"] == "ledger":
                assert row["op"] == "insert", row
                self.ledger.append(row["after"]["id"])
                continue
            before, after = row.get("before"), row.get("after")
            if before:
                known = self.items.pop(before["id"], None)
                assert known == before["value"], f"{row} but the copy has {known}"
            if after:
                assert after["id"] not in self.items, f"{row} but the copy has it"
                self.items[after["id"]] = after["value"]

    def check(self, last, items):
        assert self.fault is None, f"seed {SEED}: {self.fault!r}"
        previous = None
        for entry in self.ledger:
            if entry is None:
                previous = None
                continue
            assert previous is None or entry == previous + 1, f"seed {SEED}: after commit {previous} came {entry}"
            previous = entry
        assert self.items == items, f"seed {SEED}: the copy differs"
        assert previous is None or previous == last, f"seed {SEED}: ended with {previous} of {last}"


class World:
    def __init__(self):
        self.url = None
        self.changed = threading.Event()
        self.last = None

    def is_complete(self, client):
        """Whether the writer has ended, and the client has its last commit."""
        return self.last is not None and (client.ledger[-1:] == [self.last] or client.position is not None and client.ledger[-1:] == [None] and self.is_quiet)

    is_quiet = False


@pytest.mark.timeout(int(120 + RESTARTS * 10))
@pytest.mark.parametrize("checkpoint", [1000, 100_000])
def test_restarts_under_load(serve, tmp_path, checkpoint):
    rng = random.Random(SEED + checkpoint)
    path = tmp_path / "restarts.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE ledger(id INTEGER PRIMARY KEY AUTOINCREMENT, writer)")
        connection.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, value)")
    connection.close()
    counts = collections.Counter()
    server = serve(path)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(rng.randrange(1000)), str(checkpoint), "0.008"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    world = World()
    clients = [Client(world, rng.randrange(1 << 30)) for _ in range(3)]
    try:
        world.url = server.ws
        for client in clients:
            client.start()
        for _ in range(RESTARTS):
            time.sleep(rng.uniform(0.05, 1.0))
            world.url = None
            if rng.random() < 0.6:
                server.kill()
                counts["killed"] += 1
            else:
                assert server.stop() == 0
                counts["stopped"] += 1
            time.sleep(rng.choice([0, 0, rng.uniform(0, 0.5)]))
            server = serve(path)
            world.url = server.ws
            counts[new_epoch(server) or "continued"] += 1
        writer.stdin.close()
        assert writer.wait(LIMIT) == 0
        with sqlite3.connect(path) as connection:
            last = connection.execute("SELECT max(id) FROM ledger").fetchone()[0]
            items = dict(connection.execute("SELECT id, value FROM item"))
        connection.close()
        world.is_quiet = True
        world.last = last
        for client in clients:
            client.join(2 * LIMIT)
            assert not client.is_alive(), f"seed {SEED}: {client.ledger[-1:]} of {last}, {client.counts}"
    finally:
        if writer.poll() is None:
            writer.kill()
        writer.wait()
    for client in clients:
        client.check(last, items)
        counts.update(client.counts)
    print(f"\nRESTART_SEED={SEED} checkpoint={checkpoint} commits={last} {dict(counts)}")
    assert counts["resumed"] > 0, f"seed {SEED}: {counts}"
    assert counts["continued"] > 0, f"seed {SEED}: {counts}"


def new_epoch(server):
    """Why the epoch does not go on, as the log says; None when it does."""
    lines = [line for line in server.errors if "a new epoch begins" in line]
    return lines and re.search("message=(.*) reason=", lines[0]).group(1) or None
