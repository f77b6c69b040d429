"""Transactions of one row per second, through a NATS broker to an edge, beside what the broker and its C client do alone.

    swift build -c release --traits NATS --product tablecast
    TABLECAST_NATS_BINARY=.build/release/tablecast .build/venv/bin/python Tests/Benchmarks/nats_throughput.py [TRANSACTIONS]

`catch-up`: the transactions were committed while the broker was away. `live`: another process commits them as fast as it can. CPU is that
of each process per transaction.
"""

import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests/EndToEnd"))

from broker import Broker, nats_binary
from processes import Server
from relays import Relay

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("PRAGMA synchronous = OFF")
for _ in range(int(sys.argv[2])):
    connection.execute("INSERT INTO item(name) VALUES ('a name of some length')")
"""


def cpu(process):
    """Seconds of a process."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sequence(server):
    with urllib.request.urlopen(server.http + "/status", timeout=60) as answer:
        return int(json.load(answer)["position"].split(":")[1])


def commit(path, count):
    subprocess.run([sys.executable, "-c", WRITER, str(path), str(count)], check=True)


def measure(name, broker, source, edge, target, body=None):
    """Without a body, the time begins with the first transaction: both sides wait up to five seconds for the broker."""
    processes = {"broker": broker.process, "source": source.process, "edge": edge.process}
    before = {key: cpu(process) for key, process in processes.items()}
    start, first = time.monotonic(), sequence(edge)
    if body:
        body()
    else:
        while (at := sequence(edge)) == first:
            time.sleep(0.005)
        start, first = time.monotonic(), at
    while sequence(edge) < target:
        time.sleep(0.005)
    rate = (target - first) / (time.monotonic() - start)
    used = {key: (cpu(process) - before[key]) / COUNT * 1e6 for key, process in processes.items()}
    shares = ", ".join(f"{key} {value:.0f} us" for key, value in used.items())
    print(f"{name:9} {rate:8.0f} transactions/s   CPU per transaction: {shares}", flush=True)


with tempfile.TemporaryDirectory() as directory:
    directory = pathlib.Path(directory)
    path = directory / "items.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT)")
    broker = Broker(directory / "broker")
    binary = nats_binary()
    limit = directory / "nats_limit"
    subprocess.run(["cc", "-O2", ROOT / "Tests/Benchmarks/nats_limit.c", "-o", limit, "-lnats", "-lpthread"], check=True)
    source = Server(binary, path, "--nats", broker.url)
    edge = Relay(binary, "--nats", broker.url)
    try:
        for _ in range(2):
            alone = subprocess.run([limit, broker.url, str(COUNT), "200"], check=True, capture_output=True, text=True)
            print(f"{'C alone':9} {int(alone.stdout):8} messages/s")
            at = sequence(edge)
            measure("live", broker, source, edge, at + COUNT, lambda: commit(path, COUNT))
            broker.kill()
            commit(path, COUNT)
            while sequence(source) < at + 2 * COUNT:
                time.sleep(0.05)
            broker.start()
            measure("catch-up", broker, source, edge, at + 2 * COUNT)
    finally:
        for process in (edge, source, broker):
            process.kill()
