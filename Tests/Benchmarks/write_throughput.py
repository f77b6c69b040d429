#!/usr/bin/env python3
"""How many single INSERTs a second the service commits for clients over WebSocket, each a transaction of its own.

    write_throughput.py BINARY [--directory /dev/shm,/tmp] [--clients 16,64] [--depth 4] [--count 20000] [--subscribed]

In a directory on a disk the time of the disk decides; in memory that of the processor, of which the service has core 0 alone.
A bare connection that does nothing else in the same directory is the floor. A client may send 1,000 messages a second, so
few clients are not the service's limit but theirs. Standard library only. Prints a line per case:
commits a second, the service's processor time for each, and the floor's commits a second.
"""

import argparse
import asyncio
import base64
import json
import os
import re
import sqlite3
import struct
import subprocess
import tempfile
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


def floor(directory, count):
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        connection = make(f"{folder}/floor.db")
        start = time.monotonic()
        for _ in range(count):
            connection.execute(INSERT)
        return count / (time.monotonic() - start)


def measure(arguments, directory, clients):
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        make(f"{folder}/t.db").close()
        command = [arguments.binary, "serve", f"{folder}/t.db", "--port", "0", "--max-connections", "1000"]
        service = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.PIPE, text=True)
        try:
            port = next(int(found[1]) for found in (re.search(r":(\d+)/ws", line) for line in service.stdout) if found)
            before, start = processor_time(service.pid), time.monotonic()
            share = arguments.count // clients

            async def run():
                work = [client(port, share, arguments.depth, arguments.subscribed) for _ in range(clients)]
                await asyncio.gather(*work)

            asyncio.run(run())
            seconds, used = time.monotonic() - start, processor_time(service.pid) - before
        finally:
            service.terminate()
            service.wait()
        total = share * clients
        found = sqlite3.connect(f"{folder}/t.db").execute("SELECT count(*) FROM t").fetchone()[0]
        if found != total:
            raise SystemExit(f"{found} rows, expected {total}")
        print(
            f"{directory}: {clients} clients, {total / seconds:,.0f}/s, {used / total * 1e6:.0f} us of processor time each; "
            f"bare {floor(directory, total):,.0f}/s",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--directory", default="/dev/shm,/tmp")
    parser.add_argument("--clients", default="16,64")
    parser.add_argument("--depth", type=int, default=4, help="queries that a client has under way")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--subscribed", action="store_true", help="each client also receives every change")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, os.sched_getaffinity(0) - {0} or {0})
    for directory in arguments.directory.split(","):
        for clients in arguments.clients.split(","):
            measure(arguments, directory, int(clients))


if __name__ == "__main__":
    main()
