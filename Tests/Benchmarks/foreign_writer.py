#!/usr/bin/env python3
"""What watching costs another process that commits one row at a time without a pause.

    foreign_writer.py BINARY WRITER [--directory /dev/shm,/tmp] [--count 100000] [--rounds 3] [--busy 10000]

BINARY is tablecast, WRITER the product ForeignWriter of the package, both of a release build. In each round the writer runs
alone, watched without a client, and watched with a client that receives each row; the ratio is taken within the round, and its
median and range are printed. The longest gap between two commits includes the writer's own checkpoints: compare it with that
of the writer alone. With `--busy 0` it has no busy timeout, and tries again at once. Standard library only.
"""

import argparse
import base64
import json
import os
import re
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time

CASES = ("alone", "watched", "values client")


def frame(message):
    payload = json.dumps(message).encode()
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + payload


class Client(threading.Thread):
    """Receives each row and discards it. A bare socket: a library would be what is measured."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.socket = socket.create_connection(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.socket.sendall(frame({"type": "subscribe", "id": "s", "channel": "tables", "data": {"rows": "values"}}))
        self.start()

    def run(self):
        while self.socket.recv(1 << 20):
            pass


class LogSize(threading.Thread):
    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.largest, self.is_over = path, 0, threading.Event()
        self.start()

    def run(self):
        while not self.is_over.wait(0.005):
            try:
                self.largest = max(self.largest, os.stat(self.path).st_size)
            except FileNotFoundError:
                pass

    def end(self):
        self.is_over.set()
        self.join()
        return self.largest


def run_writer(arguments, path, synchronous):
    log = LogSize(f"{path}-wal")
    command = [arguments.writer, path, "mode=pace", f"transactions={arguments.count}", f"synchronous={synchronous}", f"busy={arguments.busy}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    found = re.search(r"rate (\d+) busy (\d+)", done.stderr)
    if not found:
        raise RuntimeError(done.stderr[-500:])
    times = [int(line) for line in done.stdout.split()]
    gap = max(later - earlier for earlier, later in zip(times, times[1:]))
    return {"rate": int(found[1]), "busy": int(found[2]), "gap": gap / 1e6, "log": log.end()}


def measure(arguments, directory, synchronous, case):
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        path = f"{folder}/writer.db"
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
        if case == "alone":
            return run_writer(arguments, path, synchronous)
        server = subprocess.Popen([arguments.binary, "serve", path, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            for line in server.stdout:
                if found := re.search(r"127\.0\.0\.1:(\d+)", line):
                    break
            threading.Thread(target=server.stdout.read, daemon=True).start()
            if case == "values client":
                Client(int(found[1]))
                time.sleep(0.3)
            return run_writer(arguments, path, synchronous)
        finally:
            server.terminate()
            server.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("writer")
    parser.add_argument("--directory", default="/dev/shm,/tmp")
    parser.add_argument("--synchronous", default="NORMAL,OFF")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", type=int, default=10_000)
    arguments = parser.parse_args()
    for directory in arguments.directory.split(","):
        for synchronous in arguments.synchronous.split(","):
            rounds = [{case: measure(arguments, directory, synchronous, case) for case in CASES} for _ in range(arguments.rounds)]
            for case in CASES:
                results = [each[case] for each in rounds]
                ratios = sorted(each[case]["rate"] / each["alone"]["rate"] for each in rounds)
                print(
                    f"{directory} {synchronous} {case:14} {statistics.median(r['rate'] for r in results):8.0f}/s"
                    f"  ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
                    f"  longest gap {max(r['gap'] for r in results):6.1f} ms  log {max(r['log'] for r in results) >> 20} MB"
                    f"  busy {max(r['busy'] for r in results)}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
