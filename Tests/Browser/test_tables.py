import re
import sqlite3

from playwright.sync_api import expect

from conftest import writing


def item(page, name):
    return page.locator(".tables li").filter(has=page.get_by_text(name, exact=True))


def row(page, *cells):
    found = page.locator(".rows tbody tr")
    for cell in cells:
        found = found.filter(has=page.get_by_role("gridcell", name=cell, exact=True))
    return found


def test_the_list_says_what_there_is(music, visitors):
    page = visitors.open(music.url)
    expect(item(page, "artist").locator(".count")).to_have_text("16")
    expect(item(page, "best_sellers").locator(".kind")).to_have_attribute("title", "view")
    expect(item(page, "track_search").locator(".kind")).to_have_attribute("title", "virtual")
    page.keyboard.press("/")
    page.keyboard.type("invoice")
    expect(page.locator(".tables li")).to_have_count(2)


def test_the_list_counts_what_another_process_writes(music, visitors):
    page = visitors.open(music.url)
    expect(item(page, "artist").locator(".count")).to_have_text("16")
    music.shell("INSERT INTO artist (name, country) VALUES ('New', 'NO'), ('Newer', 'NO')")
    expect(item(page, "artist").locator(".count")).to_have_text("18")
    expect(item(page, "artist")).to_have_class(re.compile("flash.*inserted"))
    expect(item(page, "artist").locator(".delta .inserted")).to_have_text("+2")
    expect(item(page, "artist").locator(".sparkline path").last).to_have_attribute("d", re.compile("^M0"))
    expect(page.locator(".latest li").first).to_contain_text("another process inserted 2 into artist")


