#!/usr/bin/env python3
"""Every figure of the documentation's cost tables in one run, each as a ratio to what the same machine does without the service.

    performance.py BINARY WRITER [--other BINARY] [--only writer,own,queries,filters,schema] [--rounds 3]

BINARY is tablecast, WRITER the product ForeignWriter of the package, both of a release build. `--other` is another build, of which
each section is measured right after that of the first. A ratio is taken within its round; its median and range are printed, and the target. A machine that
does other work widens the range: trust a figure no further than its range. Peers by Debian's packages, each left out where it
is not installed: redis-server (with redis-benchmark), postgresql (with pgbench, of which the server refuses to run as root).
"""

import argparse
import asyncio
import contextlib
import glob
import json
import os
import pathlib
import re
import resource
import shutil
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time

import foreign_writer
import write_throughput

MEMORY = "/dev/shm"


class Service:
    """A served file. Alone on core 0 with `alone`."""

    def __init__(self, binary, path, *options, alone=True):
        command = [binary, "serve", str(path), "--port", "0", "--max-connections", "5000", *write_throughput.LIMITS, *options]
        start = time.monotonic()
        self.process = subprocess.Popen(
            ["taskset", "-c", "0", *command] if alone else command, stdout=subprocess.PIPE, text=True
        )
        self.port = next(int(found[1]) for found in (re.search(r":(\d+)/ws", line) for line in self.process.stdout) if found)
        self.startup = time.monotonic() - start
        self.pid = self.process.pid
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def processor(self):
        return write_throughput.processor_time(self.pid)

    def memory(self):
        """Bytes resident, without mapped files; what was freed and not returned to the system counts."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) << 10

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Socket:
    """A WebSocket that costs next to nothing, so that the service is what is measured."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.received = b""
        self.until(b"\r\n\r\n")

    def send(self, message):
        self.socket.sendall(write_throughput.frame(message))

    def until(self, text):
        """Receives up to this text; returns what came before it."""
        while (at := self.received.find(text)) < 0:
            data = self.socket.recv(1 << 20)
            if not data:
                raise EOFError(self.received[-200:])
            self.received += data
        before, self.received = self.received[:at], self.received[at + len(text) :]
        return before

    def query(self, sql):
        self.send({"type": "query:execute", "id": "q", "data": {"sql": sql, "timeout": 600_000}})
        if b"query:error" in (before := self.until(b'"type":"query:complete"')):
            raise RuntimeError(before[-300:])

    def subscribe(self, **data):
        self.send({"type": "subscribe", "id": "s", "channel": "tables", "data": data})
        self.until(b'"type":"subscribed"')


def report(name, values, target, form="{:.2f}"):
    values = sorted(values)
    low, middle, high = (form.format(value) for value in (values[0], statistics.median(values), values[-1]))
    print(f"  {name:58} {middle:>9} ({low} to {high})   target {target}", flush=True)


@contextlib.contextmanager
def database(directory, *statements):
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        path = f"{folder}/p.db"
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        for statement in statements:
            connection.execute(statement)
        connection.close()
        yield path


# MARK: Writers of other processes


def measure_writer(arguments, binary):
    print("another process that commits without pauses, in memory; ratios to the same writer alone")
    options = argparse.Namespace(binary=binary, writer=arguments.writer, count=60_000, busy=10_000)
    targets = {"NORMAL": {"watched": "0.8", "values client": "0.6"}, "OFF": {"watched": "0.5", "values client": "0.45"}}
    for synchronous, cases in targets.items():
        rounds = [
            {case: foreign_writer.measure(options, MEMORY, synchronous, case) for case in foreign_writer.CASES}
            for _ in range(arguments.rounds)
        ]
        for case, target in cases.items():
            report(f"{synchronous}, {case}", [each[case]["rate"] / each["alone"]["rate"] for each in rounds], f">= {target}")
            report(f"{synchronous}, {case}: longest gap, ms", [each[case]["gap"] for each in rounds], "<= 5 and a sync", "{:.1f}")
            report(f"{synchronous}, {case}: log, MB", [each[case]["log"] / (1 << 20) for each in rounds], "<= 64", "{:.0f}")
        report(f"{synchronous}, alone: longest gap, ms", [each["alone"]["gap"] for each in rounds], "-", "{:.1f}")
    for client in (False, True):
        costs = []
        for _ in range(arguments.rounds):
            with database(MEMORY) as path, Service(binary, path) as service:
                if client:
                    foreign_writer.Client(service.port)
                command = [arguments.writer, path, "mode=pace", "transactions=3000", "interval=1000", "synchronous=NORMAL"]
                before = service.processor()
                subprocess.run(command, capture_output=True, check=True)
                costs.append((service.processor() - before) / 3_000 * 1e6)
        report(f"1,000 commits a second, {'values client' if client else 'watched'}: us of CPU each", costs, "<= 50", "{:.0f}")


# MARK: Own writes


