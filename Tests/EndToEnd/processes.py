"""Processes whose output is waited for, with a limit, and never for a time."""

import json
import os
import pty
import queue
import re
import select
import signal
import socket
import subprocess
import threading
import time
import urllib.request

LIMIT = 60  # seconds that any one thing may take


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_tokens(path, tokens):
    """The file of `--tokens`, which only its owner may read."""
    path.write_text(json.dumps(tokens))
    path.chmod(0o600)
    return path


def self_signed_certificate(directory):
    """The files of a certificate for this machine, and of its key."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
        + ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    return certificate, key


class Command:
    """A running command whose lines are read as they come."""

    def __init__(self, arguments, env=None, cwd=None, stdout=subprocess.PIPE):
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )
        self.lines = queue.Queue()
        self.seen = []
        self.errors = []
        self.error_lines = queue.Queue()
        for stream, lines, log in (
            (self.process.stdout, self.lines, self.seen),
            (self.process.stderr, self.error_lines, self.errors),
        ):
            if stream is not None:
                threading.Thread(target=self._read, args=(stream, lines, log), daemon=True).start()

    @staticmethod
    def _read(stream, lines, log):
        for line in stream:
            text = line.decode("utf-8").rstrip("\n")
            log.append(text)
            lines.put(text)
        lines.put(None)

    def line(self, pattern=None, lines=None) -> str:
        """The next line, or the next that matches."""
        lines = self.lines if lines is None else lines
        deadline = time.monotonic() + LIMIT
        while True:
            try:
                text = lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line {pattern!r} in time; saw {self.seen} and {self.errors}")
            if text is None:
                lines.put(None)
                raise AssertionError(f"ended before a line {pattern!r}; saw {self.seen} and {self.errors}")
            if pattern is None or re.search(pattern, text):
                return text

    def error_line(self, pattern=None) -> str:
        return self.line(pattern, self.error_lines)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, limit=LIMIT) -> int:
        return self.process.wait(timeout=limit)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Server(Command):
    def __init__(self, binary, path, *options, port=0, host="127.0.0.1", env=None, cwd=None, under=()):
        """`under` is a program that becomes the server, such as prlimit."""
        super().__init__([*under, binary, "serve", str(path), "--port", str(port), *options], env=env, cwd=cwd)
        self.listens(host)

    def listens(self, host="127.0.0.1"):
        """Waits until it accepts clients."""
        self.host = host
        ready = self.line(r"https?://\S+:\d+")
        self.port = int(re.search(r"https?://\S+?:(\d+)", ready).group(1))

    @property
    def http(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://{self.host}:{self.port}/ws"

    def metrics(self) -> str:
        with urllib.request.urlopen(self.http + "/metrics", timeout=LIMIT) as answer:
            return answer.read().decode()

    def stop(self, number=signal.SIGTERM, limit=6) -> int:
        self.signal(number)
        return self.wait(limit)


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, arguments, columns=100, env=None):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm-256color", "COLUMNS": str(columns), **(env or {})})
            if not env or "NO_COLOR" not in env:
                os.environ.pop("NO_COLOR", None)
            os.execv(arguments[0], arguments)
        self.output = b""

    def read_until(self, pattern: bytes, limit=LIMIT) -> bytes:
        deadline = time.monotonic() + limit
        while not re.search(pattern, self.output):
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"no {pattern!r}; saw {self.output!r}")
        return self.output

    def read_all(self, limit=LIMIT) -> str:
        deadline = time.monotonic() + limit
        while self._read(deadline - time.monotonic()):
            pass
        return self.output.decode("utf-8")

    def _read(self, wait) -> bool:
        ready, _, _ = select.select([self.descriptor], [], [], max(0, wait))
        if not ready:
            return False
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # the other end is gone
            return False
        self.output += data
        return bool(data)

    def type(self, text: bytes):
        os.write(self.descriptor, text)

    def wait(self) -> int:
        self.read_all()
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)
