#!/usr/bin/env python3
"""What relays cost their source, and how long a message takes for each of them.

    relay_fanout.py BINARY [--relays 3] [--clients 300] [--rate 100] [--seconds 10] [--rounds 3] [--hops-only]

The same commits go to three plain clients of the source, then to three relays with that many clients each, in turn: the figure is the
ratio of the source's CPU time. Then one client each at the source, at a relay of it and at a relay of that relay: the figure is the
difference of their times of receipt for each commit, in milliseconds. In turn with it, the same with two processes in the relays'
place that only copy the bytes from one socket to the others: this floor is the cost of the machine's own wake-ups.
"""

import argparse
import glob
import multiprocessing
import re
import resource
import selectors
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import time

from commit_latency import Client, processor_seconds


SETTLING_SECONDS = 2


def subscribed(port):
    client = Client(port)
    client.send({"type": "subscribe", "channel": "tables", "data": {"rows": "values"}})
    while not any(b'"subscribed"' in frame for frame in client.receive()[1]):
        pass
    return client


def drain(port, number, last, ready, ended, measured):
    """Reads what that many clients receive, until each has the last row, and stays connected until `measured`."""
    clients = [subscribed(port) for _ in range(number)]
    selector = selectors.DefaultSelector()
    tails = {}
    for client in clients:
        client.socket.setblocking(False)
        selector.register(client.socket, selectors.EVENT_READ)
        tails[client.socket] = b""
    ready.set()
    wanted = b'"n":%d,' % last
    while tails:
        for key, _ in selector.select():
            data = key.fileobj.recv(1 << 20)
            assert data, "a client was closed"
            text = tails[key.fileobj] + data
            if wanted in text:
                selector.unregister(key.fileobj)
                del tails[key.fileobj]
            else:
                tails[key.fileobj] = text[-32:]
    ended.put(number)
    # The source is notified of users that leave.
    measured.wait()


def forward(upstream, is_first, receivers, listener, ready):
    """Copies what a client of the source receives, or the first copier, to that many connections."""
    source = subscribed(upstream) if is_first else Copied(upstream)
    ready.set()
    targets = [listener.accept()[0] for _ in range(receivers)]
    for target in targets:
        target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := source.socket.recv(1 << 20):
        for target in targets:
            target.sendall(data)


class Copied(Client):
    """Reads frames without a handshake."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.pending = b""


class Copier:
    """A process in a relay's place that does the least a relay can do."""

    def __init__(self, upstream, is_first, receivers):
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        ready = multiprocessing.Event()
        self.process = multiprocessing.Process(target=forward, args=(upstream, is_first, receivers, listener, ready), daemon=True)
        self.process.start()
        ready.wait()

    def end(self):
        self.process.kill()
        self.process.join()


def times(connect, port, count, ready, results, name):
    client = connect(port)
    ready.set()
    received = {}
    while len(received) < count:
        now, frames = client.receive()
        for frame in frames:
            for number in re.findall(rb'"n":(\d+)', frame):
                received.setdefault(int(number), now)
    results.put((name, received))


class Process:
    def __init__(self, *arguments):
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if found := re.search(r"https?://\S+?:(\d+)", line):
                self.port = int(found.group(1))
                return
        raise SystemExit(f"{arguments} did not start")

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def end(self):
        self.process.kill()
        self.process.wait()


