"""What the browser tests stand on: a server of its own for each test, a real browser, and the sqlite3 shell.

    pip install playwright pytest                    # Debian's chromium is used, nothing is downloaded
    TABLECAST_BIN=.build/debug/tablecast pytest Tests/Browser

CHROMIUM names another browser. TABLECAST_PAGE=Sources/TablecastWeb tries the files of the page and of the client as they are, without
building them into the server again. Every wait is for an event: an assertion that becomes true, a message, a line of output.
"""

import contextlib
import json
import mimetypes
import os
import pathlib
import queue
import re
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.parse

import pytest
from playwright import sync_api as playwright_api
from playwright.sync_api import Page, expect, sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = float(os.environ.get("TABLECAST_PATIENCE_SECONDS", "30"))

expect.set_options(timeout=PATIENCE * 1000)


class Server:
    """`tablecast serve` on a database and port of its own."""

    def __init__(self, database: pathlib.Path, tokens: dict[str, str] = {}, options: tuple[str, ...] = ()):
        self.database = database
        self.options = options
        self.environment = {**os.environ, **tokens}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.output: list[str] = []
        self.start()

    def start(self):
        program = os.environ.get("TABLECAST_BIN", str(ROOT / ".build/debug/tablecast"))
        self.process = subprocess.Popen(
            [program, "serve", str(self.database), "--port", str(self.port), *self.options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
        )
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, args=(self.process, lines), daemon=True).start()
        while line := lines.get(timeout=PATIENCE):
            if "http://" in line:
                return
        pytest.fail("the server did not start:\n" + "".join(self.output))

    def _read(self, process, lines):
        for line in process.stdout:
            self.output.append(line)
            lines.put(line)
        lines.put(None)

    def kill(self):
        """As a crash does it: no goodbye."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()

    def shell(self, sql: str):
        """Another process writes."""
        done = subprocess.run(
            ["sqlite3", "-cmd", ".timeout 5000", str(self.database), "PRAGMA foreign_keys = ON; " + sql],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr


class Relay:
    """A way to the server that can be cut and mended, while the server knows of nothing."""

    def __init__(self, server: Server):
        self.target = server.port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.is_cut = False
        self.sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                if self.is_cut:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self.target))
                self.sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def cut(self):
        """Every connection breaks, and no new one succeeds."""
        self.is_cut = True
        for each in self.sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.sockets.clear()

    def mend(self):
        self.is_cut = False

    def close(self):
        self.cut()
        self.listener.close()


def write_at(database, sql, rate, seconds):
    """Writes at a pace, with the number of the write as the parameter; returns how many a second it were."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None, timeout=10)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        started = time.monotonic()
        for number in range(rate * seconds):
            if (ahead := started + number / rate - time.monotonic()) > 0:
                threading.Event().wait(ahead)  # the pace of the load, not a wait for the page
            connection.execute(sql, (number,))
        return rate * seconds / (time.monotonic() - started)


@contextlib.contextmanager
def writing(database, sql, every=0.02):
    """A writer without pauses."""
    stop = threading.Event()

    def write():
        with contextlib.closing(sqlite3.connect(database, isolation_level=None, timeout=10)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            number = 0
            while not stop.wait(every):
                connection.execute(sql, (number := number + 1,))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def longest_computation(trace: bytes):
    """Milliseconds of processor time of the longest task: on a busy machine a task also waits for its turn, which is not the
    page's doing."""
    trace = json.loads(trace)["traceEvents"]
    threads = {(event["pid"], event["tid"]) for event in trace if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"}
    tasks = [event["tdur"] for event in trace if event["name"].endswith("RunTask") and "tdur" in event and (event["pid"], event["tid"]) in threads]
    assert tasks, "the trace holds no tasks"
    return max(tasks) / 1000


def build(fixture: str, directory: pathlib.Path) -> pathlib.Path:
    database = directory / f"{fixture}.db"
    with open(ROOT / "Fixtures" / f"{fixture}.sql") as sql:
        subprocess.run(["sqlite3", str(database)], stdin=sql, check=True, stdout=subprocess.DEVNULL)
    return database


@contextlib.contextmanager
def serving(database: pathlib.Path, tokens: dict[str, str] = {}):
    server = Server(database, tokens)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def music(tmp_path):
    with serving(build("music", tmp_path)) as server:
        yield server


READER = "reader-" + 20 * "x"


@pytest.fixture
def guarded(tmp_path):
    """Asks for a token."""
    with serving(build("music", tmp_path), {"TABLECAST_READ_ONLY_TOKEN": READER}) as server:
        yield server


@pytest.fixture
def relay(music):
    relay = Relay(music)
    yield relay
    relay.close()


@pytest.fixture
def nasty(tmp_path):
    with serving(build("nasty", tmp_path)) as server:
        yield server


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
        # A page that is filled in from elsewhere (TABLECAST_PAGE) may not otherwise speak to a local server.
        arguments = ["--no-sandbox", "--disable-features=LocalNetworkAccessChecks"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


class Visitors:
    """Opens tabs; each is a browser profile of its own, and what it complains about fails the test."""

    def __init__(self, browser):
        self.browser = browser
        self.contexts = []
        self.complaints: list[str] = []
        self.requests: set[str] = set()
        # 426 is what the address of the WebSocket answers over HTTP: the client asks there why a handshake failed.
        # "File not found" is Python's own server, of which a browser may ask a favicon.
        self.expected = [
            "426 (Upgrade Required)", "404 (File not found)", "WebSocket connection to", "ERR_CONNECTION_REFUSED", "net::ERR_",
        ]  # fmt: skip

    def open(self, url: str, name: str = "Ada", state: str | None = "open", **options) -> Page:
        context = self.browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        self.contexts.append(context)
        context.add_init_script(f"localStorage.getItem('tablecast.name') ?? localStorage.setItem('tablecast.name', '\"{name}\"')")
        if directory := os.environ.get("TABLECAST_PAGE"):
            context.route(re.compile(r"://[^/]+/(assets/.*|tablecast[a-z-]*\.js)?$"), lambda route: serve_file(route, pathlib.Path(directory)))
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self.requests.add(request.url))
        page.goto(url)
        if state is None:
            return page  # no page of ours
        expect(page.locator("#connection")).to_have_attribute("data-state", state)
        return page


def serve_file(route, directory: pathlib.Path):
    path = urllib.parse.urlparse(route.request.url).path
    directory /= "Page" if path == "/" or path.startswith("/assets/") else "Client"
    name = path.removeprefix("/").removeprefix("assets/") or "index.html"
    try:
        headers = route.fetch().headers
    except playwright_api.Error:  # the server is away
        return route.abort()
    kind = mimetypes.guess_type(name)[0] or "text/plain"
    route.fulfill(status=200, headers={**headers, "content-type": kind}, body=(directory / name).read_bytes())


@pytest.fixture
def visitors(browser):
    visitors = Visitors(browser)
    yield visitors
    for context in visitors.contexts:
        context.close()
    complaints = [text for text in visitors.complaints if not any(part in text for part in visitors.expected)]
    assert complaints == []
