"""nats-server as a process, with its streams in a folder of its own."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from processes import LIMIT, free_port


class Broker:
    def __init__(self, directory: pathlib.Path, configuration=""):
        """`configuration` is added to the configuration file: users, TLS."""
        self.program = shutil.which("nats-server") or "/usr/sbin/nats-server"
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.port = free_port()
        self.configuration = configuration
        self.process = None
        self.start()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self):
        file = self.directory / "nats.conf"
        file.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{self.directory}/store", max_mem: 64M, max_file: 4G }}\n{self.configuration}\n'
        )
        self.process = subprocess.Popen(
            [self.program, "-c", str(file), "-l", str(self.directory / "nats.log")], stdin=subprocess.DEVNULL
        )
        deadline = time.monotonic() + LIMIT
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    # It sends its INFO when it accepts clients.
                    assert connection.recv(4) == b"INFO"
                    return
            except (OSError, AssertionError):
                assert self.process.poll() is None, (self.directory / "nats.log").read_text()
                assert time.monotonic() < deadline, "nats-server does not listen"
                time.sleep(0.02)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()


def nats_binary() -> str:
    """A program with the trait NATS."""
    named = os.environ.get("TABLECAST_NATS_BINARY")
    binary = named or os.environ.get("TABLECAST_BINARY", "")
    if not binary:
        pytest.skip("no binary with NATS: swift build --traits NATS, and name it in TABLECAST_NATS_BINARY")
    help = subprocess.run([binary, "relay", "--nats", "x"], capture_output=True, text=True, timeout=30)
    if "built without NATS" in help.stderr:
        assert not named, f"{named} was built without NATS"
        pytest.skip("the binary was built without NATS")
    return binary
