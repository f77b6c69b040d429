"""A page from another origin, as a dev server serves it, uses the service of an origin that allows it."""

import contextlib
import functools
import http.server
import pathlib
import threading

import pytest
from playwright.sync_api import expect

from conftest import Server, build

PAGE = """
<!doctype html><title>another origin</title><pre id="log"></pre>
<script type="module">
  const service = location.hash.slice(1);
  const log = (line) => { document.querySelector("#log").textContent += line + "\\n"; };
  const attempt = async (name, run) => {
    try { log(`${name}: ${await run()}`); } catch (error) { log(`${name}: blocked`); }
  };
  await attempt("import", async () => {
    const { connect } = await import(service + "/tablecast.js");
    return typeof connect;
  });
  await attempt("types", async () => (await fetch(service + "/tablecast.d.ts")).status);
  await attempt("tables", async () => (await (await fetch(service + "/tables")).json()).tables.length > 0);
  await attempt("query", async () => {
    const response = await fetch(service + "/query", {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: "Bearer none-is-asked-for" },
      body: JSON.stringify({ sql: "SELECT 6 * 7 AS answer" }),
    });
    return (await response.json()).results[0].rows[0].answer;
  });
  await attempt("error", async () => (await fetch(service + "/tables/none")).status);
  await attempt("tag", async () => (await fetch(service + "/tablecast.js", { cache: "reload" })).headers.get("ETag") !== null);
  await attempt("events", () => new Promise((resolve, reject) => {
    const events = new EventSource(service + "/events?channels=tables");
    events.addEventListener("subscribed", () => { events.close(); resolve("subscribed"); });
    events.onerror = reject;
  }));
  await attempt("socket", () => new Promise((resolve, reject) => {
    const socket = new WebSocket(service.replace("http", "ws") + "/ws");
    socket.onmessage = (event) => { socket.close(); resolve(JSON.parse(event.data).type); };
    socket.onerror = reject;
  }));
  log("done");
</script>
"""

ALLOWED = """import: function
types: 200
tables: true
query: 42
error: 404
tag: true
events: subscribed
socket: connection:ack
done
"""
BLOCKED = "".join(f"{name}: blocked\n" for name in ("import", "types", "tables", "query", "error", "tag", "events", "socket")) + "done\n"


@pytest.fixture
def dev_server(tmp_path):
    """The origin of a page that is no part of the service."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text(PAGE)
    handler = functools.partial(Quiet, directory=tmp_path / "site")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(database: pathlib.Path, *options):
    server = Server(database, options=options)
    try:
        yield server
    finally:
        server.stop()


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_page_of_another_origin(browser, dev_server, tmp_path, is_allowed):
    options = ("--allowed-origin", dev_server if is_allowed else "http://localhost:1")
    with serving(build("music", tmp_path), *options) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{dev_server}/index.html#{server.url}")
        expect(page.locator("#log")).to_have_text(ALLOWED if is_allowed else BLOCKED)
        context.close()
