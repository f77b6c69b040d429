"""A server and a tree of relays are killed, stopped and continued at random while another process writes; clients move between them.

What each client received, over all of its connections to any of them, must be the exact history: every commit adds the next row
to the ledger. A gap is allowed only where it was announced with `recovered: false`.

    RELAY_FAULTS=300 .build/venv/bin/python -m pytest Tests/EndToEnd/test_relay_oracle.py -s --timeout 3600

prints the seed, and how often each case occurred. RELAY_SEED repeats a run.
"""

import os
import random

import pytest

import ledger
from relays import Relay

FAULTS = int(os.environ.get("RELAY_FAULTS", "6"))
SEED = int(os.environ.get("RELAY_SEED", random.randrange(1 << 30)))


class World(ledger.World):
    """A server, two relays of it, and a relay of these."""

    sources = [[], [0], [0], [2, 1]]
    size = len(sources)

    def relay(self, index, port=0):
        sources = [f"127.0.0.1:{self.nodes[source].port}" for source in self.sources[index]]
        return Relay(self.binary, *sources, "--wait", "--upstream-heartbeat", "300ms", port=port)


@pytest.mark.timeout(int(120 + FAULTS * 10))
def test_relays_under_load(binary, tmp_path):
    rng = random.Random(SEED)
    path = tmp_path / "ledger.db"
    ledger.create(path)
    ledger.run(World(binary, path, rng, f"RELAY_SEED={SEED}"), rng, FAULTS)
