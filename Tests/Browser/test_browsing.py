"""Tables as a GUI: filters, search, foreign keys, an address for everything, more columns than fit."""

import re

from playwright.sync_api import expect

from test_tables import row


def title(page):
    return page.locator(".table-view .title")


def test_a_filter_for_each_column_is_decided_by_sqlite(music, visitors):
    music.shell("CREATE TABLE f(id INTEGER PRIMARY KEY, t TEXT, n); INSERT INTO f VALUES (1, '50%', 5), (2, 'a5', '5'), (3, '', NULL), (4, NULL, x'05'), (5, 'Ab_c', 10)")
    page = visitors.open(f"{music.url}/#/tables/f/rows")
    expect(title(page)).to_contain_text("5 rows")
    page.get_by_role("button", name="Filter", exact=True).click()
    for column, text, ids in [
        ("t", "5", "1 2"),
        ("t", "%", "1"),
        ("t", "B_", "5"),
        ("t", "=a5", "2"),
        ("t", "=", "3"),
        ("t", "NULL", "4"),
        ("t", "not null", "1 2 3 5"),
        ("t", "<>a5", "1 3 5"),
        ("n", "=5", "1 2"),
        ("n", "='5'", "2"),
        ("n", "=x'05'", "4"),
        ("n", ">9", "2 4 5"),
        ("id", ">= 4", "4 5"),
    ]:
        page.get_by_label(f"Filter {column}", exact=True).fill(text)
        expect(page.locator(".rows tbody tr")).to_have_count(len(ids.split()))
        expect(page.locator(".rows tbody tr td:nth-child(2)")).to_have_text(ids.split())
        page.get_by_label(f"Filter {column}", exact=True).fill("")
        expect(page.locator(".rows tbody tr")).to_have_count(5)


