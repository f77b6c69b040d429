"""Processes that serve a ledger are killed, stopped and continued at random while another process writes; clients move between them.

What each client received, over all of its connections to any of them, must be the exact history: every commit adds the next row
to the ledger. A gap is allowed only where it was announced with `recovered: false`.
"""

import collections
import json
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync import client as websocket_client

from processes import LIMIT, Server

WRITER = """
import sqlite3, sys, threading
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
while not ended.wait(0.004):
    connection.execute("INSERT INTO ledger DEFAULT VALUES")
"""

# Each sends every row of the ledger in some form.
FILTERS = [
    {"rows": "values"},
    {"rows": "keys", "tables": ["ledger"]},
    {"rows": "values", "tables": ["ledger"], "where": "id > 0", "operations": ["insert"]},
]


class Client(threading.Thread):
    """Follows the ledger until it has `world.last`, at a random place after each connection."""

    def __init__(self, world, seed):
        super().__init__(daemon=True)
        self.world = world
        self.random = random.Random(seed)
        self.filter = self.random.choice(FILTERS)
        self.position = None
        self.ledger = []
        self.counts = collections.Counter()
        self.fault = None

    def run(self):
        try:
            while not self.is_complete():
                try:
                    self.connect(self.random.choice(self.world.urls))
                except (OSError, ConnectionClosed, InvalidHandshake, EOFError, TimeoutError):
                    self.world.pause.wait(0.02)
        except BaseException as error:
            self.fault = error
            raise

    def is_complete(self):
        return self.world.last is not None and self.ledger[-1:] == [self.world.last]

    def connect(self, url):
        # A stopped process accepts connections and says nothing.
        with websocket_client.connect(url, open_timeout=1, close_timeout=0.1, max_size=64 << 20, max_queue=None) as socket:
            data = dict(self.filter)
            if self.position:
                data["since"] = self.position
            socket.send(json.dumps({"type": "subscribe", "channel": "tables", "id": "s", "data": data}))
            stays = self.random.choice([20, 200, 1000])
            silence = time.monotonic()
            while not self.is_complete() and stays > 0:
                try:
                    message = json.loads(socket.recv(timeout=0.2))
                except TimeoutError:
                    # The place is stopped, or away from its source.
                    if time.monotonic() - silence > 1:
                        return
                    continue
                silence = time.monotonic()
                stays -= self.receive(message)
            self.counts["moves"] += 1

    def receive(self, message):
        kind, data = message["type"], message["data"]
        assert kind != "error" or data["code"] == "INVALID_MESSAGE", message
        if kind == "error":
            # A relay that has lost its tables for a moment refuses a condition.
            raise EOFError(data["message"])
        if kind == "subscribed":
            if data.get("recovered") is True:
                self.counts["resumed"] += 1
            else:
                self.counts[f"gaps: {data['reason']}" if "recovered" in data else "begins"] += 1
                self.ledger.append(None)
            self.position = message["position"]
        elif kind == "table:modified":
            assert data["transaction"]["last"] and len(data["rows"]) == 1, message
            self.ledger.append(data["rows"][0]["key"]["id"])
            self.position = message["position"]
            self.counts["transactions"] += 1
            return 1
        return 0

    def check(self):
        assert self.fault is None, f"{self.world.seed}: {self.fault!r}"
        previous = None
        for entry in self.ledger:
            assert None in (entry, previous) or entry == previous + 1, f"{self.world.seed}: after {previous} came {entry}"
            previous = entry


class World:
    """The processes: a server, and relays whose sources are named by their index."""

    def __init__(self, binary, path, random, seed):
        """`seed` is how to repeat the run."""
        self.binary, self.path, self.random, self.seed = binary, path, random, seed
        self.last = None
        self.pause = threading.Event()
        self.counts = collections.Counter()
        self.started = []
        self.nodes = [self.add(self.source())]
        for index in range(1, self.size):
            self.nodes.append(self.add(self.relay(index)))
        self.urls = [node.ws for node in self.nodes]

    def add(self, node):
        self.started.append(node)
        return node

    def source(self, port=0):
        return Server(self.binary, self.path, port=port)

    def fault(self):
        index = self.random.randrange(len(self.nodes))
        node = self.nodes[index]
        what = self.random.choice(["kill", "stop", "freeze"])
        self.counts[f"{what} {'source' if index == 0 else 'relay'}"] += 1
        if what == "freeze":
            node.signal(signal.SIGSTOP)
            time.sleep(self.random.uniform(0.1, 1.2))
            node.signal(signal.SIGCONT)
            return
        if what == "kill":
            node.kill()
        else:
            assert node.stop() == 0, (what, index, node.errors[-3:])
        time.sleep(self.random.choice([0, self.random.uniform(0, 0.5)]))
        self.nodes[index] = self.add(self.source(node.port) if index == 0 else self.relay(index, node.port))

    def end(self):
        for node in self.nodes:
            node.signal(signal.SIGCONT)
            node.kill()


    def losses(self):
        """Where continuity was lost, as the processes log it."""
        return [line for node in self.started for line in node.errors if re.search("a new epoch begins|are missing", line)]


def create(path):
    """The database of a world."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE ledger(id INTEGER PRIMARY KEY)")
    connection.close()


def run(world, rng, faults):
    """Clients follow the ledger of the world at random places, until all have its end."""
    writer = None
    try:
        clients = [Client(world, rng.randrange(1 << 30)) for _ in range(6)]
        for client in clients:
            client.start()
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(world.path)], stdin=subprocess.PIPE)
        for _ in range(faults):
            time.sleep(rng.uniform(0.05, 0.8))
            world.fault()
        writer.stdin.close()
        assert writer.wait(LIMIT) == 0
        with sqlite3.connect(world.path) as connection:
            world.last = connection.execute("SELECT max(id) FROM ledger").fetchone()[0]
            # One more, for clients whose announced gap is the end.
            world.last += 1
            time.sleep(0.5)
            connection.execute("INSERT INTO ledger DEFAULT VALUES")
        connection.close()
        for client in clients:
            client.join(LIMIT)
            assert not client.is_alive(), f"{world.seed}: {client.ledger[-1:]} of {world.last}, {client.counts}"
    finally:
        if writer is not None and writer.poll() is None:
            writer.kill()
            writer.wait()
        world.end()
    received = set()
    for client in clients:
        client.check()
        world.counts.update(client.counts)
        received.update(entry for entry in client.ledger if entry is not None)
    missed = world.last - len(received)
    print("", *world.losses(), sep="\n")
    print(f"\n{world.seed} commits={world.last} missed by all={missed} {dict(world.counts)}")
    assert world.counts["resumed"] > 0, f"{world.seed}: {world.counts}"
