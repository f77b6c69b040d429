"""The hooks with React itself, in a browser: Debian's node-react and node-react-dom."""

import pathlib

import pytest
from playwright.sync_api import expect

MODULES = pathlib.Path("/usr/share/nodejs")
UMD = {
    "/react/react.js": MODULES / "react/umd/react.development.js",
    "/react/react-dom.js": MODULES / "react-dom/umd/react-dom.development.js",
}

PAGE = """<!doctype html>
<html lang="en">
<head>
<link rel="icon" href="data:,">
<script src="/react/react.js"></script>
<script src="/react/react-dom.js"></script>
<script type="importmap">{"imports": {"react": "/react/module.js"}}</script>
</head>
<body><div id="root"></div><script type="module" src="/react/app.js"></script></body>
</html>"""

MODULE = "export const { useEffect, useMemo, useState, useSyncExternalStore } = React;"

# A list that is written through the hook, and a live query whose parameter changes.
APP = """
import { connect } from "/tablecast.js";
import { useConnection, useLiveQuery, useLiveTable } from "/tablecast-react.js";

const h = React.createElement;
const db = connect("/ws");
window.renders = 0;

function Genres() {
  const { rows, isLoading, error, insert, update } = useLiveTable(db, "genre", {});
  const state = useConnection(db);
  return h("section", null,
    h("p", { id: "state" }, state),
    h("p", { id: "error" }, error ? error.message : ""),
    h("ul", { id: "genres" }, isLoading ? "loading" : rows.map((row) => h("li", { key: row.genre_id ?? row.name, onClick: () => update(row, { name: row.name + "!" }) }, row.name))),
    h("button", { onClick: () => insert({ name: "Skronk" }) }, "Insert"));
}

function Query({ min }) {
  window.renders += 1;
  const { rows, isLoading, error } = useLiveQuery(db, "SELECT n FROM number WHERE n > ? ORDER BY n", [min]);
  return h("p", { id: "query", className: error ? "failed" : "" }, error ? error.message : isLoading ? "loading" : rows.map(({ n }) => n).join(" "));
}

function App() {
  const [min, setMin] = React.useState(0);
  return h(React.StrictMode, null, h(Genres), h(Query, { min }), h("button", { onClick: () => setMin(min + 1) }, "More"));
}

ReactDOM.createRoot(document.getElementById("root")).render(h(App));
"""


@pytest.fixture
def page(music, visitors):
    if not all(path.exists() for path in UMD.values()):
        pytest.skip("apt-get install node-react node-react-dom")
    texts = {"/react/": ("text/html", PAGE), "/react/module.js": ("text/javascript", MODULE), "/react/app.js": ("text/javascript", APP)}
    texts |= {path: ("text/javascript", file.read_text()) for path, file in UMD.items()}

    def serve(route):
        kind, text = texts[route.request.url.removeprefix(music.url)]
        route.fulfill(status=200, content_type=kind, body=text)

    page = visitors.open(music.url)
    page.context.route(f"{music.url}/react/*", serve)
    page.goto(f"{music.url}/react/")
    return page


def test_a_table_is_live_and_written_through_its_hook(music, page):
    expect(page.locator("#state")).to_have_text("open")
    expect(page.locator("#genres li")).to_have_count(10)
    music.shell("INSERT INTO genre VALUES (77, 'From a shell')")
    expect(page.locator("#genres")).to_contain_text("From a shell")
    page.get_by_role("button", name="Insert").click()
    expect(page.locator("#genres")).to_contain_text("Skronk")
    page.get_by_text("Skronk").click()
    expect(page.locator("#genres")).to_contain_text("Skronk!")


def test_a_query_renders_once_for_each_change_and_begins_again_with_its_parameters(music, page):
    query = page.locator("#query")
    expect(query).to_have_text("no such table: number", use_inner_text=True)
    music.shell("CREATE TABLE number (n INTEGER PRIMARY KEY); INSERT INTO number VALUES (1), (2)")
    page.get_by_role("button", name="More").click()
    expect(query).to_have_text("2")
    before = page.evaluate("renders")
    music.shell("INSERT INTO number VALUES (5)")
    expect(query).to_have_text("2 5")
    assert page.evaluate("renders") - before == 2  # strict mode renders twice
    music.shell("INSERT INTO genre VALUES (78, 'Nothing to the query')")
    expect(page.locator("#genres")).to_contain_text("Nothing to the query")
    page.get_by_role("button", name="More").click()
    expect(query).to_have_text("5")
    music.shell("DROP TABLE number")
    expect(query).to_contain_text("number")
    expect(page.locator("#query.failed")).to_have_count(1)
