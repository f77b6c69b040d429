"""Replicas that only messages change, held against the queries themselves as of every position that is announced.

The real service, real WebSockets, writers in processes of their own and through the service, changes of the schema and VACUUM
among them, connections that are cut and resume. Bounded here. For longer, with the counts of what was checked:

    LIVE_CHECKS=200000 LIVE_SEED=7 python -m pytest Tests/EndToEnd/test_live_oracle.py -s

A failure prints the seed, the query and what differs; the oracle of the engine (Tests/LiveOracle) finds short examples.
"""

import asyncio
import bisect
import collections
import json
import os
import pathlib
import random
import re
import signal
import sys
import urllib.request

import pytest
import websockets

import live_world
from contract import check
from processes import LIMIT

CHECKS = int(os.environ.get("LIVE_CHECKS", "6000"))
SEED = int(os.environ.get("LIVE_SEED", str(random.SystemRandom().randrange(1 << 30))))
WRITER = pathlib.Path(live_world.__file__)


class Failure(AssertionError):
    pass


class Truth:
    """The result of every query as of every commit, and the commit of every position."""

    def __init__(self, pool):
        self.pool = pool
        self.results = {}
        self.begin_epoch(("", 0))
        self.failed = set()

    def note(self, commit, results):
        self.results[commit] = results
        self.failed |= {number for number, rows in enumerate(results) if rows is None}

    def begin_epoch(self, commit):
        self.sequences, self.commits = [-1], [commit]

    def place(self, sequence, commit):
        self.sequences.append(sequence)
        self.commits.append(commit)

    def at(self, sequence):
        """Of the last commit up to a position. A position without one of its own is that of a VACUUM."""
        return self.results[self.commits[bisect.bisect_right(self.sequences, sequence) - 1]]


class Writer:
    """Another process."""

    def __init__(self, path, seed, name, truth):
        self.arguments = [sys.executable, str(WRITER), str(path), str(seed), name]
        self.truth = truth

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            *self.arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 28
        )
        self.process.stdin.write((json.dumps(self.truth.pool) + "\n").encode())

    async def commit(self, count):
        self.process.stdin.write(f"{count}\n".encode())
        while text := await asyncio.wait_for(self.process.stdout.readline(), LIMIT):
            if not text.endswith(b"\n"):
                return
            line = json.loads(text)
            if "done" in line:
                return
            self.truth.note((line["writer"], line["commit"]), line["results"])

    async def stop(self):
        self.process.stdin.close()
        await asyncio.wait_for(self.process.wait(), LIMIT)

    async def kill(self):
        """In the middle of a transaction, or after it."""
        self.process.kill()
        await asyncio.wait_for(self.process.wait(), LIMIT)


class Replica:
    """What a client knows of its query, as texts of rows. A change that does not fit fails."""

    def __init__(self, query):
        self.query = query
        self.rows = [] if query["ordered"] else collections.Counter()
        self.position = None
        self.parts = []
        self.known = None

    def canonical(self):
        if self.known is None:
            rows = self.rows if self.query["ordered"] else list(self.rows.elements())
            self.known = live_world.canonical(rows, self.query)
        return self.known

    def snapshot(self, data, position):
        if data.get("reset"):
            self.parts = []
        self.parts += data["rows"]
        if data["last"]:
            rows, self.parts = [live_world.text(row) for row in self.parts], []
            self.rows = rows if self.query["ordered"] else collections.Counter(rows)
            self.position, self.known = position, None

    def changed(self, data, position):
        self.parts += data["rows"]
        if not data["last"]:
            return
        changes, self.parts = self.parts, []
        if self.query["ordered"]:
            for change in sorted((c for c in changes if "before" in c), key=lambda c: -c["oldIndex"]):
                self.require(self.rows.pop(change["oldIndex"]) == live_world.text(change["before"]), change)
            for change in sorted((c for c in changes if "after" in c), key=lambda c: c["index"]):
                self.require(change["index"] <= len(self.rows), change)
                self.rows.insert(change["index"], live_world.text(change["after"]))
        else:
            for change in changes:
                if "before" in change:
                    row = live_world.text(change["before"])
                    self.require(self.rows[row] > 0, change)
                    self.rows[row] -= 1
            for change in changes:
                if "after" in change:
                    self.rows[live_world.text(change["after"])] += 1
            self.rows = +self.rows
        for change in changes:
            # For Python, 0 and -0.0 are equal.
            self.require(live_world.text(change.get("before")) != live_world.text(change.get("after")), change)
            op = "update" if "before" in change and "after" in change else "insert" if "after" in change else "delete"
            self.require(change["op"] == op, change)
        self.position, self.known = position, None

    def require(self, fits, change):
        if not fits:
            raise Failure(f"{self.query}\na change does not fit: {change}")