class World:
    def __init__(self, binary, folder):
        self.binary = binary
        path = folder + "/fanout.db"
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=OFF")
        self.connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n, pad)")
        self.next = 0
        self.source = Process(binary, "serve", path, "--port", "0", "--max-connections", "10000")

    def relay(self, source):
        return Process(self.binary, "relay", source.address, "--port", "0", "--max-connections", "10000")

    def write(self, count, rate):
        begin = time.monotonic()
        for number in range(count):
            delay = begin + number / rate - time.monotonic()
            if delay > 0:
                time.sleep(delay)
            self.connection.execute("INSERT INTO t(n, pad) VALUES(?, ?)", (self.next, "x" * 80))
            self.next += 1

    def cost(self, readers, count, rate):
        """The source's CPU seconds for the commits; `readers` are ports with a number of clients."""
        ended, measured = multiprocessing.Queue(), multiprocessing.Event()
        children = []
        for port, number in readers:
            ready = multiprocessing.Event()
            child = multiprocessing.Process(target=drain, args=(port, number, self.next + count - 1, ready, ended, measured))
            child.start()
            children.append((child, ready))
        for _, ready in children:
            ready.wait()
        # And of those that have come, in reports of 50 ms.
        time.sleep(SETTLING_SECONDS)
        used = processor_seconds(self.source.process.pid)
        self.write(count, rate)
        for _ in children:
            ended.get(timeout=60)
        used = processor_seconds(self.source.process.pid) - used
        measured.set()
        for child, _ in children:
            child.join()
        return used

    def hops(self, count, rate, connect, first, second):
        """The differences of the times of receipt, in milliseconds, for each hop."""
        results, children = multiprocessing.Queue(), []
        for name, connect, port in (("source", subscribed, self.source.port), ("first", connect, first), ("second", connect, second)):
            ready = multiprocessing.Event()
            child = multiprocessing.Process(target=times, args=(connect, port, count, ready, results, name))
            child.start()
            children.append(child)
            ready.wait()
        self.write(count, rate)
        found = dict(results.get(timeout=60) for _ in children)
        for child in children:
            child.join()
        return [
            sorted((found[name][n] - found[before][n]) / 1e6 for n in found[name] if n in found[before])
            for name, before in (("first", "source"), ("second", "first"))
        ]


def measure_cost(world, processes, count, arguments):
    ratios = []
    for _ in range(arguments.rounds):
        plain = world.cost([(world.source.port, 1)] * arguments.relays, count, arguments.rate)
        relays = [world.relay(world.source) for _ in range(arguments.relays)]
        processes += relays
        through = world.cost([(relay.port, arguments.clients) for relay in relays], count, arguments.rate)
        for relay in relays:
            relay.end()
        ratios.append(through / plain)
        print(
            f"{count} commits at {arguments.rate}/s: source CPU {plain:.2f} s for {arguments.relays} clients, {through:.2f} s for "
            f"{arguments.relays} relays with {arguments.clients} clients each, ratio {ratios[-1]:.2f}",
            flush=True,
        )
    print(f"ratio {statistics.median(ratios):.2f} (median of {len(ratios)})")


def spent(process):
    """How often its threads have waited so far, and their CPU seconds."""
    waits = 0
    for status in glob.glob(f"/proc/{process}/task/*/status"):
        with open(status) as file:
            waits += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M).group(1))
    return waits, processor_seconds(process)


def measure_hops(world, processes, count, arguments):
    found = {"relay": [[], []], "floor": [[], []]}
    for _ in range(arguments.rounds):
        first = world.relay(world.source)
        second = world.relay(first)
        processes += [first, second]
        before = [spent(relay.process.pid) for relay in (first, second)]
        relays = world.hops(count, arguments.rate, subscribed, first.port, second.port)
        for index, relay in enumerate((first, second)):
            waits, seconds = (now - was for now, was in zip(spent(relay.process.pid), before[index]))
            print(f"relay {index + 1}: {waits / count:.1f} wake-ups and {seconds / count * 1e6:.0f} µs of CPU a commit")
        second.end()
        first.end()
        # The first copies for its client and for the second.
        first = Copier(world.source.port, True, 2)
        second = Copier(first.port, False, 1)
        floor = world.hops(count, arguments.rate, Copied, first.port, second.port)
        second.end()
        first.end()
        for name, hops in (("relay", relays), ("floor", floor)):
            for index, times in enumerate(hops):
                found[name][index].append(times[len(times) // 2])
                print(f"{name}, hop {index + 1}: p50 {times[len(times) // 2]:.3f} ms, p99 {times[int(len(times) * 0.99)]:.3f} ms, n={len(times)}")
    for index in range(2):
        relay, floor = (statistics.median(found[name][index]) for name in ("relay", "floor"))
        print(f"hop {index + 1}: {relay:.3f} ms, floor {floor:.3f} ms, {relay / floor:.2f} times the floor (medians of {arguments.rounds})")


def measure(binary, arguments):
    count = int(arguments.rate * arguments.seconds)
    with tempfile.TemporaryDirectory() as folder:
        world = World(binary, folder)
        processes = [world.source]
        try:
            if not arguments.hops_only:
                measure_cost(world, processes, count, arguments)
            measure_hops(world, processes, count, arguments)
        finally:
            for process in processes:
                process.end()
            world.connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--relays", type=int, default=3)
    parser.add_argument("--clients", type=int, default=300)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hops-only", action="store_true")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    measure(parser.parse_args().binary, parser.parse_args())
