"""Faults at random: crashes, failing system calls, full disks, no descriptors left, damaged files.

Bounded here. For longer, with counts of what was done and what was found:

    CAMPAIGN_SECONDS=600 CAMPAIGN_SEED=7 python -m pytest Tests/EndToEnd/test_campaign.py -s

Each kind of fault asks the same of the service: no acknowledged write is lost, the file stays sound, it goes on or ends with an
exit code of its own (never by a signal that was not sent), and a client without a new epoch has received every change.
"""

import collections
import os
import pathlib
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

import pytest
from websockets.sync import client as websocket_client

import hostile
from processes import LIMIT, Server
from sockets import Client

SECONDS = float(os.environ.get("CAMPAIGN_SECONDS", "15"))
SEED = int(os.environ.get("CAMPAIGN_SEED", str(random.SystemRandom().randrange(1 << 30))))
# Of a file or an option that cannot be served: see `tablecast serve --help`.
OWN_EXITS = {0, 65, 66, 73, 75, 77}


class Campaign:
    def __init__(self, kind):
        self.random = random.Random(f"{SEED} {kind}")
        self.deadline = time.monotonic() + SECONDS
        self.counts = collections.Counter()
        self.kind = kind

    def rounds(self):
        """Until the time is over, at least one."""
        number = 0
        while number == 0 or time.monotonic() < self.deadline:
            number += 1
            self.counts["rounds"] += 1
            yield number

    def report(self):
        print(f"\n{self.kind}, seed {SEED}: " + ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items())))


@pytest.fixture
def campaign(request):
    campaign = Campaign(request.node.name)
    yield campaign
    campaign.report()