class Follower:
    """A connection that follows queries."""

    def __init__(self, oracle, numbers):
        self.oracle = oracle
        self.wanted = set(numbers)
        # By the query's number in the pool; those of a connection that was cut stay here until it resumes.
        self.replicas = {}
        self.names = {}
        self.asked = {}
        self.reached = -1
        self.task = None

    async def connect(self):
        self.socket = await websockets.connect(self.oracle.server.ws, max_size=1 << 28, ping_interval=None, open_timeout=LIMIT)
        self.names, self.asked = {}, {}
        self.task = asyncio.create_task(self.read())
        for number in sorted(self.wanted):
            await self.subscribe(number)

    async def subscribe(self, number):
        query = self.oracle.pool[number]
        data = {"sql": query["sql"]}
        if query["params"]:
            data["params"] = query["params"]
        replica = self.replicas.get(number)
        if replica and replica.position and self.oracle.random.random() < 0.9:
            data["since"] = replica.position
        id = f"{number}.{self.oracle.random.random()}"
        self.asked[id] = number
        await self.socket.send(json.dumps({"type": "query:subscribe", "id": id, "data": data}))

    async def cut(self):
        """Without a word, as a network does it."""
        self.task.cancel()
        self.socket.transport.abort()
        await asyncio.gather(self.task, return_exceptions=True)
        self.reached = -1

    async def swap(self, number):
        """Follows another query in place of one."""
        gone = self.oracle.random.choice(sorted(self.wanted))
        self.wanted = self.wanted - {gone} | {number}
        for name, known in list(self.names.items()):
            if known == gone:
                del self.names[name]
                await self.socket.send(json.dumps({"type": "query:unsubscribe", "data": {"subscription": name}}))
        self.replicas.pop(gone, None)
        await self.subscribe(number)

    async def read(self):
        try:
            async for text in self.socket:
                self.receive(json.loads(text))
                self.oracle.wake.set()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.oracle.fail(error)

    def receive(self, message):
        oracle, data, type = self.oracle, message["data"], message["type"]
        if oracle.random.random() < 0.01:
            check(message)
        if type == "query:subscribed":
            self.subscribed(message)
        elif type in ("query:snapshot", "query:changed"):
            number = self.names.get(data["subscription"])
            if number is None:
                return
            replica = self.replicas[number]
            sequence = int(message["position"].split(":")[1])
            if type == "query:changed":
                replica.changed(data, message["position"])
                oracle.counts["coalesced"] += data.get("transactions", 1) > 1 and data["last"]
            else:
                replica.snapshot(data, message["position"])
                oracle.counts["reset"] += data.get("reset", False)
            if data["last"]:
                oracle.note(sequence, number, replica, type)
        elif type == "query:reached":
            sequence = int(message["position"].split(":")[1])
            for number, replica in self.replicas.items():
                if number in self.names.values() and replica.position and not replica.parts:
                    if int(replica.position.split(":")[1]) > sequence:
                        raise Failure(f"reached {sequence} after {replica.position} of {replica.query}")
                    replica.position = message["position"]
                    oracle.note(sequence, number, replica, type)
            if set(self.names.values()) == self.wanted:
                self.reached = sequence
        elif type == "query:unsubscribed" and "reason" in data:
            number = self.names.pop(data["subscription"], None)
            if number is not None:
                self.replicas.pop(number, None)
                oracle.ended.append((self, number, data))
        elif type == "error":
            number = self.asked.get(message.get("replyTo"))
            if number is not None:
                oracle.ended.append((self, number, data))
            elif data["code"] != "SUBSCRIPTION_NOT_FOUND":
                raise Failure(message)

    def subscribed(self, message):
        oracle, data = self.oracle, message["data"]
        number = self.asked.pop(message["replyTo"])
        query = oracle.pool[number]
        if number not in self.wanted:
            return
        self.names[data["subscription"]] = number
        if query["incremental"] and data["plan"] != "incremental":
            # On a machine that is busy with other things, a step can take longer than it may.
            if "longer" not in data["reason"]:
                raise Failure(f"{query} is not incremental: {data['reason']}")
            oracle.counts["too slow"] += 1
        oracle.counts[data["plan"]] += 1
        oracle.plans[data["subscription"]] = query["incremental"] and data["plan"] == "incremental"
        if data.get("recovered"):
            oracle.counts["recovered"] += 1
            self.replicas[number].parts = []
        else:
            oracle.counts["not recovered"] += "recovered" in data
            self.replicas[number] = Replica(query)


