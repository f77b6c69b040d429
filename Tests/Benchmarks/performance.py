#!/usr/bin/env python3
"""Every figure of the documentation's cost tables in one run, each as a ratio to what the same machine does without the service.

    performance.py BINARY WRITER [--other BINARY] [--only writer,own,queries,filters,schema] [--rounds 3]

BINARY is tablecast, WRITER the product ForeignWriter of the package, both of a release build. `--other` is another build, of which
each section is measured right after that of the first. A ratio is taken within its round; its median and range are printed, and the target. A machine that
does other work widens the range: trust a figure no further than its range. Queries need a C compiler, `cc`, for query_load.c.
Peers by Debian's packages, each left out where it is not installed: redis-server (with redis-benchmark), postgresql (with pgbench,
of which the server refuses to run as root).
"""

import argparse
import collections
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


POINT = {"sql": "SELECT * FROM t WHERE id = ?", "params": [77]}


class Load:
    """The client in C, compiled once: connections with one request under way each, on core 1."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.program = f"{self.folder.name}/query_load"
        source = pathlib.Path(__file__).with_name("query_load.c")
        subprocess.run(["cc", "-O2", "-o", self.program, source], check=True)

    def run(self, service, clients, seconds, kind="query"):
        """What the program prints, and `server_us`, the CPU time of the service for each request."""
        transport, message, end = {
            "query": ("ws", {"type": "query:execute", "id": "q", "data": POINT}, '"type":"query:complete"'),
            "heartbeat": ("ws", {"type": "heartbeat", "id": "q"}, '"type":"heartbeat"'),
            "post": ("post", POINT, ""),
        }[kind]
        command = ["taskset", "-c", "1", self.program, str(service.port), str(clients), str(seconds), transport, json.dumps(message), end]
        before = service.processor()
        done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        done["server_us"] = (service.processor() - before) / done["count"] * 1e6
        return done


@contextlib.contextmanager
def postgres():
    """A server with the table, alone on core 0; its process and the query's script, or None where it is not installed."""
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
            yield server, script
        finally:
            server.terminate()
            server.wait()


def children_time(pid):
    """CPU time of a process and of all its children, those that have ended too."""
    while True:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        with contextlib.suppress(FileNotFoundError):  # a child has ended meanwhile: its time is its parent's now
            used = sum(write_throughput.processor_time(child) for child in children)
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            return used + sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def pgbench(peer, clients, seconds, protocol):
    """Queries a second, and the CPU time of the server for each; the client runs on core 1, as that of the service does."""
    server, script = peer
    command = ["taskset", "-c", "1", "pgbench", "-h", "127.0.0.1", "-p", "5477", "-U", "postgres", "-n", "-M", protocol, "-f", str(script)]
    before = children_time(server.pid)
    done = subprocess.run([*command, "-c", str(clients), "-T", str(seconds), "postgres"], capture_output=True, text=True, check=True)
    rate = float(re.search(r"tps = ([\d.]+)", done.stdout)[1])
    return rate, (children_time(server.pid) - before) / (rate * seconds) * 1e6


@contextlib.contextmanager
def redis():
    """A server with the key, alone on core 0, or None where it is not installed."""
    if not shutil.which("redis-server"):
        yield None
        return
    server = subprocess.Popen(["taskset", "-c", "0", "redis-server", "--port", "6477", "--save", ""], stdout=subprocess.DEVNULL)
    try:
        while subprocess.run(["redis-cli", "-p", "6477", "ping"], capture_output=True).returncode != 0:
            time.sleep(0.05)
        yield server
    finally:
        server.terminate()
        server.wait()


def redis_benchmark(server, clients, count):
    """GETs a second, and the CPU time of the server for each."""
    command = ["taskset", "-c", "1", "redis-benchmark", "-p", "6477", "-t", "get", "-c", str(clients), "-n", str(count), "--csv"]
    before = write_throughput.processor_time(server.pid)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    cost = (write_throughput.processor_time(server.pid) - before) / count * 1e6
    return float(re.findall(r'"GET","([\d.]+)"', done.stdout)[0]), cost


def measure_queries(arguments, binary):
    print("a row by its key, one query under way for each client; all clients are compiled and run on core 1, the servers on core 0")
    load, seconds = Load(), 2
    rows = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 10000) INSERT INTO t SELECT n, n, 'x' FROM c"
    with (
        postgres() as peer,
        redis() as cache,
        database(MEMORY, "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)", rows) as path,
        Service(binary, path) as service,
    ):
        for clients in (1, 16, 64):
            found = collections.defaultdict(list)
            for _ in range(arguments.rounds):
                point = load.run(service, clients, seconds)
                found["rate"].append(point["rate"])
                found["us of CPU each"].append(point["server_us"])
                found["us of CPU of the client"].append(point["client_us"])
                for protocol in ("prepared", "simple") if peer else ():
                    rate, cost = pgbench(peer, clients, seconds, protocol)
                    found[f"rate to PostgreSQL's, {protocol}"].append(point["rate"] / rate)
                    found[f"PostgreSQL, {protocol}: us of CPU each"].append(cost)
                if cache:
                    rate, cost = redis_benchmark(cache, clients, 50_000)
                    found["rate to that of GET of Redis"].append(point["rate"] / rate)
                    found["Redis: us of CPU each"].append(cost)
                if clients == 1:
                    heartbeat, post = (load.run(service, 1, seconds, kind) for kind in ("heartbeat", "post"))
                    found["time of a query to that of a heartbeat"].append(point["median_us"] / heartbeat["median_us"])
                    found["time of POST /query to WebSocket"].append(post["median_us"] / point["median_us"])
                    found["POST /query: us of CPU each"].append(post["server_us"])
            targets = {"time of a query to that of a heartbeat": "<= 2", "time of POST /query to WebSocket": "<= 1.5"}
            if clients > 1:
                targets = {"us of CPU each": "<= 40", "rate to PostgreSQL's, prepared": ">= 1"}
            for name, values in found.items():
                form = "{:,.0f}" if name == "rate" else "{:.1f}" if "us of CPU" in name else "{:.2f}"
                report(f"{clients} clients: {name}", values, targets.get(name, "-"), form)


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