def measure_own(arguments, binary):
    print("INSERTs of clients, each a transaction; ratios to as many direct connections with synchronous=FULL")
    options = argparse.Namespace(depth=1, subscribed=False)
    for directory in (arguments.disk, MEMORY):
        for clients in (1, 16, 64):
            count = 4_000 if clients > 1 else 500
            direct, own = [], []
            for _ in range(arguments.rounds):
                direct.append(write_throughput.direct(directory, clients, count))
                own.append(write_throughput.service(options, binary, directory, clients, count))
            target = {1: ">= 0.5", 64: ">= 4"}.get(clients, "-") if directory != MEMORY else "-"
            report(f"{directory}, {clients} clients", [rate / floor for (rate, _), floor in zip(own, direct)], target)
            target = "<= 40" if directory == MEMORY and clients > 1 else "-"
            report(f"{directory}, {clients} clients: us of CPU each", [cost for _, cost in own], target, "{:.0f}")
    ratios = []
    rows = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 1400000) INSERT INTO t SELECT n, n, 'x' FROM c"
    update = "UPDATE t SET a = a + 1"
    for _ in range(arguments.rounds):
        with database(MEMORY, "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)", rows) as path:
            connection = sqlite3.connect(path, isolation_level=None)
            start = time.monotonic()
            connection.execute(update)
            floor = time.monotonic() - start
            connection.close()
            with Service(binary, path, alone=False) as service:
                client = Socket(service.port)
                start = time.monotonic()
                client.query(update)
                ratios.append((time.monotonic() - start) / floor)
    report("UPDATE of 1,400,000 rows: time", ratios, "<= 2")


# MARK: Queries


async def points(port, clients, seconds):
    """Point SELECTs a second of so many clients, one query under way each."""
    ends = time.monotonic() + seconds
    query = write_throughput.frame({"type": "query:execute", "id": "q", "data": {"sql": "SELECT * FROM t WHERE id = ?", "params": [77]}})

    async def one():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        count = 0
        while time.monotonic() < ends:
            writer.write(query)
            await reader.readuntil(b'"type":"query:complete"')
            count += 1
        writer.close()
        return count

    return sum(await asyncio.gather(*[one() for _ in range(clients)])) / seconds


