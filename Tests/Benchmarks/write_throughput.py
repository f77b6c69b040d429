#!/usr/bin/env python3
"""How many single INSERTs a second the service commits for clients over WebSocket, each a transaction of its own.

    write_throughput.py BINARY [--other BINARY] [--directory /dev/shm,/tmp] [--clients 1,16,64] [--depth 1] [--count 4000]
                        [--rounds 3] [--subscribed]

In each round as many connections as there are clients do the same without the service, each on a thread of its own, with
synchronous=FULL: the ratio is taken within the round. In a directory on a disk the time of the disk decides; in memory that of
the processor, of which the service has core 0 alone, and the connections the other one, as the clients do. `--other` is another
build that is measured in the same rounds. Standard library only. Prints a line per case: commits a second, their ratio to direct
connections with its range, and the service's processor time for each commit.
"""

import argparse
import asyncio
import base64
import json
import os
import re
import sqlite3
import struct
import statistics
import subprocess
import tempfile
import threading
import time

INSERT = "INSERT INTO t(a, b) VALUES(1, 'hello')"


def frame(message):
    payload = json.dumps(message).encode()
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    return b"\x81" + length + bytes(4) + payload


async def client(port, count, depth, subscribed):
    """Runs `count` queries, at most `depth` at a time. Bare sockets: a library would be what is measured."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /ws{'?channels=tables' if subscribed else ''} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    query = frame({"type": "query:execute", "id": "q", "data": {"sql": INSERT}})
    end = b'"query:complete"'
    sent = done = 0
    rest = b""
    while done < count:
        room = min(count - sent, depth - (sent - done))
        writer.write(query * room)
        sent += room
        received = rest + await reader.read(1 << 20)
        if received == rest or b'"query:error"' in received or b'"type":"error"' in received:
            raise RuntimeError(received[-300:])
        done += received.count(end)
        rest = b"" if received.endswith(end) else received[1 - len(end):]
    writer.close()


def processor_time(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def make(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT)")
    return connection


def direct(directory, clients, count):
    """Commits a second of as many connections as there are clients, without the service."""
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        path = f"{folder}/direct.db"
        make(path).close()
        ready = threading.Barrier(clients + 1)

        def work():
            connection = sqlite3.connect(path, timeout=600, isolation_level=None)
            connection.execute("PRAGMA synchronous=FULL")
            ready.wait()
            for _ in range(count // clients):
                connection.execute(INSERT)

        threads = [threading.Thread(target=work) for _ in range(clients)]
        for thread in threads:
            thread.start()
        ready.wait()
        start = time.monotonic()
        for thread in threads:
            thread.join()
        return count // clients * clients / (time.monotonic() - start)


# All clients of the benchmark have one address, and so share one identity.
LIMITS = [
    f"--limit=clients.{name}{share}=10000000" for name in ("maxMessagesPerSecond", "maxMessageBurst") for share in ("", "OfIdentity")
]


def service(arguments, binary, directory, clients, count):
    """Commits a second through the service, and its processor time for each in microseconds."""
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        make(f"{folder}/t.db").close()
        command = [binary, "serve", f"{folder}/t.db", "--port", "0", "--max-connections", "1000", *LIMITS]
        process = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.PIPE, text=True)
        try:
            port = next(int(found[1]) for found in (re.search(r":(\d+)/ws", line) for line in process.stdout) if found)
            share = count // clients

            async def run(share):
                work = [client(port, share, arguments.depth, arguments.subscribed) for _ in range(clients)]
                await asyncio.gather(*work)

            asyncio.run(run(max(share // 20, 1)))
            before, start = processor_time(process.pid), time.monotonic()
            asyncio.run(run(share))
            seconds, used = time.monotonic() - start, processor_time(process.pid) - before
        finally:
            process.terminate()
            process.wait()
        total = share * clients
        found = sqlite3.connect(f"{folder}/t.db").execute("SELECT count(*) FROM t").fetchone()[0]
        if found != total + max(share // 20, 1) * clients:
            raise SystemExit(f"{found} rows, expected {total} and those of the warm-up")
        return total / seconds, used / total * 1e6


def measure(arguments, directory, clients):
    binaries = [arguments.binary] + [arguments.other] * bool(arguments.other)
    count = arguments.count if clients > 1 else max(arguments.count // 8, 1)
    rounds = []
    for _ in range(arguments.rounds):
        floor = direct(directory, clients, count)
        rounds.append((floor, [service(arguments, binary, directory, clients, count) for binary in binaries]))
    lines = []
    for index, binary in enumerate(binaries):
        ratios = sorted(each[index][0] / floor for floor, each in rounds)
        rate, cost = (statistics.median(each[index][part] for _, each in rounds) for part in (0, 1))
        lines.append(
            f"{directory} {clients:3} clients {rate:8,.0f}/s  x {statistics.median(ratios):5.2f} of direct connections"
            f" ({ratios[0]:.2f}-{ratios[-1]:.2f})  {cost:5.0f} us of processor time each  {binary if arguments.other else ''}"
        )
    print("\n".join(lines), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--other")
    parser.add_argument("--directory", default="/dev/shm,/tmp")
    parser.add_argument("--clients", default="1,16,64")
    parser.add_argument("--depth", type=int, default=1, help="queries that a client has under way")
    parser.add_argument("--count", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--subscribed", action="store_true", help="each client also receives every change")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, os.sched_getaffinity(0) - {0} or {0})
    for directory in arguments.directory.split(","):
        for clients in arguments.clients.split(","):
            measure(arguments, directory, int(clients))


if __name__ == "__main__":
    main()
