#!/usr/bin/env python3
"""What live queries cost, as ratios within one run, on the real binary with another process as the writer.

    live_queries.py BINARY [--rows 1000000] [--commits 200]

- work:     CPU of the service for each one-row commit, by changed rows against running the same query as a whole (the same
            SQL within a subquery, which the service cannot take apart), less what a commit costs without live queries
- lag:      100 distinct filter queries, 500 commits a second by another process: how far behind the service is at the end
- fan-out:  CPU of the service for each delivery to 1,000 subscribers, of one live query against the feed of tables
- latency:  COMMIT of another process returned -> `query:changed` received
- feed:     COMMIT of another process returned -> `table:modified` received, with 100 live queries and without, in turns
- beside:   the three-way join while another process makes 50 commits a second: followed, asked again every 100 ms with Python's
            sqlite3, and run again after each commit, as libraries do that observe their own connection
Needs the package websockets.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

import websockets

PORT = 3397
URL = f"ws://127.0.0.1:{PORT}/ws"


class Service:
    def __init__(self, binary, path):
        self.process = subprocess.Popen(
            [binary, "serve", path, "--port", str(PORT), "--max-connections", "2000"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for line in self.process.stdout:
            if re.search(r"http://\S+:\d+", line):
                break

    def cpu(self):
        """Seconds of CPU so far."""
        # The clock of a process, to the nanosecond: see clock_getcpuclockid(3).
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def build(path, rows):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        f"""
        PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
        CREATE TABLE artist(id INTEGER PRIMARY KEY, name TEXT, country TEXT);
        CREATE TABLE track(id INTEGER PRIMARY KEY, artist_id INT, title TEXT, price INT, genre INT);
        CREATE TABLE sale(id INTEGER PRIMARY KEY, track_id INT, day INT, n INT, genre INT, artist_id INT);
        BEGIN;
        WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {rows // 50})
        INSERT INTO artist SELECT i, 'artist ' || i, substr('ISNODEFRGRPL', 1 + 2 * (i % 6), 2) FROM c;
        WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {rows // 5})
        INSERT INTO track SELECT i, 1 + i * 7919 % {rows // 50}, 'track ' || i, 99 + i % 3 * 50, 1 + i % 20 FROM c;
        WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {rows})
        INSERT INTO sale SELECT i, 1 + i * 7919 % {rows // 5}, 1 + i % 365, 1 + i % 5, 1 + i % 20, 1 + i % {rows // 50} FROM c;
        CREATE INDEX track_artist ON track(artist_id);
        CREATE INDEX sale_track ON sale(track_id);
        CREATE INDEX sale_genre ON sale(genre);
        CREATE INDEX sale_artist ON sale(artist_id);
        COMMIT; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE);
        """
    )
    return connection


async def connect():
    socket = await websockets.connect(URL, max_size=1 << 28, compression=None, ping_interval=None)
    await socket.recv()
    return socket


async def follow(socket, sql, wait=True):
    await socket.send(json.dumps({"type": "query:subscribe", "id": "s", "data": {"sql": sql}}))
    plan = None
    while True:
        message = json.loads(await socket.recv())
        if message["type"] == "error":
            raise SystemExit(f"{sql}: {message['data']}")
        if message["type"] == "query:subscribed":
            plan = message["data"]["plan"]
        if message["type"] == "query:snapshot" and message["data"]["last"]:
            return plan


async def reached(socket, sequence):
    while True:
        message = json.loads(await socket.recv())
        if message["type"] == "query:unsubscribed":
            raise SystemExit(f"the query ended: {message['data']}")
        if message["type"] == "query:reached" and int(message["position"].split(":")[1]) >= sequence:
            return


QUERIES = {
    "filter": "SELECT id, n FROM sale WHERE day = 100 AND n > 4",
    "three-way join": "SELECT a.name, t.title, s.n FROM artist a JOIN track t ON t.artist_id = a.id JOIN sale s ON s.track_id = t.id "
    "WHERE a.country = 'IS' AND s.day = 100",
    "one of many groups": "SELECT artist_id, count(*), sum(n) FROM sale GROUP BY artist_id",
    "one of 20 groups": "SELECT genre, count(*), sum(n) FROM sale GROUP BY genre",
}


async def work(binary, path, writer, rows, commits):
    async def cpu_of(sql, count):
        service = Service(binary, path)
        try:
            socket = await connect()
            plan = None
            if sql:
                plan = await follow(socket, sql)
            else:
                await socket.send(json.dumps({"type": "subscribe", "channel": "tables", "data": {"rows": "values"}}))
                await socket.recv()
            before = service.cpu()
            for number in range(count):
                writer.execute("UPDATE sale SET n = 6 - n, day = 465 - day WHERE id = ?", [1 + number * 37 % rows])
                if sql:
                    await reached(socket, number + 1)
                else:
                    await socket.recv()
            used = service.cpu() - before
            await socket.close()
            return used / count, plan
        finally:
            service.stop()

    base = statistics.median([(await cpu_of(None, commits))[0] for _ in range(3)])
    print(f"work      feed of tables alone: {base * 1e6:.0f} us of CPU a commit")
    for name, sql in QUERIES.items():
        measured = [await cpu_of(sql, commits) for _ in range(3)]
        assert all(plan == "incremental" for _, plan in measured), name
        by_rows = statistics.median(cpu for cpu, _ in measured)
        whole, plan = await cpu_of(f"SELECT * FROM ({sql})", 10)
        assert plan == "rerun", name
        # Less than a microsecond is within the noise of the feed's own cost.
        step = max(by_rows - base, 1e-6)
        print(
            f"work      {name}: {step * 1e6:.0f} us by changed rows, {(whole - base) * 1e3:.1f} ms as a whole, "
            f"{(whole - base) / step:.0f} times less"
        )


async def lag(binary, path, writer):
    service = Service(binary, path)
    try:
        socket = await connect()
        for number in range(100):
            await follow(socket, f"SELECT id, n FROM sale WHERE day = {number + 1} AND n > 4 AND id < 100000")
        seconds, rate = 10, 500
        last = 0.0
        before, begin = service.cpu(), time.monotonic()
        done = asyncio.create_task(reached(socket, seconds * rate))
        for number in range(seconds * rate):
            delay = begin + number / rate - time.monotonic()
            await asyncio.sleep(max(0, delay))
            writer.execute("UPDATE sale SET n = n + 1 WHERE id = ?", [1 + number * 37 % 100000])
            last = time.monotonic()
        await done
        behind = time.monotonic() - last
        used = service.cpu() - before
        print(
            f"lag       100 queries, {seconds * rate / (last - begin):.0f} commits/s: {behind * 1e3:.0f} ms behind at the end, "
            f"{used / (last - begin) * 100:.0f} % of a core"
        )
    finally:
        service.stop()


async def fan_out(binary, path, writer, clients=1000, commits=200):
    costs = {}
    for kind in ("tables", "query"):
        service = Service(binary, path)
        try:
            sockets = []
            for _ in range(clients):
                socket = await connect()
                if kind == "tables":
                    data = {"tables": ["sale"], "rows": "values"}
                    await socket.send(json.dumps({"type": "subscribe", "channel": "tables", "data": data}))
                    await socket.recv()
                else:
                    await follow(socket, "SELECT * FROM sale WHERE id <= 1000")
                sockets.append(socket)
            counts = [0] * clients

            async def read(index):
                while counts[index] < commits:
                    message = await sockets[index].recv()
                    if '"table:modified"' in message or '"query:changed"' in message:
                        counts[index] += 1

            readers = [asyncio.create_task(read(index)) for index in range(clients)]
            before = service.cpu()
            for number in range(commits):
                writer.execute("UPDATE sale SET n = n + 1 WHERE id = ?", [1 + number % 1000])
                while min(counts) < number + 1:
                    await asyncio.sleep(0.001)
            await asyncio.gather(*readers)
            costs[kind] = (service.cpu() - before) / clients / commits
        finally:
            service.stop()
    print(
        f"fan-out   1,000 subscribers: {costs['query'] * 1e6:.2f} us a delivery of a live query, {costs['tables'] * 1e6:.2f} us "
        f"of the feed of tables, ratio {costs['query'] / costs['tables']:.2f}"
    )


async def latency(binary, path, writer, commits=500):
    service = Service(binary, path)
    try:
        socket = await connect()
        await follow(socket, "SELECT id, n FROM sale WHERE id <= 1000 AND n > 0")
        times = []
        for number in range(commits):
            await asyncio.sleep(0.005)
            writer.execute("UPDATE sale SET n = n + 1 WHERE id = ?", [1 + number % 1000])
            begin = time.monotonic()
            while json.loads(await socket.recv())["type"] != "query:changed":
                pass
            times.append(time.monotonic() - begin)
        times.sort()
        print(f"latency   p50 {statistics.median(times) * 1e3:.2f} ms, p99 {times[int(len(times) * 0.99)] * 1e3:.2f} ms")
    finally:
        service.stop()


def follow_all(queries, ready):
    """In a process of its own: a client whose messages must not delay those of the client that is measured."""

    async def run():
        socket = await connect()
        for number in range(queries):
            await follow(socket, f"SELECT id, n FROM sale WHERE day = {number + 1} AND n > 4 AND id < 100000")
        ready.set()
        async for _ in socket:
            pass

    asyncio.run(run())


async def feed(binary, path, writer, commits=1000):
    async def times(queries):
        service = Service(binary, path)
        ready = multiprocessing.Event()
        follower = multiprocessing.Process(target=follow_all, args=(queries, ready))
        follower.start()
        try:
            await asyncio.to_thread(ready.wait)
            socket = await connect()
            data = {"tables": ["sale"], "rows": "values"}
            await socket.send(json.dumps({"type": "subscribe", "channel": "tables", "data": data}))
            await socket.recv()
            times = []
            for number in range(commits):
                await asyncio.sleep(0.002)
                writer.execute("UPDATE sale SET n = n + 1 WHERE id = ?", [1 + number * 37 % 100000])
                begin = time.monotonic()
                await socket.recv()
                times.append(time.monotonic() - begin)
            times.sort()
            return statistics.median(times), times[int(len(times) * 0.99)]
        finally:
            follower.kill()
            follower.join()
            service.stop()

    without, beside = [], []
    for _ in range(3):
        without.append(await times(0))
        beside.append(await times(100))
    for index, name in enumerate(("p50", "p99")):
        one, other = (statistics.median(run[index] for run in runs) for runs in (without, beside))
        print(f"feed      {name} {one * 1e3:.2f} ms without, {other * 1e3:.2f} ms beside 100 live queries, ratio {other / one:.2f}")


def ask_again(path, sql, waits, connection):
    """In a process of its own: runs the query every 100 ms, or for each message, and says when another result is there."""
    database = sqlite3.connect(path)
    last = database.execute(sql).fetchall()
    connection.send(None)
    due = time.monotonic()
    while True:
        if waits:
            if connection.recv() is None:
                break
        else:
            due += 0.1
            if connection.poll(max(0, due - time.monotonic())):
                break
        rows = database.execute(sql).fetchall()
        if rows != last:
            last = rows
            connection.send(("seen", time.monotonic()))
    connection.send(("cpu", time.process_time()))


async def beside(binary, path, writer, seconds=5, rate=50):
    sql = QUERIES["three-way join"]
    ids = [row[0] for row in writer.execute(f"SELECT s.id FROM ({sql.replace('a.name, t.title, s.n', 's.id')}) s")]
    commits = seconds * rate

    async def write(after):
        """Each commit changes a row of the result."""
        begin = time.monotonic()
        committed = []
        for number in range(commits):
            await asyncio.sleep(max(0, begin + number / rate - time.monotonic()))
            writer.execute("UPDATE sale SET n = n + 1 WHERE id = ?", [ids[number % len(ids)]])
            committed.append(time.monotonic())
            after()
        return committed

    service = Service(binary, path)
    try:
        socket = await connect()
        await follow(socket, sql)
        received = []

        async def read():
            async for message in socket:
                if '"query:changed"' in message:
                    received.append(time.monotonic())

        reading = asyncio.create_task(read())
        before = service.cpu()
        committed = await write(lambda: None)
        while len(received) < commits:
            await asyncio.sleep(0.01)
        ours = service.cpu() - before
        reading.cancel()
        delay = statistics.median(there - then for there, then in zip(received, committed))
        print(f"beside    followed: {ours / commits * 1e3:.2f} ms of CPU a commit, seen after {delay * 1e3:.2f} ms")
    finally:
        service.stop()
    for name, waits in (("asked every 100 ms", False), ("run again after each commit", True)):
        here, there = multiprocessing.Pipe()
        process = multiprocessing.Process(target=ask_again, args=(path, sql, waits, there))
        process.start()
        here.recv()
        committed = await write((lambda: here.send(1)) if waits else (lambda: None))
        await asyncio.sleep(1)
        here.send(None)
        seen = []
        while (message := here.recv())[0] == "seen":
            seen.append(message[1])
        value = message[1]
        process.join()
        delays = []
        for then in committed:
            later = [moment for moment in seen if moment >= then]
            if later:
                delays.append(later[0] - then)
        print(
            f"beside    {name}: {value / commits * 1e3:.2f} ms of CPU a commit ({value / ours:.0f} times ours), seen after "
            f"{statistics.median(delays) * 1e3:.1f} ms ({statistics.median(delays) / delay:.0f} times)"
        )


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--commits", type=int, default=200)
    parser.add_argument("--only", default="work,lag,fan-out,latency,feed,beside")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "live.db")
        writer = build(path, options.rows)
        if "work" in options.only:
            await work(options.binary, path, writer, options.rows, options.commits)
        if "lag" in options.only:
            await lag(options.binary, path, writer)
        if "fan-out" in options.only:
            await fan_out(options.binary, path, writer)
        if "latency" in options.only:
            await latency(options.binary, path, writer)
        if "feed" in options.only:
            await feed(options.binary, path, writer)
        if "beside" in options.only:
            await beside(options.binary, path, writer)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