@contextlib.contextmanager
def postgres():
    """A server with the table, alone on core 0; its port, or nil where it is not installed."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not found or not shutil.which("pgbench"):
        yield None
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        os.chmod(folder, 0o777)
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        data = f"{folder}/data"
        subprocess.run([*user, f"{found[-1]}/initdb", "-D", data, "-A", "trust"], capture_output=True, check=True)
        server = subprocess.Popen(
            ["taskset", "-c", "0", *user, f"{found[-1]}/postgres", "-D", data, "-k", folder, "-p", "5477", "-c", "max_connections=200"],
            stderr=subprocess.DEVNULL,
        )
        psql = ["psql", "-h", "127.0.0.1", "-p", "5477", "-U", "postgres", "-q", "postgres"]
        try:
            while subprocess.run([*psql, "-c", "SELECT 1"], capture_output=True).returncode != 0:
                time.sleep(0.05)
            rows = "CREATE TABLE t(id int PRIMARY KEY, a int, b text); INSERT INTO t SELECT n, n, 'x' FROM generate_series(1, 10000) n"
            subprocess.run([*psql, "-c", rows], check=True)
            script = pathlib.Path(folder, "point.sql")
            script.write_text("SELECT * FROM t WHERE id = 77;\n")
            yield script
        finally:
            server.terminate()
            server.wait()


def pgbench(script, clients, seconds):
    command = ["pgbench", "-h", "127.0.0.1", "-p", "5477", "-U", "postgres", "-n", "-M", "prepared", "-f", str(script)]
    done = subprocess.run([*command, "-c", str(clients), "-T", str(seconds), "postgres"], capture_output=True, text=True, check=True)
    return float(re.search(r"tps = ([\d.]+)", done.stdout)[1])


def redis(seconds):
    """GETs a second of 16 clients, or nil where it is not installed."""
    if not shutil.which("redis-server"):
        return None
    server = subprocess.Popen(["taskset", "-c", "0", "redis-server", "--port", "6477", "--save", ""], stdout=subprocess.DEVNULL)
    try:
        while subprocess.run(["redis-cli", "-p", "6477", "ping"], capture_output=True).returncode != 0:
            time.sleep(0.05)
        command = ["redis-benchmark", "-p", "6477", "-t", "get", "-c", "16", "-n", str(50_000 * seconds), "--csv"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return float(re.findall(r'"GET","([\d.]+)"', done.stdout)[0])
    finally:
        server.terminate()
        server.wait()


def measure_queries(arguments, binary):
    print("a row by its key; the rates are lower bounds: the service's client is in Python, those of the peers are in C")
    rows = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 10000) INSERT INTO t SELECT n, n, 'x' FROM c"
    with postgres() as script, database(MEMORY, "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)", rows) as path, Service(binary, path) as service:
        for clients in (16, 64):
            rates, costs, peer = [], [], []
            for _ in range(arguments.rounds):
                before = service.processor()
                rates.append(asyncio.run(points(service.port, clients, 3)))
                costs.append((service.processor() - before) / (rates[-1] * 3) * 1e6)
                if script:
                    peer.append(pgbench(script, clients, 3))
            report(f"{clients} clients: us of CPU each", costs, "<= 40", "{:.0f}")
            if script:
                report(f"{clients} clients: rate to PostgreSQL's", [a / b for a, b in zip(rates, peer)], ">= 1")
        if rate := redis(3):
            report("16 clients: rate to that of GET of Redis", [asyncio.run(points(service.port, 16, 3)) / rate], "-")


# MARK: Conditions of subscriptions


def measure_filters(arguments, binary):
    print("a commit of 100 rows for 1,000 clients with so many conditions, all of which select every row; milliseconds of CPU")
    costs = {1: [], 100: [], 1_000: []}
    commits = 10
    for _ in range(arguments.rounds):
        for distinct, found in costs.items():
            with database(MEMORY, "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)") as path, Service(binary, path) as service:
                clients = [Socket(service.port) for _ in range(1_000)]
                for number, client in enumerate(clients):
                    client.subscribe(tables=["t"], rows="values", where="a >= ?", params=[-(number % distinct)])
                writer = sqlite3.connect(path, isolation_level=None)
                before = service.processor()
                for _ in range(commits):
                    writer.execute("BEGIN")
                    writer.executemany("INSERT INTO t(a, b) VALUES (?, ?)", [(n, "x" * 40) for n in range(100)])
                    writer.execute("COMMIT")
                    for client in clients:
                        client.until(b'"type":"table:modified"')
                found.append((service.processor() - before) / commits * 1e3)
                for client in clients:
                    client.socket.close()
    for distinct, found in costs.items():
        report(f"{distinct} conditions, ms", found, "-", "{:.1f}")
    report("1,000 conditions to one", [many / one for many, one in zip(costs[1_000], costs[1])], "<= 2.5")


# MARK: Schemas and memory


def measure_schema(arguments, binary):
    print("schemas and memory")
    tables = [f"CREATE TABLE t{number}(id INTEGER PRIMARY KEY, a INTEGER NOT NULL, b TEXT)" for number in range(5_000)]
    starts, changes = [], []
    with database(MEMORY, "BEGIN", *tables, "COMMIT") as path:
        for _ in range(arguments.rounds):
            with Service(binary, path, alone=False) as service:
                starts.append(service.startup)
                client = Socket(service.port)
                client.subscribe(operations=["schema"])
                writer = sqlite3.connect(path, isolation_level=None)
                writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                for number in range(5):
                    writer.execute(f"CREATE TABLE u{number}(a)")
                    start = time.monotonic()
                    client.until(b'"type":"table:created"')
                    changes.append((time.monotonic() - start) * 1e3)
                    writer.execute(f"DROP TABLE u{number}")
                    client.until(b'"type":"table:dropped"')
    report("start with 5,000 tables, s", starts, "<= 0.2")
    report("CREATE TABLE beside 5,000 to the client, ms", changes, "-", "{:.1f}")
    idle, growth, threads, connections = [], [], [], 2_000
    for _ in range(arguments.rounds):
        with database(MEMORY, "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)") as path, Service(binary, path, alone=False) as service:
            time.sleep(1)  # its threads have opened their connections
            threads.append(service.threads())
            before = service.memory()
            clients = [Socket(service.port) for _ in range(connections)]
            idle.append((service.memory() - before) / connections / 1e3)
            for client in clients:
                client.socket.close()
    report("an idle connection, kB", idle, "<= 3", "{:.1f}")
    report("threads of an idle service", threads, "-", "{:.0f}")
    for _ in range(arguments.rounds):
        with database(MEMORY, "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)") as path, Service(binary, path, alone=False) as service:
            client = Socket(service.port)
            client.subscribe(rows="values")
            reader = threading.Thread(target=lambda: client.until(b"400000,"))
            reader.start()
            before = service.memory()
            writer = sqlite3.connect(path, isolation_level=None)
            writer.execute("BEGIN")
            writer.executemany("INSERT INTO t(a, b) VALUES (?, ?)", ((n, "x" * 40) for n in range(400_001)))
            writer.execute("COMMIT")
            largest = before
            while reader.is_alive():
                largest = max(largest, service.memory())
                reader.join(0.01)
            growth.append((largest - before) / 1e6)
    report("a transaction of 400,000 rows with values, MB", growth, "<= 100", "{:.0f}")


SECTIONS = {"writer": measure_writer, "own": measure_own, "queries": measure_queries, "filters": measure_filters, "schema": measure_schema}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("writer")
    parser.add_argument("--other")
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--disk", default="/tmp", help="a directory on the disk to measure")
    arguments = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "rounds": arguments.rounds, "sqlite": sqlite3.sqlite_version}
    print(json.dumps(machine))
    for name in arguments.only.split(","):
        for binary in [arguments.binary] + [arguments.other] * bool(arguments.other):
            if arguments.other:
                print(binary)
            SECTIONS[name](arguments, binary)


if __name__ == "__main__":
    main()
