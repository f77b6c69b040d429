#!/usr/bin/env python3
"""A feed with distinct row rules: whether the service keeps up with another process's commits, and what that costs.

    row_rules.py BINARY [--rules 1,100] [--rate 500] [--seconds 10] [--texts]

Each client has a token with a rule of its own: the same SQL with another claim, or other SQL with --texts. The service runs on one
core. Prints, for each number of rules, the time from COMMIT to the client that may see the row, the same for the last commit, and the
share of the core.
"""

import argparse
import json
import os
import re
import selectors
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import commit_latency

commit_latency.PORT = PORT = 3392


def token(number):
    return f"user-{number}-{'x' * 16}"


class Client(commit_latency.Client):
    """With a token."""

    def __init__(self, number):
        self.socket = socket.create_connection(("127.0.0.1", PORT))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nAuthorization: Bearer {token(number)}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        self.pending = b""
        while b"\r\n\r\n" not in self.pending:
            self.pending += self.socket.recv(65536)
        head, self.pending = self.pending.split(b"\r\n\r\n", 1)
        assert b" 101 " in head, head


def write(path, rules, rate, count, committed):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA busy_timeout=5000")
    begin = time.monotonic()
    for number in range(count):
        delay = begin + number / rate - time.monotonic()
        if delay > 0:
            time.sleep(delay)
        connection.execute("INSERT INTO t(n, owner, pad) VALUES (?, ?, ?)", (number, f"user{number % rules}", "x" * 80))
        committed[number] = time.monotonic_ns()


def measure(binary, rules, rate, seconds, has_texts):
    count = int(rate * seconds)
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/rules.db"
        connection = sqlite3.connect(path)
        connection.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, n, owner TEXT, pad)")
        connection.close()
        tokens = folder + "/tokens.json"
        with open(os.open(tokens, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            json.dump(
                [
                    {"token": token(i), "rules": {"t": f"owner = 'user{i}'" if has_texts else "owner = :sub"}, "claims": {"sub": f"user{i}"}}
                    for i in range(rules)
                ],
                file,
            )
        command = ["taskset", "-c", "0", binary, "serve", path, "--port", str(PORT), "--tokens", tokens, "--limit", "clients.maxConnections=2000"]
        service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", PORT)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            selector = selectors.DefaultSelector()
            for number in range(rules):
                client = Client(number)
                client.send({"type": "subscribe", "channel": "tables", "data": {"rows": "values"}})
                while not any(b'"subscribed"' in frame for frame in client.receive()[1]):
                    pass
                selector.register(client.socket, selectors.EVENT_READ, client)
            committed, received = [0] * count, [0] * count
            missing = count
            begin, used = time.monotonic(), commit_latency.processor_seconds(service.pid)
            writer = threading.Thread(target=write, args=(path, rules, rate, count, committed))
            writer.start()
            while missing:
                for key, _ in selector.select(30):
                    now, frames = key.data.receive()
                    for frame in frames:
                        assert b'"rowsOmitted"' not in frame, frame
                        for number in re.findall(rb'"n":(\d+)', frame):
                            received[int(number)] = now
                            missing -= 1
            share = (commit_latency.processor_seconds(service.pid) - used) / (time.monotonic() - begin)
            writer.join()
        finally:
            service.terminate()
            service.wait()
    last = (received[-1] - committed[-1]) / 1e6
    print(
        f"{rules:4} rules, {rate:g} commits/s: {commit_latency.figures(received, committed)} ms, last commit {last:.2f} ms, "
        f"{share * 100:.1f} % of a core, n={count}",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--rules", default="1,100")
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--texts", action="store_true")
    arguments = parser.parse_args()
    for rules in arguments.rules.split(","):
        measure(arguments.binary, int(rules), arguments.rate, arguments.seconds, arguments.texts)