class Oracle:
    def __init__(self, serve, path, seed, connection):
        self.serve = serve
        self.server = serve(path)
        self.path = path
        self.seed = seed
        self.connection = connection
        self.random = random.Random(seed)
        self.pool = live_world.queries(live_world.World(seed), 100)
        self.truth = Truth(self.pool)
        self.truth.note(("", 0), [live_world.result(connection, query) for query in self.pool])
        self.checks = []
        self.counts = collections.Counter()
        self.kinds = collections.Counter()
        self.engine = collections.Counter()
        self.plans = {}
        self.ended = []
        self.failure = None
        self.wake = asyncio.Event()
        # Transactions through the service.
        self.world = live_world.World(seed)
        self.world.random.seed(f"{seed} service")

    def fail(self, error):
        self.failure = self.failure or error
        self.wake.set()

    def note(self, sequence, number, replica, event):
        self.checks.append((sequence, number, replica.canonical(), event))

    async def until(self, condition, what):
        while True:
            if self.failure:
                raise self.failure
            if condition():
                return
            self.wake.clear()
            try:
                await asyncio.wait_for(self.wake.wait(), LIMIT)
            except asyncio.TimeoutError:
                raise Failure(f"nothing comes any more: {what}")

    # The feed of tables, which says which position a commit has.

    async def feed(self):
        async with websockets.connect(self.server.ws, max_size=1 << 28, ping_interval=None) as socket:
            data = {"tables": ["ledger"], "rows": "values", "operations": ["insert"]}
            await socket.send(json.dumps({"type": "subscribe", "channel": "tables", "data": data}))
            try:
                async for text in socket:
                    message = json.loads(text)
                    if message["type"] == "subscribed":
                        self.is_fed = True
                    if message["type"] == "table:modified":
                        (row,) = message["data"]["rows"]
                        commit = (row["after"]["writer"], row["after"]["n"])
                        self.counts["commits"] += 1
                        self.truth.place(int(message["position"].split(":")[1]), commit)
                    self.wake.set()
            except Exception as error:
                self.fail(error)

    is_fed = False

    async def begin(self):
        self.feeding = asyncio.create_task(self.feed())
        await self.until(lambda: self.is_fed, "the feed")

    async def run(self, target):
        await self.begin()
        self.writers = [Writer(self.path, self.seed, f"w{number}", self.truth) for number in range(2)]
        for writer in self.writers:
            await writer.start()
        everything = range(len(self.pool))
        self.followers = [
            Follower(self, self.random.sample(everything, 60)),
            Follower(self, self.random.sample(everything, 40)),
            Follower(self, self.random.sample(everything, 5)),
        ]
        for follower in self.followers:
            await follower.connect()
        await self.quiesce()
        while self.counts["checks"] < target:
            await self.random.choice([self.paced, self.paced, self.free])()
            if self.random.random() < 0.1:
                await self.restart()
        for writer in self.writers:
            await writer.stop()
        await self.end()

    async def end(self):
        for follower in self.followers:
            await follower.cut()
        self.feeding.cancel()
        await asyncio.gather(self.feeding, return_exceptions=True)
        for name, value in metrics(self.server).items():
            self.engine[name] += value

    async def restart(self):
        """The service ends and comes back: positions begin again, and what clients had counts no more."""
        await self.end()
        self.server.stop(self.random.choice([signal.SIGTERM, signal.SIGKILL]))
        self.truth.begin_epoch(self.truth.commits[-1])
        self.server, self.is_fed = self.serve(self.path), False
        await self.begin()
        for follower in self.followers:
            await follower.connect()
        self.counts["restarted"] += 1
        await self.quiesce()

    async def paced(self):
        """Commits one by one, each checked by itself."""
        for _ in range(20):
            if self.random.random() < 0.3:
                await self.through_service()
            else:
                await self.random.choice(self.writers).commit(1)
            await self.quiesce()
            if self.random.random() < 0.1:
                await self.resume(self.random.choice(self.followers))

    async def free(self):
        """Both processes write as fast as they can, while clients come and go."""
        commits = [asyncio.create_task(writer.commit(self.random.randint(5, 40))) for writer in self.writers]
        for task in commits:
            task.add_done_callback(lambda _: self.wake.set())
        while not all(task.done() for task in commits):
            follower = self.random.choice(self.followers)
            if self.random.random() < 0.5:
                await self.resume(follower)
            else:
                others = sorted(set(range(len(self.pool))) - follower.wanted)
                await follower.swap(self.random.choice(others))
                self.counts["swapped"] += 1
            count = len(self.truth.commits)
            await self.until(
                lambda: len(self.truth.commits) >= count + 5 or all(task.done() for task in commits), "commits"
            )
            if self.random.random() < 0.05:
                number = self.random.randrange(len(self.writers))
                await self.writers[number].kill()
                self.counts["killed"] += 1
                self.writers[number] = Writer(self.path, self.seed, f"w{number}.{self.counts['killed']}", self.truth)
                await self.writers[number].start()
        for task in commits:
            await task
        await self.quiesce()

    async def resume(self, follower):
        await follower.cut()
        await follower.connect()
        self.counts["resumed"] += 1

    async def through_service(self):
        number = (self.connection.execute("SELECT max(n) FROM ledger").fetchone()[0] or 0) + 1
        script = ";".join([f"INSERT INTO ledger VALUES ({number}, 'service')", *self.world.transaction()])
        request = urllib.request.Request(
            f"{self.server.http}/query", json.dumps({"sql": script}).encode(), {"Content-Type": "application/json"}
        )
        answer = await asyncio.to_thread(self.ask, request)
        if answer:
            results = [live_world.result(self.connection, query) for query in self.pool]
            self.truth.note(("service", number), results)
            self.counts["through the service"] += 1

    @staticmethod
    def ask(request):
        try:
            return urllib.request.urlopen(request, timeout=LIMIT).read()
        except urllib.error.HTTPError as refused:
            # A constraint: nothing was committed.
            refused.read()
            return None

    async def quiesce(self):
        """Waits until every connection is exact as of the newest commit, and compares."""
        last = self.connection.execute("SELECT max(n), writer FROM ledger").fetchone()
        commit = (last[1], last[0]) if last[0] else ("", 0)
        await self.until(lambda: self.truth.commits[-1] == commit, f"commit {commit}")
        goal = self.truth.sequences[-1]
        while True:
            await self.until(lambda: self.ended or all(f.reached >= goal for f in self.followers), f"position {goal}")
            if not self.ended:
                break
            await self.begin_again()
        self.compare()

    async def begin_again(self):
        """Queries that ended because their SQL failed as of a commit are followed again, until it does not."""
        ended, self.ended = self.ended, []
        for follower, number, data in ended:
            if data["code"] == "TOO_BIG" and "longer" in data.get("reason", data.get("message", "")):
                self.counts["too slow"] += 1
            elif data["code"] != "SQL_ERROR" or number not in self.truth.failed:
                raise Failure(f"seed {self.seed}: {self.pool[number]} ended although it never failed: {data}")
            self.counts["ended"] += 1
            follower.wanted.discard(number)

    def compare(self):
        checks, self.checks = self.checks, []
        for sequence, number, found, event in checks:
            expected = self.truth.at(sequence)[number]
            if expected is None:
                continue
            query = self.pool[number]
            if found != expected:
                missing = list((collections.Counter(expected) - collections.Counter(found)).elements())
                extra = list((collections.Counter(found) - collections.Counter(expected)).elements())
                raise Failure(
                    f"seed {self.seed}, {event} {sequence}: {query}\n  {len(found)} rows for {len(expected)}; "
                    f"missing {missing[:3]}, too many {extra[:3]}"
                )
            self.counts["checks"] += 1
            self.kinds[query["kind"]] += 1


