"""The examples, served from another origin than the server's, as an application of its own is."""

import functools
import http.server
import subprocess
import threading

import pytest
from playwright.sync_api import expect

from conftest import ROOT, Server, build


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def pages():
    """The folder of the examples on an origin of its own."""
    handler = functools.partial(Quiet, directory=ROOT / "Fixtures/examples")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def todo(tmp_path, pages):
    database = tmp_path / "todo.db"
    with open(ROOT / "Fixtures/examples/todo/todo.sql") as sql:
        subprocess.run(["sqlite3", str(database)], stdin=sql, check=True, stdout=subprocess.DEVNULL)
    server = Server(database, options=["--allowed-origin", pages])
    yield server
    server.stop()


def open_page(visitors, address):
    return visitors.open(address, state=None)


def test_a_todo_list_is_shared_across_origins(todo, pages, visitors):
    address = f"{pages}/todo/?server={todo.url}"
    ada, grace = open_page(visitors, address), open_page(visitors, address)
    for page in (ada, grace):
        expect(page.locator("#list li")).to_have_count(3)
    ada.get_by_label("What is to be done?").fill("Buy milk")
    ada.get_by_role("button", name="Add").click()
    expect(grace.locator("#list li").nth(3)).to_contain_text("Buy milk")
    grace.get_by_label("Buy milk", exact=True).check()
    expect(ada.get_by_label("Buy milk", exact=True)).to_be_checked()
    todo.shell("UPDATE todo SET text = 'Buy oat milk' WHERE id = 4")
    expect(ada.locator("#list li").nth(3)).to_contain_text("Buy oat milk")
    ada.get_by_role("button", name="Delete Buy oat milk").click()
    expect(grace.locator("#list li")).to_have_count(3)
    ada.get_by_label("What is to be done?").fill(" ")
    todo.shell("CREATE TRIGGER no_blank BEFORE INSERT ON todo WHEN trim(new.text) = '' BEGIN SELECT RAISE(ABORT, 'a line needs a text'); END")
    ada.get_by_role("button", name="Add").click()
    expect(ada.get_by_role("status")).to_contain_text("a line needs a text")
    expect(ada.locator("#list li")).to_have_count(3)  # what was shown ahead of the answer is taken back


def test_a_refused_page_of_another_origin_receives_the_reason(music, pages, visitors):
    """The server allows no other origin: the browser hides its answers, and the client says so and stops."""
    visitors.expected += ["CORS policy", "Access-Control-Allow-Origin"]
    page = open_page(visitors, f"{pages}/todo/todo.css")  # any page of that origin
    modules = ROOT / "Sources/TablecastWeb/Client"
    page.route(f"{pages}/client/*", lambda route: route.fulfill(content_type="text/javascript", body=(modules / route.request.url.rsplit("/", 1)[1]).read_text()))
    refusal = page.evaluate(
        """async (server) => {
            const { connect } = await import("/client/tablecast.js");
            const client = connect(server + "/ws");
            await Promise.race([client.ready.catch(() => {}), new Promise((resolve) => setTimeout(resolve, 20_000))]);
            return [client.state, client.refusal?.reason];
        }""",
        music.url,
    )
    assert refusal == ["closed", "origin"]


def test_the_page_of_the_readme_is_live(tmp_path, visitors):
    readme = (ROOT / "README.md").read_text()
    [example] = [block for block in readme.split("```") if block.startswith("html\n")]
    directory = tmp_path / "pages"
    directory.mkdir()
    handler = functools.partial(Quiet, directory=directory)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as origin:
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        server = Server(build("music", tmp_path), options=["--allowed-origin", f"http://127.0.0.1:{origin.server_port}"])
        try:
            html = example.removeprefix("html\n").replace("127.0.0.1:3001", f"127.0.0.1:{server.port}")
            (directory / "list.html").write_text(f'<link rel="icon" href="data:,">{html}')
            page = visitors.open(f"http://127.0.0.1:{origin.server_port}/list.html", state=None)
            expect(page.locator("#genres li")).to_have_count(10)
            expect(page.locator("#genres li").first).to_have_text("Folk: 55")
            server.shell("INSERT INTO genre VALUES (77, 'Skronk'); UPDATE track SET genre_id = 77 WHERE genre_id = 1")
            expect(page.locator("#genres li").first).to_have_text("Skronk: 55")
            expect(page.locator("#genres")).not_to_contain_text("Folk")
        finally:
            server.stop()
            origin.shutdown()
