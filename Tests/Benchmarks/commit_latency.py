#!/usr/bin/env python3
"""How long after another process's COMMIT returned a WebSocket client has its message.

    commit_latency.py BINARY [--rates 10,240,3500] [--sync OFF,NORMAL,FULL] [--seconds 10]

In the same run a second process polls `PRAGMA data_version` every millisecond and reads the newest row when it moved: what
one does without us. Writer, client, service and poller are four processes; nothing but the standard library.
Prints a line per case: median, 99th percentile and maximum in milliseconds of both, and the share of a core the service took.
"""

import argparse
import base64
import gc
import json
import multiprocessing
import os
import re
import socket
import sqlite3
import struct
import subprocess
import tempfile
import time

PORT = 3391


def write(path, sync, rate, count, start, results):
    """Commits `count` rows at `rate` per second and returns the time of each COMMIT."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA synchronous={sync}")
    connection.execute("PRAGMA busy_timeout=5000")
    gc.disable()
    returned = []
    start.wait()
    begin = time.monotonic()
    for number in range(count):
        delay = begin + number / rate - time.monotonic()
        if delay > 0:
            time.sleep(delay)
        connection.execute("INSERT INTO t(n, pad) VALUES(?, ?)", (number, "x" * 80))
        returned.append(time.monotonic_ns())
    results.put(("writer", returned))


def poll(path, count, start, results):
    """Sees each row by polling: times by row number."""
    connection = sqlite3.connect(path, isolation_level=None)
    gc.disable()
    seen = [0] * count
    next_row, version = 0, None
    start.wait()
    while next_row < count:
        newest = connection.execute("PRAGMA data_version").fetchone()[0]
        if newest != version:
            version = newest
            last = connection.execute("SELECT max(n) FROM t").fetchone()[0]
            now = time.monotonic_ns()
            while last is not None and next_row <= last:
                seen[next_row] = now
                next_row += 1
        time.sleep(0.001)
    results.put(("poller", seen))


class Client:
    """The least a WebSocket client can be: what is measured is the service, not a library's threads."""

    def __init__(self, port=PORT):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.pending = b""
        while b"\r\n\r\n" not in self.pending:
            self.pending += self.socket.recv(65536)
        head, self.pending = self.pending.split(b"\r\n\r\n", 1)
        assert b" 101 " in head, head

    def send(self, message):
        payload = json.dumps(message).encode()
        head = struct.pack("!BB", 0x81, 0x80 | len(payload)) if len(payload) < 126 else struct.pack("!BBH", 0x81, 0xFE, len(payload))
        self.socket.sendall(head + bytes(4) + payload)

    def receive(self):
        """What whole frames the next read brought, and when."""
        self.pending += self.socket.recv(1 << 20)
        now, frames = time.monotonic_ns(), []
        while len(self.pending) >= 2:
            length, offset = self.pending[1] & 0x7F, 2
            if length >= 126:
                size = 2 if length == 126 else 8
                if len(self.pending) < 2 + size:
                    break
                length, offset = int.from_bytes(self.pending[2 : 2 + size], "big"), 2 + size
            if len(self.pending) < offset + length:
                break
            frames.append(self.pending[offset : offset + length])
            self.pending = self.pending[offset + length :]
        return now, frames


def listen(count, ready, results):
    client = Client()
    client.send({"type": "subscribe", "channel": "tables", "data": {"rows": "values"}})
    while not any(b'"subscribed"' in frame for frame in client.receive()[1]):
        pass
    gc.disable()
    ready.set()
    received = [0] * count
    missing = count
    while missing:
        now, frames = client.receive()
        for frame in frames:
            if b'"table:modified"' in frame:
                for number in re.findall(rb'"n":(\d+)', frame):
                    received[int(number)] = now
                    missing -= 1
    results.put(("client", received))


def figures(times, returned):
    milliseconds = sorted((seen - wrote) / 1e6 for seen, wrote in zip(times, returned))
    count = len(milliseconds)
    return f"p50 {milliseconds[count // 2]:7.3f}  p99 {milliseconds[int(count * 0.99)]:7.3f}  max {milliseconds[-1]:8.2f}"


def measure(binary, rate, sync, seconds):
    count = max(int(rate * seconds), 100)
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/latency.db"
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n, pad)")
        connection.execute("CREATE INDEX newest ON t(n)")
        connection.commit()
        service = subprocess.Popen(
            [binary, "serve", path, "--port", str(PORT)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        children = []
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", PORT)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            results, ready, start = multiprocessing.Queue(), multiprocessing.Event(), multiprocessing.Event()
            children = [
                multiprocessing.Process(target=listen, args=(count, ready, results)),
                multiprocessing.Process(target=poll, args=(path, count, start, results)),
                multiprocessing.Process(target=write, args=(path, sync, rate, count, start, results)),
            ]
            for child in children:
                child.start()
            ready.wait()
            begin, used = time.monotonic(), processor_seconds(service.pid)
            start.set()
            collected = dict(results.get(timeout=seconds * 10 + 60) for _ in children)
            share = (processor_seconds(service.pid) - used) / (time.monotonic() - begin)
        finally:
            for child in children:
                child.kill()
            service.terminate()
            service.wait()
    returned = collected["writer"]
    print(
        f"{rate:6g}/s {sync:6}  tablecast {figures(collected['client'], returned)}   "
        f"data_version {figures(collected['poller'], returned)} ms   service {share * 100:.1f} % of a core, n={count}",
        flush=True,
    )


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--rates", default="10,240,3500")
    parser.add_argument("--sync", default="OFF,NORMAL,FULL")
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    for rate in arguments.rates.split(","):
        for sync in arguments.sync.split(","):
            measure(arguments.binary, float(rate), sync, arguments.seconds)