def test_rows_change_in_place_and_say_who_did_it(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/genre/rows")
    expect(page.locator(".table-view .title")).to_contain_text("10 rows")
    music.shell("INSERT INTO genre VALUES (77, 'Skronk'); UPDATE genre SET name = 'Folk!' WHERE genre_id = 1")
    added = row(page, "77", "Skronk")
    expect(added).to_have_class(re.compile("inserted"))
    expect(added.locator(".gutter")).to_have_text("+ external")
    updated = page.get_by_role("gridcell", name="Folk!", exact=True)
    expect(updated).to_have_class(re.compile("updated"))
    expect(page.locator(".table-view .title")).to_contain_text("11 rows")
    music.shell("DELETE FROM genre WHERE genre_id = 77")
    expect(added).to_have_class(re.compile("deleted"))
    expect(added).to_have_count(0)  # once its mark has faded
    expect(page.locator(".changes")).to_contain_text("another process updated 1")
    expect(page.locator(".changes del").first).to_have_text("Folk")
    expect(page.locator(".changes ins").first).to_have_text("Folk!")


def test_a_change_through_the_service_bears_its_authors_name(music, visitors):
    ada = visitors.open(f"{music.url}/#/tables/genre/rows", "Ada")
    grace = visitors.open(f"{music.url}/#/queries", "Grace")
    expect(ada.locator(".table-view .title")).to_contain_text("10 rows")
    grace.fill("#sql", "UPDATE genre SET name = 'Jazz by Grace' WHERE genre_id = 2")
    grace.keyboard.press("Control+Enter")
    expect(ada.get_by_role("gridcell", name="Jazz by Grace")).to_be_visible()
    expect(row(ada, "2").locator(".gutter")).to_have_text("~ Grace")
    expect(ada.locator(".changes li").first).to_contain_text("Grace updated 2")


def test_rows_are_sorted_and_paged(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/invoice/rows")
    expect(page.locator(".pager .quiet")).to_have_text("1–100 of 900")
    header = page.get_by_role("columnheader", name=re.compile("^total_cents"))
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    column = "trs => trs.map(tr => Number(tr.cells[4].textContent))"
    totals = page.locator(".rows tbody tr").evaluate_all(column)
    assert len(totals) == 100 and totals == sorted(totals, reverse=True)
    page.get_by_role("button", name="Next page").click()
    expect(page.locator(".pager .quiet")).to_have_text("101–200 of 900")
    assert max(page.locator(".rows tbody tr").evaluate_all(column)) <= min(totals)


def test_a_sorted_table_stays_sorted_when_rows_change(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/genre/rows")
    page.get_by_role("columnheader", name=re.compile("^name")).get_by_role("button").click()
    music.shell("INSERT INTO genre VALUES (50, 'AAA'), (51, 'zzz'); UPDATE genre SET name = 'AAAA' WHERE genre_id = 1")
    expect(row(page, "zzz")).to_be_visible()
    names = page.locator(".rows tbody tr").evaluate_all("trs => trs.map(tr => tr.cells[2].textContent)")
    assert names == sorted(names) and names[:2] == ["AAA", "AAAA"]


def test_the_keyboard_walks_over_cells_and_opens_one(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/artist/rows")
    first = page.locator(".rows tbody tr").first.locator("td")
    first.nth(0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".rows tbody tr").nth(1).locator("td").nth(1)).to_be_focused()
    name = page.locator(".rows tbody tr").nth(1).locator("td").nth(1).inner_text()
    page.keyboard.press("Enter")
    expect(page.locator("dialog.cell pre")).to_have_text(name)
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)


def test_the_schema_is_complete_and_live(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/album/schema")
    schema = page.locator(".schema-view")
    expect(schema).to_contain_text("generated, virtual")
    expect(schema).to_contain_text("album_by_artist")
    expect(schema.get_by_role("link", name="artist")).to_be_visible()
    music.shell("ALTER TABLE album ADD COLUMN label TEXT DEFAULT 'none'")
    expect(schema.get_by_role("rowheader", name="label")).to_be_visible()
    music.shell("CREATE INDEX album_by_label ON album (label)")
    expect(schema).to_contain_text("album_by_label")


def test_tables_come_and_go(music, visitors):
    page = visitors.open(music.url)
    expect(item(page, "artist")).to_be_visible()
    music.shell("CREATE TABLE concert (id INTEGER PRIMARY KEY, place TEXT)")
    expect(item(page, "concert")).to_be_visible()
    item(page, "concert").click()
    expect(page.locator(".pager")).to_contain_text("No rows")
    music.shell("INSERT INTO concert VALUES (1, 'Oslo')")
    expect(row(page, "Oslo")).to_have_class(re.compile("inserted"))
    music.shell("DROP TABLE concert")
    expect(item(page, "concert")).to_have_count(0)
    expect(page.locator(".notice").first).to_contain_text("dropped")


def test_a_view_follows_its_tables(music, visitors):
    music.shell("CREATE VIEW loud AS SELECT upper(name) AS name FROM genre")
    page = visitors.open(f"{music.url}/#/tables/loud/rows")
    expect(row(page, "JAZZ")).to_be_visible()
    music.shell("UPDATE genre SET name = 'Jazzier' WHERE genre_id = 2")
    expect(row(page, "JAZZIER")).to_be_visible()


def test_a_table_too_large_to_hold_is_read_page_by_page(music, visitors):
    music.shell("CREATE TABLE big AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) SELECT i, 'row ' || i AS label FROM n")
    page = visitors.open(f"{music.url}/#/tables/big/rows")
    expect(row(page, "row 100")).to_be_visible()
    page.get_by_role("columnheader", name=re.compile("^i")).get_by_role("button").dblclick()
    expect(row(page, "row 30000")).to_be_visible()
    music.shell("UPDATE big SET label = 'changed' WHERE i = 30000")
    expect(row(page, "changed")).to_be_visible()


def test_without_a_primary_key_rows_are_followed_all_the_same(music, visitors):
    music.shell("CREATE TABLE loose (x, y); INSERT INTO loose VALUES (1, 'a'), (1, 'a'), (2, 'b')")
    page = visitors.open(f"{music.url}/#/tables/loose/rows")
    expect(page.locator(".rows tbody tr")).to_have_count(3)
    music.shell("UPDATE loose SET y = 'c' WHERE rowid = 2; DELETE FROM loose WHERE rowid = 3")
    expect(row(page, "1", "c")).to_have_count(1)
    expect(row(page, "1", "a")).to_have_count(1)
    expect(row(page, "2", "b")).to_have_count(0)


def test_no_row_is_seen_under_another_tables_name(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/genre/rows")
    expect(page.locator(".rows tbody tr")).to_have_count(10)
    page.evaluate("location.hash = '#/tables/nope/rows'")
    expect(page.locator(".notice").first).to_contain_text("nope")
    expect(page.locator(".rows tbody tr")).to_have_count(0)
    expect(page.locator(".pager > .quiet")).to_have_text("")
    expect(page.locator(".table-view .title > .quiet")).to_have_text("")
    visitors.complaints.clear()  # the browser's console reports the 404


def test_a_table_opened_while_the_server_is_away_appears_with_it(music, visitors):
    page = visitors.open(music.url)
    music.kill()
    expect(page.locator("#connection")).to_have_attribute("data-state", re.compile("waiting|connecting"))
    page.evaluate("location.hash = '#/tables/genre/rows'")
    expect(page.locator(".notice").first).to_have_text("Not connected to the server.")
    music.start()
    expect(row(page, "Jazz")).to_be_visible()
    expect(page.locator(".notice").first).to_be_hidden()


def test_columns_may_bear_the_names_that_every_object_has(music, visitors):
    music.shell("""CREATE TABLE proto (id INTEGER PRIMARY KEY, constructor, "__proto__", hasOwnProperty); INSERT INTO proto VALUES (1, 'c', 'p', 'h')""")
    page = visitors.open(f"{music.url}/#/tables/proto/rows")
    expect(page.locator(".rows tbody td")).to_have_text(["1", "c", "p", "h"])
    music.shell("INSERT INTO proto (id) VALUES (2)")
    expect(page.locator(".rows tbody tr").nth(1).locator("td")).to_have_text(["2", "NULL", "NULL", "NULL"])
    music.shell("""UPDATE proto SET constructor = 'c2', "__proto__" = NULL WHERE id = 1""")
    expect(page.locator(".rows tbody tr").first.locator("td")).to_have_text(["1", "c2", "NULL", "h"])
    expect(page.locator(".changes li.update li")).to_have_count(2)


def test_the_list_counts_right_though_a_table_is_opened_while_it_is_written(music, visitors):
    page = visitors.open(music.url)
    expect(item(page, "playlist").locator(".count")).to_be_visible()
    with writing(music.database, "INSERT INTO playlist (name) VALUES ('list ' || ?)", every=0.001):
        for _ in range(8):
            page.evaluate("location.hash = '#/tables/playlist/rows'")
            expect(row(page, "1")).to_be_visible()
            page.evaluate("location.hash = '#/tables/genre/rows'")
            expect(row(page, "Jazz")).to_be_visible()
    with sqlite3.connect(music.database) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM playlist").fetchone()
    expect(item(page, "playlist").locator(".count")).to_have_attribute("title", f"{rows:,} rows")


def test_a_table_with_an_empty_name_is_opened_like_any_other(nasty, visitors):
    nasty.shell("""INSERT INTO "" ("") VALUES ('there')""")
    page = visitors.open(nasty.url)
    page.locator(".tables a", has_text="(empty name)").first.click()
    expect(row(page, "there")).to_be_visible()
    nasty.shell("""INSERT INTO "" ("") VALUES ('live')""")
    expect(row(page, "live")).to_have_class(re.compile("inserted"))
    page.keyboard.press("s")
    expect(page.locator(".schema-view")).to_contain_text("CREATE TABLE")
    expect(page.locator(".toast")).to_have_count(0)


def test_a_table_without_rowid_opens_without_a_complaint(music, visitors):
    music.shell("CREATE TABLE bare (k TEXT PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO bare VALUES ('a', 1)")
    page = visitors.open(music.url)
    for _ in range(5):
        page.evaluate("location.hash = '#/tables/bare/rows'")
        expect(row(page, "a", "1")).to_be_visible()
        page.evaluate("location.hash = '#/tables/genre/rows'")
        expect(row(page, "Jazz")).to_be_visible()
    expect(page.locator(".toast")).to_have_count(0)


def test_rows_are_in_sqlites_order_whatever_the_collation(music, visitors):
    music.shell("CREATE TABLE mixed (name TEXT COLLATE NOCASE PRIMARY KEY, other TEXT) WITHOUT ROWID; INSERT INTO mixed VALUES ('b', 'x'), ('A', 'x'), ('C', 'x')")
    page = visitors.open(f"{music.url}/#/tables/mixed/rows")
    expect(page.locator(".rows tbody tr td:nth-child(2)")).to_have_text(["A", "b", "C"])
    music.shell("INSERT INTO mixed VALUES ('B2', 'x')")
    expect(page.locator(".rows tbody tr td:nth-child(2)")).to_have_text(["A", "b", "B2", "C"])


def test_a_double_click_on_a_rows_number_opens_no_cell(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/genre/rows")
    page.locator(".rows tbody th").nth(2).dblclick()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".cell-editor")).to_have_count(0)
    page.locator(".rows tbody tr").nth(2).locator("td").nth(1).dblclick()
    expect(page.locator(".cell-editor input")).to_be_focused()


def test_a_long_list_says_what_it_leaves_out_and_shows_what_is_open(music, visitors):
    music.shell("".join(f"CREATE TABLE z_{number:03} (x);" for number in range(510)))
    page = visitors.open(f"{music.url}/#/tables/z_400/rows")
    expect(page.locator(".tables li")).to_have_count(500)
    expect(page.locator(".sidebar .padded")).to_contain_text("more: search for them by name")
    expect(item(page, "z_400")).to_be_in_viewport()


def test_views_are_not_counted_as_tables(music, visitors):
    page = visitors.open(music.url)
    names = [name for (name,) in sqlite3.connect(music.database).execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite_%'")]
    figure = lambda title: page.locator(".figures div").filter(has=page.get_by_text(title, exact=True)).locator("dd")
    expect(figure("Tables")).to_have_text(str(len(names)))
    expect(figure("Views")).to_have_text("1")


def test_a_key_that_is_the_rowid_is_never_null(music, visitors):
    music.shell("CREATE TABLE odd (id INTEGER PRIMARY KEY DESC); CREATE TABLE loose (id INT PRIMARY KEY)")
    for table, null in (("genre", "not null"), ("odd", "nullable"), ("loose", "nullable")):
        page = visitors.open(f"{music.url}/#/tables/{table}/schema")
        expect(page.locator(".columns tbody tr").first.locator("td").nth(2)).to_have_text(null)