def create(path, mode="WAL"):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(f"PRAGMA journal_mode={mode}; CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    connection.close()


class Writer(threading.Thread):
    """Inserts one row after the other until it cannot; knows which of them were acknowledged."""

    def __init__(self, url, first):
        super().__init__(daemon=True)
        self.url, self.next = url, first
        self.acknowledged = []
        self.refused = collections.Counter()
        self.is_stopped = threading.Event()

    def run(self):
        try:
            with Client(self.url) as client:
                while not self.is_stopped.is_set():
                    number, self.next = self.next, self.next + 1
                    _, end = client.query(f"INSERT INTO t VALUES ({number}, 'x')", f"q{number}")
                    if end["type"] == "query:complete":
                        self.acknowledged.append(number)
                    else:
                        self.refused[end["data"].get("code", end["type"])] += 1
        except Exception:
            pass  # the server is gone, which is what some faults are

    def until(self, count):
        """Until so many more rows were acknowledged; false when it ended before."""
        goal = len(self.acknowledged) + count
        deadline = time.monotonic() + LIMIT
        while len(self.acknowledged) < goal and self.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        return len(self.acknowledged) >= goal

    def stop(self):
        self.is_stopped.set()
        self.join(LIMIT)


class Copy(threading.Thread):
    """The ids that a subscriber has received; cleared by a new epoch."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url = url
        self.ids = set()
        self.epochs = collections.Counter()
        self.is_ready = threading.Event()
        self.is_stale = False

    def run(self):
        try:
            self.client = Client(self.url, max_queue=None)
            self.client.subscribe("notifications")
            self.client.send("subscribe", channel="tables", id="s", tables=["t"], rows="values", snapshot=True)
            while True:
                self.take(self.client.receive(3_600))
        except Exception:
            self.is_ready.set()

    def take(self, message):
        match message["type"]:
            case "database:epoch":
                self.epochs[message["data"]["reason"]] += 1
            case "subscribed" if message["data"].get("recovered") is False:
                self.is_stale = True
            case "table:snapshot":
                self.ids |= {row["id"] for row in message["data"]["rows"]}
                if message["data"]["last"]:
                    self.is_ready.set()
            case "table:modified" if message["data"]["change"] == "rows":
                if message["data"].get("rowsOmitted"):
                    self.is_stale = True
                for row in message["data"].get("rows", []):
                    (self.ids.add if "after" in row else self.ids.discard)((row.get("after") or row["before"])["id"])

    def await_ids(self, expected):
        """Whether the copy receives these, unless a new epoch began."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not self.is_stale:
            if expected <= self.ids:
                return True
            time.sleep(0.01)
        return self.is_stale


def ids(path):
    with sqlite3.connect(path, timeout=LIMIT) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {row[0] for row in connection.execute("SELECT id FROM t")}


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_killed_at_any_moment(campaign, binary, tmp_path, mode):
    path = tmp_path / "killed.db"
    create(path, mode)
    acknowledged = set()
    for _ in campaign.rounds():
        server = Server(binary, path)
        writer = Writer(server.ws, max(acknowledged, default=0) + 1_000)
        writer.start()
        writer.until(campaign.random.randrange(1, 40))
        server.process.kill()
        server.wait()
        writer.join(LIMIT)
        acknowledged |= set(writer.acknowledged)
        assert acknowledged <= ids(path)
    campaign.counts["acknowledged"] = len(acknowledged)


FAILING = ["pread64:error=EIO", "pwrite64:error=EIO", "pwrite64:error=ENOSPC", "fdatasync:error=EIO", "ftruncate:error=ENOSPC",
           "openat:error=EMFILE", "openat:error=EIO", "unlink:error=EIO", "newfstatat:error=EIO", "fcntl:error=ENOLCK"]  # fmt: skip


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_system_calls_that_fail(campaign, binary, tmp_path, mode):
    path = tmp_path / "failing.db"
    create(path, mode)
    acknowledged = set()
    for _ in campaign.rounds():
        server = Server(binary, path)
        copy = Copy(server.ws)
        copy.start()
        assert copy.is_ready.wait(LIMIT)
        writer = Writer(server.ws, max(acknowledged, default=0) + 1_000)
        writer.start()
        writer.until(3)
        fault = campaign.random.choice(FAILING)
        call = fault.split(":")[0]
        when = f"when={campaign.random.randrange(1, 30)}+{campaign.random.randrange(1, 50)}"
        # Calls on files alone: what else may fail is the network's.
        tracer = subprocess.Popen(
            ["strace", "-f", "-q", "-o", "/dev/null", "-p", str(server.process.pid), "-e", f"trace={call}", "-e", f"inject={fault}:{when}"],
            stderr=subprocess.DEVNULL,
        )
        time.sleep(campaign.random.uniform(0.3, 1))  # how long the fault lasts is its nature
        tracer.terminate()
        tracer.wait()
        campaign.counts[fault] += 1
        assert server.process.poll() is None, (fault, when, server.errors)
        # Once calls succeed, so do writes.
        deadline = time.monotonic() + LIMIT
        with Client(server.ws) as client:
            number = writer.next + 500
            while (answer := client.query(f"INSERT INTO t VALUES ({number}, 'after')", f"after{number}")[1])["type"] != "query:complete":
                number += 1
                assert time.monotonic() < deadline, (fault, when, answer)
                time.sleep(0.05)
        writer.stop()
        acknowledged |= set(writer.acknowledged) | {number}
        assert acknowledged <= ids(path), (fault, when)
        assert copy.await_ids(ids(path)), (fault, when, len(ids(path)), len(copy.ids), copy.epochs)
        campaign.counts.update({f"epoch {reason}": count for reason, count in copy.epochs.items()})
        campaign.counts.update({f"refused {code}": count for code, count in writer.refused.items()})
        assert server.stop() == 0
    campaign.counts["acknowledged"] = len(acknowledged)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_disk_that_is_full(campaign, binary, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    path = disk / "full.db"
    acknowledged = set()
    try:
        create(path)
        server = Server(binary, path)
        copy = Copy(server.ws)
        copy.start()
        assert copy.is_ready.wait(LIMIT)
        with Client(server.ws) as client:
            number = 0
            for _ in campaign.rounds():
                filler = disk / "filler"
                free = os.statvfs(disk)
                filler.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - campaign.random.randrange(200_000))))
                codes = collections.Counter()
                for _ in range(30):
                    number += 1
                    _, end = client.query(f"INSERT INTO t VALUES ({number}, hex(randomblob(5000)))", f"q{number}")
                    if end["type"] == "query:complete":
                        acknowledged.add(number)
                    else:
                        codes[end["data"].get("code")] += 1
                filler.unlink()
                client.query("DELETE FROM t", "clear")
                acknowledged.clear()
                number += 1
                # A log that has grown into the room that there was needs none for this.
                _, end = client.query(f"INSERT INTO t VALUES ({number}, 'room')", f"q{number}")
                assert end["type"] == "query:complete", end
                acknowledged.add(number)
                campaign.counts.update({f"refused {code}": count for code, count in codes.items()})
        assert copy.await_ids(acknowledged)
        assert server.stop() == 0
        assert acknowledged <= ids(path)
    finally:
        server.kill()
        subprocess.run(["umount", "-l", disk], check=True)


