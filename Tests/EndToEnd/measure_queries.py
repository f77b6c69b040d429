"""Measures queries through the real binary and real sockets; no test, for it takes minutes and a quiet machine.

    python Tests/EndToEnd/measure_queries.py BINARY FILE [cancel | memory | throughput | point | latency …]

FILE is made if it is not there: 10 million rows in `t`, a million in `m`. Standard library only; DATASETTE names its command.
"""

import asyncio
import base64
import json
import os
import pathlib
import random
import re
import resource
import socket
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from processes import Server  # noqa: E402

TEN_MILLION = """
CREATE TABLE t(id INTEGER PRIMARY KEY, g INTEGER, x REAL, name TEXT, note TEXT);
INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 10000000)
    SELECT n, (n * 7919) % 10007, n * 0.37, 'name ' || ((n * 104729) % 1000003),
        substr('lorem ipsum dolor sit amet', 1, n % 20) FROM c;
"""
MIXED = """
CREATE TABLE m(id INTEGER PRIMARY KEY, a INTEGER, x REAL, name TEXT, note TEXT, b BLOB);
INSERT INTO m WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 1000000)
    SELECT n, (n * 7919) % 100003, n * 0.37, 'name ' || ((n * 104729) % 1000003),
        CASE WHEN n % 3 = 0 THEN NULL ELSE substr('lorem "ipsum" dölor sit amet', 1, n % 25) END, n * 12345 FROM c;
"""
ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"
ENDS = ("query:complete", "query:error", "query:cancelled")
SEED = int(os.environ.get("TABLECAST_SEED", random.randrange(1 << 32)))