def metrics(server):
    text = urllib.request.urlopen(f"{server.http}/metrics", timeout=LIMIT).read().decode()
    return {name: float(value) for name, value in re.findall(r"^tablecast_(live_\w+) (\S+)$", text, re.MULTILINE)}


@pytest.mark.timeout(0 if CHECKS > 20_000 else 300)
def test_replicas_equal_their_queries_as_of_every_position(serve, tmp_path):
    """In several worlds, each from a seed of its own."""
    counts, kinds, engine = collections.Counter(), collections.Counter(), collections.Counter()
    seed = SEED
    while counts["checks"] < CHECKS:
        path = tmp_path / f"world{seed}.db"
        connection = live_world.create(path, seed)
        oracle = Oracle(serve, path, seed, connection)
        try:
            asyncio.run(oracle.run(min(CHECKS - counts["checks"], max(3_000, CHECKS // 20))))
        finally:
            connection.close()
        counts += oracle.counts
        kinds += oracle.kinds
        engine += oracle.engine
        oracle.server.stop()
        seed += 1
    print(f"\nseeds {SEED}..<{seed}: {counts['checks']} checks, 0 wrong: {dict(sorted(kinds.items()))}\n{dict(counts)}\n{dict(engine)}")
    assert set(kinds) == set(live_world.KINDS)
    assert counts["incremental"] > counts["rerun"] and counts["recovered"] > 0
    # A query that is run as a whole where it should not be would hide a wrong step. Each new definition of a table begins the queries
    # on it again.
    assert engine["live_steps_total"] > engine["live_runs_total"] and engine["live_steps_total"] > 5 * engine["live_resets_total"]
