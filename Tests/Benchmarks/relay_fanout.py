#!/usr/bin/env python3
"""What relays cost their source, and how long a message takes for each of them.

    relay_fanout.py BINARY [--relays 3] [--clients 300] [--rate 100] [--seconds 10] [--rounds 3]

The same commits go to three plain clients of the source, then to three relays with that many clients each, in turn: the figure is the
ratio of the source's CPU time. Then one client each at the source, at a relay of it and at a relay of that relay: the figure is the
difference of their times of receipt for each commit, in milliseconds.
"""

import argparse
import multiprocessing
import re
import resource
import selectors
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


def times(port, count, ready, results, name):
    client = subscribed(port)
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


def measure(binary, arguments):
    count = int(arguments.rate * arguments.seconds)
    with tempfile.TemporaryDirectory() as folder:
        world = World(binary, folder)
        processes = [world.source]
        try:
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
            first = world.relay(world.source)
            second = world.relay(first)
            processes += [first, second]
            results, children = multiprocessing.Queue(), []
            for name, node in (("source", world.source), ("first", first), ("second", second)):
                ready = multiprocessing.Event()
                child = multiprocessing.Process(target=times, args=(node.port, count, ready, results, name))
                child.start()
                children.append(child)
                ready.wait()
            world.write(count, arguments.rate)
            found = dict(results.get(timeout=60) for _ in children)
            for name, before in (("first", "source"), ("second", "first")):
                hops = sorted((found[name][n] - found[before][n]) / 1e6 for n in found[name] if n in found[before])
                print(f"{name} hop: p50 {hops[len(hops) // 2]:.3f} ms, p99 {hops[int(len(hops) * 0.99)]:.3f} ms, n={len(hops)}")
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
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    measure(parser.parse_args().binary, parser.parse_args())