def test_what_is_filtered_follows_the_changes(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/genre/rows?filter.name=folk")
    expect(page.locator(".rows tbody tr")).to_have_count(1)
    music.shell("INSERT INTO genre VALUES (77, 'Folk Rock'); UPDATE genre SET name = 'Gone' WHERE genre_id = 1; INSERT INTO genre VALUES (78, 'Other')")
    expect(row(page, "77", "Folk Rock")).to_have_class(re.compile("inserted"))
    expect(page.locator(".rows tbody tr td:nth-child(2)")).to_have_text(["77"])
    expect(title(page)).to_contain_text("1 row")


def test_a_search_looks_into_every_column(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/artist/rows")
    expect(page.locator(".rows tbody tr")).to_have_count(16)
    page.get_by_label("Search the rows").fill("sólveig")  # SQLite folds letters of ASCII alone
    expect(page.locator(".rows tbody tr")).to_have_count(1)
    page.get_by_label("Search the rows").fill("")
    expect(page.locator(".rows tbody tr")).to_have_count(16)


def test_a_foreign_key_leads_to_its_row_and_back(music, visitors):
    music.shell("CREATE TABLE note(id INTEGER PRIMARY KEY, genre REFERENCES genre, body); INSERT INTO note VALUES (1, 2, 'x'), (2, NULL, 'y')")
    page = visitors.open(f"{music.url}/#/tables/note/rows")
    follow = row(page, "1", "x").get_by_role("link")
    expect(row(page, "2", "y").get_by_role("link")).to_have_count(0)
    follow.click()
    expect(page.locator(".table-view h1")).to_have_text("genre")
    expect(page.locator(".rows tbody tr td:nth-child(2)")).to_have_text(["2"])
    page.go_back()
    expect(page.locator(".table-view h1")).to_have_text("note")
    expect(page.locator(".rows tbody tr")).to_have_count(2)


def test_the_address_holds_how_a_table_is_looked_at(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/invoice/rows")
    expect(page.locator(".pager .quiet")).to_have_text("1–100 of 900")
    header = page.get_by_role("columnheader", name=re.compile("^total_cents"))
    header.get_by_role("button").click()
    header.get_by_role("button").click()
    page.get_by_role("button", name="Next page").click()
    expect(page).to_have_url(re.compile(r"rows\?sort=-total_cents&page=2$"))
    expect(page.locator(".pager .quiet")).to_have_text("101–200 of 900")  # it is drawn, rows first
    first = page.locator(".rows tbody tr").first.inner_text()
    page.get_by_label("Search the rows").fill("20")
    expect(page).to_have_url(re.compile(r"rows\?sort=-total_cents&search=20$"))  # another set of rows begins at its first page
    page.goto(f"{music.url}/#/tables/invoice/rows?sort=-total_cents&page=2")
    page.reload()
    expect(header).to_have_attribute("aria-sort", "descending")
    expect(page.locator(".pager .quiet")).to_have_text("101–200 of 900")
    assert page.locator(".rows tbody tr").first.inner_text() == first
    page.keyboard.press("s")
    expect(page.locator(".schema-view")).to_be_visible()
    page.keyboard.press("s")
    expect(page.locator(".pager .quiet")).to_have_text("101–200 of 900")


def test_an_address_with_nonsense_shows_the_table(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/genre/rows?sort=nope&page=x&column=-4&filter.nope=1&page=999999999")
    expect(page.locator(".rows tbody tr")).to_have_count(10)


def test_every_column_of_a_wide_table_is_reached(music, visitors):
    columns = ", ".join(f"c{number} DEFAULT {number}" for number in range(250))
    music.shell(f"CREATE TABLE wide(id INTEGER PRIMARY KEY, {columns}); INSERT INTO wide(id) VALUES (1)")
    page = visitors.open(f"{music.url}/#/tables/wide/rows")
    turner = page.locator(".columns-turner")
    expect(turner).to_contain_text("columns 1–100 of 251")
    for _ in range(2):
        page.get_by_role("button", name="Columns behind").click()
    expect(turner).to_contain_text("columns 201–251 of 251")
    expect(page.get_by_role("columnheader", name=re.compile("^c249"))).to_be_visible()
    music.shell("UPDATE wide SET c249 = 'changed'")
    expect(page.get_by_role("gridcell", name="changed", exact=True)).to_have_class(re.compile("updated"))
    page.get_by_role("columnheader", name=re.compile("^c249")).get_by_role("button").click()
    expect(page).to_have_url(re.compile("sort=c249"))
    page.get_by_role("gridcell", name="changed", exact=True).click()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Value of c249")).to_be_visible()


def test_a_filtered_table_marks_what_enters_and_leaves_the_filter(music, visitors):
    music.shell("PRAGMA journal_mode = WAL")
    page = visitors.open(f"{music.url}/#/tables/genre/rows?filter.name=jazz")
    rows = page.locator(".rows tbody tr")
    expect(rows).to_have_count(1)
    expect(page.locator(".table-view h1 + .quiet")).to_have_text("1 row · filtered")
    music.shell("UPDATE genre SET name = 'Acid Jazz' WHERE genre_id = 9; UPDATE genre SET name = 'Brass band' WHERE name = 'Brass'")
    expect(rows).to_have_count(2)
    expect(page.locator(".rows tr.inserted")).to_contain_text("Acid Jazz")
    expect(page.locator(".changes")).to_contain_text("updated into the filter")
    music.shell("UPDATE genre SET name = 'Swing' WHERE genre_id = 2")
    expect(page.locator(".rows tr.deleted")).to_contain_text("2")
    expect(page.locator(".changes")).to_contain_text("updated out of the filter")
    expect(page.locator(".changes")).not_to_contain_text("Brass")
    page.get_by_label("Filter name").fill("")
    expect(page.locator(".table-view h1 + .quiet")).to_have_text("10 rows")


def test_a_page_has_one_connection_whatever_it_shows(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/genre/rows")
    expect(page.locator(".rows tbody tr")).to_have_count(10)
    page.goto(f"{music.url}/#/tables/track/rows")
    expect(page.locator(".rows tbody tr").first).to_be_visible()
    page.goto(f"{music.url}/#/feed")
    music.shell("UPDATE genre SET name = 'Folk music' WHERE genre_id = 1")
    expect(page.locator(".messages tbody:not(.spacer) tr", has_text="table:modified")).to_have_count(1)
    assert page.request.get(f"{music.url}/status").json()["connectedClients"] == 1


def test_a_subscription_that_is_refused_is_not_asked_for_again_and_again(music, visitors):
    page = visitors.open(music.url)
    page.evaluate(
        """() => {
            window.asked = 0;
            const send = WebSocket.prototype.send;
            WebSocket.prototype.send = function (text) {
                const { id, type, data } = JSON.parse(text);
                if (type !== 'subscribe' || !data?.tables) return send.call(this, text);
                window.asked += 1;
                setTimeout(() => this.onmessage({ data: JSON.stringify({ id: 'x', type: 'error', channel: 'notifications', replyTo: id, data: { message: 'no', code: 'FORBIDDEN' } }) }));
            };
        }"""
    )
    page.evaluate("location.hash = '#/tables/genre/rows?filter.name=jazz'")
    expect(page.locator(".rows tbody tr")).to_have_count(1)
    page.wait_for_function("() => window.asked === 2")  # with the filter and a snapshot, and without
    music.shell("UPDATE genre SET name = 'Acid Jazz' WHERE genre_id = 9")
    expect(page.locator(".rows tbody tr")).to_have_count(2)  # read again, by what the page's own subscription reports
    assert page.evaluate("window.asked") == 2