def damage(path, choose):
    """Changes some bytes of a file, or its length."""
    data = bytearray(path.read_bytes())
    for _ in range(choose.choice([1, 1, 3, 30])):
        if data:
            at = choose.randrange(min(len(data), choose.choice([120, 5_000, 1 << 30])))
            data[at : at + choose.choice([1, 2, 4])] = choose.randbytes(choose.choice([1, 2, 4]))
    if choose.random() < 0.2:
        del data[choose.randrange(len(data) + 1) :]
    path.write_bytes(data)


def test_damaged_files(campaign, binary, tmp_path):
    for number in campaign.rounds():
        path = tmp_path / f"damaged{number}.db"
        if campaign.random.random() < 0.5:
            hostile.log_that_claims(path, campaign.random.choice([0, 1, 2, 3, 1 << 20, 0x7FFFFFFE, 0xFFFFFFFF]))
        else:
            hostile.endless_value(path, campaign.random.choice(["WAL", "DELETE"]))
        log = path.with_name(path.name + "-wal")
        damage(log if log.exists() and campaign.random.random() < 0.5 else path, campaign.random)
        process = subprocess.Popen([binary, "serve", str(path), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            line = process.stdout.readline()
            if line:
                campaign.counts["served"] += 1
                # What another process writes to it is followed or not; the service goes on.
                try:
                    with sqlite3.connect(path, timeout=1) as connection:
                        connection.execute("CREATE TABLE IF NOT EXISTS u(a)")
                        connection.execute("INSERT INTO u VALUES (1)")
                except sqlite3.Error:
                    campaign.counts["not writable"] += 1
                process.send_signal(signal.SIGTERM)
            code = process.wait(LIMIT)
            campaign.counts[f"exit {code}"] += 1
            assert code in OWN_EXITS, (SEED, number, code, process.stderr.read())
        finally:
            process.kill()
        for left in filter(pathlib.Path.is_file, tmp_path.glob(f"damaged{number}.db*")):
            left.unlink()


def test_no_descriptor_left(campaign, binary, tmp_path):
    path = tmp_path / "few.db"
    create(path)
    server = Server(binary, path)
    acknowledged = set()
    first = Client(server.ws)
    for number in campaign.rounds():
        used = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        limit = used + campaign.random.randrange(3)
        soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, hard))
        clients = []
        try:
            for _ in range(8):
                clients.append(websocket_client.connect(server.ws, open_timeout=1))
        except Exception:
            campaign.counts["refused connections"] += 1
        # The first client was there before.
        _, end = first.query(f"INSERT INTO t VALUES ({number}, 'x')", f"q{number}")
        if end["type"] == "query:complete":
            acknowledged.add(number)
        else:
            campaign.counts["refused " + end["data"]["code"]] += 1
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
        for client in clients:
            client.close_socket()
        assert server.process.poll() is None, server.errors
        with Client(server.ws) as client:
            assert client.query("SELECT 1 AS n", "q")[0] == [{"n": 1}]
    assert server.stop() == 0
    assert acknowledged <= ids(path)
    campaign.counts["acknowledged"] = len(acknowledged)