def build(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    connection.executescript(TEN_MILLION + MIXED)
    connection.close()


class RawClient:
    """A blocking WebSocket that costs next to nothing, so that the server is what is measured."""

    def __init__(self, server, query="", receive_bytes=None):
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.connect((server.host, server.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws{query} HTTP/1.1\r\nHost: {server.host}:{server.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.socket.recv(65536)
        self.buffer = self.buffer.split(b"\r\n\r\n", 1)[1]

    def send(self, type, id=None, **fields):
        """A mask of zeros is a mask."""
        message = json.dumps({"type": type, "id": id, **fields}).encode()
        size = len(message)
        head = bytes([0x81, 0x80 | size]) if size < 126 else bytes([0x81, 0xFE]) + size.to_bytes(2, "big")
        self.socket.sendall(head + bytes(4) + message)

    def execute(self, sql, id, **data):
        self.send("query:execute", id, data={"sql": sql, "queryId": id, "timeout": 600_000, **data})

    def cancel(self, id):
        self.send("query:cancel", data={"queryId": id})

    def _need(self, count):
        while len(self.buffer) < count:
            data = self.socket.recv(1 << 18)
            if not data:
                raise EOFError("the server closed the connection")
            self.buffer += data

    def frame(self):
        while True:
            self._need(2)
            opcode, size, start = self.buffer[0] & 15, self.buffer[1] & 127, 2
            if size == 126:
                self._need(4)
                size, start = int.from_bytes(self.buffer[2:4], "big"), 4
            elif size == 127:
                self._need(10)
                size, start = int.from_bytes(self.buffer[2:10], "big"), 10
            self._need(start + size)
            payload, self.buffer = self.buffer[start : start + size], self.buffer[start + size :]
            if opcode == 9:
                self.socket.sendall(bytes([0x8A, 0x80 | size]) + bytes(4) + payload)
            elif opcode == 8:
                raise EOFError(f"closed with {int.from_bytes(payload[:2], 'big')}")
            else:
                return payload

    def until(self, *types, id=None):
        """The next message of these types; what comes before it is counted and forgotten."""
        while True:
            payload = self.frame()
            if b'"type":"query:rows"' in payload[:200] and "query:rows" not in types:
                continue
            message = json.loads(payload)
            if message["type"] in types and (id is None or message["data"].get("queryId") == id):
                return message

    def drain(self, bytes_per_second=None, seconds=None):
        """Takes what comes without looking at it, to the end of the query; returns how many bytes and the tail."""
        start, taken, tail = time.monotonic(), len(self.buffer), self.buffer[-400:]
        buffer = bytearray(1 << 18 if bytes_per_second is None else 1 << 14)
        while not any(end.encode() in tail for end in ENDS):
            if seconds and time.monotonic() - start > seconds:
                break
            if bytes_per_second:
                ahead = taken / bytes_per_second - (time.monotonic() - start)
                if ahead > 0:
                    time.sleep(ahead)
            count = self.socket.recv_into(buffer)
            if not count:
                break
            taken += count
            tail = (tail + bytes(buffer[max(0, count - 400) : count]))[-400:]
        self.buffer = b""
        return taken, tail

    def close(self):
        self.socket.close()


class Lines(RawClient):
    """The same as `POST /query` with lines of JSON for an answer."""

    def __init__(self, server, sql, receive_bytes=None, **data):
        self.buffer = b""
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.connect((server.host, server.port))
        body = json.dumps({"sql": sql, "timeout": 600_000, **data}).encode()
        self.socket.sendall(
            f"POST /query HTTP/1.1\r\nHost: {server.host}:{server.port}\r\nAccept: application/x-ndjson\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
        )


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def summary(values):
    return " ".join(f"{name} {percentile(values, share):.2f}" for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1)))


def memory(server):
    """Kilobytes resident: all, and without mapped files."""
    text = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return [int(next(l for l in text.splitlines() if l.startswith(key)).split()[1]) for key in ("VmRSS", "RssAnon")]


class Watch:
    """The largest memory seen while the block runs."""

    def __init__(self, server):
        self.server, self.over = server, threading.Event()
        self.first = self.largest = memory(server)

    def _run(self):
        while not self.over.wait(0.05):
            self.largest = [max(pair) for pair in zip(self.largest, memory(self.server))]

    def __enter__(self):
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def __str__(self):
        growth = [(b - a) / 1024 for a, b in zip(self.first, self.largest)]
        return f"+{growth[0]:.1f} MB resident, +{growth[1]:.1f} MB anonymous, from {self.first[0] / 1024:.0f} MB"


def processor(server):
    """Seconds of processor time so far."""
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_cancel(serve, path):
    count = int(os.environ.get("TABLECAST_MEASURE_CANCELS", 40))
    kinds = {
        "scan": ("SELECT count(*) FROM t WHERE name LIKE '%zzz%'", 0.4),
        "sort": ("SELECT * FROM t ORDER BY name DESC, x", 2.0),
        "write": ("UPDATE t SET x = x + 1", 0.8),
        "recursive": (ENDLESS, 0.3),
        "waiting": ("INSERT INTO t(g) VALUES (1)", 0.3),
    }
    generator = random.Random(SEED)
    server = serve(path)
    asker, other, listener = RawClient(server), RawClient(server), RawClient(server, "?channels=tables")
    other.execute(ENDLESS, "untouched")
    other.until("query:started")
    before = sqlite3.connect(path).execute("SELECT count(*), sum(x) FROM t WHERE id % 1000 = 0").fetchone()
    everything = []
    for kind, (sql, longest) in kinds.items():
        delays, unlucky = [], 0
        for index in range(count):
            id = f"{kind}-{index}"
            holder = None
            if kind == "waiting" and index % 2 == 0:
                other.execute("BEGIN IMMEDIATE", f"begin-{index}")
                other.until("query:complete")
            elif kind == "waiting":
                holder = sqlite3.connect(path, isolation_level=None, timeout=10)
                holder.execute("BEGIN IMMEDIATE")
            asker.execute(sql, id)
            if kind != "waiting":
                asker.until("query:started", id=id)
            time.sleep(generator.uniform(0.02, longest))
            start = time.monotonic()
            asker.cancel(id)
            end = asker.until(*ENDS, "error")
            if end["type"] == "query:cancelled":
                delays.append((time.monotonic() - start) * 1_000)
            else:
                unlucky += 1
            if holder:
                holder.execute("ROLLBACK")
                holder.close()
            elif kind == "waiting":
                other.execute("ROLLBACK", f"rollback-{index}")
                other.until("query:complete")
        everything += delays
        print(f"cancel {kind}: {len(delays)} cancels, {unlucky} ended otherwise, ms: {summary(delays)}", flush=True)
    print(f"cancel, all {len(everything)}, ms: {summary(everything)}")
    asker.cancel("untouched")
    print("cancelling a query of another client:", asker.until("error")["data"]["code"])
    after = sqlite3.connect(path).execute("SELECT count(*), sum(x) FROM t WHERE id % 1000 = 0").fetchone()
    listener.send("heartbeat")
    heard = []
    while not heard or heard[-1] != "heartbeat":
        heard.append(json.loads(listener.frame())["type"])
    tables = [type for type in heard if type.startswith("table:")]
    other.cancel("untouched")
    end = other.until(*ENDS, id="untouched")
    print(f"rolled back whole: {before == after}; table events received: {tables}; the other client's query: {end['data']['reason']}")
    server.stop()


def measure_memory(serve, path):
    seconds = int(os.environ.get("TABLECAST_MEASURE_SECONDS", 60))
    sql = "SELECT * FROM t"
    for name, pace in (("fast", None), ("1 MB/s", 1_000_000)):
        for road in ("WebSocket", "NDJSON"):
            server = serve(path)
            # What any first query takes is no growth.
            warm = RawClient(server)
            warm.execute("SELECT * FROM t LIMIT 1000", "warm")
            warm.until(*ENDS)
            start = time.monotonic()
            with Watch(server) as watch:
                receive = 1 << 16 if pace else None
                if road == "WebSocket":
                    client = RawClient(server, receive_bytes=receive)
                    client.execute(sql, "all", rowFormat="arrays")
                else:
                    client = Lines(server, sql, receive_bytes=receive, rowFormat="arrays")
                taken, tail = client.drain(pace, seconds if pace else None)
            took = time.monotonic() - start
            print(f"memory, {road}, {name}: {watch}; {taken / 1e6:.0f} MB in {took:.1f} s", flush=True)
            client.close()
            warm.close()
            server.stop()
    server = serve(path)
    client = RawClient(server, receive_bytes=1 << 16)
    client.execute(sql, "paused")
    client.until("query:started")
    with Watch(server) as watch:
        start = time.monotonic()
        writer = sqlite3.connect(path, isolation_level=None)
        writer.execute("CREATE TABLE IF NOT EXISTS w(v)")
        ended = None
        while ended is None and time.monotonic() - start < 50:
            writer.execute("INSERT INTO w VALUES (zeroblob(1000))")
            busy, log, done = writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if log == done and time.monotonic() - start > 5:
                ended = time.monotonic() - start
            time.sleep(0.25)
    _, tail = client.drain()
    print(f"a reader that takes nothing: the log is free after {ended and round(ended, 1)} s; {watch}; {tail[-300:]}")
    writer.execute("DROP TABLE w")
    server.stop()


def measure_throughput(serve, path):
    sql = "SELECT * FROM m"
    server = serve(path)

    def through(road, **data):
        before, start = processor(server), time.monotonic()
        if road == "NDJSON":
            client = Lines(server, sql, **data)
        else:
            client = RawClient(server)
            client.execute(sql, "all", **data)
        taken, tail = client.drain()
        wall = time.monotonic() - start
        assert b"query:complete" in tail, tail
        client.close()
        return wall, processor(server) - before, taken

    def shell(*arguments):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(["sqlite3", *arguments], check=True, stdout=subprocess.DEVNULL)
        after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 0

    runs = {
        "sqlite3 -json": lambda: shell("-json", path, sql),
        "NDJSON": lambda: through("NDJSON"),
        "WebSocket": lambda: through("WebSocket"),
        "NDJSON, arrays": lambda: through("NDJSON", rowFormat="arrays"),
        "WebSocket, arrays": lambda: through("WebSocket", rowFormat="arrays"),
    }
    results = {name: [] for name in runs}
    for _ in range(5):
        for name, run in runs.items():
            results[name].append(run())
    reference = [min(column) for column in zip(*results["sqlite3 -json"])]
    for name, values in results.items():
        best = [min(column) for column in zip(*values)]
        print(
            f"throughput, {name}: wall {best[0]:.2f} s ({best[0] / reference[0]:.2f} x), processor {best[1]:.2f} s "
            f"({best[1] / reference[1]:.2f} x), {best[2] / 1e6:.0f} MB; all walls {[round(v[0], 2) for v in values]}",
            flush=True,
        )
    server.stop()


class PointReads(asyncio.Protocol):
    """One connection that asks for one row after the other, over a WebSocket or from Datasette's JSON API."""

    def __init__(self, host, port, road, times, until):
        self.host, self.port, self.road, self.times, self.until = host, port, road, times, until
        self.done = asyncio.get_running_loop().create_future()
        self.buffer, self.is_open, self.start = b"", road != "ws", 0

    def connection_made(self, transport):
        self.transport = transport
        if self.is_open:
            return self.ask()
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /ws HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def ask(self):
        self.buffer, self.start = b"", time.monotonic()
        if self.start > self.until:
            self.transport.close()
            return
        row = random.randrange(1, 1_000_000)
        if self.road == "ws":
            data = {"sql": "SELECT * FROM m WHERE id = ?", "params": [row]}
            message = json.dumps({"type": "query:execute", "data": data}).encode()
            head = bytes([0x81, 0x80 | len(message)]) if len(message) < 126 else b"\x81\xfe" + len(message).to_bytes(2, "big")
            self.transport.write(head + bytes(4) + message)
        else:
            path = f"/{self.road}/m/{row}.json?_shape=array"
            self.transport.write(f"GET {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n\r\n".encode())

    def is_complete(self):
        if self.road == "ws":
            return b'"query:complete"' in self.buffer
        head, _, body = self.buffer.partition(b"\r\n\r\n")
        size = re.search(rb"(?i)content-length: (\d+)", head)
        return len(body) >= int(size[1]) if size else body.endswith(b"0\r\n\r\n")

    def data_received(self, data):
        self.buffer += data
        if not self.is_open:
            if b"connection:ack" in self.buffer:
                self.is_open = True
                self.ask()
        elif self.is_complete():
            assert b'"name' in self.buffer, self.buffer
            self.times.append((time.monotonic() - self.start) * 1_000)
            self.ask()

    def connection_lost(self, error):
        self.done.set_result(None)


async def read_points(host, port, road, connections, seconds):
    """The body of one process of the load; prints its times."""
    times, until = [], time.monotonic() + seconds
    for _ in range(connections):
        _, client = await asyncio.get_running_loop().create_connection(
            lambda: PointReads(host, port, road, times, until), host, port
        )
        globals().setdefault("clients", []).append(client)
    for client in globals()["clients"]:
        await client.done
    json.dump([times, time.process_time()], sys.stdout)


def measure_point(serve, path):
    seconds = float(os.environ.get("TABLECAST_MEASURE_SECONDS", 5))
    server = serve(path)
    targets = {"Tablecast": (server, "ws")}
    datasette = os.environ.get("DATASETTE")
    if datasette:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [datasette, "serve", path, "--port", str(port), "--setting", "num_sql_threads", "4"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        peer = type("Peer", (), {"host": "127.0.0.1", "port": port, "process": process})
        targets["Datasette"] = (peer, pathlib.Path(path).stem)
    try:
        connection = sqlite3.connect(path)
        count, until = 0, time.monotonic() + 2
        while time.monotonic() < until:
            connection.execute("SELECT * FROM m WHERE id = ?", (random.randrange(1, 1_000_000),)).fetchall()
            count += 1
        print(f"point reads, a bare loop of Python's: {count / 2:.0f} a second")
        for clients in (1, 16, 64):
            for name, (target, road) in targets.items():
                processes = min(clients, 2)
                before = processor(target)
                loads = [
                    subprocess.Popen(
                        [sys.executable, __file__, "read-points", target.host, str(target.port), road]
                        + [str(clients // processes), str(seconds)],
                        stdout=subprocess.PIPE,
                    )
                    for _ in range(processes)
                ]
                results = [json.loads(load.communicate()[0]) for load in loads]
                times = [t for result in results for t in result[0]]
                used = (processor(target) - before) / len(times) * 1e6
                load = sum(result[1] for result in results) / seconds / processes
                print(
                    f"point reads, {name}, {clients} clients: {len(times) / seconds:.0f} a second, ms: {summary(times)}; "
                    f"{used:.0f} us of processor time each; the load's processes {load:.0%} busy",
                    flush=True,
                )
    finally:
        if datasette:
            process.kill()
    server.stop()


def measure_latency(serve, path):
    """How long other clients wait while every reader and the writer are busy."""
    server = serve(path)
    for others in ("idle", "busy"):
        busy = [RawClient(server) for _ in range(5)]
        if others == "busy":
            for index, client in enumerate(busy[:4]):
                client.execute(ENDLESS, f"read-{index}")
                client.until("query:started")
            busy[4].execute(f"CREATE TABLE IF NOT EXISTS w(v); INSERT INTO w {ENDLESS}", "write")
            busy[4].until("query:started")
        client, times = RawClient(server), {"heartbeat": [], "GET /health": []}
        client.until("connection:ack")
        until = time.monotonic() + 10
        with socket.create_connection((server.host, server.port)) as plain:
            while time.monotonic() < until:
                start = time.monotonic()
                client.send("heartbeat", "beat")
                client.until("heartbeat")
                times["heartbeat"].append((time.monotonic() - start) * 1_000)
                start = time.monotonic()
                plain.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                plain.recv(65536)
                times["GET /health"].append((time.monotonic() - start) * 1_000)
                time.sleep(0.005)
        for name, values in times.items():
            print(f"latency, all else {others}: {name} {len(values)} times, ms: {summary(values)}", flush=True)
        for client in busy:
            client.close()
    server.stop()


def main():
    if sys.argv[1] == "read-points":
        host, port, road, connections, seconds = sys.argv[2:]
        return asyncio.run(read_points(host, int(port), road, int(connections), float(seconds)))
    binary, path, *names = sys.argv[1:]
    if not os.path.exists(path):
        build(path)
    print(f"TABLECAST_SEED={SEED}")
    measures = {
        "cancel": measure_cancel,
        "memory": measure_memory,
        "throughput": measure_throughput,
        "point": measure_point,
        "latency": measure_latency,
    }

    started = []

    def serve(file, *options):
        started.append(Server(binary, file, *options))
        return started[-1]

    try:
        for name in names or measures:
            measures[name](serve, path)
    finally:
        for server in started:
            server.kill()


if __name__ == "__main__":
    main()
