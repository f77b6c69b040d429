"""Clients that come, go and come back while another process commits as fast as it can."""

import json
import random
import sqlite3
import sys
import threading

import pytest
from websockets.sync import client as websocket_client

from processes import LIMIT, Command
from sockets import Client, EventStream

TRANSACTIONS = 5_000
WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
connection.execute("PRAGMA synchronous = OFF")
for number in range(1, int(sys.argv[2]) + 1):
    connection.execute("INSERT INTO numbers VALUES (?)", (number,))
print("written", flush=True)
"""


class Follower(threading.Thread):
    """Reads until it has the last number. `stays` is how many messages it reads, at most, before it hangs up."""

    def __init__(self, server, seed, stays=None, snapshot=False):
        super().__init__(daemon=True)
        self.url = server.ws
        self.random = random.Random(seed)
        self.stays = stays
        self.snapshot = snapshot
        self.numbers = []
        self.sequences = []
        self.position = None
        self.resumes = 0
        self.in_snapshot = 0
        self.fault = None
        self.is_subscribed = threading.Event()

    def run(self):
        try:
            while not self.numbers or self.numbers[-1] != TRANSACTIONS:
                self.connect()
        except Exception as error:
            self.fault = error
        finally:
            self.is_subscribed.set()

    def connect(self):
        data = {"rows": "keys"}
        if self.position:
            data["since"] = self.position
            self.resumes += 1
        elif self.snapshot:
            data = {"rows": "values", "snapshot": True}
        # Without a bound on what is queued, or the answer to our close would stand in line behind it.
        with websocket_client.connect(self.url, open_timeout=LIMIT, max_size=64 << 20, max_queue=None) as socket:
            socket.send(json.dumps({"type": "subscribe", "channel": "tables", "data": data}))
            left = self.random.randint(1, self.stays) if self.stays else None
            while left != 0 and (not self.numbers or self.numbers[-1] != TRANSACTIONS):
                self.take(json.loads(socket.recv(timeout=LIMIT)))
                left = left and left - 1

    def take(self, message):
        data = message["data"]
        match message["type"]:
            case "error":
                raise AssertionError(data["message"])
            case "subscribed":
                assert data.get("recovered", True), "what was missed could not be replayed"
                if not self.snapshot:
                    self.position = data["position"]
                self.is_subscribed.set()
            case "table:snapshot":
                self.numbers += [row["number"] if isinstance(row, dict) else row[0] for row in data["rows"]]
                self.in_snapshot = len(self.numbers)
            case "table:modified":
                self.numbers += [row["key"]["number"] for row in data["rows"]]
                self.sequences.append(int(message["position"].split(":")[1]))
                if data["transaction"]["last"]:
                    self.position = message["position"]


@pytest.fixture
def numbers(tmp_path):
    path = tmp_path / "numbers.db"
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE numbers(number INTEGER PRIMARY KEY)")
    connection.close()
    return path


def test_a_client_that_cannot_resume_receives_the_reason(serve, numbers):
    server = serve(numbers, "--state", "none", "--limit", "hub.history.maxTransactions=1")
    with Client(server.ws) as client, sqlite3.connect(numbers, isolation_level=None) as writer:
        start = client.subscribe("tables")["position"]
        writer.execute("INSERT INTO numbers VALUES (1)")
        writer.execute("INSERT INTO numbers VALUES (2)")
        first, end = (message["position"] for message in client.messages("table:modified", 2))
    epoch, last = end.split(":")
    expected = [(first, None), (start, "not-kept"), (f"{epoch}:{int(last) + 1}", "beyond-end"), (f"x{epoch}:1", "other-epoch")]
    for since, reason in expected:
        with Client(server.ws) as client:
            answer = client.subscribe("tables", since=since)
        with EventStream(f"{server.http}/events?tables=numbers", "-H", f"Last-Event-ID: {since}") as stream:
            for found in (answer, stream.message("subscribed")):
                assert (found["data"]["recovered"], found["data"].get("reason")) == (reason is None, reason)
                assert found["position"] == (end if reason else first)


def test_nothing_is_lost_or_repeated_while_a_writer_works_at_full_speed(serve, numbers):
    server = serve(numbers)
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    steady = Follower(server, seed)
    steady.start()
    assert steady.is_subscribed.wait(LIMIT)
    resuming = [Follower(server, seed + i, stays=300) for i in range(1, 4)]
    for follower in resuming:
        follower.start()
        assert follower.is_subscribed.wait(LIMIT)
    writer = Command([sys.executable, "-c", WRITER, str(numbers), str(TRANSACTIONS)])
    try:
        snapshots = []
        for part in range(1, 5):
            # As the writer gets on, and not all at once.
            follower = Follower(server, seed + 10 * part, snapshot=True)
            follower.start()
            assert follower.is_subscribed.wait(LIMIT)
            snapshots.append(follower)
        writer.line("written")
        for follower in [steady, *resuming, *snapshots]:
            follower.join(3 * LIMIT)
            assert not follower.is_alive() and follower.fault is None, follower.fault
            assert follower.numbers == list(range(1, TRANSACTIONS + 1)), "gaps or repetitions"
            assert all(b == a + 1 for a, b in zip(follower.sequences, follower.sequences[1:]))
    finally:
        writer.kill()
    assert all(follower.resumes > 0 for follower in resuming)
    print(
        f"{TRANSACTIONS} transactions to {1 + len(resuming) + len(snapshots)} clients,"
        f" {sum(f.resumes for f in resuming)} resumes,"
        f" snapshots after {[f.in_snapshot for f in snapshots]}: no gap, no repetition"
    )
