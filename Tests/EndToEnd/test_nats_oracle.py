"""A broker, a source and two edges are killed, stopped and continued at random while another process writes; clients move between them.

What each client received, over all of its connections to the source and the edges, must be the exact history. A gap is allowed only
where it was announced with `recovered: false`.

    NATS_FAULTS=300 TABLECAST_NATS_BINARY=.build/debug/tablecast .build/venv/bin/python -m pytest Tests/EndToEnd/test_nats_oracle.py -s

prints the seed, and how often each case occurred. NATS_SEED repeats a run.
"""

import os
import random
import signal
import time

import pytest

import ledger
from broker import Broker, nats_binary
from processes import Server
from relays import Relay

FAULTS = int(os.environ.get("NATS_FAULTS", "6"))
SEED = int(os.environ.get("NATS_SEED", random.randrange(1 << 30)))


class World(ledger.World):
    """A source, two edges, and the broker between them."""

    size = 3

    def __init__(self, directory, *arguments):
        self.broker = Broker(directory)
        super().__init__(*arguments)

    def source(self, port=0):
        return Server(self.binary, self.path, "--nats", self.broker.url, port=port)

    def relay(self, index, port=0):
        return Relay(self.binary, "--nats", self.broker.url, "--wait", port=port)

    def fault(self):
        if self.random.random() < 2 / 3:
            super().fault()
            return
        what = self.random.choice(["kill", "freeze"])
        self.counts[f"{what} broker"] += 1
        if what == "freeze":
            self.broker.signal(signal.SIGSTOP)
            # Connections are given up after four seconds without an answer.
            time.sleep(self.random.choice([0.2, 1, self.random.uniform(4, 8)]))
            self.broker.signal(signal.SIGCONT)
            return
        self.broker.kill()
        time.sleep(self.random.choice([0, self.random.uniform(0, 2)]))
        self.broker.start()

    def end(self):
        self.broker.kill()
        super().end()


@pytest.mark.timeout(int(180 + FAULTS * 20))
def test_nats_under_load(tmp_path):
    rng = random.Random(SEED)
    path = tmp_path / "ledger.db"
    ledger.create(path)
    ledger.run(World(tmp_path / "broker", nats_binary(), path, rng, f"NATS_SEED={SEED}"), rng, FAULTS)
